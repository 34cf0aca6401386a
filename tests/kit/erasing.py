"""Random histories in which items are erased: beside retention, compaction and capture, and the erasure may die at any request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from backstream.engine.local.memory import Memory
from backstream.errors import BackstreamError
from backstream.operations.base.compact import compact
from backstream.operations.capture.follow import follow
from backstream.operations.erase import EraseContext, Erased, EraseRequest, erase
from backstream.ports import Delete, ObjectStore
from kit.canary import found_in
from kit.claims import KEYS
from kit.crashing import CrashingStore
from kit.retained import DyingRemover, RetainWorld
from kit.schedules import Step
from kit.watched import WatchedStore

ERASE_STEPS: Mapping[str, int] = {
    "write": 14,
    "time": 10,
    "tail": 10,
    "tail_crashes": 1,
    "function": 3,
    "witness": 3,
    "silence": 1,
    "split": 1,
    "stream_replaced": 1,
    "table_recreated": 1,
    "base_backup": 4,
    "compaction": 4,
    "compaction_crashes": 2,
    "retained": 6,
    "retention_dies": 3,
    "erased": 6,
    "erasure_dies": 4,
    "erasure_beside": 4,
    "look": 8,
}
SMALL = Memory(64 << 20)


class EraseWorld(RetainWorld):
    """A world whose items are erased now and then.

    `forgone`: the erased keys. What a vault says of them depends on what arrives later, so the oracle passes them over. `erasures`:
    how many were finished.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        self.forgone: set[bytes] = set()
        self.erasures = 0

    def erased(self, step: Step) -> None:
        """One item is deleted, and then erased from all history: its key is nowhere any more."""
        if self._erase(step, self.store, self.store) and not self.harmed:
            self.erasures += 1
            name = f"item-{KEYS.index(self._key(step))}"
            assert found_in(self.store, name) == [], f"{name} is erased, and still there"

    def erasure_dies(self, step: Step) -> None:
        """It dies at a write, or at a removal; mostly another one completes it."""
        if step.b % 2:
            self._erase(step, CrashingStore(self.store, 1 + step.b // 2 % 30, after=bool(step.c % 2)), self.store)
        else:
            self._erase(step, self.store, DyingRemover(self.store, step.b // 2 % 40))
        if step.c % 3:
            self.erased(step)

    def erasure_beside(self, step: Step) -> None:
        """Before one of its writes, or after one of its listings, somebody else does something."""
        left = 1 + step.b % 30

        def now_and_then(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._tolerating(lambda: self._another(step))

        watched = (
            WatchedStore(self.store, before_write=now_and_then) if step.c % 2 else WatchedStore(self.store, after_list=now_and_then)
        )
        self._erase(step, cast("ObjectStore", watched), self.store)

    def _another(self, step: Step) -> None:
        what = step.c // 2 % 4
        if what == 0:
            compact(self.vault(), self.clock)
        elif what == 1:
            self.write(Step("write", step.a, step.b, 0))
            follow(self.vault(), self._following(), until_caught_up=True)
        elif what == 2:
            self.base_backup(Step("base_backup", step.a, step.b, 1))
        else:
            self.retained(Step("retained", step.a // 7, 0, 0))

    def _key(self, step: Step) -> bytes:
        return KEYS[step.a % len(KEYS)]

    def _erase(self, step: Step, store: ObjectStore, remover: Any) -> bool:
        """True if it is finished."""
        key = self._key(step)
        self.table.write([Delete(key)])
        self.model.set(int(self.clock.now()), key, None)
        self._follow(self.store)
        self.clock.move(2)  # what was read in the very second of an erasure counts as new
        self.forgone.add(key)
        before = self._ranges()
        request = EraseRequest(reason="asked for it", by="test", keys=(key,))
        report: Erased | None = None
        with suppress(BackstreamError):
            report = erase(lambda: self.vault(store), request, EraseContext(self.clock, remover, SMALL))
        after = self._ranges()
        if store is self.store and remover is self.store and not self.harmed:
            assert before == after, f"an erasure has changed what is claimed: {before}, {after}"
        return report is not None and not report.left and not report.late

    def _state_at(self, at: int) -> Mapping[bytes, bytes] | None:
        """The state as restored, with erased items as they were."""
        state = super()._state_at(at)
        if state is None:
            return None
        others = {key: image for key, image in state.items() if key not in self.forgone}
        return others | {key: image for key, image in self.model.at(at).items() if key in self.forgone}
