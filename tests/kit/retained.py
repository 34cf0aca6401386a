"""Random histories with retention: it may die at any of its requests, and others work beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from backstream.errors import BackstreamError, Failed, OutsideWindow
from backstream.model.keep_rule import KeepRule
from backstream.model.window import Range
from backstream.operations.base.compact import compact
from backstream.operations.capture.follow import follow
from backstream.operations.inspect import safety
from backstream.operations.retain import RetainContext, retain
from backstream.ports import ObjectStore, ObjectVersion, Removal, VersionLock
from backstream.stores.memory import MemoryStore
from kit.claims import KEYS, NAME, short
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

    def rule(self, step: Step, every: int) -> KeepRule:
        """The rule of a retention that keeps all of the last seconds."""
        del step
        return KeepRule(every)

    def _horizon(self) -> int:
        horizon = self.vault().catalog.horizon
        return -1 if horizon is None else horizon.second

    def _retain(self, store: ObjectStore, remover: MemoryStore | DyingRemover, step: Step, *, alone: bool = True) -> None:
        """Claims from the horizon on stay, if nobody else learns anything meanwhile, and no claim before it does."""
        before, passed = self._ranges(), self._horizon()
        around = RetainContext(self.clock, remover)
        keep = 1 + int(self.clock.now() - self.began) * EIGHTHS[step.a % len(EIGHTHS)] // 8
        with suppress(BackstreamError):  # refused, or dead: what is claimed then is looked at all the same
            self.removed += retain(self.vault(store), self.rule(step, keep), around).removed_versions
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


class ShortRule(KeepRule, frozen=True):
    """A rule whose days have five minutes, and whose months have six of these days: random histories are short."""

    def end_of_day(self, second: int) -> int:
        """See `KeepRule`."""
        return second - second % 300 + 299

    def beginning_of_day(self, second: int) -> int:
        """See `KeepRule`."""
        return second - second % 300

    def end_of_month(self, second: int) -> int:
        """See `KeepRule`."""
        return second - second % 1_800 + 1_799


THIN_STEPS: Mapping[str, int] = {
    "write": 14,
    "time": 20,
    "tail": 14,
    "tail_crashes": 1,
    "function": 3,
    "witness": 4,
    "silence": 1,
    "split": 1,
    "stream_replaced": 1,
    "table_recreated": 2,
    "base_backup": 5,
    "compaction": 4,
    "compaction_crashes": 1,
    "in_place": 2,
    "objects_hidden": 1,
    "given_up": 1,
    "redriven": 1,
    "checked": 1,
    "retained": 14,
    "retention_dies": 8,
    "retention_beside": 6,
    "read_beside_retention": 3,
    "look": 3,
    "look_at_kept": 8,
}


class ThinWorld(RetainWorld):
    """A world of whose older history single states are kept. `kept`: how many were compared with what was."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        self.kept = 0

    def retained(self, step: Step) -> None:
        """Mostly a tail has just come, so that there is more to keep states of."""
        if step.b % 3:
            self.tail(Step("tail", step.b, step.c, step.a))
        super().retained(step)

    def rule(self, step: Step, every: int) -> KeepRule:
        """Mostly days, and months before these; or only one of them; or none any more."""
        lived = int(self.clock.now() - self.began) + 2
        daily = every + 1 + lived * [0, 1, 2, 8, 8, 8][step.b % 6] // 4
        kind = step.c // 8 % 16
        if kind == 0:
            return ShortRule(every)
        if kind in (1, 2):
            return ShortRule(every, None, daily)
        return ShortRule(every, daily, daily + lived if kind % 2 else None)

    def play(self, steps: Sequence[Step]) -> None:
        """See `World.play`: all of the table is known from the beginning, so that states can be kept."""
        self.base_backup(Step("base_backup", 0, 0, 1))
        self.tail(Step("tail", 0, 0, 0))
        super().play(steps)

    def look_at_kept(self, step: Step) -> None:
        """Single states: their restore equals the model, or says what is wrong with it; a second beside them is refused."""
        try:
            window = self.vault().window(self.clock.now())
        except BackstreamError:
            assert self.harmed, "nothing has happened to the vault, and it cannot say what it holds"
            return
        kept = window.kept_seconds
        for at in {kept[number % len(kept)] for number in (step.a, step.b, -1)} if kept else ():
            state = self._state_at(at)
            assert state is None or state == self.model.at(at), (
                f"kept second {at - self.began} of {[each - self.began for each in kept]}: "
                f"restored {short(state)}, it was {short(self.model.at(at))}"
            )
            assert state is not None or self.harmed, f"kept second {at - self.began} is claimed, and not whole"
            self.kept += 1
            if step.c % 4 == 0:
                self._in_place(at, claimed=True)
            for beside in (at - 1, at + 1):
                if window.is_thinned(beside) and beside not in kept:
                    with pytest.raises(OutsideWindow):
                        safety.check_table(NAME, beside, window, allow_gap=True)


__all__ = ["KEYS", "RETAIN_STEPS", "THIN_STEPS", "RetainWorld", "ThinWorld"]
