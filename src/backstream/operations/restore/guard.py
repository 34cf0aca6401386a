"""Writes that give way: a row that somebody changed while the restore ran is not overwritten, but named as a conflict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from backstream.errors import BackstreamError
from backstream.layouts.vault import TableVault
from backstream.model import wire
from backstream.operations.writing import LeftOut
from backstream.ports import Put, Table, Write

CONFLICT = "somebody changed it while the restore ran"


class Guard:
    """Stands before a table and writes one item at a time, each on condition that it is as it was when that was decided.

    A batch's items are looked at once more just before: a condition alone does not see an attribute that somebody has added. What
    was changed meanwhile is in `conflicts`. A write that finds its own work done already, since an earlier answer was lost, is no
    conflict. Safe to call from many threads; an item's writes come one after another.
    """

    def __init__(self, vault: TableVault, table: Table) -> None:
        self._vault = vault
        self._table = table
        self._before: dict[bytes, bytes | None] = {}
        self._lock = threading.Lock()
        self.conflicts: list[LeftOut] = []

    def expect(self, write: Write, before: bytes | None) -> None:
        """The write that is to come was decided when the item was like that."""
        with self._lock:
            self._before[self._key(write)] = before

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:  # noqa: ARG002
        """See `ports.Table.write`; nobody is told what it took. Raises what the table raises where nothing could be done."""
        found = self._found(writes)
        for place, write in enumerate(writes):
            try:
                self._write(write, found.get(self._key(write)))
            except BackstreamError:
                if not place:
                    raise
                return writes[place:]  # those before are done: the next attempt begins here, and tells what is wrong
        return []

    def _write(self, write: Write, found: bytes | None) -> None:
        key = self._key(write)
        with self._lock:
            before = self._before[key]
        done = wire.same_state(found, before) and self._table.write_if(write, before)
        if not done and not wire.same_state(self._found([write]).get(key), write.image if isinstance(write, Put) else None):
            with self._lock:
                self.conflicts.append(LeftOut(write, CONFLICT))
        with self._lock:
            del self._before[key]

    def _found(self, writes: Sequence[Write]) -> dict[bytes, bytes]:
        return {self._vault.key_of(image): image for image in self._table.fetch([self._key(write) for write in writes])}

    def _key(self, write: Write) -> bytes:
        return self._vault.key_of(write.image if isinstance(write, Put) else write.keys)
