"""Makes conditional writes: a row that somebody changed while the restore ran is not overwritten, but reported as a conflict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from backstream.errors import BackstreamError
from backstream.model.values import wire
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.restore.targets.kept import Keyed, UndoRecorder
from backstream.ports import ConditionalWrite, Write

CONFLICT = "somebody changed it while the restore ran"


class Guarded(Protocol):
    """The part of `ports.Table` that it needs."""

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """See `ports.Table.fetch`."""

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """See `ports.Table.write_if`."""


class ConditionalWriter:
    """Stands before a table and writes one item at a time, each on condition that it is as the write says it was.

    A batch's items are read once more just before, because a condition alone does not see an attribute that somebody has added.
    Items that changed meanwhile are in `conflicts`. A write that finds its own work already done, because an earlier answer was
    lost, is not a conflict. Safe to call from many threads; an item's writes come one after another.
    """

    def __init__(self, keys: Keyed, table: Guarded, keeper: UndoRecorder | None = None) -> None:
        """`keeper` keeps an item's image before it is written; None if nothing needs to be kept."""
        self._keys = keys
        self._table = table
        self._keeper = keeper
        self._lock = threading.Lock()
        self.conflicts: list[LeftOut[ConditionalWrite]] = []

    def write(
        self,
        writes: Sequence[ConditionalWrite],
        took: Callable[[float], None] | None = None,  # noqa: ARG002
    ) -> Sequence[ConditionalWrite]:
        """See `ports.Table.write`; `took` is not called. Raises the table's error if nothing could be done."""
        found = self._found(writes)
        self._keep(writes, found)
        for place, write in enumerate(writes):
            try:
                self._write(write, self._keys.key_of(write.body), found)
            except BackstreamError:
                if not place:
                    raise
                return writes[place:]  # those before are done: the next attempt begins here, and tells what is wrong
        return []

    def _keep(self, writes: Sequence[ConditionalWrite], found: dict[bytes, bytes]) -> None:
        """Keeps the items that are still as expected, since they are going to be written."""
        if self._keeper is not None:
            still = [each for each in writes if wire.same_state(found.get(self._keys.key_of(each.body)), each.before)]
            self._keeper.keep(still, found)

    def _write(self, write: ConditionalWrite, key: bytes, found: dict[bytes, bytes]) -> None:
        if self._keeper is not None:
            self._keeper.tried(key)
        done = wire.same_state(found.get(key), write.before) and self._table.write_if(write.write, write.before)
        if not done and not wire.same_state(self._found([write]).get(key), write.after):
            if self._keeper is not None:
                self._keeper.withdraw(key)
            with self._lock:
                self.conflicts.append(LeftOut(write, CONFLICT))
        if self._keeper is not None:
            self._keeper.settle(key)

    def _found(self, writes: Sequence[ConditionalWrite]) -> dict[bytes, bytes]:
        keys = [self._keys.key_of(write.body) for write in writes]
        return {self._keys.key_of(image): image for image in self._table.fetch(keys)}
