"""Random histories with retention: it may die at any of its requests, and others work beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from backstream.errors import BackstreamError, Failed
from backstream.model.window import Range
from backstream.operations.base.compact import compact
from backstream.operations.capture.follow import follow
from backstream.operations.retain import RetainContext, retain
from backstream.ports import ObjectStore, ObjectVersion, Removal, VersionLock
from backstream.stores.memory import MemoryStore
from kit.claims import KEYS
from kit.crashing import CrashingStore
from kit.more_histories import MORE_STEPS, MoreWorld
from kit.schedules import Step
from kit.watched import WatchedStore

RETAIN_STEPS: Mapping[str, int] = {
    **MORE_STEPS,
    "retained": 5,
    "retention_dies": 5,
    "retention_beside": 4,
    "read_beside_retention": 3,
}
EIGHTHS = [0, 1, 2, 4, 6]  # of the time that the vault has lived: what is kept


class DyingRemover:
    """Removes so many versions, and then the process is dead. A request may have removed any part of its versions by then."""

    def __init__(self, store: MemoryStore, left: int) -> None:
        self._store = store
        self._left = left

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        """See `ports.VersionRemover`."""
        for each in sorted(wanted, key=lambda one: one.version[::-1]):
            self._left -= 1
            if self._left < 0:
                raise Failed("the process is dead")
            yield from self._store.remove_each([each])

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        """See `ports.VersionRemover`."""
        return self._store.lock_of(version)


class RetainWorld(MoreWorld):
    """A world whose history is removed now and then. `removed`: how many versions; `moved`: how often a horizon was published."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        self.removed = self.moved = 0

    def retained(self, step: Step) -> None:
        """All of it."""
        self._retain(self.store, self.store, step)

    def retention_dies(self, step: Step) -> None:
        """It dies at a write, or at a removal; mostly another one completes it."""
        if step.b % 2:
            self._retain(CrashingStore(self.store, 1 + step.b // 2 % 12, after=bool(step.c % 2)), self.store, step)
        else:
            self._retain(self.store, DyingRemover(self.store, step.b // 2 % 40), step)
        if step.c % 3:
            self.retained(step)

    def retention_beside(self, step: Step) -> None:
        """Before one of its writes, or after one of its listings, somebody else does something."""
        store = self._with_another(step)
        self._retain(store, self.store, step, alone=False)

    def _with_another(self, step: Step) -> ObjectStore:
        left = 1 + step.b % 14

        def now_and_then(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._tolerating(lambda: self._other(step))

        if step.c % 2:
            return cast("ObjectStore", WatchedStore(self.store, before_write=now_and_then))
        return cast("ObjectStore", WatchedStore(self.store, after_list=now_and_then))

    def _other(self, step: Step) -> None:
        what = step.c // 2 % 5
        if what == 0:
            compact(self.vault(), self.clock)
        elif what == 1:
            self.write(Step("write", step.a, step.b, 0))
            follow(self.vault(), self._following(), until_caught_up=True)
        elif what == 2:
            self.base_backup(Step("base_backup", step.a, step.b, 1))
        elif what == 3:
            self._retain(self.store, self.store, Step("retained", step.a // 7, 0, 0))
        else:
            self.redriven(Step("redriven", 0, 0, 0))

    def read_beside_retention(self, step: Step) -> None:
        """A moment is read while history is removed: it is as it was, or it is before the horizon by then."""
        if self.harmed:
            return
        now = self.clock.now()
        left = 1 + step.b % 8

        def now_and_then(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._retain(self.store, self.store, step)

        vault = self.vault()
        vault = vault.seen_through(cast("ObjectStore", WatchedStore(self.store, after_list=now_and_then)))
        try:
            ranges = self.vault().window(now).ranges
        except BackstreamError:
            return
        for at in list(self._some_of(ranges, step))[:1]:
            try:
                with vault.engine.state(vault, at) as state:
                    assert not state.unreadable or self._horizon() > at, [(each.name, each.why) for each in state.unreadable]
                    found = {key: vault.image(part[key]) for part in state for key in part if part.exists(key)}
            except BackstreamError as error:
                if self._horizon() <= at:
                    raise AssertionError(f"second {at - self.began} is claimed, and not read: {error.message}") from None
                return
            assert found == self.model.at(at), f"second {at - self.began}, read while history was removed"

    def _horizon(self) -> int:
        horizon = self.vault().catalog.horizon
        return -1 if horizon is None else horizon.second

    def _retain(self, store: ObjectStore, remover: MemoryStore | DyingRemover, step: Step, *, alone: bool = True) -> None:
        """Claims from the horizon on stay, if nobody else learns anything meanwhile, and no claim before it does."""
        before, passed = self._ranges(), self._horizon()
        around = RetainContext(self.clock, remover)
        keep = 1 + int(self.clock.now() - self.began) * EIGHTHS[step.a % len(EIGHTHS)] // 8
        with suppress(BackstreamError):  # refused, or dead: what is claimed then is looked at all the same
            self.removed += retain(self.vault(store), keep, around).removed_versions
        horizon = self._horizon()
        self.moved += horizon > passed
        assert horizon >= passed, "a horizon went back"
        after = self._ranges()
        if before is None or after is None:
            assert self.harmed, "nobody has harmed the vault, and it cannot say what it holds"
            return
        assert all(each.since >= horizon for each in after), f"{after} claims what is before the horizon {horizon}"
        for each in before:
            since = max(each.since, horizon)
            if alone and since <= each.until and not self.harmed:
                assert any(one.since <= since and each.until <= one.until for one in after), (
                    f"{Range(since, each.until)} was claimed, and is no more: {after}"
                )

    def _ranges(self) -> Sequence[Range] | None:
        try:
            return self.vault().window(self.clock.now()).ranges
        except BackstreamError:
            return None


__all__ = ["KEYS", "RETAIN_STEPS", "RetainWorld"]
