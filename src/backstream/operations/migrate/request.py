"""The request and the report of a migration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate import MOST
from backstream.operations.bulk.writer import Budget
from backstream.operations.restore import Failure, Planned
from backstream.operations.restore.plan import Sampled
from backstream.ports import Clock, Table
from backstream.vault.table_vault import TableVault

SHOWN = 10  # changes that a report shows


class MigrationRequest(msgspec.Struct, frozen=True):
    """The options of a migration. Without `live` nothing is written. `limit`: the most items to look at; `shown`: the number of
    reported changes.

    `concurrency`: writes under way at most; `max_units`: write units a second at most; `budget`: the same limit, shared with other
    writers; `patience`: seconds without any progress after which it gives up; `undoable`: refuse to write if the vault could not
    undo it.
    """

    live: bool = False
    limit: int | None = None
    shown: int = SHOWN
    concurrency: int = MOST
    max_units: float | None = None
    budget: Budget | None = None
    patience: float = 30.0
    undoable: bool = True


class MigrationContext(msgspec.Struct, frozen=True):
    """The context of a migration besides its script. `vault`: None if there is none for the table.

    `folder`: the place of its file; `notice` receives, before the first write, the command that resumes it after an interruption.
    `into_another`: the table may differ from the vault's.
    """

    table: Table
    clock: Clock
    folder: Path
    vault: TableVault | None = None
    progress: Progress = Silent()
    notice: Callable[[str], None] = lambda _: None
    into_another: bool = False


class Migrated(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a migration, or, unless `live`, its plan. Counts are items.

    `scanned`: those the function was run over; `already`: changed by an earlier run of the same migration, and not touched again;
    `conflicts`: the number of `failed` items that somebody else has changed; `file`: the file with its progress, which `undo`
    reads; `undo`: the command that undoes it, None if nothing was changed or if the vault cannot; `back`: the command that restores
    the whole table, including the changes of others; `resume`: the command that continues, if something is left.
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
