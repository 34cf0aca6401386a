"""A change lost in the middle of a vault: named with its item and the seconds by everything that reads the log, in both layouts.

What is planted: one line of a segment, one batch of a function, one shard's hour. Nothing is found where nothing was lost.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from backstream.engine.local.whole_log import broken_chains
from backstream.errors import AccessDenied, Damaged, GapInTheWay, Refused
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.change import stream_label
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.operations.drill import DrillPlan, drill
from backstream.operations.inspect import history
from backstream.operations.restore import InPlace, NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.log import LogListing
from backstream.vault.log.segments import SegmentKind
from kit import images
from kit.clock import ManualClock
from kit.losing import lose
from kit.records import lambda_record
from kit.stage import Stage

KEY = b'{"zone":{"S":"z"},"number":{"N":"1"}}'


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def stage(request: pytest.FixtureRequest, clock: ManualClock) -> Stage:
    return Stage(clock, layout=request.param, shards=1, store=MemoryStore(clock))


def lived(stage: Stage, clock: ManualClock) -> list[int]:
    """Item 1 changes four times, 30 s apart, beside others; the seconds of its changes."""
    seconds = []
    for turn in range(4):
        seconds.append(int(clock.now()))
        stage.put([turn + 2, 1, turn + 9])
        clock.move(30)
        stage.follow()
    clock.move(30)
    stage.follow()
    return seconds


def runs(stage: Stage) -> list[LogListing]:
    written = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    return sorted(written, key=lambda each: int(each.segment.first) if each.segment else 0)


def lose_line(stage: Stage, turn: int) -> None:
    """Take item 1's line out of the middle of a segment, which is then whole without it: nothing but the item's chain tells."""
    listed = runs(stage)[turn]
    vault = stage.vault()
    kept = [entry for entry in vault.log.read(listed) if vault.key(entry) != KEY]
    told = vault.log.metadata(listed)
    lose(stage.store, listed.name)
    assert listed.segment is not None
    (written,) = vault.log.write_run(kept, listed.segment.shard, after=told["after"], writer=told["writer"])
    assert (written.last, written.count) == (listed.segment.last, listed.segment.count - 1)


def around(stage: Stage, target: MemoryTable) -> RestoreContext:
    return RestoreContext(lambda name: target if name == target.name else stage.table, stage.clock, Path())


def restored(stage: Stage, at: int | None = None, *, allow_gap: bool = False) -> Restored:
    target = MemoryTable("restored", stage.clock)
    request = RestoreRequest(at=int(stage.clock.now()) if at is None else at, target=NewTable(target.name), allow_gap=allow_gap)
    return restore(stage.vault(), request, around(stage, target))


def found(stage: Stage) -> list[BrokenChain]:
    return list(broken_chains(stage.vault(), stage.clock.now()))


def lost(stage: Stage, clock: ManualClock) -> tuple[int, int]:
    """A life without its third change of item 1: the seconds between which that was made."""
    seconds = lived(stage, clock)
    lose_line(stage, 2)
    return seconds[1], seconds[3]


def words(between: tuple[int, int]) -> str:
    return f"a change made between {moment.iso(between[0])} and {moment.iso(between[1])} is missing"


def test_nothing_is_found_where_nothing_is_lost(stage: Stage, clock: ManualClock) -> None:
    lived(stage, clock)
    assert found(stage) == []
    assert restored(stage).missing == []
    assert compact(stage.vault(), clock).missing == []
    assert found(stage) == []
    assert stage.vault().gaps.of_items() == []


def test_a_whole_restore_names_the_item_and_the_seconds(stage: Stage, clock: ManualClock) -> None:
    between = lost(stage, clock)
    assert found(stage) == [BrokenChain(KEY, *between)]
    with pytest.raises(Refused, match=words(between)) as refused:
        restored(stage)
    assert KEY.decode() in refused.value.message
    report = restored(stage, allow_gap=True)
    assert any(words(between) in each for each in report.warnings)
    assert [(bytes(each.key), each.since, each.until) for each in report.missing] == [(KEY, *map(moment.iso, between))]
    (gap,) = stage.vault().gaps.of_items()
    assert (gap.key, gap.since, gap.until) == (KEY.decode(), *between)
    assert stage.vault().window(clock.now()).gaps == [], "of the whole table no second is uncertain"


def test_a_drill_fails_and_names_it(stage: Stage, clock: ManualClock) -> None:
    between = lost(stage, clock)
    scratch = MemoryTable("scratch", clock)
    report = drill(stage.vault(), DrillPlan(patience=0.0, scratch=scratch.name), around(stage, scratch))
    assert not report.passed
    assert any(KEY.decode() in each and moment.iso(between[0]) in each for each in report.reasons), report.reasons


def test_compact_names_and_records_it(stage: Stage, clock: ManualClock) -> None:
    between = lost(stage, clock)
    report = compact(stage.vault(), clock)
    assert [(bytes(each.key), each.since, each.until) for each in report.missing] == [(KEY, *map(moment.iso, between))]
    assert [gap.key for gap in stage.vault().gaps.of_items()] == [KEY.decode()]
    assert found(stage) == [BrokenChain(KEY, *between)], "it is found in what was compacted, too"
    assert stage.vault().gaps.of_items()[0].until == between[1]


def test_the_item_is_uncertain_between_and_certain_after(stage: Stage, clock: ManualClock) -> None:
    between = lost(stage, clock)
    compact(stage.vault(), clock)

    def show(at: int, *, allow_gap: bool = False) -> history.Shown:
        return history.show(stage.vault(), KEY, at, now=clock.now(), allow_gap=allow_gap)

    for at in (between[0], between[1] - 1):
        with pytest.raises(GapInTheWay, match=words(between)):
            show(at)
        assert any(words(between) in each for each in show(at, allow_gap=True).warnings)
        with pytest.raises(GapInTheWay, match=words(between)):
            restore(
                stage.vault(), RestoreRequest(at=at, target=InPlace(), keys=[KEY]), around(stage, MemoryTable("restored", clock))
            )
    assert show(between[1]).warnings == show(between[0] - 1).warnings == []


def test_a_history_names_the_change_that_is_missing_in_it(stage: Stage, clock: ManualClock) -> None:
    """Before anybody has recorded it, and for this item alone."""
    between = lost(stage, clock)
    told = history.tell(stage.vault(), KEY, now=clock.now(), allow_gap=True)
    assert [each for each in told.notes if each.startswith("GAP: ")] == [f"GAP: {KEY.decode()}: {words(between)}"]
    other = next(each for each in (stage.vault().key_of(images.key("z", number)) for number in range(9)) if each != KEY)
    assert not [
        each for each in history.tell(stage.vault(), other, now=clock.now(), allow_gap=True).notes if each.startswith("GAP: ")
    ]


def test_a_change_that_arrives_mends_the_chain(stage: Stage, clock: ManualClock) -> None:
    between = lost(stage, clock)
    compact(stage.vault(), clock)
    arn, stream = stage.table.stream.arn, stage.table.stream
    every = [change for shard in stream.facts().shards for change in stream.read(shard.id, stream.iterator(shard.id, None)).changes]
    with ThreadPoolExecutor(1) as pool:
        records = [lambda_record(change, arn) for change in every]
        keep_batch(stage.vault(), records, stream_label(arn), pool, writer="fn", kind=SegmentKind.PARALLEL, now=clock.now)
    assert found(stage) == []
    assert history.show(stage.vault(), KEY, between[0], now=clock.now()).warnings == []
    assert restored(stage, at=between[0]).missing == []


def test_who_may_not_write_still_reports(stage: Stage, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    between = lost(stage, clock)

    def denied(*_: object, **__: object) -> str:
        raise AccessDenied("no right to write")

    monkeypatch.setattr(stage.store, "put", denied)
    report = restored(stage, allow_gap=True)
    assert any(words(between) in each for each in report.warnings)
    assert any("could not be recorded" in each for each in report.warnings)


def test_what_may_still_arrive_is_no_loss(stage: Stage, clock: ManualClock) -> None:
    """A later batch comes first: nobody has proven yet that all before it is there."""
    stage.put([1])
    clock.move(30)
    stage.follow()
    stage.put([1])
    clock.move(1)
    stage.put([1])
    arn, stream = stage.table.stream.arn, stage.table.stream
    (shard,) = stream.facts().shards
    last = stream.read(shard.id, stream.iterator(shard.id, None)).changes[-1]
    with ThreadPoolExecutor(1) as pool:
        keep_batch(
            stage.vault(), [lambda_record(last, arn)], stream_label(arn), pool, writer="f", kind=SegmentKind.PARALLEL, now=clock.now
        )
    assert [each.pending for each in found(stage)] == [True]
    clock.move(5)
    assert "has not arrived yet" in "; ".join(restored(stage).warnings)
    assert stage.vault().gaps.of_items() == []
    stage.follow()
    assert found(stage) == []


def test_a_body_that_is_not_the_one_its_line_names_is_damaged(clock: ManualClock) -> None:
    """An item of the same key, so that only its bytes tell."""
    stage = Stage(clock, layout=Layout.ROWS, shards=1, store=MemoryStore(clock))
    lived(stage, clock)
    vault = stage.vault()
    (entry,) = [each for each in vault.log.read(runs(stage)[-1]) if vault.key(each) == KEY]
    assert entry.place is not None
    forged = msgspec.structs.replace(entry, body="0" * 64)
    with pytest.raises(Damaged, match=f"{entry.place.version}.*SHA-256"):
        vault.image(forged)
    assert vault.image(entry) == stage.expected()[KEY]
