"""`doctor`: looks at all that a backup hangs on, before and after it is deployed, and says what is wrong and how to mend it."""

from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import ALLOWED, Check, CheckVerdict, Doctor
from backstream.operations.doctor.run import doctor

__all__ = ["ALLOWED", "Check", "CheckVerdict", "Doctor", "DoctorContext", "doctor"]
