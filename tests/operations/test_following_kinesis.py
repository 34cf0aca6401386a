"""`tail` on a Kinesis stream in memory: shards that split, writes that fail, long absences; against a dict."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.errors import BackstreamError, Failed
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.tables.creation import on_demand
from backstream.model.tables.setup import SetupStep
from backstream.model.values import wire
from backstream.operations.base.backfill.report import BackfillContext
from backstream.operations.base.backfill.run import backfill
from backstream.operations.base.backfill.scan import scan_of
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.operations.capture.follow import Following, follow
from backstream.operations.capture.tail import TailReport
from backstream.operations.capture.witness import Witnessed, witness
from backstream.operations.setup.identity import RECREATED, Lookup, recognise
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.setup.remade_kinesis import REMADE
from backstream.ports import ChangeStream, ObjectStore, Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.log import LATE
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore
from kit.kinesis import ARN, Record, Writes
from kit.lived import state as engine_state
from kit.memory_kinesis import MemoryKinesis
from kit.stage import QUICK
from kit.states import state_at

BEGAN = 1_700_000_000
DAY = 86_400
END_OF_TIME = 10**11
SENT = SetupStep("", "dynamodb", "EnableKinesisStreamingDestination", {"TableName": "flights", "StreamArn": ARN})


class Stage:
    """A table whose changes go to a Kinesis stream, and its vault."""

    def __init__(self, layout: Layout = Layout.LOG, *, days: int = 1, shards: int = 2) -> None:
        self.clock = ManualClock(BEGAN)
        self.table = MemoryTable("flights", self.clock, images.SCHEMA)
        self.table.apply(SENT)
        self.store = MemoryStore(self.clock)
        init(self.store, self.table, InitOptions(layout=layout, kinesis=KinesisSource(ARN, days * DAY)))
        label = self.vault().catalog.stream
        self.stream = MemoryKinesis(self.clock, ARN, "flights", label, shards=shards, retention=days * DAY)
        self.writes = Writes()
        self.others = Writes("others")
        self.notices: list[str] = []

    def vault(self) -> TableVault:
        return TableVault.open(self.store, "flights", engines=LocalEngine)

    def write(self, number: int, *, delete: bool = False, late: float = 0) -> None:
        """A write now; its record, and one of another table, come to the stream now too, or were made that much earlier."""
        micros = round((self.clock.now() - late) * 1_000_000) + len(self.writes.data)
        made = len(self.writes.data)
        if delete:
            self.writes.delete(number, micros)
        else:
            self.writes.put(number, micros)
        self.others.put(number, micros)
        self.stream.put(self.others.data[-1], number)
        for content in self.writes.data[made:]:
            self.stream.put(content, number)

    def follow(self, store: ObjectStore | None = None) -> TailReport:
        return follow(TableVault.open(store or self.store, "flights", engines=LocalEngine), self.following(), until_caught_up=True)

    def witness(self) -> Witnessed:
        return witness(self.vault(), self.following())

    def following(self) -> Following:
        return Following(
            table=self.table,
            streams=lambda _: self.stream,
            clock=self.clock,
            writer="one",
            notice=self.notices.append,
            stop=threading.Event(),
            settings=QUICK,
        )

    def recreate(self) -> None:
        """The table is deleted, and a minute later there is an empty one of the name, whose changes go to the same stream."""
        self.table.delete()
        self.clock.move(60)
        self.table.create(on_demand(images.SCHEMA))
        self.table.apply(SENT)
        self.writes._now.clear()

    def deliver(self, found: list[Record]) -> None:
        """One batch, as the handler keeps it."""
        done, label = recognise(self.vault(), ARN, Lookup(lambda: self.table, lambda _: self.stream), self.clock.now())
        with ThreadPoolExecutor(2) as pool:
            report = keep_batch(done.vault, found, label, pool, writer="fn", kind=SegmentKind.LAMBDA, now=self.clock.now)
        assert not report.failures

    def state(self, at: int = END_OF_TIME) -> dict[bytes, bytes]:
        return dict(state_at(self.vault(), at))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32), faults=st.sampled_from([0, 0.1, 0.3]), layout=st.sampled_from(list(Layout)))
def test_whatever_happens_the_state_of_each_second_is_right(seed: int, faults: float, layout: Layout) -> None:
    """Shards split, records come again, stores fail, the log is compacted: and no more is claimed than has come."""
    source, stage = random.Random(seed), Stage(layout)
    store = FaultyStore(stage.store, lambda _: source.random() < faults)
    for _ in range(6):
        for _ in range(source.randrange(12)):
            stage.clock.move(source.choice([0, 0, 1, 400, 3000]))
            stage.write(source.randrange(5), delete=source.random() < 0.3)
        if stage.writes.data and source.random() < 0.5:
            number = source.randrange(len(stage.writes.data))
            stage.stream.put(stage.writes.data[number], source.randrange(5))
        if source.random() < 0.4:
            stage.stream.split()
        with suppress(BackstreamError):  # the store's fault: the next run goes on
            stage.follow(store)
        durable = stage.vault().window(stage.clock.now()).durable
        if durable is not None:
            assert stage.state(durable) == stage.writes.state(durable)
    stage.follow()
    for at in {second for second, _, _ in stage.writes.history} | {END_OF_TIME}:
        assert stage.state(at) == stage.writes.state(at)
    assert stage.follow().captured == 0, "what is durable is not read again"
    assert list(stage.vault().gaps.all()) == []


@pytest.mark.parametrize("layout", list(Layout))
def test_the_witness_brings_what_nobody_has_kept_and_proves_it_minutes_later(layout: Layout) -> None:
    stage = Stage(layout)
    for number in range(20):
        stage.clock.move(10)
        stage.write(number % 6)
        if number == 9:
            stage.follow()
            stage.stream.split()
    stage.clock.move(20)
    report = stage.witness()
    assert (report.checked, report.missing, report.gaps, report.caught_up) == (10, 10, 0, True), "the rest a tail had kept"
    assert stage.state() == stage.writes.state(END_OF_TIME)
    durable = stage.vault().window(stage.clock.now()).durable
    assert durable is None or durable <= stage.clock.now() - LATE, "a change may come after later ones"
    stage.clock.move(LATE + 60)
    assert stage.witness().checked == 0
    durable = stage.vault().window(stage.clock.now()).durable
    assert durable is not None
    assert stage.clock.now() - LATE - 60 <= durable <= stage.clock.now() - LATE


def test_children_after_their_parent() -> None:
    stage = Stage()
    for number in range(20):
        stage.write(number)
    stage.stream.split()
    stage.stream.split()
    for number in range(20):
        stage.write(number)
    report = stage.follow()
    assert (report.captured, report.gaps) == (40, 0)
    assert stage.state() == stage.writes.state(END_OF_TIME)
    assert len({each.segment.kinesis_shard for each in stage.vault().log.listing() if each.segment and each.segment.count}) > 2


@pytest.mark.parametrize("who", ["tail", "witness"])
def test_a_child_of_a_kinesis_shard_that_is_not_listed_holds_the_claim_however_long_it_takes(who: str) -> None:
    """Its range of hash keys is known to be missing: no wait is long enough."""
    stage = Stage(days=7)
    for number in range(20):
        stage.write(number)
    stage.clock.move(1000)
    stage.follow()
    ended = stage.clock.now()
    stage.stream.split()
    stage.stream.unlisted = {"shardId-000000000003"}
    for _ in range(3):
        for number in range(20):
            stage.write(number)
        stage.clock.move(4000)
        waiting = stage.follow().childless if who == "tail" else stage.witness().waiting_for
        assert list(waiting) == ["shardId-000000000000"]
        durable = stage.vault().window(stage.clock.now()).durable
        assert durable is not None
        assert durable <= ended
        assert stage.state(durable) == stage.writes.state(durable)
    stage.stream.unlisted = set()
    stage.clock.move(1000)
    assert stage.follow().caught_up
    assert stage.state() == stage.writes.state(END_OF_TIME)
    durable = stage.vault().window(stage.clock.now()).durable
    assert durable is not None
    assert durable > ended


def test_no_more_is_claimed_than_minutes_ago() -> None:
    stage = Stage()
    stage.write(1)
    stage.clock.move(1000)
    report = stage.follow()
    assert report.durable is not None
    assert report.durable <= stage.clock.now() - 300
    stage.write(1, late=200)
    stage.follow()
    assert report.durable < stage.writes.history[-1][0], "a change that comes minutes late does not fall into what was claimed"


@pytest.mark.parametrize(("days", "away", "gaps"), [(1, 0.9, 0), (1, 3, 1), (7, 3, 0), (7, 9, 1), (30, 29, 0)])
def test_an_absence_is_a_gap_only_where_the_stream_forgets(days: int, away: float, gaps: int) -> None:
    """A stream may keep more than a day: then a tail that was away for days goes on where it stood."""
    stage = Stage(days=days)
    stage.write(1)
    stage.clock.move(1000)
    assert stage.follow().captured == 1
    stage.clock.move(10)
    stage.write(2)
    stage.clock.move(away * DAY)
    stage.write(3)
    report = stage.follow()
    assert (report.captured, report.gaps) == (1 if gaps else 2, gaps)
    found = list(stage.vault().gaps.all())
    assert len(found) == gaps
    if gaps:
        assert found[0].since <= stage.writes.history[1][0] <= found[0].until
    else:
        assert stage.state() == stage.writes.state(END_OF_TIME)


def test_a_tail_goes_on_after_compaction() -> None:
    stage = Stage(days=7)
    for number in range(10):
        stage.write(number)
        stage.clock.move(100)
        stage.follow()
    stage.clock.move(4 * DAY)
    stage.follow()
    compact(stage.vault(), stage.clock)
    stage.write(3)
    assert stage.follow().captured == 1
    names = [each.segment for each in stage.vault().log.listing() if each.segment and each.segment.kind is SegmentKind.KINESIS]
    assert names
    history = stage.vault().history(wire.key_of(images.SCHEMA, images.key("z", 3)))
    assert len(history) == 2


@pytest.mark.parametrize("who", ["tail", "function", "witness"])
@pytest.mark.parametrize("layout", list(Layout))
def test_a_table_that_was_made_again_behind_the_stream_has_its_own_rows_alone(who: str, layout: Layout) -> None:
    """A Kinesis stream does not tell that the table behind it is another one. Late records of the old table stay in the past."""
    stage = Stage(layout)
    for number in range(4):
        stage.write(number)
    stage.clock.move(1000)
    stage.follow()
    before, proven = engine_state(stage.vault(), int(stage.clock.now())), stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    stage.write(4)
    late = stage.writes.records()[-1:]
    told = int(stage.clock.now())
    stage.clock.move(5)
    stage.recreate()
    created = int(stage.clock.now())
    stage.clock.move(5)
    stage.write(7)
    new = stage.writes.records()[-1:]
    stage.clock.move(1000)
    if who == "function":
        stage.deliver(new)
        stage.deliver(late)
    elif who == "witness":
        stage.witness()
    else:
        stage.follow()
    (gap,) = stage.vault().gaps.all()
    assert (gap.reason, gap.since) == (RECREATED, proven)
    assert gap.until >= stage.writes.history[-1][0], "nothing tells when the new table's changes began to come"
    assert set(engine_state(stage.vault(), END_OF_TIME)) == {wire.key_of(images.SCHEMA, images.key("z", 7))}
    assert engine_state(stage.vault(), created) == {}
    assert before.items() <= engine_state(stage.vault(), told).items(), "the old table's history is still there"
    stage.clock.move(1000)
    stage.follow()
    window = stage.vault().window(stage.clock.now())
    assert all(each.until < gap.since for each in window.ranges), "rows may have been put that nobody heard of"
    backfill(
        stage.vault(),
        scan_of(stage.vault(), table_of(stage), stage.clock, segments=1, max_units=None),
        BackfillContext(stage.clock),
    )
    stage.clock.move(1000)
    stage.follow()
    assert stage.vault().window(stage.clock.now()).ranges[-1].since > gap.until
    assert set(engine_state(stage.vault(), END_OF_TIME)) == {wire.key_of(images.SCHEMA, images.key("z", 7))}


@pytest.mark.parametrize("who", ["tail", "witness", "function"])
def test_a_stream_that_was_made_again_under_its_name_is_another_one(who: str) -> None:
    """Its ARN is the same, and its shards begin anew: what the one before still held is lost, and that is a gap."""
    stage = Stage(shards=1)
    stage.write(1)
    stage.stream.split()  # the first shard of the one before has ended, and this is noted
    stage.clock.move(1000)
    stage.witness()
    stage.follow()
    assert not list(stage.vault().gaps.all())
    proven = stage.vault().window(stage.clock.now()).durable
    assert proven is not None
    stage.clock.move(10)
    stage.write(1)
    stage.clock.move(5)
    stage.stream = MemoryKinesis(stage.clock, ARN, "flights", stage.vault().catalog.stream, shards=1)
    stage.write(2)
    if who == "function":
        stage.deliver(stage.writes.records()[-1:])
    for _ in range(3):
        stage.clock.move(1000)
        stage.witness() if who == "witness" else stage.follow()
        stage.stream._label = stage.vault().catalog.stream
        for each in stage.vault().window(stage.clock.now()).ranges:
            for second in {each.since, each.until}:
                assert stage.state(second) == stage.writes.state(second), "what is claimed is as it was"
    (gap,) = stage.vault().gaps.all()
    assert (gap.reason, gap.since) == (REMADE, proven)
    assert wire.key_of(images.SCHEMA, images.key("z", 2)) in stage.state(), "the new stream's changes are read from its beginning"
    durable = stage.vault().window(stage.clock.now()).durable
    assert durable is not None
    assert durable >= stage.clock.now() - 302, "nothing of the one before holds the proof back"


def test_a_tail_ends_where_the_stream_is_made_again_under_it() -> None:
    stage = Stage(shards=1)
    stage.write(1)
    stage.clock.move(1000)
    old, asked = stage.stream, itertools.count()
    new = MemoryKinesis(stage.clock, ARN, "flights", stage.vault().catalog.stream, shards=1)

    class Remade:
        """Another one from the third look at it on."""

        def __getattr__(self, name: str) -> object:
            if name == "facts" and next(asked) == 3:
                stage.clock.move(1)
                new.created = int(stage.clock.now())
                stage.stream = new
            return getattr(new if stage.stream is new else old, name)

    following = msgspec.structs.replace(stage.following(), streams=lambda _: cast("ChangeStream", Remade()))
    with pytest.raises(Failed, match="deleted and created again: nothing more is claimed"):
        follow(stage.vault(), following, until_caught_up=True)
    assert stage.vault().window(stage.clock.now()).durable is None


def table_of(stage: Stage) -> MemoryTable:
    """The table as it is by now: the stage sends records without writing to it."""
    stage.table.write([Put(image) for image in stage.writes._now.values()])
    return stage.table
