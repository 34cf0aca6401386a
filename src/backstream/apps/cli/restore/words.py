"""The words of a `restore`, as the command line has read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backstream.apps.engines import EngineKind
from backstream.apps.selection.table_selection import TableSelection
from backstream.apps.verbs.arguments import Via
from backstream.clock import SystemClock
from backstream.errors import UsageError
from backstream.model import moment, moment_arguments
from backstream.model.counts import counted
from backstream.operations.together.side_by_side import OnFailure


@dataclass
class RestoreWords:
    """One field for each option of the command: see its help. `at` becomes the second that was agreed to."""

    tables: TableSelection
    vault: str | None
    verify_key: str | None
    min_head: int | None
    at: str | None
    to: str | None
    in_place: bool
    suffix: str | None
    prefix: str | None
    names: Path | None
    settle: bool
    on_failure: OnFailure
    to_file: Path | None
    key: list[str] | None
    keys: Path | None
    changed_between: tuple[str, str] | None
    tenant: str | None
    no_indexes: bool
    accept_settings: bool
    settings_only: bool
    partition: str | None
    where: str | None
    via: Via
    dry_run: bool
    allow_gap: bool
    from_file: str | None
    key_schema: str | None
    like: str | None
    no_checksums: bool
    csv_delimiter: str | None
    csv_columns: str | None
    from_parquet: str | None
    resume: str | None
    undo: str | None
    max_write_units: float | None
    patience: float
    force: bool
    into_another: bool
    delete_unknown: bool
    expect_deletes: int | None
    yes: bool
    engine: EngineKind
    master: str | None
    json: bool


def fixed(text: str) -> str:
    """Returns the moment as a time: `15m ago` would mean another second each time it is read."""
    return moment.iso(moment_arguments.parse(text, SystemClock().now()))


def fixed_window(window: tuple[str, str] | None) -> tuple[str, str] | None:
    """Returns both moments as times."""
    return None if window is None else (fixed(window[0]), fixed(window[1]))


def selected_rows(words: RestoreWords) -> str:
    """Returns the selection of rows in words, to stand before a table's name; empty for all rows."""
    filters = {
        "tenant": words.tenant,
        "partition": words.partition,
        "where": words.where,
        "file": None if words.keys is None else str(words.keys),
    }
    changed = "" if words.changed_between is None else f", changed from {' to '.join(words.changed_between)},"
    named = [f"{name} {value}" for name, value in filters.items() if value is not None]
    if not words.key and not named and not changed:
        return ""
    rows = counted(len(words.key), "row") if words.key else "rows"
    return rows + (f" of {' and '.join(named)}" if named else "") + changed + " of "


def need_files(files: str | None, option: str, **options: object) -> None:
    """Raises UsageError for options of files if no files are named. `option`: how they are named."""
    if files is None and (wrong := given(options)):
        raise UsageError(f"{', '.join(wrong)}: there are no files", hint=f"They go with {option}.")


def given(options: Mapping[str, object]) -> list[str]:
    """Returns the flags of those options that were given."""
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value not in (None, False, [])]
