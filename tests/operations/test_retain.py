"""`retain`: every moment from the horizon on restores as before, and what only older moments need is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from backstream.errors import OutsideWindow, Refused
from backstream.model import moment
from backstream.model.values import wire
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.inspect import safety
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.inspect.history import history, show
from backstream.operations.inspect.status import status
from backstream.operations.retain import RetainContext, Retention, retain
from backstream.ports import ObjectStore, VersionLock
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest
from kit import images
from kit.clock import ManualClock
from kit.stage import Stage
from kit.watched import WatchedStore

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
        around = RetainContext(self.clock, None if dry else self.store, lock_of=self.store.lock_of if dry else None)
        return retain(self.vault(), keep, around)

    def moments(self, since: int) -> list[int]:
        """Every second around a change, from `since` on."""
        near = {second + by for second, _, _ in self.model for by in (-1, 0, 1)}
        return sorted(each for each in near | {since} if since <= each <= self.clock.now())


@pytest.fixture(params=[Layout.LOG, Layout.ROWS])
def stage(request: pytest.FixtureRequest) -> Kept:
    clock = ManualClock(1_764_000_000.0)
    return Kept(clock, layout=request.param, store=MemoryStore(clock))


def key_of(number: int) -> bytes:
    return wire.key_of(images.SCHEMA, images.key("z", number))


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
            key = key_of(number)
            found = newest(stage.vault(), key, at, stage.vault().basis(at))
            image = None if found is None or found.removed else stage.vault().image(found)
            assert image == stage.expected(at).get(key), (at, number)
    window = stage.vault().window(stage.clock.now())
    assert [each.since for each in window.ranges] == [horizon.second]
    checked = check(stage.vault(), CheckContext(stage.clock), percent=100)
    assert checked.findings == []
    assert status(stage.vault(), now=stage.clock.now()).horizon == horizon.since


def test_what_only_older_moments_need_is_gone(stage: Kept) -> None:
    stage.live(9)
    stage.retain(3 * DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    segments = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    assert segments
    assert all(each.segment.max_time > horizon.second for each in segments if each.segment is not None)
    assert [each.kind for each in stage.vault().bases.complete()] == ["state"]
    if stage.vault().catalog.layout is Layout.ROWS:
        needed = stage.expected(horizon.second).keys() | {key for second, key, _ in stage.model if second > horizon.second}
        bodies = [each for each in stage.store.versions("flights/") if not each.marker]
        changes = [one for one in stage.model if one[0] > horizon.second]
        assert len(bodies) == len(stage.expected(horizon.second)) + len(changes)
        assert {each.name for each in stage.store.versions("flights/")} <= {each.name for each in bodies}
        assert needed
    second_run = sizes(stage)
    assert stage.retain(3 * DAY).removed_versions == 0
    assert sizes(stage) == second_run


def test_a_moment_before_the_horizon_is_refused_and_says_so(stage: Kept) -> None:
    stage.live(6)
    stage.retain(2 * DAY)
    vault, now = stage.vault(), stage.clock.now()
    horizon = vault.catalog.horizon
    assert horizon is not None
    with pytest.raises(OutsideWindow, match=f"before the horizon: history is kept from {horizon.since}") as raised:
        show(vault, key_of(1), horizon.second - 1, now=now)
    assert raised.value.exit_code == 4
    with pytest.raises(OutsideWindow, match="before the horizon"):
        safety.check_table("flights", horizon.second - 1, vault.window(now), allow_gap=True)
    assert history(vault, key_of(1))[0].time < horizon.since  # its state at the horizon is older, and is shown


def test_a_dry_run_changes_nothing_and_tells_what_goes(stage: Kept) -> None:
    stage.live(8, compacting=True)
    before = list(stage.store.versions(""))
    told = stage.retain(3 * DAY, dry=True)
    assert list(stage.store.versions("")) == before
    done = stage.retain(3 * DAY)
    assert told.dry_run
    assert (told.horizon, told.table) == (done.horizon, "flights")
    kinds = {each.kind: each.versions for each in told.removed if each.kind != "compacted objects"}
    assert kinds == {each.kind: each.versions for each in done.removed if each.kind != "compacted objects"}
    assert told.removed_bytes > 0
    assert done.kept_bytes == sum(each.size for each in stage.store.versions(""))


def test_a_longer_period_brings_nothing_back_and_a_young_vault_is_left_alone(stage: Kept) -> None:
    stage.live(6)
    before = sizes(stage)
    assert stage.retain(400 * DAY).horizon is None
    assert sizes(stage) == before
    first = stage.retain(2 * DAY).horizon
    assert stage.retain(4 * DAY).horizon == first


def test_the_horizon_moves_on(stage: Kept) -> None:
    stage.live(6, compacting=True)
    stage.retain(3 * DAY)
    stage.live(6, compacting=True)
    stage.retain(3 * DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    for at in stage.moments(horizon.second):
        assert answers(stage, at) == stage.expected(at), at
    assert [each.id for each in stage.vault().bases.complete()] == [horizon.base]
    assert check(stage.vault(), CheckContext(stage.clock), percent=100).findings == []


def test_without_a_certain_state_nothing_is_removed(stage: Kept) -> None:
    stage.live(6)
    damaged = next(each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count)
    stage.store._versions.pop(damaged.name)
    before = sizes(stage)
    with pytest.raises(Refused, match="not certain, so nothing was removed"):
        stage.retain(2 * DAY)
    assert sizes(stage) == before


def test_a_locked_version_is_waited_for(stage: Kept) -> None:
    stage.live(8)
    until = stage.clock.now() + 10 * DAY
    free = stage.retain(3 * DAY, dry=True)
    for each in stage.store.versions(""):
        if not each.marker:
            stage.store.locks[each.name, each.version] = VersionLock(until)
    before = {(each.name, each.version) for each in stage.store.versions("") if not each.marker}
    total = sum(each.size for each in stage.store.versions(""))
    told = stage.retain(3 * DAY, dry=True)
    report = stage.retain(3 * DAY)
    assert report.locked_versions > 0
    assert report.locked_bytes > 0
    assert report.locked_until == moment.iso(int(until))
    assert told.locked_bytes == free.removed_bytes
    assert told.locked_until == report.locked_until
    assert told.removed_bytes == 0, "nothing can be freed now"
    assert told.kept_bytes == total
    assert before <= {(each.name, each.version) for each in stage.store.versions("")}
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    for at in stage.moments(horizon.second):
        assert answers(stage, at) == stage.expected(at), at
    assert check(stage.vault(), CheckContext(stage.clock), percent=100).findings == []
    stage.clock.sleep(11 * DAY)
    stage.follow()
    assert stage.retain(3 * DAY).locked_versions == 0
    assert not before <= {(each.name, each.version) for each in stage.store.versions("")}


def test_a_dry_run_tells_what_of_a_compacted_set_is_locked(stage: Kept) -> None:
    stage.live(8, compacting=True)
    until = stage.clock.now() + 10 * DAY
    free = stage.retain(3 * DAY, dry=True)
    for each in stage.store.versions("_backstream/flights/compacted/"):
        stage.store.locks[each.name, each.version] = VersionLock(until)
    told = stage.retain(3 * DAY, dry=True)
    assert free.locked_versions == 0
    assert "compacted objects" in {each.kind for each in free.removed}
    assert "compacted objects" not in {each.kind for each in told.removed}
    assert told.locked_until == moment.iso(int(until))
    assert told.removed_bytes + told.locked_bytes == free.removed_bytes


def test_a_base_backup_from_before_the_horizon_goes_and_a_later_one_stays(stage: Kept) -> None:
    def base_backup() -> str:
        vault = stage.vault()
        backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))
        return stage.vault().bases.complete()[-1].id

    stage.live(3)
    old = base_backup()
    stage.live(4, compacting=True)
    young = base_backup()
    stage.live(2, compacting=True)
    stage.retain(4 * DAY)
    horizon = stage.vault().catalog.horizon
    assert horizon is not None
    assert {each.id for each in stage.vault().bases.complete()} == {young, horizon.base}
    assert old not in stage.vault().bases.ids()
    for at in stage.moments(horizon.second):
        assert answers(stage, at) == stage.expected(at), at
    assert check(stage.vault(), CheckContext(stage.clock), percent=100).findings == []


def test_a_base_backup_that_a_horizon_has_passed_meanwhile_does_not_count_and_says_so(stage: Kept) -> None:
    """A scan of days, and `retain` beside it that keeps less: the changes made beside the scan are removed."""
    stage.live(4)

    def passing(name: str) -> None:
        if "/base/complete/" in name and "_state_" not in name:
            stage.live(2)
            stage.retain(DAY)

    watched = cast("ObjectStore", WatchedStore(stage.store, before_write=passing))
    source = scan_of(stage.vault(watched), stage.table, stage.clock, segments=1, max_units=None)
    with pytest.raises(Refused, match=r"a base backup that begins at .* does not count: the history of flights is kept from"):
        backfill(stage.vault(watched), source, BackfillContext(stage.clock))
    assert stage.vault().catalog.base_backup is None
    assert check(stage.vault(), CheckContext(stage.clock)).findings == []
    assert stage.retain(DAY).removed_versions > 0, "what is left of it goes"
    assert [base.kind for _, base in stage.vault().bases.every_record()] == ["state"]


def test_a_base_backup_right_after_a_retention_begins_after_the_horizon(stage: Kept) -> None:
    stage.live(2)
    stage.retain(1)
    horizon = stage.vault().catalog.horizon
    backfill(
        stage.vault(),
        scan_of(stage.vault(), stage.table, stage.clock, segments=1, max_units=None),
        BackfillContext(stage.clock),
    )
    (base,) = [each for each in stage.vault().bases.complete() if each.kind == "scan"]
    assert horizon is not None
    assert base.begin > horizon.second
