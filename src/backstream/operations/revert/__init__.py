"""`revert`: undoes exactly the selected changes of a window, by a three-way merge, and keeps everything else."""

from backstream.operations.revert.applying import execute, go_on, path_for
from backstream.operations.revert.deletes import needed as deletes_needed
from backstream.operations.revert.plan_file import Plan, PlanRow
from backstream.operations.revert.request import Around, OnConflict, Reverted, RevertRequest, Writing
from backstream.operations.revert.run import apply, dry_run, foreseen, plan, revert, undo

__all__ = [
    "Around",
    "OnConflict",
    "Plan",
    "PlanRow",
    "RevertRequest",
    "Reverted",
    "Writing",
    "apply",
    "deletes_needed",
    "dry_run",
    "execute",
    "foreseen",
    "go_on",
    "path_for",
    "plan",
    "revert",
    "undo",
]
