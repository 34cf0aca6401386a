"""`restore`: rows, a tenant or the whole table back to a second: into a new table, in place, or into a file."""

from backstream.operations.restore.plan import Planned
from backstream.operations.restore.report import Failure, Restored
from backstream.operations.restore.request import RestoreContext, RestoreRequest, TargetRequest
from backstream.operations.restore.resume import Again, resume
from backstream.operations.restore.resume_file import path_for
from backstream.operations.restore.run import PreparedRestore, prepare, restore
from backstream.operations.restore.targets.file import Into, ToFile
from backstream.operations.restore.targets.in_place import InPlace
from backstream.operations.restore.targets.kept import path_for as undo_path_for
from backstream.operations.restore.targets.new_table import NewTable
from backstream.operations.restore.targets.resumed import Resumed

__all__ = [
    "Again",
    "Failure",
    "InPlace",
    "Into",
    "NewTable",
    "Planned",
    "PreparedRestore",
    "RestoreContext",
    "RestoreRequest",
    "Restored",
    "Resumed",
    "TargetRequest",
    "ToFile",
    "path_for",
    "prepare",
    "restore",
    "resume",
    "undo_path_for",
]
