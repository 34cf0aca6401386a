"""What a migration is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate import MOST
from backstream.operations.restore import Failure, Planned
from backstream.operations.restore.plan import Sampled
from backstream.ports import Clock, Table
from backstream.vault.table_vault import TableVault

SHOWN = 10  # changes that a report shows


class MigrationRequest(msgspec.Struct, frozen=True):
    """How to do it. Without `live` nothing is written. `limit`: look at so many items at most; `shown`: so many changes reported.

    `concurrency`: writes under way at most; `max_units`: write units a second at most; `patience`: seconds without any progress
    after which it gives up; `undoable`: refuse to write where the vault could not take it back.
    """

    live: bool = False
    limit: int | None = None
    shown: int = SHOWN
    concurrency: int = MOST
    max_units: float | None = None
    patience: float = 30.0
    undoable: bool = True


class MigrationContext(msgspec.Struct, frozen=True):
    """What a migration needs besides its script. `vault`: None where there is none for the table.

    `folder`: where its file goes; `notice` is told, before the first write, how to go on, should it be interrupted. `into_another`:
    the table may be another than the vault's.
    """

    table: Table
    clock: Clock
    folder: Path
    vault: TableVault | None = None
    progress: Progress = Silent()
    notice: Callable[[str], None] = lambda _: None
    into_another: bool = False


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """What a migration did, or, unless `live`, would do. Counts are items.

    `scanned`: those the function was run over; `already`: changed by an earlier run of the same migration, and not touched again;
    `conflicts`: how many of `failed` are so because somebody else has changed them; `file`: where its progress stands, which `undo`
    reads; `undo`: the command that takes it back, None where nothing was changed or the vault cannot; `back`: the one that brings
    the whole table back, the changes of others too; `resume`: the one that goes on, where something is left.
    """

    table: str
    migration: str
    source: str
    live: bool
    scanned: int
    changed: int
    deleted: int
    unchanged: int
    already: int
    failed: int
    conflicts: int
    seconds: float
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    plan: Planned | None = None
    changes: Sequence[Sampled] = ()
    file: str | None = None
    undo: str | None = None
    back: str | None = None
    resume: str | None = None
