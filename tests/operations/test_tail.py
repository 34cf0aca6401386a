"""`tail` over many shards: all of them, parents before children, in order, and on from where the log ends."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from backstream.clock import SystemClock
from backstream.errors import Unavailable
from backstream.operations.capture.shards import OLDEST
from backstream.operations.capture.tail import PATIENCE
from backstream.ports import ChangeStream, RecordsPage
from backstream.tables.memory_stream import MemoryStream
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.rows.row_versions import row_versions
from kit.chains import broken_links
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore
from kit.losing import lose
from kit.stage import Stage, wait_for
from kit.streams import Counting, Failing, LateListing, SmallPages, Wrapped
from kit.streams_server import CALLER, StreamsServer


@pytest.fixture(params=["memory", "http"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage in real time whose stream is read in this process, or over the real protocol."""
    made = Stage(SystemClock())
    if request.param == "memory":
        yield made
        return
    with StreamsServer(made.table, made.clock, page_shards=3) as server:
        client = CALLER.client("dynamodbstreams", url=server.url, config=recommended_config())
        made.streams = lambda arn: DynamoStream(BotoRaw(client), arn)
        yield made


@pytest.fixture
def still() -> Stage:
    """A stage whose time moves only when somebody sleeps."""
    return Stage(ManualClock())


def open_shards(stream: MemoryStream) -> list[str]:
    return [shard.id for shard in stream.facts().shards if shard.last is None]


def check_parents_first(stage: Stage) -> None:
    """By the order of becoming durable: all runs of a shard before the first of any child."""
    runs = [segment.shard for segment in stage.segments()]
    for shard in stage.table.stream.facts().shards:
        if shard.id in runs and shard.parent in runs:
            last_of_parent = len(runs) - 1 - runs[::-1].index(shard.parent)
            assert last_of_parent < runs.index(shard.id), f"{shard.id} before the end of {shard.parent}"


# --- shards -----------------------------------------------------------------------------------------------------------------------


def test_everything_in_every_shard(stage: Stage) -> None:
    stage.put(range(200))
    stage.delete(range(0, 200, 3))
    report = stage.follow()
    assert (report.captured, report.gaps, report.caught_up, report.ended) == (267, 0, True, False)
    assert stage.captured() == stage.expected()
    assert {segment.shard for segment in stage.segments()} == set(open_shards(stage.table.stream))
    assert broken_links(stage.vault()) == []


def test_parents_to_their_end_before_children(still: Stage) -> None:
    stream = still.table.stream
    for _ in range(3):
        still.put(range(60))
        for shard in open_shards(stream):
            stream.split(shard, into=2)
    for shard in open_shards(stream)[:3]:
        stream.split(*stream.split(shard, into=1), into=1)  # a shard in the middle that never held anything
    still.put(range(60))
    still.streams = lambda _: SmallPages(stream, 7)
    report = still.follow()
    assert report.captured == 240
    assert len({segment.shard for segment in still.segments()}) > 30
    check_parents_first(still)
    assert still.captured() == still.expected()
    assert broken_links(still.vault()) == []


def test_shards_that_split_while_they_are_followed(stage: Stage) -> None:
    stream = stage.table.stream
    with stage.running() as tail:
        for turn in range(4):
            stage.put(range(40))
            stream.split(open_shards(stream)[turn], into=2)
            stage.delete(range(turn, 40, 7))
            wait_for(lambda: stage.captured() == stage.expected(), "the children's changes never arrived")
    assert tail.report is not None
    assert tail.report.captured == len(stage.model)
    check_parents_first(stage)
    assert broken_links(stage.vault()) == []


def test_several_shards_at_once(still: Stage) -> None:
    class Together(Wrapped):
        """Hands out the first pages only when all three shards are being read at the same time."""

        meeting = threading.Barrier(3, timeout=240)
        met: set[str] = set()  # noqa: RUF012 - one meeting for all

        def read(self, shard: str, iterator: str) -> RecordsPage:
            if shard not in self.met:
                self.meeting.wait()
                self.met.add(shard)
            return self.inner.read(shard, iterator)

    still.put(range(60))
    together = Together(still.table.stream)
    still.streams = lambda _: together
    assert still.follow().captured == 60
    assert len(together.met) == 3


def test_children_that_are_listed_late(still: Stage) -> None:
    """The list of shards lags behind: a shard that ended without children has children that are not listed yet."""
    still.put(range(60))
    before = int(still.clock.now())
    for shard in open_shards(still.table.stream):
        still.table.stream.split(shard)
    still.clock.sleep(100)
    still.put(range(30))
    still.clock.sleep(100)
    late = LateListing(still.table.stream, looks=6)
    still.streams = lambda _: late
    report = still.follow()
    assert report.captured == 90, "it had caught up only when the children were found and read"
    roots = {shard.id for shard in still.table.stream.facts().shards if shard.parent is None}
    until_then = list(itertools.takewhile(lambda each: each.kind is SegmentKind.MARK or each.shard in roots, still.log()))
    assert len(until_then) < len(still.log())
    assert all(mark.max_time < before for mark in until_then if mark.kind is SegmentKind.MARK), (
        "nothing later was claimed until then"
    )
    assert still.captured() == still.expected()


def test_nothing_is_claimed_beyond_a_closed_shard_while_its_children_are_unread() -> None:
    """Another shard goes on meanwhile and is far ahead: what the children hold may be older than that."""
    stage = Stage(ManualClock(), shards=2)
    stage.put(range(60))
    stream, before = stage.table.stream, int(stage.clock.now())
    closed, _ = open_shards(stream)
    stream.split(closed)
    stage.clock.sleep(100)
    stage.put(range(60))
    stage.clock.sleep(100)
    late = LateListing(stream, looks=6)
    stage.streams = lambda _: late
    assert stage.follow().captured == 120
    children = {shard.id for shard in stream.facts().shards if shard.parent == closed}
    until_then = list(itertools.takewhile(lambda each: each.shard not in children, stage.log()))
    assert len(until_then) < len(stage.log())
    marks = [mark.max_time for mark in until_then if mark.kind is SegmentKind.MARK]
    assert marks
    assert max(marks) < before
    assert stage.captured() == stage.expected()


def test_an_ended_shard_whose_children_never_show_keeps_a_tail_from_being_caught_up(still: Stage) -> None:
    still.put(range(60))
    ended = open_shards(still.table.stream)[0]
    still.table.stream.split(ended)
    never = LateListing(still.table.stream, looks=10**9)
    still.streams = lambda _: never
    report = still.follow()
    assert (report.captured, report.caught_up, list(report.childless)) == (60, False, [ended])


class FourOfFive:
    """Trouble with one operation of a stream: it works once, then fails four times, and so on."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self.asked = 0
        self.failed = 0

    def __call__(self, operation: str) -> None:
        if operation != self._operation:
            return
        self.asked += 1
        if self.asked % 5 != 1:
            self.failed += 1
            raise Unavailable(f"{operation} failed as told")


@pytest.mark.parametrize("operation", ["read", "facts"])
def test_only_failures_in_a_row_end_it(operation: str) -> None:
    """A stream that fails now and then, but not for good, is followed to its end however often that was."""
    stage = Stage(ManualClock(), shards=1)
    for _ in range(3):
        stage.put(range(20))
        stage.table.stream.split(open_shards(stage.table.stream)[0], into=1)
    stage.put(range(20))
    trouble = FourOfFive(operation)
    stage.streams = lambda _: Failing(SmallPages(stage.table.stream, 7), trouble)
    report = stage.follow()
    assert trouble.failed > 2 * PATIENCE
    assert (report.captured, report.caught_up, report.gaps) == (80, True, 0)
    assert stage.captured() == stage.expected()


def test_failures_in_a_row_end_it() -> None:
    stage = Stage(ManualClock(), shards=1)
    stage.put(range(3))

    def fail(operation: str) -> None:
        if operation == "read":
            raise Unavailable("read failed as told")

    stage.streams = lambda _: Failing(stage.table.stream, fail)
    with pytest.raises(Unavailable, match="as told"):
        stage.follow()


# --- order ------------------------------------------------------------------------------------------------------------------------


class Unhurried(FaultyStore):
    """Takes its time, now more, now less: what is written side by side ends in any order."""

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        time.sleep(random.random() * 0.003)
        return super().put(name, body, metadata, if_absent=if_absent, if_match=if_match)


def test_one_items_versions_are_written_in_order_although_items_interleave() -> None:
    stage = Stage(SystemClock(), layout=Layout.ROWS, shards=2)
    for _ in range(20):
        stage.put(range(10))
        stage.delete(range(0, 10, 2))
    stage.streams = lambda arn: SmallPages(stage.stream(arn), 33)
    assert stage.follow(store=Unhurried(stage.store)).captured == 300
    names = {each.name for each in stage.store.versions("flights/")}
    assert len(names) == 10
    for name in names:
        orders = [version.entry.order for version in row_versions(stage.store, name)]
        assert len(orders) in (20, 40)
        assert orders == sorted(orders, reverse=True), "newest first"
    assert stage.captured() == stage.expected()


def test_iterators_that_expire_midway(stage: Stage) -> None:
    stage.put(range(150))
    turns = itertools.count()

    def expire_sometimes() -> None:
        if next(turns) % 3 == 0:
            stage.table.stream.expire_iterators()

    counting: list[Counting] = []

    def small_pages(arn: str, given: object = stage.streams) -> ChangeStream:
        assert callable(given)
        counting.append(Counting(SmallPages(given(arn), 10, expire_sometimes)))
        return counting[-1]

    stage.streams = small_pages
    report = stage.follow()
    assert (report.captured, report.gaps) == (150, 0)
    assert set(counting[-1].delivered.values()) == {1}, "a new iterator goes on where the old one stood"
    assert stage.captured() == stage.expected()
    assert broken_links(stage.vault()) == []


# --- on from where the log ends ---------------------------------------------------------------------------------------------------


def test_what_is_durable_is_not_read_again(stage: Stage) -> None:
    stage.put(range(100))
    assert stage.follow().captured == 100
    stage.put(range(50, 120))
    given = stage.streams
    counting = Counting(given(stage.table.stream.arn))
    stage.streams = lambda _: counting
    assert stage.follow().captured == 70
    assert counting.delivered.total() == 70
    assert stage.follow().captured == 0
    assert stage.captured() == stage.expected()
    assert broken_links(stage.vault()) == []


def test_finished_shards_are_not_read_again(still: Stage) -> None:
    still.put(range(60))
    for shard in open_shards(still.table.stream):
        still.table.stream.split(shard)
    still.put(range(60))
    still.follow()
    counting = Counting(still.table.stream)
    still.streams = lambda _: counting
    report = still.follow()
    assert (report.captured, report.caught_up, counting.delivered.total()) == (0, True, 0)
    assert report.durable is not None


def test_until_caught_up_ends_under_constant_load(stage: Stage) -> None:
    """What was there when it began is enough: a table that is written to all the time has no quiet moment."""
    stage.put(range(100))
    busy = threading.Event()

    def write_on() -> None:
        for turn in itertools.count():
            if busy.wait(0.001):
                return
            stage.put([turn % 50])

    writer = threading.Thread(target=write_on, daemon=True)
    writer.start()
    try:
        report = stage.follow()
    finally:
        busy.set()
        writer.join()
    assert report.caught_up
    assert report.captured > 100
    assert stage.follow().caught_up
    assert stage.captured() == stage.expected()


def test_stopped_before_it_began(still: Stage) -> None:
    still.put(range(5))
    stop = threading.Event()
    stop.set()
    report = still.follow(until_caught_up=False, stop=stop)
    assert (report.captured, report.caught_up, still.segments()) == (0, False, [])


# --- the chain --------------------------------------------------------------------------------------------------------------------


def test_every_run_names_its_predecessor_and_a_missing_one_is_seen(still: Stage) -> None:
    for turn in range(5):
        still.put(range(turn, 60))
        still.clock.sleep(1)
        still.follow()
    assert broken_links(still.vault()) == []
    assert sum(after == OLDEST for after, _ in still.links()) == 3, "one first run a shard"
    log = still.vault().log
    lost = [each for each in log.listing() if each.segment == still.segments()[5]]
    lose(still.store, lost[0].name)
    assert broken_links(still.vault()) != []
