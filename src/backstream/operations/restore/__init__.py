"""`restore`: rows, a tenant or the whole table back to a second: into a new table, in place, or into a file."""

from backstream.operations.restore.request import Failure, InPlace, NewTable, Request, Restored, Target, ToFile
from backstream.operations.restore.leftovers import path_for, resume
from backstream.operations.restore.run import Surroundings, restore

__all__ = [
    "Failure",
    "InPlace",
    "NewTable",
    "Request",
    "Restored",
    "Surroundings",
    "Target",
    "ToFile",
    "path_for",
    "restore",
    "resume",
]
