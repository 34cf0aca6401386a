"""A base backup that has been damaged: another that is as good stands in for it, or what is lost is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from backstream.errors import Refused
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.restore import NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.losing import lose
from kit.spoil import spoil
from kit.stage import Stage


def back_up(stage: Stage) -> None:
    vault = stage.vault()
    source = scan_of(vault, stage.table, stage.clock, segments=2, max_units=None)
    backfill(vault, source, BackfillContext(stage.clock))


def restored(stage: Stage, at: int, *, allow_gap: bool = False) -> tuple[Restored, Mapping[bytes, bytes]]:
    target = MemoryTable("restored", stage.clock)
    around = RestoreContext(lambda _: target, stage.clock, Path())
    report = restore(stage.vault(), RestoreRequest(at=at, target=NewTable(target.name), allow_gap=allow_gap), around)
    return report, {stage.vault().key_of(image): image for page in target.scan() for image in page}


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Rows, a base backup, changes, a second base backup, changes; all of it in the vault."""
    clock = ManualClock()
    stage = Stage(clock, layout=request.param, store=MemoryStore(clock))
    stage.put(range(8))
    clock.move(10)
    stage.follow()
    back_up(stage)
    stage.put([1, 2])
    stage.delete([3])
    clock.move(10)
    back_up(stage)
    stage.put([4, 9])
    stage.follow()
    clock.move(10)
    return stage


def damage(stage: Stage, base: int, *, remove: bool) -> str:
    """Cut or delete the first part that holds rows of one of the base backups, by its number."""
    bases = stage.vault().bases
    part = next(each for each in bases.parts(bases.complete()[base].id) if each.count)
    if remove:
        lose(stage.store, part.name)
    else:
        spoil(stage.store, part.name, stage.store.get(part.name).body[:-5], {})
    return part.name


@pytest.mark.parametrize("remove", [False, True])
def test_the_one_before_stands_in(stage: Stage, *, remove: bool) -> None:
    name = damage(stage, 1, remove=remove)
    report, items = restored(stage, int(stage.clock.now()))
    assert items == stage.expected()
    assert report.failed == 0
    base = stage.vault().bases.complete()[1]
    assert any((name in each or base.id in each) and "kept before it" in each for each in report.warnings)


def test_the_log_alone_stands_in_where_it_reaches_back_far_enough(stage: Stage) -> None:
    for base in (0, 1):
        damage(stage, base, remove=False)
    report, items = restored(stage, int(stage.clock.now()))
    assert items == stage.expected()
    assert report.failed == 0


def test_what_is_lost_is_named_where_nothing_stands_in() -> None:
    clock = ManualClock()
    stage = Stage(clock)
    for zone in range(6):
        stage.put([zone])
    stage.table.disable_stream()
    clock.move(2)
    stage.put([1])  # lost: the stream is off
    clock.move(2)
    stage.table.enable_stream()
    stage.follow()
    clock.move(10)
    back_up(stage)
    stage.follow()
    name = damage(stage, 0, remove=False)
    clock.move(10)
    with pytest.raises(Refused, match=name):
        restored(stage, int(clock.now()))
    report, items = restored(stage, int(clock.now()), allow_gap=True)
    assert report.failed == 1
    assert [failure.what for failure in report.failures] == [name]
    assert items.items() < stage.expected().items(), "the rest is there, nothing is made up"


def test_a_part_that_is_damaged_proves_no_lost_change() -> None:
    """Its rows changed later, so they were there when it was made: nothing tells of them, and that is no lost change."""
    clock = ManualClock()
    stage = Stage(clock)
    stage.put(range(6))
    stage.table.disable_stream()
    clock.move(2)
    stage.put([1])
    clock.move(2)
    stage.table.enable_stream()
    stage.follow()
    clock.move(10_000)  # what was logged before the base backup is not read any more
    back_up(stage)
    clock.move(1_000)
    stage.put(range(6))
    stage.follow()
    damage(stage, 0, remove=False)
    clock.move(10)
    report, _ = restored(stage, int(clock.now()), allow_gap=True)
    assert report.failed == 1
    assert (report.missing, stage.vault().gaps.of_items()) == ([], [])
