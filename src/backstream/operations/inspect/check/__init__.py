"""`check`: every claim of a table's vault against every object of it.

`records` looks at what the vault says of itself, `lines` reads the change log and base backups, `rows` compares the versions that
the log names with a listing of those that there are, `items` goes through each item's changes, and `repair` removes delete markers.
"""

from backstream.operations.inspect.check.report import Checked, Finding, FindingKind
from backstream.operations.inspect.check.run import CheckContext, check, check_table

__all__ = ["CheckContext", "Checked", "Finding", "FindingKind", "check", "check_table"]
