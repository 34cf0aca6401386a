"""Discards changes of items that were erased with `--forget-future`, before anything of them is written. See docs/notes/0064.

It also leaves out changes that the vault has from its source before: see docs/notes/0075.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from backstream.errors import Damaged, NotFound
from backstream.model.changes.change import Change
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault


class Forgetting:
    """Tells which changes are kept, and counts the others. Safe to call from many threads.

    `count`: the number of discarded changes so far; `known`: the number of those that the vault has from its source before.
    """

    def __init__(self, vault: TableVault) -> None:
        self._vault = vault
        self._forgotten = vault.forgotten
        self._lock = threading.Lock()
        self.count = self.known = 0

    def kept(self, changes: Iterable[Change]) -> list[Change]:
        """Returns the changes to keep, in their order, and counts the others."""
        changes = list(changes)
        new = self._new(changes)
        kept = self.not_forgotten(new)
        with self._lock:
            self.count += len(new) - len(kept)
            self.known += len(changes) - len(new)
        return kept

    def _new(self, changes: Sequence[Change]) -> list[Change]:
        source = self._vault.catalog.kinesis
        return list(changes) if source is None else [each for each in changes if source.is_new(each)]

    def not_forgotten(self, changes: Sequence[Change]) -> list[Change]:
        """Returns the changes to keep. One without a readable key is kept: its own error says so later."""
        new = self._new(changes)
        return [each for each in new if not self._is_forgotten(each)] if self._forgotten else new

    def _is_forgotten(self, change: Change) -> bool:
        try:
            found = self._forgotten.has(self._vault.key_of(change.keys))
        except Damaged:
            return False
        if found and (change.stream, change.sequence) in self._forgotten.waiting:
            self._close_gap(change)
        return found

    def _close_gap(self, change: Change) -> None:
        """Notes in the log that a missing change has come, and was discarded: by a segment of it alone, without a line."""
        shard = f"{SegmentKind.WITNESS}.{change.sequence}"
        self._vault.log.write_run([], shard, after="forgotten", writer="forgotten", passed=[change])


class LiveForgetting(Forgetting):
    """The same for a process that runs for long: it looks at the catalog before each segment, since an erasure may have come."""

    def __init__(self, vault: TableVault, notice: Callable[[str], None]) -> None:
        super().__init__(vault)
        self._notice = notice

    def not_forgotten(self, changes: Sequence[Change]) -> list[Change]:
        """See `Forgetting`. Raises the store's errors: nothing is written then."""
        self._look()
        return super().not_forgotten(changes)

    def _look(self) -> None:
        try:
            self._vault = self._vault.anew()
        except (NotFound, Damaged):
            return  # capture outlives its catalog, and continues by what it knows
        before, self._forgotten = self._forgotten, self._vault.forgotten
        if before is not self._forgotten:
            self._notice(f"items of {self._vault.catalog.table} were erased for good: their changes are discarded from now on")


def taken_over(changes: Sequence[Change], kept: Sequence[Change], durable: int) -> int:
    """Returns how many of the changes are settled, once the first `durable` of the kept ones are: up to the next that is not."""
    if durable >= len(kept):
        return len(changes)
    return next(place for place, each in enumerate(changes) if each is kept[durable])


def passed_at_end(changes: Sequence[Change], kept: Sequence[Change]) -> Sequence[Change]:
    """Returns the discarded changes after the last one that is kept."""
    if not kept:
        return changes
    last = next(place for place in reversed(range(len(changes))) if changes[place] is kept[-1])
    return changes[last + 1 :]
