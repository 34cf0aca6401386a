"""`doctor`: checks everything that a backup depends on, before and after deployment, and says what is wrong and how to fix it."""

from backstream.operations.doctor.context import DoctorContext
from backstream.operations.doctor.report import ALLOWED, Check, CheckVerdict, Doctor
from backstream.operations.doctor.run import doctor

__all__ = ["ALLOWED", "Check", "CheckVerdict", "Doctor", "DoctorContext", "doctor"]
