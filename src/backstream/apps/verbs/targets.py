"""The target of a restore, from the arguments of the library."""

from __future__ import annotations

from pathlib import Path

from backstream.errors import UsageError
from backstream.model.tables import naming
from backstream.operations.restore import InPlace, NewTable, TargetRequest, ToFile


def target_of(new: NewTable | None, to_file: str | Path | None, *, in_place: bool) -> TargetRequest:
    """UsageError where it is not exactly one, or no table's name."""
    chosen = [each for each in (new, to_file, in_place or None) if each is not None]
    if len(chosen) != 1:
        raise UsageError("choose exactly one of --to, --in-place, --to-file", hint="A new table, the table itself, or a file.")
    if new is not None:
        naming.check_table_name(new.name)
        return new
    return InPlace() if to_file is None else ToFile(Path(to_file))
