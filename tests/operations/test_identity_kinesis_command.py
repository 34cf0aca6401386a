"""A Kinesis stream, or the table behind it, is another one: end to end by the command line and the handler, on real servers."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from backstream.apps import aws_lambda
from backstream.errors import Refused
from backstream.model.tables.creation import on_demand
from backstream.operations.setup.destination import AGAIN
from kit.images import SCHEMA, image, key
from kit.invocations import Invocation
from kit.kinesis import Record, Writes, active_stream, record
from kit.scene import Scene, next_second

REMADE = "the Kinesis stream was deleted and created again"
RECREATED = "the table was deleted and created again"


class Told:
    """A table of three rows whose changes go to a Kinesis stream of one shard, all of it in the vault."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.name = f"changes-{uuid.uuid4().hex[:8]}"
        scene.create()
        self.create_stream()
        assert scene.call("init", scene.table, "--kinesis", self.arn).code == 0
        next_second()
        scene.put(*(image("z", number) for number in range(3)))
        assert self.witness() == (0, "")

    def create_stream(self) -> None:
        self.scene.aws.client("kinesis").create_stream(StreamName=self.name, ShardCount=1)
        self.arn = active_stream(self.scene.aws, self.name)
        self.enable()

    def enable(self) -> None:
        self.scene.aws.client("dynamodb").enable_kinesis_streaming_destination(TableName=self.scene.table, StreamArn=self.arn)

    def remake_stream(self) -> None:
        client = self.scene.aws.client("dynamodb")
        client.disable_kinesis_streaming_destination(TableName=self.scene.table, StreamArn=self.arn)
        self.scene.aws.client("kinesis").delete_stream(StreamName=self.name)
        next_second()
        next_second()
        self.create_stream()

    def recreate_table(self) -> None:
        self.scene.live().delete()
        next_second()
        self.scene.live().create(on_demand(SCHEMA))  # not `scene.create`: the vault stays the other table's
        self.enable()

    def witness(self) -> tuple[int, str]:
        ran = self.scene.call("witness", self.scene.table)
        return ran.code, "\n".join(line for line in ran.err.splitlines() if line.startswith(("GAP", "error")))

    def gaps(self) -> list[str]:
        return [gap.reason for gap in self.scene.vault().gaps.all()]

    def deliver(self, found: list[Record]) -> list[str]:
        with patch.dict("os.environ", self.scene._whole({}), clear=True):
            answer = aws_lambda.handler({"Records": found}, Invocation())
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    def written(self) -> list[str]:
        return [each.name for each in self.scene.store().versions("")]


@pytest.fixture
def told(scene: Scene) -> Told:
    return Told(scene)


@pytest.fixture(autouse=True)
def fresh_functions() -> Iterator[None]:
    """As a new process of the function."""
    yield
    aws_lambda._recognised.clear()


def given_up(arn: str, found: list[Record]) -> bytes:
    """As Lambda leaves a batch of a Kinesis stream in S3."""
    numbers = [each["kinesis"]["sequenceNumber"] for each in found]
    info = {
        "shardId": "shardId-000000000000",
        "startSequenceNumber": numbers[0],
        "endSequenceNumber": numbers[-1],
        "approximateArrivalOfFirstRecord": "2026-11-30T00:00:00Z",
        "approximateArrivalOfLastRecord": "2026-11-30T00:00:00Z",
        "batchSize": len(found),
        "streamArn": arn,
    }
    told = {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3}
    body = {"requestContext": told, "version": "1.0", "timestamp": "2026-11-30T00:00:00.000Z", "KinesisBatchInfo": info}
    return json.dumps({**body, "payload": json.dumps({"Records": found})}).encode()


def made(told: Told, number: int) -> Record:
    writes = Writes(told.scene.table)
    writes.put(number, int(time.time()) * 1_000_000)
    return record(writes.data[0], 10**9, arn=told.arn)


@pytest.mark.parametrize("who", ["witness", "init"])
def test_a_stream_that_was_made_again(told: Told, who: str) -> None:
    """Its ARN is the same. What was written meanwhile is a gap, and no row is deleted or reverted on its account."""
    told.scene.delete(key("z", 0))  # the stream that is deleted held it, and nobody has read it
    told.remake_stream()
    told.scene.put(image("z", 7))
    told.scene.delete(key("z", 1))
    missed = next_second()
    if who == "init":
        ran = told.scene.call("init", told.scene.table, "--kinesis", told.arn)
        assert (ran.code, f"{REMADE}: changes of" in ran.out + ran.err) == (0, True), ran.err
        assert "nothing to change" not in ran.out
        assert "nothing to change" in told.scene.call("init", told.scene.table, "--kinesis", told.arn).out
        assert told.witness() == (0, "")
    else:
        code, said = told.witness()
        assert (code, REMADE in said, said.startswith("GAP: ")) == (1, True, True), "changes are lost"
    assert told.gaps() == [REMADE]
    assert told.witness() == (0, ""), "once"
    refused = told.scene.call("restore", told.scene.table, "--at", str(missed), "--in-place", "--yes")
    assert (refused.code, REMADE in refused.err) == (4, True), refused.err
    assert len(told.scene.items()) == 2
    history = told.scene.call("history", told.scene.table, key("z", 7).decode(), "--json")
    assert [each["event"] for each in history.json()] == ["INSERT"], "the new stream was read from its beginning"
    assert told.scene.call("check", told.scene.table).code == 0


@pytest.mark.parametrize("who", ["function", "witness", "tail", "init"])
def test_a_table_that_was_made_again_behind_it(told: Told, who: str) -> None:
    told.recreate_table()
    told.scene.put(image("z", 7))
    missed = next_second()
    if who == "function":
        assert told.deliver([made(told, 7)]) == []
    elif who == "tail":
        ran = told.scene.call("tail", told.scene.table, "--until-caught-up")
        assert (ran.code, RECREATED in ran.err) == (1, True), "changes are lost"
    elif who == "init":
        ran = told.scene.call("init", told.scene.table, "--kinesis", told.arn)
        assert (ran.code, f"{RECREATED}: changes of" in ran.out + ran.err) == (0, True), ran.err
    told.witness()
    assert set(told.gaps()) == {RECREATED}, (
        "one, or a second that goes on where the first ended: who looks a second later sees further"
    )
    refused = told.scene.call("restore", told.scene.table, "--at", str(missed), "--in-place", "--yes")
    assert (refused.code, RECREATED in refused.err) == (4, True), refused.err
    assert len(told.scene.items()) == 1, "rows of the table before do not come back"


@pytest.mark.parametrize(("what", "words"), [("table", RECREATED), ("stream", REMADE)])
def test_under_a_running_tail(told: Told, what: str, words: str) -> None:
    """It claims nothing more, ends with exit 1, and says what to do; the next one records the gap."""
    running = told.scene.start("tail", told.scene.table)
    before = len(told.written())
    told.scene.put(image("z", 5))
    while len(told.written()) == before:
        time.sleep(0.1)
    if what == "table":
        told.recreate_table()
        running.send_signal(signal.SIGTERM)
    else:
        told.remake_stream()
    _, err = running.communicate(timeout=240)
    assert running.returncode == 1, err
    found = f"{'the table ' + told.scene.table + words.removeprefix('the table')}: nothing more is claimed of the one before"
    # It may ask just while there is neither, or while the table's changes go nowhere.
    gone = f"{told.scene.table} not found" if what == "table" else f"{told.arn} not found"
    said = (found, f"{words}: nothing more is claimed", gone, "(a recorded gap): nothing more is claimed")
    assert any(each in err for each in said), err
    told.witness()
    gaps = told.gaps()
    assert gaps.count(words) == 1 or AGAIN in gaps, gaps  # the time in which changes went nowhere holds the other one


@pytest.mark.parametrize("place", ["us-east-1:111122223333", "eu-west-1:000000000000"])
def test_a_stream_of_another_account_or_region(told: Told, place: str) -> None:
    theirs = told.arn.replace("us-east-1:000000000000", place)
    before = told.written()
    found = [{**made(told, 9), "eventSourceARN": theirs}]
    with pytest.raises(Refused, match="nothing of this was kept"):
        told.deliver(found)
    assert told.written() == before
    failed = f"{told.scene.bucket}-failed"
    client = told.scene.aws.client("s3")
    client.create_bucket(Bucket=failed)
    client.put_object(Bucket=failed, Key="aws/lambda/5a5f0a9c/shardId-1/batch", Body=given_up(theirs, found))
    ran = told.scene.call("redrive", told.scene.table, "--from", f"s3://{failed}")
    assert (ran.code, f"not from {theirs}" in ran.out + ran.err) == (1, True), ran.out + ran.err
    assert [each for each in told.written() if "/log/" in each] == [each for each in before if "/log/" in each]
    assert client.list_objects_v2(Bucket=failed)["KeyCount"] == 1
    ran = told.scene.call("init", told.scene.table, "--kinesis", theirs)
    assert ran.code in (1, 4), ran.err
    assert [each for each in told.written() if "catalog" in each] == [each for each in before if "catalog" in each]
