"""Who reads a stream, or compares a vault, on a machine whose clock is off: what is claimed is by the servers' time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from backstream.operations.compare.verify import verify
from backstream.operations.restore import RestoreContext
from backstream.operations.setup.server_clock import server_clock
from backstream.ports import ChangeStream, Put, StreamFacts
from backstream.tables.memory import MemoryTable
from backstream.vault.log.log import DAY
from kit import images
from kit.clock import ManualClock, OffClock
from kit.stage import QUICK, QUICK_WITNESS, Stage
from kit.streams import OneByOne, Wrapped


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stage(clock: ManualClock) -> Stage:
    made = Stage(clock, shards=3)
    clock.move(100)
    return made


def run(stage: Stage, who: str) -> None:
    if who == "witness":
        stage.witness(settings=msgspec.structs.replace(QUICK_WITNESS, sibling_wait=60.0), budget=20.0)
    else:
        stage.follow(settings=msgspec.structs.replace(QUICK, sibling_wait=60.0))


class Childless(Wrapped):
    """Lists no child of any shard as long as `late` says so."""

    def __init__(self, inner: ChangeStream, late: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._late = late

    def facts(self) -> StreamFacts:
        facts = self.inner.facts()
        shards = [each for each in facts.shards if each.parent is None] if self._late() else facts.shards
        return msgspec.structs.replace(facts, shards=shards)


def every_claim_holds(stage: Stage) -> None:
    ranges = stage.vault().window(stage.clock.now()).ranges
    for second in {second for second, _, _ in stage.model} | {each.until for each in ranges}:
        if any(each.since <= second <= each.until for each in ranges):
            assert stage.captured(second) == stage.expected(second)


@pytest.mark.parametrize("ahead", [70.0, 900.0, 7_200.0])
def test_a_child_that_has_just_been_listed_is_no_minute_old(stage: Stage, clock: ManualClock, ahead: float) -> None:
    """Of a split the first child is listed, and holds a change: by a clock that is a minute ahead it would have no sibling."""
    stream = stage.table.stream
    stage.put(range(30))
    clock.move(30)
    run(stage, "witness")
    stream.split(stream.facts().shards[0].id)
    ended = clock.now()
    stage.put(range(30))
    listing = OneByOne(stream, lambda: clock.now() >= ended + 50)
    stage.streams = lambda _: listing
    clock.move(15)
    stage.machine = OffClock(clock, ahead)
    run(stage, "witness")
    until = stage.vault().window(clock.now()).until
    assert until is not None
    assert until <= ended
    every_claim_holds(stage)
    clock.move(60)
    run(stage, "witness")
    every_claim_holds(stage)
    assert stage.captured() == stage.expected()


@pytest.mark.parametrize("ahead", [0.0, 900.0])
@pytest.mark.parametrize("who", ["witness", "tail"])
def test_a_stream_that_was_closed_just_now_may_have_shards_that_are_not_listed(
    stage: Stage, clock: ManualClock, who: str, ahead: float
) -> None:
    """It split and was disabled at once, and another one was enabled: for a minute the shard that ended first bounds the claim."""
    stream = stage.table.stream
    stage.put(range(30))
    clock.move(30)
    run(stage, who)
    stream.split(stream.facts().shards[0].id)
    for _ in range(2):
        clock.move(5)
        stage.put(range(30))
    stage.table.disable_stream()
    closed = clock.now()
    clock.move(1)
    stage.table.enable_stream()
    listing = Childless(stream, lambda: clock.now() < closed + 50)
    stage.streams = lambda arn: listing if arn == stream.arn else stage.stream(arn)
    clock.move(20)
    stage.machine = OffClock(clock, ahead)
    run(stage, who)
    every_claim_holds(stage)
    clock.move(60)
    run(stage, who)
    every_claim_holds(stage)


@pytest.mark.parametrize("who", ["witness", "tail"])
def test_an_absence_is_measured_by_the_servers(stage: Stage, clock: ManualClock, who: str) -> None:
    """By a clock that is behind, nobody was away for as long as the stream keeps records. A shard that was empty tells nothing."""
    run(stage, who)
    clock.move(100)
    stage.put(range(3))
    clock.move(DAY + 150)
    for shard in stage.table.stream.facts().shards:
        stage.table.stream.trim(shard.id)
    stage.machine = OffClock(clock, -900.0)
    run(stage, who)
    every_claim_holds(stage)
    assert [gap.unread for gap in stage.vault().gaps.all()] == [True]


def test_what_verify_finds_missing_is_missing_until_now(stage: Stage, clock: ManualClock) -> None:
    """A gap that ended an hour ago would leave the change outside that is missing."""
    stage.put(range(3))
    clock.move(60)
    stage.follow()
    stage.table.stream.enabled = False  # a write that the stream never tells
    stage.table.write([Put(images.image("z", 1, v={"N": "99"}))])
    stage.table.stream.enabled = True
    lost = int(clock.now())
    clock.move(100)
    stage.follow()
    around = RestoreContext(lambda _: stage.table, OffClock(clock, -3_600.0), Path("/nowhere"))
    assert verify(stage.vault(), around, patience=1).different == 1
    (gap,) = stage.vault().gaps.all()
    assert gap.since <= lost <= gap.until
    assert all(each.until < lost for each in stage.vault().window(clock.now()).ranges)


def test_an_error_within_a_servers_whole_seconds_is_left(clock: ManualClock) -> None:
    table = MemoryTable("flights", clock, images.SCHEMA)
    assert server_clock(OffClock(clock, 1.0), table).now() == clock.now() + 1.0
    for off in (86_402.0, -86_402.0, 10.0**9):
        assert server_clock(OffClock(clock, off), table).now() == clock.now() + off, "a server's date moves it by a day at most"
    assert server_clock(OffClock(clock, 86_000.0), table).now() == clock.now()
    right = server_clock(OffClock(clock, 50.0), table)
    assert abs(right.now() - clock.now()) <= 1
    right.sleep(10)
    assert clock.slept == [10]
