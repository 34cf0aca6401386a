"""The contract of `ports.ChangeStream`: in memory, over ministack's one shard, and over the protocol with many shards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.errors import Failed, IteratorExpired, NotFound, RecordsTrimmed
from backstream.model.changes.change import VIEW, Change, stream_label
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.ports import ChangeStream, Delete, Put, Table
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.memory import TTL_ACTOR, MemoryTable
from backstream.tables.streams import DynamoStream
from kit import images
from kit.aws import Aws
from kit.clock import ManualClock
from kit.proxy import FaultProxy, answer, first
from kit.streams_server import StreamsServer
from kit.transports import TRANSPORTS, dynamodb, streams


class Streamed(msgspec.Struct, frozen=True):
    """A table, its stream, and how to turn it off."""

    table: Table
    stream: ChangeStream
    disable: Callable[[], object]


@pytest.fixture(params=["memory", *TRANSPORTS, "server"])
def streamed(request: pytest.FixtureRequest, table_name: str) -> Iterator[Streamed]:
    """A new table with its stream enabled."""
    with ExitStack() as stack:
        if request.param in TRANSPORTS:
            yield _on_ministack(request.getfixturevalue("aws"), table_name, request.param)
            return
        table = MemoryTable(table_name, SystemClock(), images.SCHEMA, shards=3)
        table.enable_stream()
        if request.param == "memory":
            yield Streamed(table, table.stream, table.disable_stream)
            return
        server = stack.enter_context(StreamsServer(table, SystemClock(), page_shards=2))
        yield Streamed(table, server.stream(), table.disable_stream)


def _on_ministack(aws: Aws, name: str, transport: str) -> Streamed:
    table = DynamoTable(dynamodb(aws, transport), name, SystemClock())
    table.create(on_demand(images.SCHEMA))
    table.enable_stream()
    stream = DynamoStream(streams(aws, transport), str(table.facts().stream_arn))
    ordinary = aws.client("dynamodb")
    return Streamed(table, stream, lambda: ordinary.update_table(TableName=name, StreamSpecification={"StreamEnabled": False}))


def drain(stream: ChangeStream, shard: str, after: str | None = None) -> list[Change]:
    """A shard's changes, to its end or until there are no more for now."""
    changes: list[Change] = []
    iterator: str | None = stream.iterator(shard, after)
    while iterator is not None:
        page = stream.read(shard, iterator)
        if not page.changes:
            break
        changes += page.changes
        iterator = page.next
    return changes


def drain_all(stream: ChangeStream) -> list[Change]:
    """Every shard's, in the order in which they are listed: parents come before their children."""
    return [change for shard in stream.facts().shards for change in drain(stream, shard.id)]


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two images, or their absence, are the same."""
    return one is other is None or (one is not None and other is not None and wire.same_image(one, other))


# --- every implementation ---------------------------------------------------------------------------------------------------------


def test_facts(streamed: Streamed) -> None:
    facts = streamed.stream.facts()
    assert facts.arn == streamed.table.facts().stream_arn
    assert facts.label == stream_label(facts.arn)
    assert (facts.enabled, facts.view) == (True, VIEW)
    assert len(facts.shards) > 0
    assert all(shard.last is None for shard in facts.shards)


def test_a_life_of_one_item(streamed: Streamed) -> None:
    before = int(time.time())
    old, new = images.image("a", 1, v={"S": "old"}), images.image("a", 1, v={"S": "new"})
    for write in (Put(old), Put(new), Put(new), Delete(images.key("a", 1)), Delete(images.key("a", 1))):
        streamed.table.write([write])
    changes = drain_all(streamed.stream)
    assert [change.event for change in changes] == ["INSERT", "MODIFY", "REMOVE"], "writes that change nothing leave no record"
    for change, (was, now) in zip(changes, [(None, old), (old, new), (new, None)], strict=True):
        assert same(change.old, was)
        assert same(change.new, now)
        assert wire.key_of(images.SCHEMA, change.keys) == wire.key_of(images.SCHEMA, old)
        assert change.stream == streamed.stream.facts().label
        assert change.actor is None
        assert change.micros % 1_000_000 == 0
        assert before <= change.seconds <= time.time()
    assert changes[0].order < changes[1].order < changes[2].order
    assert len({change.event_id for change in changes}) == 3


def test_hard_images(streamed: Streamed) -> None:
    hard = list(images.hard_images().values())
    for image in hard:
        streamed.table.write([Put(image)])
    changes = {wire.key_of(images.SCHEMA, change.keys): change for change in drain_all(streamed.stream)}
    assert len(changes) == len(hard)
    assert all(same(changes[wire.key_of(images.SCHEMA, image)].new, image) for image in hard)


def test_a_shard_is_in_order_and_can_be_read_on_from_anywhere(streamed: Streamed) -> None:
    for n in range(40):
        streamed.table.write([Put(images.image("a", n % 5, v={"N": str(n)}))])
    for shard in streamed.stream.facts().shards:
        changes = drain(streamed.stream, shard.id)
        assert [change.order for change in changes] == sorted(change.order for change in changes)
        for position, change in enumerate(changes):
            assert drain(streamed.stream, shard.id, after=change.sequence) == changes[position + 1 :]


def test_an_open_shard_has_no_end(streamed: Streamed) -> None:
    streamed.table.write([Put(images.image("a", 1))])
    iterators = {shard.id: streamed.stream.iterator(shard.id, None) for shard in streamed.stream.facts().shards}
    for _ in range(3):
        pages = {shard: streamed.stream.read(shard, iterator) for shard, iterator in iterators.items()}
        assert all(abs(page.server_time - time.time()) < 60 for page in pages.values())
        iterators = {shard: str(page.next) for shard, page in pages.items() if page.next is not None}
        assert len(iterators) == len(pages)
    streamed.table.write([Put(images.image("a", 2))])
    (change,) = (change for shard, iterator in iterators.items() for change in streamed.stream.read(shard, iterator).changes)
    assert same(change.new, images.image("a", 2))


def test_a_disabled_stream_can_be_read_to_its_end(streamed: Streamed) -> None:
    streamed.table.write([Put(images.image("a", n)) for n in range(10)])
    streamed.disable()
    streamed.table.write([Put(images.image("late", 1))])
    facts = streamed.stream.facts()
    assert not facts.enabled
    assert all(shard.last is not None for shard in facts.shards)
    assert len(drain_all(streamed.stream)) == 10
    ends = [streamed.stream.read(each.id, streamed.stream.iterator(each.id, None)).next for each in facts.shards]
    assert ends == [None] * len(facts.shards)


def test_a_stream_enabled_again_is_another(streamed: Streamed) -> None:
    streamed.disable()
    streamed.table.enable_stream()
    arn = str(streamed.table.facts().stream_arn)
    assert stream_label(arn) > streamed.stream.facts().label, "labels order a table's streams"


def test_a_shard_that_does_not_exist(streamed: Streamed) -> None:
    with pytest.raises(NotFound):
        streamed.stream.iterator("shardId-00000000000000000009-99999999", None)


def test_an_iterator_that_is_none(streamed: Streamed) -> None:
    with pytest.raises(Failed):
        streamed.stream.read(streamed.stream.facts().shards[0].id, "nonsense")


# --- what only many shards show: memory, and the same over the protocol -----------------------------------------------------------


class Sharded(msgspec.Struct, frozen=True):
    """A memory table whose stream the test steers, and the stream as the code under test sees it."""

    table: MemoryTable
    stream: ChangeStream
    clock: ManualClock

    def put(self, numbers: Sequence[int]) -> None:
        """Write so many items, and let a second pass."""
        for n in numbers:
            self.table.write([Put(images.image("a", n))])
        self.clock.move(1)

    def first_shard(self) -> str:
        """The shard that is listed first."""
        return self.table.stream.facts().shards[0].id


@pytest.fixture(params=["memory", "server"])
def sharded(request: pytest.FixtureRequest) -> Iterator[Sharded]:
    """A new table with a stream of three shards, two of them to a page of DescribeStream."""
    clock = ManualClock()
    table = MemoryTable("sharded", clock, images.SCHEMA, shards=3)
    table.enable_stream()
    if request.param == "memory":
        yield Sharded(table, table.stream, clock)
        return
    with StreamsServer(table, clock, page_shards=2) as server:
        yield Sharded(table, server.stream(), clock)


def test_items_are_spread_over_the_shards(sharded: Sharded) -> None:
    sharded.put(range(60))
    counts = [len(drain(sharded.stream, shard.id)) for shard in sharded.stream.facts().shards]
    assert sum(counts) == 60
    assert all(counts)


def test_sequence_numbers_mislead_who_compares_text_or_shards(sharded: Sharded) -> None:
    sharded.put(range(60))
    sequences = [[change.sequence for change in drain(sharded.stream, shard.id)] for shard in sharded.stream.facts().shards]
    assert all(len(sequence) >= 21 for shard in sequences for sequence in shard)
    assert any(shard != sorted(shard) for shard in sequences), "as text they would be in order by chance"
    assert int(sequences[0][0]) > int(sequences[-1][-1])


def test_a_split_closes_the_parent_and_its_items_go_on_in_the_children(sharded: Sharded) -> None:
    sharded.put(range(60))
    parent = sharded.first_shard()
    before = drain(sharded.stream, parent)
    children = sharded.table.stream.split(parent)
    sharded.clock.move(1)
    for n in range(60):
        sharded.table.write([Delete(images.key("a", n))])
    shards = {shard.id: shard for shard in sharded.stream.facts().shards}
    assert len(shards) == 5
    assert shards[parent].last is not None
    assert [shards[child].parent for child in children] == [parent, parent]
    assert drain(sharded.stream, parent) == before
    assert sharded.stream.read(parent, sharded.stream.iterator(parent, before[-1].sequence)).next is None
    after = {change.keys: change for child in children for change in drain(sharded.stream, child)}
    assert after.keys() == {change.keys for change in before}
    assert all(after[change.keys].order > change.order for change in before)


def test_a_shard_that_rolls_over(sharded: Sharded) -> None:
    (child,) = sharded.table.stream.split(sharded.first_shard(), into=1)
    (grandchild,) = sharded.table.stream.split(child, into=1)
    sharded.put(range(60))
    shards = {shard.id: shard for shard in sharded.stream.facts().shards}
    assert shards[grandchild].parent == child
    assert drain(sharded.stream, child) == []
    assert len(drain(sharded.stream, grandchild)) > 0


def test_trimmed_records_are_missed_not_skipped(sharded: Sharded) -> None:
    sharded.put(range(60))
    shard = sharded.first_shard()
    changes = drain(sharded.stream, shard)
    iterator = sharded.stream.iterator(shard, changes[0].sequence)
    sharded.table.stream.trim(shard, keep=2)
    with pytest.raises(RecordsTrimmed):
        sharded.stream.read(shard, iterator)
    with pytest.raises(RecordsTrimmed):
        sharded.stream.iterator(shard, changes[0].sequence)
    assert drain(sharded.stream, shard) == changes[-2:]
    assert drain(sharded.stream, shard, after=changes[-2].sequence) == changes[-1:]


def test_a_closed_shard_without_records_is_no_longer_listed(sharded: Sharded) -> None:
    sharded.put(range(60))
    parent = sharded.first_shard()
    children = sharded.table.stream.split(parent)
    sharded.table.stream.trim(parent)
    shards = {shard.id: shard for shard in sharded.stream.facts().shards}
    assert parent not in shards
    assert [shards[child].parent for child in children] == [parent, parent], "children still name it"
    with pytest.raises(NotFound):
        sharded.stream.iterator(parent, None)


def test_iterators_expire(sharded: Sharded) -> None:
    shard = sharded.first_shard()
    iterator = sharded.stream.iterator(shard, None)
    sharded.clock.move(14 * 60)
    sharded.stream.read(shard, iterator)
    sharded.clock.move(60)
    with pytest.raises(IteratorExpired):
        sharded.stream.read(shard, iterator)
    another = sharded.stream.iterator(shard, None)
    sharded.table.stream.expire_iterators()
    with pytest.raises(IteratorExpired):
        sharded.stream.read(shard, another)


def test_a_page_has_at_most_a_thousand_records(sharded: Sharded) -> None:
    for n in range(3300):
        sharded.table.write([Put(images.image("a", n))])
    shard = max(sharded.stream.facts().shards, key=lambda shard: len(drain(sharded.stream, shard.id))).id
    page = sharded.stream.read(shard, sharded.stream.iterator(shard, None))
    assert len(page.changes) == 1000
    assert len(drain(sharded.stream, shard)) > 1000


def test_a_delete_by_time_to_live_names_its_actor(sharded: Sharded) -> None:
    sharded.put([1])
    sharded.table.expire([images.key("a", 1)])
    changes = [change for change in drain_all(sharded.stream) if change.event == "REMOVE"]
    assert [change.actor for change in changes] == [TTL_ACTOR]


def test_times_are_the_services_floored_to_the_second(sharded: Sharded) -> None:
    sharded.clock.move(0.9)
    sharded.table.write([Put(images.image("a", 1))])
    (change,) = drain_all(sharded.stream)
    assert change.micros == int(sharded.clock.now()) * 1_000_000
    shard = sharded.first_shard()
    assert 0 <= sharded.clock.now() - sharded.stream.read(shard, sharded.stream.iterator(shard, None)).server_time < 1


def test_throttled_readers_try_again() -> None:
    table = MemoryTable("throttled", SystemClock(), images.SCHEMA)
    table.enable_stream()
    table.write([Put(images.image("a", 1))])
    busy = answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}')
    with StreamsServer(table, SystemClock()) as server, FaultProxy(server.url) as proxy:
        throttling = proxy.on(busy, operation="GetRecords", when=first(1))
        assert len(drain_all(server.stream(url=proxy.url))) == 1
    assert throttling.fired == 1
