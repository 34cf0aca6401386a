"""`check`: compares every claim of a table's vault with every object of it.

`records` checks the vault's own records, `lines` reads the change log and base backups, `rows` compares the versions that the log
names with a listing of the existing ones, `items` checks each item's changes, and `repair` removes delete markers.
"""

from backstream.operations.inspect.check.lock import with_lock
from backstream.operations.inspect.check.report import Checked, Finding, FindingKind
from backstream.operations.inspect.check.run import CheckContext, check, check_table

__all__ = ["CheckContext", "Checked", "Finding", "FindingKind", "check", "check_table", "with_lock"]
