"""`backfill`: a base backup of the whole table, beside a running `tail` or Lambda, read from the table or taken from an export."""

from backstream.operations.base.backfill.export import FullExport, check_export, take_in
from backstream.operations.base.backfill.report import BackfillContext, Backfilled
from backstream.operations.base.backfill.run import backfill
from backstream.operations.base.backfill.scan import scan_of

__all__ = ["BackfillContext", "Backfilled", "FullExport", "backfill", "check_export", "scan_of", "take_in"]
