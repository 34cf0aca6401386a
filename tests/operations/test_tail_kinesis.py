"""`init --kinesis` and `tail` on a Kinesis stream: what the vault says afterwards is what the table held."""

from __future__ import annotations

import json
import os
import random
import time
import uuid
from collections.abc import Sequence
from unittest.mock import patch

import pytest

from backstream.apps import library
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import Segment, SegmentKind
from kit import images
from kit.kinesis import Writes, active_stream
from kit.proxy import FaultProxy, answer, first
from kit.scene import QUICK, Scene, same
from kit.states import state_at

END_OF_TIME = 10**11
LATE = 300


class Told:
    """A table whose changes go to a Kinesis stream of two shards."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.name = f"changes-{uuid.uuid4().hex[:8]}"
        self.client = scene.aws.client("kinesis")
        self.client.create_stream(StreamName=self.name, ShardCount=2)
        self.arn = active_stream(scene.aws, self.name)
        self.enabled = False
        scene.create()

    def enable(self) -> None:
        self.enabled = True
        self.scene.aws.client("dynamodb").enable_kinesis_streaming_destination(TableName=self.scene.table, StreamArn=self.arn)

    def init(self, *words: str) -> None:
        if not self.enabled:
            self.enable()
        ran = self.scene.call("init", self.scene.table, "--kinesis", self.arn, *words)
        assert ran.code == 0, ran.err

    def put(self, contents: Sequence[bytes]) -> None:
        """Put these records into the stream, each to one of its shards by what it is of."""
        for content in contents:
            key = json.dumps(json.loads(content)["dynamodb"]["Keys"])
            self.client.put_record(StreamName=self.name, PartitionKey=key, Data=content)

    def tail(self) -> int:
        """How many changes one run captured."""
        with patch.dict(os.environ, {**self.scene.environment, "BACKSTREAM_VAULT": self.scene.url}):
            return library.open().table(self.scene.table).tail(until_caught_up=True, settings=QUICK).captured

    def segments(self, kind: SegmentKind = SegmentKind.KINESIS) -> list[Segment]:
        return [each.segment for each in self.scene.vault().log.listing() if each.segment and each.segment.kind is kind]


@pytest.fixture
def told(scene: Scene) -> Told:
    return Told(scene)


@pytest.mark.soak
@pytest.mark.parametrize("layout", list(Layout))
def test_changes_in_disorder_and_again(told: Told, layout: Layout) -> None:
    """Hours apart and microseconds apart, some of them twice, and those of another table between them."""
    told.init("--layout", str(layout))
    source, now = random.Random(1), (int(time.time()) - 7200) * 1_000_000
    writes, others = Writes(told.scene.table), Writes("another")
    for _ in range(20):
        now += source.choice([1, 1000, 300_000_000])
        if source.random() < 0.2:
            writes.delete(source.randrange(4), now)
        else:
            writes.put(source.randrange(4), now)
        others.put(source.randrange(4), now)
    contents = [*writes.data, *source.sample(writes.data, 6), *others.data]
    source.shuffle(contents)
    told.put(contents[:24])
    first = told.tail()
    told.put(contents[24:])
    second = told.tail()
    assert first + second == len(writes.data) + 6
    assert told.tail() == 0, "what is durable is not read again"
    vault = told.scene.vault()
    for at in {second for second, _, _ in writes.history} | {END_OF_TIME}:
        assert state_at(vault, at) == writes.state(at)
    shards = {segment.kinesis_shard for segment in told.segments()}
    assert len(shards) == 2
    marks = told.segments(SegmentKind.MARK)
    assert time.time() - LATE - 60 < max(mark.max_time for mark in marks) <= time.time() - LATE, "no more than that is claimed"


def test_from_the_table_to_the_restored_one(told: Told) -> None:
    """The server's own streaming destination."""
    told.init()
    scene = told.scene
    for version in range(3):
        scene.put(*(images.image("z", number, v={"N": str(version)}) for number in range(10)))
    scene.delete(images.key("z", 3))
    assert told.tail() == 31
    assert same(state_at(scene.vault(), END_OF_TIME), scene.items())
    ran = scene.call("status", scene.table, "--json")
    assert ran.code == 0
    assert ran.json()["captured_by"] == ["tail (Kinesis)"]


def test_a_table_whose_changes_do_not_go_there(told: Told) -> None:
    ran = told.scene.call("init", told.scene.table, "--kinesis", told.arn)
    assert ran.code == 4
    assert "enable-kinesis-streaming-destination" in ran.err
    ran = told.scene.call("init", told.scene.table, "--kinesis", told.arn + "-gone")
    assert ran.code == 1
    ran = told.scene.call("init", told.scene.table, "--kinesis", "changes")
    assert ran.code == 2
    told.init()
    told.scene.aws.client("dynamodb").disable_kinesis_streaming_destination(TableName=told.scene.table, StreamArn=told.arn)
    ran = told.scene.call("tail", told.scene.table, "--until-caught-up")
    assert ran.code == 4
    assert "enable-kinesis-streaming-destination" in ran.err


def test_from_the_tables_own_stream_to_kinesis(told: Told) -> None:
    """A gap lies between the two, until a base backup makes up for it; the state is right whatever came twice."""
    scene = told.scene
    scene.init()
    scene.put(*(images.image("z", number, v={"N": "1"}) for number in range(5)))
    scene.tail()
    told.enable()
    scene.put(*(images.image("z", number, v={"N": "2"}) for number in range(5)))
    told.init()
    assert told.tail() == 5
    assert same(state_at(scene.vault(), END_OF_TIME), scene.items())
    status = scene.call("status", scene.table, "--json").json()
    (gap,) = status["gaps"]
    assert told.arn in gap["reason"]
    assert status["captured_by"] == ["tail", "tail (Kinesis)"]
    again = scene.call("init", scene.table, "--kinesis", told.arn, "--json").json()
    assert again["changes"] == []
    assert "MICROSECOND" in again["advice"][0]
    assert len(list(scene.vault().gaps.all())) == 1


def test_a_line_for_each_segment(scene: Scene) -> None:
    """The fields of the function's log, on stderr, of the table's own stream."""
    scene.create()
    scene.init()
    scene.put(*(images.image("z", number, secret={"S": "4111"}) for number in range(10)))
    ran = scene.call("tail", scene.table, "--until-caught-up", "--log", "json", "--json")
    assert ran.code == 0, ran.err
    assert ran.json()["captured"] == 10
    told = [json.loads(line) for line in ran.err.splitlines() if line.startswith("{")]
    assert sum(line["captured"] for line in told) == sum(line["Changes"] for line in told) == 10
    (segment, *_) = [each.segment for each in scene.vault().log.listing() if each.segment and each.segment.count]
    assert (told[0]["shard"], told[0]["first"], told[0]["table"]) == (segment.shard, segment.first, scene.table)
    assert told[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Backstream"
    assert "4111" not in ran.err
    assert scene.call("tail", scene.table, "--until-caught-up", environment={"BACKSTREAM_LOG": "loud"}).code == 2


def test_throttling_is_waited_out(told: Told) -> None:
    told.init("--layout", "log")
    writes = Writes(told.scene.table)
    writes.put(1, int(time.time()) * 1_000_000)
    told.put(writes.data)
    busy = answer(400, '{"__type":"ProvisionedThroughputExceededException","message":"slow down"}')
    with FaultProxy(told.scene.aws.endpoint("kinesis")) as proxy:
        proxy.on(busy, operation="GetRecords", when=first(3))
        told.scene.environment["AWS_ENDPOINT_URL_KINESIS"] = proxy.url
        assert told.tail() == 1
