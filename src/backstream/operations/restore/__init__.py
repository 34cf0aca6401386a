"""`restore`: rows, a tenant or the whole table back to a second: into a new table, in place, or into a file."""

from backstream.operations.restore.kept import path_for as undo_path_for
from backstream.operations.restore.plan import Planned
from backstream.operations.restore.request import (
    Failure,
    InPlace,
    Into,
    NewTable,
    Restored,
    RestoreRequest,
    Resumed,
    Target,
    ToFile,
)
from backstream.operations.restore.resume_file import path_for
from backstream.operations.restore.run import restore
from backstream.operations.restore.state_source import RestoreContext
from backstream.operations.restore.targets.resumed import Again, resume

__all__ = [
    "Again",
    "Failure",
    "InPlace",
    "Into",
    "NewTable",
    "Planned",
    "RestoreContext",
    "RestoreRequest",
    "Restored",
    "Resumed",
    "Target",
    "ToFile",
    "path_for",
    "restore",
    "resume",
    "undo_path_for",
]
