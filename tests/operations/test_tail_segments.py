"""One shard turned into segments: when one is written, what it holds, and what a failing store or stream changes about it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.errors import Unavailable
from backstream.model.changes.change import stream_label
from backstream.operations.capture.shards import Follower, FollowerContext, Settings
from backstream.operations.capture.sink import VaultKeeper
from backstream.ports import ChangeStream
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.chains import broken_links
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore, Turns
from kit.proxy import FaultProxy, answer, first, sometimes
from kit.stage import QUICK, Stage, wait_for
from kit.streams import Failing, SmallPages
from kit.streams_server import CALLER, StreamsServer

NEVER = 10**9
HOUR = 3600
NOW = 1_700_000_000 // HOUR * HOUR + 600


class OneShard(msgspec.Struct, frozen=True):
    """The follower of a table's only shard, turned by hand."""

    stage: Stage
    clock: ManualClock
    pool: ThreadPoolExecutor

    def follower(self, settings: Settings, *, vault: TableVault | None = None, stream: ChangeStream | None = None) -> Follower:
        """A new one, as a new process would make it."""
        vault = vault or self.stage.vault()
        label = stream_label(self.stage.table.stream.arn)
        notice = self.stage.notices.append
        keeper = VaultKeeper(vault, label, self.pool, self.clock, writer="one", notice=notice)
        parts = FollowerContext(
            stream=stream or self.stage.table.stream,
            label=label,
            keeper=keeper,
            clock=self.clock,
            settings=settings,
            known=int(self.clock.now()),
            notice=notice,
        )
        (shard,) = self.stage.table.stream.facts().shards
        return Follower(parts, shard, keeper.reached().get(shard.id), None)

    def counts(self) -> list[int]:
        """How many changes each segment holds."""
        return [segment.count for segment in self.stage.segments()]


@pytest.fixture(params=[Layout.LOG, Layout.ROWS])
def one(request: pytest.FixtureRequest) -> Iterator[OneShard]:
    clock = ManualClock(NOW)
    with ThreadPoolExecutor(8) as pool:
        yield OneShard(Stage(clock, shards=1, layout=request.param), clock, pool)


def turn_until_written(follower: Follower) -> None:
    """Read what there is, and write it."""
    for _ in range(3):
        follower.turn(hurry=True)


# --- when -------------------------------------------------------------------------------------------------------------------------


def test_a_segment_is_written_when_its_oldest_change_has_waited(one: OneShard) -> None:
    follower = one.follower(Settings(segment_age=3.0))
    one.stage.put([1])
    follower.turn(hurry=False)
    one.clock.move(2)
    one.stage.put([2])
    follower.turn(hurry=False)
    assert one.counts() == []
    one.clock.move(1)
    follower.turn(hurry=False)
    assert one.counts() == [2]
    one.clock.move(NEVER)
    follower.turn(hurry=False)
    assert one.counts() == [2], "an empty segment says nothing"


def test_a_segment_is_written_at_so_many_changes(one: OneShard) -> None:
    follower = one.follower(Settings(segment_age=NEVER, segment_count=50))
    one.stage.put(range(49))
    follower.turn(hurry=False)
    assert one.counts() == []
    one.stage.put([49])
    follower.turn(hurry=False)
    assert one.counts() == [50]
    one.stage.put(range(120))
    follower.turn(hurry=False)
    assert one.counts() == [50, 50, 50, 20], "none holds more"
    assert broken_links(one.stage.vault()) == []


def test_a_segment_is_written_at_so_many_bytes(one: OneShard) -> None:
    follower = one.follower(Settings(segment_age=NEVER, segment_bytes=4_000))
    while not one.counts():
        one.stage.put([len(one.stage.model)])
        follower.turn(hurry=False)
    sizes = [len(image or b"") for _, _, image in one.stage.model]
    assert sum(sizes[:-1]) < 4_000 <= sum(sizes)


def test_in_a_hurry_a_segment_is_written_once_there_is_nothing_more_to_read(one: OneShard) -> None:
    follower = one.follower(Settings(segment_age=NEVER), stream=SmallPages(one.stage.table.stream, 4))
    one.stage.put(range(10))
    while follower.turn(hurry=True):
        pass
    assert one.counts() == [10]


def test_a_run_that_crosses_an_hour_is_one_segment_per_hour(one: OneShard) -> None:
    for _ in range(3):
        one.stage.put(range(5))
        one.clock.move(HOUR)
    one.stage.follow()
    assert one.counts() == [5, 5, 5]
    segments = one.stage.segments()
    assert [segment.min_time // HOUR - NOW // HOUR for segment in segments] == [0, 1, 2]
    links = one.stage.links()
    assert [after for after, _ in links] == ["oldest", links[0][1], links[1][1]]
    assert broken_links(one.stage.vault()) == []
    for hours in range(4):
        at = NOW + hours * HOUR - 1
        assert one.stage.captured(at) == one.stage.expected(at)


# --- a store that fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, 2, 12, 29, 30])
def test_an_image_that_cannot_be_written(turn: int) -> None:
    """Its segment ends before it, nothing behind it is acknowledged, and the next turn delivers the rest."""
    clock = ManualClock(NOW)
    stage = Stage(clock, shards=1, layout=Layout.ROWS)
    stage.put(range(30))
    broken: set[str] = set()
    is_its_turn = Turns("", turn)

    def fails(name: str) -> bool:
        if name.startswith("flights/") and is_its_turn(name):
            broken.add(name)
        return name in broken

    store = FaultyStore(stage.store, fails)
    with ThreadPoolExecutor(8) as pool:
        follower = OneShard(stage, clock, pool).follower(QUICK, vault=stage.vault(store))
        clock.move(10)
        with pytest.raises(Unavailable):
            turn_until_written(follower)
        (failed,) = broken
        entries = [entry for each in stage.vault().log.listing() for entry in stage.vault().log.read(each)]
        durable = [entry.place.name for entry in entries if entry.place is not None]
        assert len(durable) == follower.captured < 30
        assert failed not in durable
        assert (follower.claim is None) == (not durable)
        changes = [change.sequence for change in stage.table.stream.read("", _oldest(stage)).changes]
        assert [entry.sequence for entry in entries] == changes[: len(entries)], "an unbroken run"
        store.fails = lambda _: False
        turn_until_written(follower)
    assert stage.captured() == stage.expected()
    assert sum(segment.count for segment in stage.segments()) == 30
    assert broken_links(stage.vault()) == []


def _oldest(stage: Stage) -> str:
    (shard,) = stage.table.stream.facts().shards
    return stage.table.stream.iterator(shard.id, None)


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_segment_that_cannot_be_written(one: OneShard, turn: int) -> None:
    """The run crosses two hours; one of its three segments fails once."""
    for _ in range(3):
        one.stage.put(range(8))
        one.clock.move(HOUR)
    store = FaultyStore(one.stage.store, Turns("/log/", turn))
    follower = one.follower(QUICK, vault=one.stage.vault(store))
    with pytest.raises(Unavailable):
        turn_until_written(follower)
    assert (follower.captured, follower.claim) == (0, None)
    one.stage.put(range(3))
    turn_until_written(follower)
    assert follower.captured == 27
    assert sum(one.counts()) == 27
    assert one.stage.captured() == one.stage.expected()
    assert broken_links(one.stage.vault()) == []


def test_a_store_that_fails_now_and_then_under_a_running_tail() -> None:
    stage = Stage(SystemClock(), layout=Layout.ROWS)
    every_ninth = itertools.count(1)
    flaky = FaultyStore(stage.store, lambda _: next(every_ninth) % 9 == 0)
    inner, stage.store = stage.store, flaky
    with stage.running() as tail:
        for _ in range(5):
            stage.put(range(20))
            stage.delete(range(0, 20, 4))
        wait_for(lambda: stage.captured() == stage.expected())
        flaky.fails = lambda _: False
    stage.store = inner
    assert [notice for notice in tail.notices if "trying again" in notice]
    assert stage.captured() == stage.expected()
    assert broken_links(stage.vault()) == []


def test_a_mark_that_cannot_be_written_costs_nothing_but_the_mark(one: OneShard) -> None:
    one.stage.put(range(10))
    store = FaultyStore(one.stage.store, lambda name: "_mark" in name)
    report = one.stage.follow(store=store)
    assert (report.captured, report.caught_up) == (10, True)
    assert any("was not written" in notice for notice in one.stage.notices)
    assert one.stage.segments(SegmentKind.MARK) == []


# --- a stream that fails ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["read", "iterator", "facts"])
def test_a_stream_that_does_not_answer_for_a_while(one: OneShard, operation: str) -> None:
    one.stage.put(range(10))
    calls = itertools.count(1)

    def fail(called: str) -> None:
        if called == operation and next(calls) in (2, 3, 4):
            raise Unavailable("slow down")

    one.stage.streams = lambda _: Failing(SmallPages(one.stage.table.stream, 3), fail)
    if operation == "iterator":
        one.stage.table.stream.expire_iterators()
    before = one.clock.now()
    report = one.stage.follow(settings=msgspec.structs.replace(QUICK, poll=0.5, topology_every=0.1))
    assert (report.captured, report.caught_up, report.gaps) == (10, True, 0)
    if operation == "read":
        told = [notice for notice in one.stage.notices if "slow down" in notice]
        assert [notice.rpartition("again in ")[2] for notice in told] == ["1 s", "2 s", "4 s"], "later and later"
        assert one.clock.now() - before > 7


@pytest.mark.parametrize("operation", ["read", "facts"])
def test_a_stream_that_does_not_answer_at_all_is_given_up_on_when_asked_to_catch_up(one: OneShard, operation: str) -> None:
    one.stage.put(range(10))
    calls = itertools.count()

    def fail(called: str) -> None:
        if called == operation and next(calls) > 2:
            raise Unavailable("slow down")

    one.stage.streams = lambda _: Failing(SmallPages(one.stage.table.stream, 1), fail)
    settings = msgspec.structs.replace(QUICK, quiet_reads=50, poll=0.2, topology_every=0.1)
    with pytest.raises(Unavailable, match="slow down"):
        one.stage.follow(settings=settings)
    one.stage.streams = one.stage.stream
    one.stage.follow()
    assert one.stage.captured() == one.stage.expected()
    assert broken_links(one.stage.vault()) == []


def test_what_was_read_is_written_although_the_stream_does_not_answer_any_more(one: OneShard) -> None:
    def fail(called: str) -> None:
        if called == "read" and one.clock.now() > NOW:
            raise Unavailable("slow down")

    follower = one.follower(Settings(segment_age=3.0), stream=Failing(one.stage.table.stream, fail))
    one.stage.put(range(4))
    follower.turn(hurry=False)
    one.clock.move(5)
    with pytest.raises(Unavailable):
        follower.turn(hurry=False)
    assert one.counts() == [4]


def test_throttled_over_the_real_protocol() -> None:
    stage = Stage(SystemClock())
    stage.put(range(100))
    busy = answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}')
    with StreamsServer(stage.table, stage.clock, page_shards=2) as server, FaultProxy(server.url) as proxy:
        rules = [proxy.on(busy, operation="GetRecords", when=sometimes(0.2, seed=3))]
        rules += [proxy.on(busy, operation=operation, when=first(1)) for operation in ("DescribeStream", "GetShardIterator")]
        client = CALLER.client("dynamodbstreams", url=proxy.url, config=recommended_config())
        stage.streams = lambda arn: DynamoStream(BotoRaw(client), arn)
        report = stage.follow()
    assert (report.captured, report.gaps) == (100, 0)
    assert all(rule.fired for rule in rules)
    assert stage.captured() == stage.expected()
