"""What `tail` does about changes that are lost: recorded, told, and never claimed; and no gap where nothing was lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.errors import Failed, NotFound, Refused, WrongStreamView
from backstream.model.values import wire
from backstream.operations.capture.shards import RETENTION_SLACK
from backstream.operations.inspect.status import status
from backstream.ports import RecordsPage, TableFacts
from backstream.stores.directory import DirectoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.log.log import DAY
from kit import images
from kit.chains import broken_links
from kit.children import TailProcess, environment
from kit.clock import ManualClock
from kit.stage import QUICK, Stage
from kit.streams import Failing, SmallPages, Wrapped
from kit.streams_server import CALLER, StreamsServer

HOUR = 3600


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stage(clock: ManualClock) -> Stage:
    made = Stage(clock, shards=1)
    clock.move(100)
    return made


def trim(stage: Stage, *, keep: int = 0) -> None:
    for shard in stage.table.stream.facts().shards:
        stage.table.stream.trim(shard.id, keep=keep)


def window_until(stage: Stage) -> int | None:
    return stage.vault().window(stage.clock.now()).until


# --- trimmed ----------------------------------------------------------------------------------------------------------------------


def test_trimmed_records_are_a_gap(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(10))
    stage.follow()
    last_durable = int(clock.now())
    clock.move(100)
    stage.put(range(5))
    clock.move(100)
    stage.put(range(10, 15))
    oldest_left = int(clock.now())
    trim(stage, keep=5)
    report = stage.follow()
    assert (report.captured, report.gaps, report.caught_up) == (5, 1, True)
    (gap,) = stage.vault().coverage.lost()
    assert last_durable - 60 <= gap.since <= last_durable + 100
    assert gap.until == oldest_left
    assert gap.shard is not None
    assert any(notice.startswith("GAP: ") for notice in stage.notices)
    assert window_until(stage) == gap.since - 1
    assert [shown.reason for shown in status(stage.vault(), now=clock.now()).gaps] == [gap.reason]
    stage.put(range(3))
    again = stage.follow()
    assert (again.captured, again.gaps) == (3, 0), "a gap is recorded once"


def test_what_was_read_before_the_gap_does_not_wait_behind_it(stage: Stage) -> None:
    """The records are trimmed while the shard is read, between two pages."""
    stage.put(range(40))
    stream = stage.table.stream

    def trim_away() -> None:
        stream.trim(stream.facts().shards[0].id, keep=5)

    stage.streams = lambda _: SmallPages(stream, 20, trim_away)
    report = stage.follow()
    assert (report.captured, report.gaps) == (25, 1)
    assert [after for after, _ in stage.links()] == ["oldest", "gap"]


def test_a_gap_that_cannot_be_recorded_stops_the_tail_before_it(stage: Stage) -> None:
    stage.put(range(10))
    stage.follow()
    stage.put(range(10))
    trim(stage, keep=3)
    vault = stage.vault()

    class Full:
        def __getattr__(self, name: str) -> object:
            return getattr(stage.store, name)

        def put(self, name: str, *args: object, **words: object) -> object:
            if "/gaps/" in name:
                raise Failed("the disk is full")
            return stage.store.put(name, *args, **words)  # type: ignore[arg-type] # handed on as it came

    with pytest.raises(Failed, match="disk is full"):
        stage.follow(store=Full())  # type: ignore[arg-type] # it has every method of a store
    assert len(stage.segments()) == 1, "nothing behind the gap is durable while the gap is not"
    assert list(vault.gaps.all()) == []
    assert stage.follow().gaps == 1


def test_a_shard_of_which_nothing_is_left(stage: Stage, clock: ManualClock) -> None:
    """It was closed and then trimmed while nobody read: the stream does not know it any more, but its children."""
    stage.put(range(10))
    stage.follow()
    stream = stage.table.stream
    shard = stream.facts().shards[0].id
    told: list[str] = []

    def close_and_trim(operation: str) -> None:
        if operation == "iterator" and not told:
            told.append(shard)
            stage.put(range(4))
            stream.split(shard)
            stage.put(range(4))
            stream.trim(shard)

    stage.streams = lambda _: Failing(stream, close_and_trim)
    clock.move(60)
    report = stage.follow()
    assert (report.captured, report.gaps, report.caught_up) == (4, 1, True)
    assert stage.captured() == stage.expected()


def test_an_idle_table_whose_records_are_older_than_a_day_is_no_gap(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(10))
    stage.follow()
    for _ in range(3):
        clock.move(10 * HOUR)
        assert stage.follow().gaps == 0
    trim(stage)
    stage.put(range(3))
    report = stage.follow()
    assert (report.captured, report.gaps) == (3, 0)
    assert list(stage.vault().gaps.all()) == []
    assert broken_links(stage.vault()) == []
    assert stage.captured() == stage.expected()
    assert (window_until(stage) or 0) > clock.now() - 60


def test_a_tail_that_runs_for_days_on_an_idle_table_finds_no_gap(stage: Stage, clock: ManualClock) -> None:
    """Its iterator expires long after the only record was trimmed; it was there all the time, so it knows that nothing came."""
    stage.put(range(10))
    stream, stop = stage.table.stream, threading.Event()
    reads = iter(range(10**9))

    def let_time_pass(operation: str) -> None:
        if operation != "read":
            return
        read = next(reads)
        clock.move(600)
        if read == 300:  # two days later
            stream.trim(stream.facts().shards[0].id)
            stream.expire_iterators()
        if read == 310:
            stop.set()

    stage.streams = lambda _: Failing(stream, let_time_pass)
    report = stage.follow(until_caught_up=False, stop=stop)
    assert (report.captured, report.gaps) == (10, 0)


# --- absent -----------------------------------------------------------------------------------------------------------------------


def test_absent_for_longer_than_a_day(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(10))
    stage.follow()
    left = int(clock.now())
    clock.move(DAY + 5 * HOUR)
    report = stage.follow()
    assert report.gaps == 1
    (gap,) = stage.vault().coverage.lost()
    assert left - 60 <= gap.since <= left
    assert abs(gap.until - RETENTION_SLACK - (clock.now() - DAY)) < 60
    assert window_until(stage) == gap.since - 1
    assert stage.follow().gaps == 0


def test_absent_again_before_anything_was_read(stage: Stage, clock: ManualClock) -> None:
    """The first run recorded its gap and was killed at once: the second absence begins where that gap ends."""
    stage.put(range(10))
    stage.follow()

    def die(operation: str) -> None:
        if operation == "iterator":
            raise Failed("killed")

    for _ in range(2):
        clock.move(DAY + 5 * HOUR)
        stage.streams = lambda _: Failing(stage.table.stream, die)
        with pytest.raises(Failed, match="killed"):
            stage.follow()
    first, second = sorted(stage.vault().gaps.all(), key=lambda gap: gap.since)
    assert second.since == first.until
    assert abs(second.until - RETENTION_SLACK - (clock.now() - DAY)) < 60


def test_asleep_for_longer_than_a_day_with_a_shard_that_had_held_nothing(stage: Stage, clock: ManualClock) -> None:
    """The machine was suspended. Who goes on at the oldest record of a shard is not told of older ones that are gone."""
    stream, slept = stage.table.stream, list[str]()

    def sleep_through_a_day(operation: str) -> None:
        if operation == "read" and not slept:
            slept.append("yes")
            clock.move(2 * HOUR)
            stage.put(range(10))
            clock.move(DAY)
            stream.trim(stream.facts().shards[0].id)
            stage.put(range(5))

    stage.streams = lambda _: Failing(stream, sleep_through_a_day)
    report = stage.follow()
    assert (report.captured, report.gaps) == (5, 1)
    (gap,) = stage.vault().coverage.lost()
    assert gap.until - gap.since > DAY


# --- the stream itself ------------------------------------------------------------------------------------------------------------


def replace_stream(stage: Stage, clock: ManualClock, numbers: Sequence[int] = range(10)) -> tuple[int, int]:
    """Changes nobody read, the stream disabled for a minute with changes, a new one with three; when it was off."""
    stage.put(numbers)
    off = int(clock.now())
    clock.move(30)
    stage.table.disable_stream()
    stage.put(range(5))
    clock.move(30)
    stage.table.enable_stream()
    on = int(clock.now())
    clock.move(30)
    stage.put(range(20, 23))
    return off, on


def test_a_stream_that_was_replaced(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(10))
    stage.follow()
    clock.move(600)
    off, on = replace_stream(stage, clock)
    report = stage.follow()
    assert (report.captured, report.gaps, report.caught_up) == (13, 1, True)
    (gap,) = stage.vault().coverage.lost()
    assert off - 2 <= gap.since <= off, "what the old stream still held was read, and is not in the gap"
    assert on <= gap.until <= on + 1
    assert window_until(stage) == gap.since - 1
    assert stage.captured(off - 1) == stage.expected(off - 1)
    assert stage.vault().catalog.stream_arn == stage.table.stream.arn
    clock.move(5)
    stage.put(range(2))
    again = stage.follow()
    assert (again.captured, again.gaps) == (2, 0)


def test_the_gap_of_a_replaced_stream_begins_where_the_old_one_ended(clock: ManualClock) -> None:
    """A stream is disabled as a whole: shards in which nothing happened for long do not make the gap any longer."""
    stage = Stage(clock, shards=3)
    clock.move(100)
    stage.put(range(30))
    stage.follow()
    stream = stage.table.stream
    *idle, busy = stream.facts().shards
    for shard in idle:
        stream.split(shard.id)
    clock.move(3600)
    its_keys = {change.keys for change in stream.read(busy.id, stream.iterator(busy.id, None)).changes}
    off, _ = replace_stream(stage, clock, [n for n in range(30) if wire.key_of(images.SCHEMA, images.key("z", n)) in its_keys])
    stage.follow()
    (gap,) = stage.vault().coverage.lost()
    assert off - 2 <= gap.since <= off


def test_stopped_while_what_is_left_of_the_old_stream_is_read(stage: Stage, clock: ManualClock) -> None:
    stage.follow()
    clock.move(600)
    replace_stream(stage, clock)
    stop = threading.Event()
    old, new = stage.table.streams
    stage.streams = lambda arn: SmallPages(old, 3, stop.set) if arn == old.arn else new
    report = stage.follow(until_caught_up=False, stop=stop)
    assert (report.captured, report.gaps) == (3, 0)
    assert stage.vault().catalog.stream_arn == old.arn, "not given up while it can still be read"
    stage.streams = stage.stream
    report = stage.follow()
    assert (report.captured, report.gaps) == (7 + 3, 1)


def test_a_replaced_stream_that_is_gone(stage: Stage, clock: ManualClock) -> None:
    stage.put(range(10))
    stage.follow()
    left = int(clock.now())
    clock.move(600)
    _, on = replace_stream(stage, clock)
    new = stage.table.stream

    def gone(operation: str) -> None:
        raise NotFound(f"{operation}: no such stream")

    stage.streams = lambda arn: new if arn == new.arn else Failing(new, gone)
    report = stage.follow()
    assert (report.captured, report.gaps) == (3, 1)
    (gap,) = stage.vault().coverage.lost()
    assert gap.since <= left
    assert gap.until >= on


def test_a_stream_that_is_disabled_while_it_is_followed(stage: Stage) -> None:
    stage.put(range(10))
    stream, turns = stage.table.stream, iter(range(10**6))

    def disable_after_a_while(operation: str) -> None:
        if operation == "read" and next(turns) == 3:
            stage.put(range(10, 15))
            stage.table.disable_stream()

    stage.streams = lambda _: Failing(stream, disable_after_a_while)
    with pytest.raises(Failed, match="was disabled") as caught:
        stage.follow(until_caught_up=False)
    assert "--enable-stream" in caught.value.hint
    assert stage.captured() == stage.expected(), "what it held to its end is in the vault"
    with pytest.raises(Refused, match="is off") as refused:
        stage.follow(until_caught_up=False)
    assert "--enable-stream" in refused.value.hint


class KeysOnly:
    """The table, with a stream of keys alone."""

    def __init__(self, table: MemoryTable) -> None:
        self._table = table
        self.name = table.name

    def __getattr__(self, name: str) -> object:
        return getattr(self._table, name)

    def facts(self) -> TableFacts:
        return msgspec.structs.replace(self._table.facts(), stream_view="KEYS_ONLY")


def test_a_stream_without_whole_items_is_refused(stage: Stage) -> None:
    with pytest.raises(WrongStreamView, match="KEYS_ONLY") as caught:
        stage.follow(table=KeysOnly(stage.table))  # type: ignore[arg-type] # it has every method of a table
    assert caught.value.exit_code == 4
    assert "--enable-stream" in caught.value.hint


def test_records_without_whole_items_are_refused(stage: Stage) -> None:
    class Keys(Wrapped):
        def read(self, shard: str, iterator: str) -> RecordsPage:  # noqa: ARG002 - the port's
            raise WrongStreamView("the stream carries KEYS_ONLY records")

    stage.streams = lambda _: Keys(stage.table.stream)
    with pytest.raises(WrongStreamView):
        stage.follow()
    assert stage.log() == []


# --- as a user sees it ------------------------------------------------------------------------------------------------------------


def test_the_command_ends_with_exit_1(tmp_path: Path) -> None:
    clock = SystemClock()
    stage = Stage(clock, shards=2, store=DirectoryStore(tmp_path, clock))
    stage.put(range(40))
    stage.follow(settings=QUICK)
    stage.put(range(40))
    trim(stage, keep=3)
    with StreamsServer(stage.table, clock) as server:
        env = environment({**CALLER.environment, "AWS_ENDPOINT_URL": server.url}, tmp_path.as_uri())
        code, report, said = TailProcess("flights", env, "--until-caught-up").wait()
        assert code == 1
        assert report["gaps"] == len(list(stage.vault().gaps.all())) > 0
        assert "GAP: " in said
        code, report, said = TailProcess("flights", env, "--until-caught-up").wait()
        assert (code, report["gaps"]) == (0, 0), said
