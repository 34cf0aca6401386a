"""A segment that is gone from a tail's chain: seen, named, and refused unless told otherwise; in both layouts, compacted or not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from backstream.errors import Refused
from backstream.operations.base.compact import compact
from backstream.operations.inspect import history
from backstream.operations.restore import NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.log import LogListing
from kit import images
from kit.clock import ManualClock
from kit.losing import lose
from kit.stage import Stage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def stage(request: pytest.FixtureRequest, clock: ManualClock) -> Stage:
    """A table of one shard, followed four times: four segments, each of which names the one before."""
    stage = Stage(clock, layout=request.param, shards=1, store=MemoryStore(clock))
    for turn in range(4):
        stage.put([turn, 9])
        clock.move(10)
        stage.follow()
    return stage


def runs(stage: Stage) -> list[LogListing]:
    """In the order of their changes, which is not that of their names."""
    written = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    return sorted(written, key=lambda each: int(each.segment.first) if each.segment else 0)


def restored(stage: Stage, *, allow_gap: bool = False) -> tuple[Restored, Mapping[bytes, bytes]]:
    target = MemoryTable("restored", stage.clock)
    around = RestoreContext(lambda _: target, stage.clock, Path())
    request = RestoreRequest(at=int(stage.clock.now()), target=NewTable(target.name), allow_gap=allow_gap)
    report = restore(stage.vault(), request, around)
    return report, {stage.vault().key_of(image): image for page in target.scan() for image in page}


def test_nothing_is_missing_from_a_whole_chain(stage: Stage) -> None:
    assert len(runs(stage)) == 4
    report, items = restored(stage)
    assert (report.failed, items) == (0, stage.expected())


def test_one_in_the_middle_is_named_and_refused(stage: Stage) -> None:
    gone = runs(stage)[1]
    assert gone.segment is not None
    lose(stage.store, gone.name)
    with pytest.raises(Refused, match=f"ends with {gone.segment.last}"):
        restored(stage)
    report, items = restored(stage, allow_gap=True)
    assert report.failed == 1
    assert gone.segment.last in report.failures[0].what
    lost = stage.vault().key_of(images.key("z", 1))
    assert items == {key: image for key, image in stage.expected().items() if key != lost}


def test_the_last_one_is_named_by_nobody(stage: Stage) -> None:
    """What cannot be seen is not claimed to be: a mark says how far the log reached, and that is all."""
    lose(stage.store, runs(stage)[-1].name)
    assert restored(stage)[0].failed == 0


def test_a_history_that_may_lack_a_change_is_refused_too() -> None:
    clock = ManualClock()
    stage = Stage(clock, layout=Layout.LOG, shards=1, store=MemoryStore(clock))
    for _ in range(3):
        stage.put([5])
        clock.move(10)
        stage.follow()
    lose(stage.store, runs(stage)[1].name)
    key, lost = stage.vault().key_of(images.key("z", 5)), list[str]()
    with pytest.raises(Refused, match="missing"):
        history.history(stage.vault(), key)
    with pytest.raises(Refused, match="missing"):
        history.show(stage.vault(), key, int(clock.now()), now=clock.now())
    assert len(history.history(stage.vault(), key, lost.append)) == 2
    assert len(lost) == 1
    shown = history.show(stage.vault(), key, int(clock.now()), now=clock.now(), allow_gap=True)
    assert any("missing" in each for each in shown.unread)


def test_compaction_does_not_forget_that_one_was_missing(stage: Stage, clock: ManualClock) -> None:
    lose(stage.store, runs(stage)[1].name)
    compact(stage.vault(), stage.clock)
    with pytest.raises(Refused, match="missing"):
        restored(stage)
    stage.put([7])
    clock.move(86_400 * 2)
    compact(stage.vault(), stage.clock)
    with pytest.raises(Refused, match="missing"):
        restored(stage)


def test_a_quiet_shard_is_no_missing_segment(stage: Stage, clock: ManualClock) -> None:
    """What a tail's next segment names may have been compacted long ago."""
    compact(stage.vault(), stage.clock)
    for _ in range(3):
        clock.move(86_400 - 60)
        stage.follow()
        compact(stage.vault(), stage.clock)
    stage.put([3])
    clock.move(10)
    stage.follow()
    report, items = restored(stage)
    assert (report.failed, items) == (0, stage.expected())
