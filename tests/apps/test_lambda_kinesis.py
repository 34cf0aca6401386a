"""The Lambda handler on a Kinesis stream: what it keeps, of which table, and what it reports."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.apps import aws_lambda
from backstream.apps.config import VAULT_VARIABLE, Config
from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.errors import MalformedRecord, NotFound, Refused, UsageError
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.tables.setup import SetupStep
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.aws import Aws
from kit.clock import ManualClock
from kit.invocations import LONG, Invocation, timed_by
from kit.kinesis import ARN, SHARD, Record, Writes, record
from kit.proxy import FaultProxy, Forward, Request, Response
from kit.states import state_at

HOUR = 3600
SECRET = "4111-1111-1111-1111"  # noqa: S105 - not one


def prepared(store: ObjectStore, name: str, layout: Layout, at: int, hours: int = 24) -> MemoryTable:
    """A table whose changes go to the Kinesis stream, and a vault that was made ready for it then."""
    table = MemoryTable(name, ManualClock(at), images.SCHEMA)
    table.apply(SetupStep("Kinesis", "dynamodb", "EnableKinesisStreamingDestination", {"TableName": name, "StreamArn": ARN}))
    init(store, table, InitOptions(layout=layout, kinesis=KinesisSource(ARN, hours * HOUR)))
    return table


class Feed:
    """A table's writes and the handler."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.start = int(time.time()) - 2 * HOUR
        self.store = Config(clock=SystemClock()).store
        prepared(self.store, "flights", layout, self.start)
        self.writes = Writes()

    def micros(self, seconds: float) -> int:
        return round((self.start + seconds) * 1_000_000)

    def vault(self, table: str = "flights") -> TableVault:
        return TableVault.open(self.store, table, engines=LocalEngine)

    def state(self, at: int | None = None, table: str = "flights") -> Mapping[bytes, bytes]:
        return state_at(self.vault(table), int(time.time()) if at is None else at)


def deliver(records: Sequence[Record], context: Invocation | None = None) -> list[str]:
    answer = aws_lambda.handler({"Records": list(records)}, context or Invocation())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def number(made: Record) -> str:
    return str(made["kinesis"]["sequenceNumber"])


@pytest.fixture(params=["file rows", "file log"])
def feed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Feed:
    monkeypatch.setenv(VAULT_VARIABLE, tmp_path.as_uri())
    return Feed(Layout(request.param.split()[1]))


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_batch_in_reverse_and_twice(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    """Two changes within one second, in different microseconds, and everything again."""
    feed.writes.put(1, feed.micros(10.000001))
    feed.writes.put(1, feed.micros(10.000002))
    feed.writes.put(2, feed.micros(10.5))
    feed.writes.delete(2, feed.micros(10.500001))
    records = feed.writes.records()
    assert deliver([*reversed(records), *records]) == []
    assert deliver(records[:1]) == []
    assert feed.state() == feed.writes.state(2**40) != {}
    assert feed.state(feed.start + 9) == {}
    told = lines(capsys)[0]
    assert (told["table"], told["shard"], told["source"], told["count"], told["captured"]) == ("flights", SHARD, ARN, 8, 8)
    assert (told["first"], told["last"]) == (number(records[-1]), number(records[-1]))
    assert told["lag"] == pytest.approx(2 * HOUR - 10.5, abs=900)


def test_a_line_is_cloudwatchs_metrics_too(feed: Feed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    feed.writes.put(1, feed.micros(10))
    assert deliver(feed.writes.records()) == []
    (told,) = lines(capsys)
    (directive,) = told["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Backstream", [["Table"]])
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == {
        "Changes": "Count",
        "Failures": "Count",
        "Lag": "Seconds",
        "Bytes": "Bytes",
        "Duration": "Milliseconds",
    }
    assert (told["Table"], told["Changes"], told["Failures"]) == ("flights", 1, 0)
    assert told["Bytes"] == told["bytes"] > 0
    assert abs(told["_aws"]["Timestamp"] / 1000 - time.time()) < 900
    monkeypatch.setenv("BACKSTREAM_LOG", "plain")
    assert deliver(feed.writes.records()) == []
    (told,) = lines(capsys)
    assert "_aws" not in told
    assert told["captured"] == 1


def test_keys_are_told_only_where_that_is_asked_for(
    feed: Feed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    feed.writes.put(1, feed.micros(10), card={"S": SECRET})
    body = json.loads(feed.writes.data[0])
    body["dynamodb"]["NewImage"]["x"] = SECRET  # no typed value
    made = record(json.dumps(body).encode(), 1)
    assert deliver([made]) == [number(made)]
    printed = capsys.readouterr().out
    assert SECRET not in printed
    assert '"zone"' not in printed
    monkeypatch.setenv("BACKSTREAM_LOG", "plain,keys")
    assert deliver([made]) == [number(made)]
    (told,) = lines(capsys)
    assert told["failed"][0]["keys"] == json.loads(images.key("z", 1))
    assert SECRET not in json.dumps(told)
    monkeypatch.setenv("BACKSTREAM_LOG", "keys,values")
    with pytest.raises(UsageError, match="values"):
        deliver([made])


@pytest.mark.parametrize("position", [0, 2, 4])
@pytest.mark.parametrize("kind", ["no json", "no base64", "no image"])
def test_malformed_records_do_not_hide_the_others(feed: Feed, position: int, kind: str) -> None:
    for each in range(5):
        feed.writes.put(each, feed.micros(100 * each))
    records = feed.writes.records()
    whole = records[position]
    broken = json.loads(json.dumps(whole))
    if kind == "no base64":
        broken["kinesis"]["data"] = "!"
    elif kind == "no json":
        broken = record(b"{", position)
    else:
        body = json.loads(feed.writes.data[position])
        del body["dynamodb"]["NewImage"]
        broken = record(json.dumps(body).encode(), position)
    records[position] = broken
    assert deliver(records) == [number(whole)]
    assert len(feed.state()) == 4, "the others are kept"
    (gap,) = feed.vault().coverage.lost()
    if kind == "no image":
        assert gap.since == gap.until == feed.start + 100 * position
        assert deliver([whole]) == []
        assert feed.vault().coverage.lost() == [], "mended: the gap is closed"
        assert feed.state() == feed.writes.state(2**40)


def test_nothing_readable_is_refused_as_a_whole(feed: Feed, capsys: pytest.CaptureFixture[str]) -> None:
    assert feed.vault()
    with pytest.raises(MalformedRecord):
        deliver([record(b"{", 1), record(b"", 2)])
    (told,) = lines(capsys)
    assert told["error"] == "MalformedRecord"


def test_several_tables_of_one_stream(feed: Feed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each into its own folder. One that was never initialised is not passed over: its records fail, the others' are kept."""
    prepared(feed.store, "orders", feed.layout, feed.start)
    orders, other = Writes("orders"), Writes("secrets")
    feed.writes.put(1, feed.micros(10))
    orders.put(1, feed.micros(11))
    other.put(1, feed.micros(12))
    feed.writes.put(2, feed.micros(13))
    mixed = [feed.writes.data[0], orders.data[0], other.data[0], feed.writes.data[1]]
    records = [record(each, place) for place, each in enumerate(mixed)]
    assert deliver(records) == [number(records[2])]
    assert feed.state() == feed.writes.state(2**40)
    assert feed.state(table="orders") == orders.state(2**40)
    told = {line["table"]: line for line in lines(capsys)}
    assert told["secrets"]["error"] == "NotFound"
    assert "backstream init secrets" in told["secrets"]["hint"]
    with pytest.raises(NotFound, match="secrets"):
        deliver(records[2:3])
    capsys.readouterr()
    monkeypatch.setenv("BACKSTREAM_TABLES", "flights, orders")
    assert deliver(records) == []
    told = {line["table"]: line for line in lines(capsys)}
    assert "BACKSTREAM_TABLES" in told["secrets"]["passed_over"]
    broken = record(b"{", 9)
    assert deliver([records[2], broken]) == [number(broken)], "it may be of a table that is to be kept"


def test_one_source_at_a_time(feed: Feed) -> None:
    feed.writes.put(1, feed.micros(10))
    elsewhere = record(feed.writes.data[0], 1, arn=ARN + "-other")
    with pytest.raises(Refused, match="changes-other") as caught:
        deliver([elsewhere])
    assert f"--kinesis {ARN}-other" in caught.value.hint
    event = {
        "eventSource": "aws:dynamodb",
        "eventName": "REMOVE",
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:000000000000:table/flights/stream/2026-01-01T00:00:00.000",
        "dynamodb": {"SequenceNumber": "1", "Keys": {"a": {"S": "b"}}, "OldImage": {"a": {"S": "b"}}},
    }
    with pytest.raises(Refused, match=ARN):
        deliver([event])
    assert feed.state() == {}


def test_without_a_vault(feed: Feed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    feed.writes.put(1, feed.micros(10))
    monkeypatch.delenv(VAULT_VARIABLE)
    with pytest.raises(UsageError, match="no vault is given"):
        deliver(feed.writes.records())
    (told,) = lines(capsys)
    assert (told["table"], told["count"], told["captured"], told["error"]) == ("flights", 1, 0, "UsageError")
    assert told["Failures"] == 1
    assert VAULT_VARIABLE in told["hint"]


def test_an_order_that_images_contradict_is_a_gap(feed: Feed) -> None:
    """Within one millisecond an item is made, deleted and made again: by its images that is no order that anybody could guess."""
    feed.writes.put(1, feed.micros(5), precision="MILLISECOND")
    feed.writes.put(1, feed.micros(10), precision="MILLISECOND")
    feed.writes.delete(1, feed.micros(10), precision="MILLISECOND")
    assert deliver(feed.writes.records()) == []
    assert feed.vault().coverage.lost() == [], "changed, then deleted: as it was"
    feed.writes.put(1, feed.micros(20), precision="MILLISECOND")
    feed.writes.delete(1, feed.micros(20.001), precision="MILLISECOND")
    feed.writes.put(1, feed.micros(20.001), precision="MILLISECOND")
    for _ in range(2):
        assert deliver(feed.writes.records()) == []
        (gap,) = feed.vault().coverage.lost()
        assert gap.since == gap.until == feed.start + 20
        assert "same time" in gap.reason


def test_the_function_alone_claims_nothing(feed: Feed) -> None:
    """Whatever has arrived, from however many shards: only a watermark proves that nothing is still to come."""
    feed.writes.put(1, feed.micros(10))
    feed.writes.put(2, feed.micros(4000))
    assert deliver(feed.writes.records()) == []
    (segment, *_) = [each.segment for each in feed.vault().log.listing() if each.segment]
    assert segment.kind is SegmentKind.LAMBDA
    assert feed.vault().window(time.time()).durable is None
    feed.vault().log.write_mark(feed.vault().catalog.stream, feed.start + 3_000, writer="witness")
    assert feed.vault().window(time.time()).durable == feed.start + 3_000


# --- large events -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def s3_proxy(aws: Aws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Between the handler and S3."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    with FaultProxy(aws.url) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        monkeypatch.setenv(VAULT_VARIABLE, f"s3://{bucket}/vault")
        yield between


def test_ten_thousand_records_of_six_megabytes(s3_proxy: FaultProxy) -> None:
    assert s3_proxy.url
    feed = Feed(Layout.LOG)
    for each in range(10_000):
        feed.writes.put(each % 4_000, feed.micros(each / 10), pad={"S": "x" * 30})
    records = feed.writes.records()
    assert len(json.dumps({"Records": records})) > 6_000_000
    assert deliver(records) == []
    assert feed.state() == feed.writes.state(2**40)
    assert sum(each.segment.count for each in feed.vault().log.listing() if each.segment) == 10_000


def test_large_images_up_to_the_limit(s3_proxy: FaultProxy) -> None:
    """Ten changes of 300 KB, each with the image before."""
    assert s3_proxy.url
    feed = Feed(Layout.LOG)
    for each in range(10):
        feed.writes.put(each % 2, feed.micros(each), pad={"S": str(each) * 300_000})
    assert deliver(feed.writes.records()) == []
    assert feed.state() == feed.writes.state(2**40)


def test_rows_that_take_too_long_get_further_each_time(s3_proxy: FaultProxy) -> None:
    feed = Feed(Layout.ROWS)
    for each in range(150):
        feed.writes.put(each, feed.micros(each))
    left = feed.writes.records()
    clock = ManualClock(time.time())

    def slowly(request: Request, forward: Forward) -> Response:
        clock.move(2.5)
        return forward(request)

    s3_proxy.on(slowly, method="PUT", path="/vault/flights/")
    deliveries = 0
    while left:
        with timed_by(clock):
            failed = deliver(left, Invocation(LONG, clock))
        begin = [number(each) for each in left].index(failed[0]) if failed else len(left)
        assert begin, "it gets further each time"
        left, deliveries = left[begin:], deliveries + 1
    assert deliveries > 1
    assert feed.state() == feed.writes.state(2**40)
    assert feed.vault().coverage.lost() == []
