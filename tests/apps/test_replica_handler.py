"""The replicator's Lambda handler on real servers: a batch brought over, again and in disorder; what it refuses and says."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from backstream.apps import aws_replica
from backstream.errors import MissingTable, Refused, UsageError
from backstream.model.changes.change import Change
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.streams import DynamoStream
from kit.clock import ManualClock
from kit.images import image, key
from kit.invocations import Invocation
from kit.records import lambda_record
from kit.scene import Scene

Record = dict[str, Any]
SECRET = "4111-1111-1111-1111"  # noqa: S105 - not one


@pytest.fixture
def copy(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> str:
    """A table with a stream, and an empty one beside it that the environment names as its replica."""
    name = f"{scene.table}-copy"
    scene.create()
    scene.live().enable_stream()
    scene.create(name)
    for variable, value in {**scene.environment, "BACKSTREAM_REPLICA": name}.items():
        monkeypatch.setenv(variable, value)
    return name


def records(scene: Scene) -> list[Record]:
    """All that is in the stream, as an event's."""
    arn = scene.live().facts().stream_arn
    assert arn is not None
    stream = DynamoStream(BotoRaw(scene.aws.client("dynamodbstreams", config=recommended_config())), arn)
    found: list[Change] = []
    for shard in stream.facts().shards:
        found += stream.read(shard.id, stream.iterator(shard.id, None)).changes
    return [lambda_record(change, arn) for change in found]


def deliver(found: list[Record], context: Invocation | None = None) -> list[str]:
    answer = aws_replica.handler({"Records": found}, context or Invocation())
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


def test_any_delivery_makes_the_tables_alike(scene: Scene, copy: str, capsys: pytest.CaptureFixture[str]) -> None:
    scene.put(*(image("z", number, v={"S": SECRET}, b={"B": "AAH/"}) for number in range(30)))
    scene.put(image("z", 1, v={"N": "1.50"}))
    scene.delete(key("z", 2), key("z", 3))
    found = records(scene)
    chance = random.Random(5)
    for _ in range(3):
        chance.shuffle(found)
        assert deliver(found[:20]) == []
    assert deliver(found) == []
    assert scene.items(copy) == scene.items()
    *_, line = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["table"], told["target"], told["count"], told["failures"]) == (scene.table, copy, len(found), 0)
    assert told["ReplicaChanges"] == len(found)
    assert told["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Backstream"
    assert SECRET not in line


def test_a_poison_record_is_named_and_the_rest_is_done(scene: Scene, copy: str, capsys: pytest.CaptureFixture[str]) -> None:
    scene.put(image("z", 1), image("z", 2, v={"S": SECRET}), image("z", 3))
    found = records(scene)
    del found[1]["dynamodb"]["NewImage"]
    assert deliver(found) == [found[1]["dynamodb"]["SequenceNumber"]]
    assert len(scene.items(copy)) == 2
    assert SECRET not in capsys.readouterr().out


class Hasty:
    """A clock by which six seconds pass between any two looks."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        self._now += 6
        return self._now


def test_what_there_is_no_time_for_is_delivered_again(scene: Scene, copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.put(*(image("z", number) for number in range(6)))
    found = sorted(records(scene), key=lambda each: int(each["dynamodb"]["SequenceNumber"]))
    with monkeypatch.context() as patch:
        patch.setattr(aws_replica, "TOGETHER", 2)
        patch.setattr(aws_replica, "SystemClock", Hasty)
        assert deliver(found, Invocation(20, ManualClock())) == [found[2]["dynamodb"]["SequenceNumber"]]
    assert len(scene.items(copy)) == 2
    assert deliver(found[2:]) == []
    assert scene.items(copy) == scene.items()


def test_the_older_replicators_variables(scene: Scene, copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKSTREAM_REPLICA")
    monkeypatch.setenv("ReplicaTable", copy)
    monkeypatch.setenv("ReplicaRegion", scene.environment.get("AWS_REGION") or scene.environment["AWS_DEFAULT_REGION"])
    scene.put(image("z", 1))
    assert deliver(records(scene)) == []
    assert scene.items(copy) == scene.items()


@pytest.mark.parametrize(
    ("variables", "error", "said"),
    [
        ({"BACKSTREAM_REPLICA": ""}, UsageError, "BACKSTREAM_REPLICA"),
        ({"BACKSTREAM_REPLICA": "nowhere-at-all"}, MissingTable, "nowhere-at-all"),
        ({"BACKSTREAM_REPLICA_DELETES": "some"}, UsageError, "all, not-ttl, none"),
        ({"ReplicaTable": "another"}, UsageError, "ReplicaTable"),
    ],
)
def test_wrong_variables_are_said_and_nothing_is_written(
    scene: Scene, copy: str, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], error: type[Exception], said: str
) -> None:
    scene.put(image("z", 1))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(error, match=said):
        deliver(records(scene))
    assert scene.items(copy) == {}


def test_the_table_itself_is_no_replica(scene: Scene, copy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTREAM_REPLICA", scene.table)
    scene.put(image("z", 1))
    with pytest.raises(Refused, match="same table"):
        deliver(records(scene))
    assert scene.items(copy) == {}


@pytest.mark.parametrize("event", [{}, {"Records": [{"eventSource": "aws:sqs", "body": ""}]}, {"Records": [{}]}])
def test_an_event_of_another_service(copy: str, event: dict[str, Any]) -> None:
    assert copy
    with pytest.raises(UsageError, match=r"stream|eventSourceARN"):
        aws_replica.handler(event, None)
