"""`backfill`: a base backup of the whole table, beside a running `tail` or Lambda, read from the table or taken from an export."""

from backstream.operations.backfill.run import Backfilled, Parts, backfill
from backstream.operations.backfill.scan import scan_of

__all__ = ["Backfilled", "Parts", "backfill", "scan_of"]
