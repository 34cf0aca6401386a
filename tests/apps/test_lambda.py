"""The Lambda handler, called directly: what it keeps, what it reports, and what delivering again makes of it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from backstream.apps import aws_lambda
from backstream.apps.config import VAULT_VARIABLE
from backstream.errors import NotFound, UsageError, WrongStreamView
from backstream.model.changes.change import VIEW
from backstream.model.values import wire
from backstream.operations.inspect.history import history
from backstream.ports import Put
from backstream.tables.memory import TTL_ACTOR
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit import images
from kit.aws import Aws
from kit.invocations import Invocation, LambdaStage, Record, object_of

SECRET = "4111-1111-1111-1111"  # noqa: S105 - not one


@pytest.fixture(params=["s3 rows", "file log", *(pytest.param(each, marks=pytest.mark.soak) for each in ("s3 log", "file rows"))])
def stage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LambdaStage:
    """A table whose stream goes to the handler; the vault is that of the handler's environment."""
    kind, layout = request.param.split()
    url = tmp_path.as_uri()
    if kind == "s3":
        aws: Aws = request.getfixturevalue("aws")
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{request.getfixturevalue('bucket')}/some/prefix"
    monkeypatch.setenv(VAULT_VARIABLE, url)
    return LambdaStage(layout=Layout(layout))


def malformed(record: Record) -> Record:
    """The record without its image; the number and time stay."""
    body = {name: value for name, value in record["dynamodb"].items() if name not in ("NewImage", "OldImage")}
    return {**record, "dynamodb": body}


def times_kept(stage: LambdaStage, number: int) -> int:
    """How many changes the vault's history holds of an item."""
    return len(history(stage.vault(), wire.key_of(images.SCHEMA, images.key("z", number))))


# --- events -----------------------------------------------------------------------------------------------------------------------


def test_a_batch_is_kept(stage: LambdaStage) -> None:
    stage.put(range(20))
    stage.manual.move(1)
    stage.delete(range(5))
    assert stage.deliver(stage.records()) == []
    assert stage.captured() == stage.expected()
    (segment,) = stage.segments(SegmentKind.LAMBDA)
    assert segment.count == 25
    assert stage.vault().window(time.time()).until is None, "a function alone proves nothing"
    assert stage.window_until() == stage.changes()[-1].seconds - 1


def test_hard_images_come_out_as_they_went_in(stage: LambdaStage) -> None:
    hard = {wire.key_of(images.SCHEMA, image): image for image in images.hard_images().values()}
    for image in hard.values():
        stage.table.write([Put(image)])
    records = stage.records()
    assert any("QUJD" in json.dumps(record) or "AA==" in json.dumps(record) for record in records), "binary as base64 text"
    for start in range(0, len(records), 20):
        assert stage.deliver(records[start : start + 20]) == []
    kept = stage.captured()
    assert kept.keys() == hard.keys()
    assert all(wire.same_image(kept[key], hard[key]) for key in hard)


def test_binary_keys(stage: LambdaStage) -> None:
    """Base64 text in the event is base64 text in the vault, at any depth."""
    inner = base64.b64encode(b"\x00\xff").decode()
    image = images.image("b", 1, deep={"M": {"l": {"L": [{"B": inner}, {"BS": [inner]}]}}})
    stage.table.write([Put(image)])
    assert stage.deliver(stage.records()) == []
    assert list(stage.captured().values()) == [image]


def test_a_delete_by_time_to_live_keeps_its_actor(stage: LambdaStage) -> None:
    stage.put([1])
    stage.table.expire([images.key("z", 1)])
    records = stage.records()
    records[-1]["userIdentity"] = {"type": "Service", "principalId": TTL_ACTOR}
    assert stage.deliver(records) == []
    last = history(stage.vault(), wire.key_of(images.SCHEMA, images.key("z", 1)))[-1]
    assert (last.event, last.actor) == ("REMOVE", TTL_ACTOR)


def test_invocations_side_by_side_are_told_apart(stage: LambdaStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTREAM_PARALLELIZATION", "4")
    stage.put(range(5))
    assert stage.deliver(stage.records()) == []
    assert len(stage.segments(SegmentKind.PARALLEL)) == 1
    assert stage.vault().window(time.time()).until is None, "a function alone proves nothing"
    assert stage.captured() == stage.expected()


# --- what is no record ------------------------------------------------------------------------------------------------------------


def test_malformed_records_do_not_hide_the_others(stage: LambdaStage, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        stage.put([number])
        stage.manual.move(10)
    records = stage.records()
    for position in (3, 7):
        records[position] = malformed(records[position])
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    assert stage.deliver(records) == [numbers[3]], "the lowest: Lambda goes on from there"
    told = json.loads(capsys.readouterr().out)
    assert [(failed["sequence"], failed["error"]) for failed in told["failed"]] == [
        (numbers[3], "MalformedRecord"),
        (numbers[7], "MalformedRecord"),
    ]
    assert (told["count"], told["captured"]) == (10, 8)
    assert [number for number in range(10) if times_kept(stage, number) == 0] == [3, 7]
    assert sorted(gap.sequence or "" for gap in stage.vault().coverage.lost()) == sorted([numbers[3], numbers[7]])
    assert stage.window_until() == stage.changes()[3].seconds - 1
    assert stage.redeliver(records, [numbers[3]]) == [numbers[3]]
    assert len(list(stage.vault().gaps.all())) == 2, "the same gaps, once"


def test_a_malformed_record_that_is_mended_closes_its_gap(stage: LambdaStage) -> None:
    stage.put(range(5))
    records = stage.records()
    assert stage.deliver([*records[:2], malformed(records[2]), *records[3:]]) != []
    assert stage.deliver(records) == []
    assert stage.vault().coverage.lost() == []
    assert stage.window_until() == stage.changes()[-1].seconds - 1


@pytest.mark.parametrize("position", [0, 4, 9])
def test_a_malformed_record_without_a_number(stage: LambdaStage, position: int) -> None:
    for number in range(10):
        stage.put([number])
        stage.manual.move(10)
    records = stage.records()
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    records[position] = {"eventName": "INSERT", "dynamodb": {}}
    expected = numbers[position - 1] if position else ""
    assert stage.deliver(records) == [expected], "the record before it, or the whole batch"
    assert [number for number in range(10) if times_kept(stage, number) == 0] == [position]
    (gap,) = stage.vault().coverage.lost()
    assert gap.since <= stage.changes()[position].seconds <= gap.until
    assert stage.deliver(records) == [expected]
    assert len(stage.vault().coverage.lost()) == 1
    assert (stage.window_until() or 0) < stage.changes()[position].seconds


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ({}, "has no Records"),
        ({"Records": None}, "has no Records"),
        ({"Records": {}}, "has no Records"),
        ([], "has no Records"),
        ({"Records": [{}]}, "no record names its eventSourceARN"),
        ({"Records": [{"eventSource": "aws:dynamodb"}]}, "no record names its eventSourceARN"),
        ({"Records": [{"eventSource": "aws:s3"}]}, "an event of 'aws:s3'"),
        ({"Records": [{"EventSource": "aws:sns"}]}, "an event of 'aws:sns'"),
    ],
)
def test_an_event_that_is_none(stage: LambdaStage, event: Any, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        aws_lambda.handler(event, Invocation())
    assert stage.log() == []


@pytest.mark.parametrize("source", ["aws:s3", "aws:sqs", "aws:dynamodbx", ""])
def test_a_record_of_another_source_is_refused_whatever_else_it_says(stage: LambdaStage, source: str) -> None:
    """Also among sound ones: what is delivered is not what a stream says."""
    stage.put(range(3))
    records = stage.records()
    records[1] = {**records[1], "eventSource": source}
    with pytest.raises(UsageError, match="not an event of a stream: an event of"):
        aws_lambda.handler({"Records": records}, Invocation())
    assert stage.log() == []


def test_an_event_without_records_is_nothing_to_keep(stage: LambdaStage) -> None:
    assert aws_lambda.handler({"Records": []}, Invocation()) == {"batchItemFailures": []}
    assert stage.log() == []


def test_records_without_whole_items_are_refused(stage: LambdaStage) -> None:
    stage.put(range(3))
    records = stage.records()
    for record in records:
        assert record["dynamodb"]["StreamViewType"] == VIEW
        record["dynamodb"]["StreamViewType"] = "KEYS_ONLY"
        del record["dynamodb"]["NewImage"]
    with pytest.raises(WrongStreamView, match="KEYS_ONLY") as caught:
        stage.deliver(records)
    assert "NEW_AND_OLD_IMAGES" in caught.value.hint
    assert stage.log() == []


def test_a_table_that_was_never_initialised(stage: LambdaStage) -> None:
    stage.put(range(3))
    records = stage.records()
    for record in records:
        record["eventSourceARN"] = record["eventSourceARN"].replace("flights", "orders")
    with pytest.raises(NotFound, match="orders") as caught:
        stage.deliver(records)
    assert "backstream init orders" in caught.value.hint


# --- delivered again, late, out of order ------------------------------------------------------------------------------------------


def versions(stage: LambdaStage) -> int:
    return sum(1 for _ in stage.store.versions("flights/"))


def test_a_whole_batch_delivered_twice(stage: LambdaStage) -> None:
    stage.put(range(10))
    stage.put(range(5))
    stage.delete(range(3))
    records = stage.records()
    assert stage.deliver(records) == []
    before = (versions(stage), stage.log(), dict(stage.captured()))
    assert stage.deliver(records) == []
    assert (versions(stage), stage.log(), dict(stage.captured())) == before


def test_the_first_of_two_changes_delivered_again_alone(stage: LambdaStage) -> None:
    stage.put([1])
    stage.manual.move(5)
    stage.put([1])
    one, two = stage.records()
    assert stage.deliver([one, two]) == []
    assert stage.deliver([one]) == []
    assert stage.captured() == stage.expected()
    assert times_kept(stage, 1) == 2
    if stage.vault().catalog.layout is Layout.ROWS:
        assert stage.store.get(object_of(1)).body == next(iter(stage.expected().values())), "for plain S3 tools, too"


def test_an_insert_delivered_again_after_its_remove(stage: LambdaStage) -> None:
    stage.put([1, 2])
    stage.manual.move(5)
    stage.delete([1])
    first, second, third = stage.records()
    for batch in ([first, second], [third], [first]):
        assert stage.deliver(batch) == []
    assert stage.captured() == stage.expected()
    assert times_kept(stage, 1) == 2
    assert object_of(1) not in [each.name for each in stage.store.list("flights/")]


def test_a_change_that_comes_an_hour_late(stage: LambdaStage) -> None:
    stage.put([1])
    then = stage.changes()[0].seconds
    stage.manual.move(3600)
    stage.put([1])
    early, late = stage.records()
    assert stage.deliver([late]) == []
    assert stage.captured(then + 1800) == {}
    assert stage.deliver([early]) == []
    assert stage.captured(then + 1800) == stage.expected(then + 1800) != {}
    assert stage.captured() == stage.expected()


def test_nothing_of_an_item_is_printed(stage: LambdaStage, capfd: pytest.CaptureFixture[str]) -> None:
    stage.table.write([Put(images.image(SECRET, number, card={"S": SECRET})) for number in range(6)])
    records = stage.records()
    records[1] = malformed(records[1])
    records[2]["dynamodb"]["NewImage"]["card"] = SECRET  # no typed value
    records[3]["dynamodb"]["Keys"]["number"] = {"S": SECRET}  # of another type than the table's key
    records[4]["dynamodb"]["NewImage"]["zone"] = {"S": f"{SECRET}-other"}  # another item's image
    records[5]["eventName"] = None
    assert stage.deliver(records) == [records[1]["dynamodb"]["SequenceNumber"]]
    printed = "".join(capfd.readouterr())
    assert len(json.loads(printed)["failed"]) == 5
    assert SECRET not in printed
    for each in stage.store.list("_backstream/flights/gaps/"):
        assert SECRET not in stage.store.get(each.name).body.decode()


def test_importing_the_handler_loads_nothing_that_lambda_has_no_use_for() -> None:
    """Each cold start pays for every import."""
    code = "import sys, backstream.apps.aws_lambda; print(json.dumps([m for m in sys.modules]))"
    out = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, text=True, check=True).stdout
    loaded = {module.partition(".")[0] for module in json.loads(out)}
    assert {"backstream", "msgspec"} <= loaded
    assert loaded & {"boto3", "botocore", "rich", "click", "ministack", "hypothesis", "pytest"} == set()
