"""Makes conditional writes: a row that somebody changed while the restore ran is not overwritten, but reported as a conflict."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from backstream.errors import BackstreamError
from backstream.model.values import wire
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.restore.targets.kept import Keyed, UndoRecorder
from backstream.ports import ConditionalWrite

CONFLICT = "somebody changed it while the restore ran"


class Guarded(Protocol):
    """The part of `ports.Table` that it needs."""

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """See `ports.Table.fetch`."""

    def write_each(self, writes: Sequence[ConditionalWrite]) -> Sequence[bool | BackstreamError]:
        """See `ports.Table.write_each`."""


class ConditionalWriter:
    """Stands before a table and writes each item by itself, on condition that it is as the write says it was.

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
        firsts, later = self._each_item_once(writes)
        found = self._found([*firsts])
        still = {key: each for key, each in firsts.items() if wire.same_state(found.get(key), each.before)}
        if self._keeper is not None:
            self._keeper.keep([*still.values()], found)
        self._note([*firsts], UndoRecorder.tried)
        outcomes = dict(zip(still, self._table.write_each([*still.values()]), strict=True))
        failed = {key: error for key, error in outcomes.items() if isinstance(error, BackstreamError)}
        if failed and len(failed) == len(firsts):
            raise next(iter(failed.values()))
        self._check([key for key in firsts if outcomes.get(key, False) is False], firsts)
        self._note([key for key in firsts if key not in failed], UndoRecorder.settle)
        return [*(firsts[key] for key in failed), *later]

    def _each_item_once(
        self, writes: Sequence[ConditionalWrite]
    ) -> tuple[dict[bytes, ConditionalWrite], Sequence[ConditionalWrite]]:
        """Returns the first write of each item, and the others, which wait for it: they are left to the next attempt."""
        firsts, later = dict[bytes, ConditionalWrite](), list[ConditionalWrite]()
        for each in writes:
            if firsts.setdefault(self._keys.key_of(each.body), each) is not each:
                later.append(each)
        return firsts, later

    def _check(self, not_done: Sequence[bytes], writes: Mapping[bytes, ConditionalWrite]) -> None:
        """Names the conflicts among these items, which were not written: those that are not as the write would have them."""
        now = self._found(not_done)
        conflicts = [key for key in not_done if not wire.same_state(now.get(key), writes[key].after)]
        self._note(conflicts, UndoRecorder.withdraw)
        with self._lock:
            self.conflicts += [LeftOut(writes[key], CONFLICT) for key in conflicts]

    def _note(self, keys: Sequence[bytes], note: Callable[[UndoRecorder, bytes], None]) -> None:
        if self._keeper is not None:
            for key in keys:
                note(self._keeper, key)

    def _found(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        return {self._keys.key_of(image): image for image in self._table.fetch(keys)} if keys else {}
