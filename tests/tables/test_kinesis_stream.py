"""One table's changes in a Kinesis stream, over both transports: shards, places, times, what is of other tables."""

from __future__ import annotations

import time
import uuid

import msgspec
import pytest

from backstream.errors import Failed, MalformedRecord, NotFound, RecordsTrimmed, UsageError
from backstream.model.changes.change import VIEW, Change
from backstream.model.values import wire
from backstream.ports import ChangeStream, RecordsPage
from backstream.tables.kinesis import KinesisStream
from kit import images
from kit.aws import Aws
from kit.kinesis import Writes, active_stream, data
from kit.proxy import FaultProxy, answer
from kit.transports import kinesis

LABEL = "2026-11-26T08:00:00.000"
NOW = 1_764_144_000_000_001


class Stream(msgspec.Struct, frozen=True):
    """A Kinesis stream of two shards: `stream` as the code under test sees it."""

    aws: Aws
    name: str
    arn: str
    stream: KinesisStream

    def put(self, content: bytes, key: str = "k") -> str:
        """As DynamoDB does; the shard that it went to."""
        client = self.aws.client("kinesis")
        return client.put_record(StreamName=self.name, PartitionKey=key, Data=content)["ShardId"]


@pytest.fixture(params=["curl", pytest.param("boto3", marks=pytest.mark.soak)])
def held(request: pytest.FixtureRequest, aws: Aws) -> Stream:
    name = f"changes-{uuid.uuid4().hex[:8]}"
    client = aws.client("kinesis")
    client.create_stream(StreamName=name, ShardCount=2)
    arn = active_stream(aws, name)
    return Stream(aws, name, arn, KinesisStream(kinesis(aws, request.param), arn, "flights", LABEL))


def drain(stream: ChangeStream, shard: str, after: str | None = None) -> list[RecordsPage]:
    """A shard's pages that have records, to its end for now."""
    found: list[RecordsPage] = []
    iterator: str | None = stream.iterator(shard, after)
    while iterator is not None:
        page = stream.read(shard, iterator)
        if page.reached is not None:
            found.append(page)
        elif page.behind == 0:
            break
        iterator = page.next
    return found


def changes_of(pages: list[RecordsPage]) -> list[Change]:
    return [change for page in pages for change in page.changes]


def test_facts(held: Stream) -> None:
    facts = held.stream.facts()
    assert (facts.arn, facts.label, facts.enabled, facts.view) == (held.arn, LABEL, True, VIEW)
    assert len(facts.shards) == 2
    assert all(shard.last is None and shard.parent is None for shard in facts.shards)
    assert held.stream.source().arn == held.arn
    assert held.stream.source().retention == 24 * 3600


def test_one_tables_changes_with_their_places(held: Stream) -> None:
    before, ours, others = time.time(), Writes(), Writes("orders")
    for number in range(20):
        ours.put(number, NOW + number)
        others.put(number, NOW + number)
    shard = {held.put(content) for pair in zip(ours.data, others.data, strict=True) for content in pair}.pop()
    pages = drain(held.stream, shard)
    changes = changes_of(pages)
    assert [change.micros for change in changes] == [NOW + number for number in range(20)]
    assert {change.stream for change in changes} == {LABEL}
    positions = [position for page in pages for position in page.positions]
    assert sorted(positions, key=int) == positions
    assert pages[-1].reached is not None
    assert int(pages[-1].reached) > int(positions[-1]), "the last record is another table's"
    assert all(before - 5 <= each <= time.time() + 5 for page in pages for each in page.arrivals)
    assert all(abs(page.server_time - time.time()) < 60 for page in pages)
    for place, position in enumerate(positions):
        assert changes_of(drain(held.stream, shard, after=position)) == changes[place + 1 :]
    assert sum(len(changes_of(drain(held.stream, each.id))) for each in held.stream.facts().shards) == 20


def test_hard_images(held: Stream) -> None:
    hard = {wire.key_of(images.SCHEMA, image): image for image in images.hard_images().values()}
    shards = set()
    for number, image in enumerate(hard.values()):
        shards.add(held.put(data("INSERT", NOW, keys=key_of(image), new=image, event_id=str(number), size=0)))
    changes = {wire.key_of(images.SCHEMA, change.keys): change for change in changes_of(drain(held.stream, *shards))}
    assert changes.keys() == hard.keys()
    assert all(wire.same_image(changes[key].new or b"", image) for key, image in hard.items())


def key_of(image: bytes) -> bytes:
    fields = wire.decode(image)
    return wire.encode({name: fields[name] for name in images.SCHEMA.names})


def test_an_open_shard_has_no_end(held: Stream) -> None:
    shard = held.put(b"{}")  # no change of a table: whoever puts it there stops the tail, rather than being passed over
    with pytest.raises(MalformedRecord, match=shard) as caught:
        drain(held.stream, shard)
    assert "write to this stream" in caught.value.hint
    (other,) = {each.id for each in held.stream.facts().shards} - {shard}
    iterator = held.stream.iterator(other, None)
    for _ in range(3):
        page = held.stream.read(other, iterator)
        assert (page.changes, page.reached, page.behind) == ([], None, 0)
        assert page.next is not None
        iterator = page.next


def test_what_does_not_exist(held: Stream) -> None:
    with pytest.raises(NotFound):
        held.stream.iterator("shardId-000000000999", None)
    with pytest.raises(Failed):
        held.stream.read(held.stream.facts().shards[0].id, "nonsense")
    with pytest.raises(NotFound):
        KinesisStream(kinesis(held.aws), held.arn + "-gone", "flights", LABEL).facts()
    for arn in ("x", held.arn.replace("kinesis", "dynamodb"), held.arn.replace(":stream/", ":table/")):
        with pytest.raises(UsageError, match="ARN of a Kinesis stream"):
            KinesisStream(kinesis(held.aws), arn)


def test_a_place_that_the_stream_does_not_take(held: Stream) -> None:
    """As where it is older than the oldest record."""
    refused = answer(400, '{"__type":"InvalidArgumentException","message":"StartingSequenceNumber is not valid"}')
    with FaultProxy(held.aws.endpoint("kinesis")) as proxy:
        proxy.on(refused, operation="GetShardIterator")
        stream = KinesisStream(kinesis(held.aws, url=proxy.url), held.arn, "flights", LABEL)
        with pytest.raises(RecordsTrimmed):
            stream.iterator(stream.facts().shards[0].id, "49600000000000000000000000000000000000000000000000000001")
