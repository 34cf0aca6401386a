"""The common source of all views: one table's vault, what is accepted, and what was said about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from backstream.engine.local.memory import Memory
from backstream.errors import Damaged
from backstream.model.columns.schema import ColumnSchema
from backstream.model.window import Window
from backstream.operations.bulk.progress import Progress, Silent
from backstream.ports import Clock
from backstream.vault.table_vault import TableVault

Item = TypeVar("Item")
ROWS = 2_000  # of a batch
BYTES = 4 << 20  # of their images, about


@dataclass
class TableReading:
    """One table, as a query reads it. `now`: the second at which the query began: nothing later is in its answer.

    `allow_gap`: continue although changes may be missing; `skip_damaged`: continue past what cannot be read. `notes`: what is
    uncertain about the answer; `damaged`: what was not read; `columns`: the typed columns that are known.
    """

    vault: TableVault
    clock: Clock
    now: int
    memory: Memory = field(default_factory=Memory)
    progress: Progress = field(default_factory=Silent)
    allow_gap: bool = False
    skip_damaged: bool = False
    notes: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    columns: ColumnSchema = field(default_factory=ColumnSchema)

    @cached_property
    def window(self) -> Window:
        """Returns the recovery window, as it was when the query first asked."""
        return self.vault.window(self.clock.now())

    @cached_property
    def kept_from(self) -> int:
        """The second after which changes are kept: the horizon, or 0."""
        horizon = self.vault.catalog.horizon
        return 0 if horizon is None else horizon.second

    @property
    def table(self) -> str:
        """The table's name."""
        return self.vault.catalog.table

    def note(self, notes: Iterable[str]) -> None:
        """Keeps each note once."""
        self.notes += [each for each in notes if each not in self.notes]

    def unread(self, what: str) -> None:
        """Notes an object or an image that cannot be read. Raises Damaged unless such are to be skipped."""
        if not self.skip_damaged:
            raise Damaged(
                f"{self.table}: a part of the backup cannot be read: {what}",
                hint="Bring it back from the bucket's versions, or leave it out with --skip-damaged."
                " `backstream check` finds all of them.",
            )
        if what not in self.damaged:
            self.damaged.append(what)


def batched(rows: Iterable[tuple[Item, int]]) -> Iterator[list[Item]]:
    """Yields the items in lists that are neither long nor large. Each comes with its size in bytes."""
    batch, held = list[Item](), 0
    for row, size in rows:
        batch.append(row)
        held += size
        if len(batch) >= ROWS or held >= BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
