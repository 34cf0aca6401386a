"""The undo of a restore of several tables in place: its files, and what could not be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backstream.errors import BackstreamError, PartlyDone, UsageError
from backstream.operations.restore import Restored
from backstream.operations.together import group_file
from backstream.operations.together.restoring import GroupRestoreHead, undo_files


def undo_paths(path: Path) -> list[tuple[str, Path]]:
    """Returns the tables of a run in place, each with the file of its written rows. UsageError if there is nothing to undo."""
    head, _, _ = group_file.load(path, GroupRestoreHead)
    if not head.in_place:
        raise UsageError(f"{path} restored into new tables: there is nothing to undo", hint="Delete the new tables.")
    there = [(table, each) for table, each in undo_files(head, path.parent) if each.exists()]
    if not there:
        raise UsageError(f"{path} has written nothing: there is nothing to undo")
    return there


def check_undone(undone: Mapping[str, Restored | BackstreamError], tables: int) -> None:
    """Raises PartlyDone if a table could not be taken back."""
    wrong = {table: each for table, each in undone.items() if isinstance(each, BackstreamError)}
    if wrong:
        said = "; ".join(f"{table}: {each.message}" for table, each in wrong.items())
        raise PartlyDone(f"{len(wrong)} of {tables} tables were not taken back: {said}", hint="Run it again: it goes on.")
