"""`retain`: every moment from the horizon on restores as before, and what only older moments need is gone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from backstream.errors import OutsideWindow, Refused
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.inspect import safety
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.inspect.history import history, show
from backstream.operations.inspect.status import status
from backstream.operations.retain import RetainContext, Retention, retain
from backstream.ports import Lock
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest
from kit import images
from kit.clock import ManualClock
from kit.stage import Stage

DAY = 86_400


class Kept(Stage):
    """A stage that has lived for some days, with a retention."""

    store: MemoryStore

    def live(self, days: int, *, compacting: bool = False) -> None:
        """Each day some items change and one is deleted and made again; the log is compacted every third day."""
        for day in range(days):
            self.put([day % 4, 5])
            self.clock.sleep(60)
            self.delete([5])
            self.put([6]) if day % 2 else self.put([4])
            self.clock.sleep(60)
            self.follow()
            self.clock.sleep(DAY - 120)
            self.follow()
            if compacting and day % 3 == 2:
                compact(self.vault(), self.clock)

    def retain(self, keep: int, *, dry: bool = False) -> Retention:
        return retain(self.vault(), keep, RetainContext(self.clock, None if dry else self.store))

    def moments(self, since: int) -> list[int]:
        """Every second around a change, from `since` on."""
        near = {second + by for second, _, _ in self.model for by in (-1, 0, 1)}
        return sorted(each for each in near | {since} if since <= each <= self.clock.now())


@pytest.fixture(params=[Layout.LOG, Layout.ROWS])
def stage(request: pytest.FixtureRequest) -> Kept:
    clock = ManualClock(1_764_000_000.0)
    return Kept(clock, layout=request.param, store=MemoryStore(clock))


def answers(stage: Kept, at: int) -> Mapping[bytes, bytes]:
    """The table at the end of a second, by the engine that restores use."""
    vault, found = stage.vault(), dict[bytes, bytes]()
    with vault.engine.state(vault, at) as state:
        assert not state.unreadable, (at, state.unreadable)
        assert list(state.broken(vault.window(stage.clock.now()), stage.clock.now())) == [], at
        for partition in state:
            found |= {key: vault.image(partition[key]) for key in partition if partition.exists(key)}
    return found


def sizes(stage: Kept) -> tuple[int, int]:
    rows = list(stage.store.versions(""))
    return len(rows), sum(each.size for each in rows)


@pytest.mark.parametrize("compacting", [False, True])
def test_every_moment_from_the_horizon_on_is_as_before(stage: Kept, *, compacting: bool) -> None:
    stage.live(12, compacting=compacting)
    before = sizes(stage)
    report = stage.retain(5 * DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    assert report.horizon == horizon.since
    assert sizes(stage)[0] < before[0]
    for at in stage.moments(horizon.second):
        assert answers(stage, at) == stage.expected(at), at
        for number in range(8):
            key = images.key("z", number)
            found = newest(stage.vault(), key, at, stage.vault().basis(at))
            image = None if found is None or found.removed else stage.vault().image(found)
            assert image == stage.expected(at).get(key), (at, number)
    window = stage.vault().window(stage.clock.now())
    assert [each.since for each in window.ranges] == [horizon.second]
    checked = check(stage.vault(), CheckContext(stage.clock), percent=100)
    assert checked.findings == []
    assert status(stage.vault(), now=stage.clock.now()).horizon == horizon.since
