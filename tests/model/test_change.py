"""One change has one normal form, whether it comes in a Lambda event, from botocore, or as the Streams API's own JSON."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import MalformedRecord, WrongStreamView
from backstream.model.changes.change import Change, from_page, from_record, stream_label, table_name
from backstream.model.values import wire
from kit import images, strategies

LABEL = "2026-11-23T04:15:33.123"
SEQUENCE = "100000000000000000000123"
SECOND = 1_795_407_333

KEYS = {"zone": {"S": "a"}, "number": {"N": "1"}}
Record = dict[str, Any]


def record(event: str = "MODIFY", item: strategies.Item | None = None, **changed: Any) -> Record:
    """A record as a Lambda event carries it; `changed` replaces fields of its `dynamodb` part, None takes them out."""
    image = {**(item or {}), **KEYS}
    body = {
        "ApproximateCreationDateTime": SECOND,
        "Keys": KEYS,
        "OldImage": None if event == "INSERT" else image,
        "NewImage": None if event == "REMOVE" else image,
        "SequenceNumber": SEQUENCE,
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        **changed,
    }
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {name: value for name, value in body.items() if value is not None},
    }


def as_botocore(of_lambda: Record) -> Record:
    """The same record as botocore parses it: binary as bytes, the time as a datetime, the identity in capitals."""
    body = dict(of_lambda["dynamodb"])
    for name in ("Keys", "OldImage", "NewImage"):
        if name in body:
            body[name] = {attribute: with_bytes(value) for attribute, value in body[name].items()}
    created = body["ApproximateCreationDateTime"]
    body["ApproximateCreationDateTime"] = datetime.datetime.fromtimestamp(created, datetime.timezone(datetime.timedelta(hours=2)))
    given = {**of_lambda, "dynamodb": body}
    if "userIdentity" in given:
        given["userIdentity"] = {name[0].upper() + name[1:]: value for name, value in given["userIdentity"].items()}
    return given


def with_bytes(value: Any) -> Any:
    """An attribute value with its binaries decoded."""
    match value:
        case {"B": text}:
            return {"B": base64.b64decode(text)}
        case {"BS": texts}:
            return {"BS": [base64.b64decode(text) for text in texts]}
        case {"L": values}:
            return {"L": [with_bytes(each) for each in values]}
        case {"M": fields}:
            return {"M": {name: with_bytes(each) for name, each in fields.items()}}
    return value


def as_page(of_lambda: Record) -> bytes:
    """The same record in an answer of GetRecords, written with spaces that no encoder of ours would write."""
    return msgspec.json.format(msgspec.json.encode({"Records": [of_lambda], "NextShardIterator": "next"}), indent=3)


def from_raw(of_lambda: Record) -> Change:
    """The one change of such a page."""
    (change,), following = from_page(as_page(of_lambda), LABEL)
    assert following == "next"
    return change


def without_images(change: Change) -> Change:
    """What is equal byte for byte, whatever the source."""
    return msgspec.structs.replace(change, keys=b"", old=None, new=None)


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two images, or their absence, are the same."""
    return one is other is None or (one is not None and other is not None and wire.same_image(one, other))


# --- three sources, one change ----------------------------------------------------------------------------------------------------


@given(st.sampled_from(["INSERT", "MODIFY", "REMOVE"]), strategies.ITEMS)
def test_three_sources_give_one_change(event: str, item: strategies.Item) -> None:
    given = record(event, item)
    changes = [from_record(given, LABEL), from_record(as_botocore(given), LABEL), from_raw(given)]
    for change in changes:
        assert without_images(change) == without_images(changes[0])
        assert same(change.keys, changes[0].keys)
        assert same(change.old, changes[0].old)
        assert same(change.new, changes[0].new)
        assert (change.old is None) == (event == "INSERT")
        assert (change.new is None) == (event == "REMOVE")


def test_what_a_change_says() -> None:
    change = from_record(record(), LABEL)
    assert (change.stream, change.sequence, change.event, change.actor) == (LABEL, SEQUENCE, "MODIFY", None)
    assert change.event_id == "c4ca4238a0b923820dcc509a6f75849b"
    assert (change.micros, change.seconds) == (SECOND * 1_000_000, SECOND)


@pytest.mark.parametrize("name", images.hard_images())
def test_raw_images_are_the_answers_own_bytes(name: str) -> None:
    image = msgspec.json.format(images.hard_images()[name], indent=5)
    given = record(NewImage=msgspec.Raw(image), Keys=msgspec.Raw(image))
    (change,), _ = from_page(msgspec.json.encode({"Records": [given]}), LABEL)
    assert (change.new, change.keys) == (image, image)


def test_the_end_of_a_shard() -> None:
    assert from_page(b'{"Records":[]}', LABEL) == ([], None)
    assert from_page(b'{"Records":[],"NextShardIterator":null}', LABEL) == ([], None)


def test_order_is_that_of_streams_then_of_integers() -> None:
    sequences = ["9" * 21, "1" + "0" * 21, "1" + "0" * 39]
    changes = [from_record(record(SequenceNumber=each), LABEL) for each in sequences]
    later_stream = from_record(record(SequenceNumber="1" * 21), "2026-11-24T00:00:00.000")
    assert sorted([later_stream, *reversed(changes)], key=lambda change: change.order) == [*changes, later_stream]


def test_a_fraction_of_a_second_is_kept() -> None:
    assert from_record(record(ApproximateCreationDateTime=SECOND + 0.25), LABEL).micros == SECOND * 1_000_000 + 250_000


@pytest.mark.parametrize(
    "convert", [lambda given: from_record(given, LABEL), lambda given: from_record(as_botocore(given), LABEL), from_raw]
)
def test_a_delete_by_time_to_live_names_its_actor(convert: Callable[[Record], Change]) -> None:
    given = {**record("REMOVE"), "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
    assert convert(given).actor == "dynamodb.amazonaws.com"


# --- refused, and named -----------------------------------------------------------------------------------------------------------

SOURCES = [
    pytest.param(lambda given: from_record(given, LABEL), id="record"),
    pytest.param(lambda given: from_page(as_page(given), LABEL), id="page"),
]


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(record(Keys=None), "Keys", id="no keys"),
        pytest.param(record(Keys={}), "Keys", id="empty keys"),
        pytest.param(record(Keys="a"), "Keys is not DynamoDB JSON", id="keys that are no object"),
        pytest.param(record(NewImage=["a"]), "NewImage is not DynamoDB JSON", id="an image that is no object"),
        pytest.param(record("UPSERT"), "eventName is 'UPSERT'", id="another event"),
        pytest.param(record("MODIFY", NewImage=None), "MODIFY without NewImage", id="modify without new image"),
        pytest.param(record("INSERT", NewImage={}), "INSERT without NewImage", id="insert of nothing"),
        pytest.param(record("REMOVE", OldImage=None), "REMOVE without OldImage", id="remove without old image"),
        pytest.param(record(ApproximateCreationDateTime=None), "ApproximateCreationDateTime", id="no time"),
        pytest.param(record(ApproximateCreationDateTime=0), "ApproximateCreationDateTime", id="no real time"),
        pytest.param(record(ApproximateCreationDateTime=SECOND * 1000), "ApproximateCreationDateTime", id="milliseconds"),
    ],
)
def test_a_malformed_record_is_named(read: Callable[[Record], object], given: Record, why: str) -> None:
    with pytest.raises(MalformedRecord, match=why) as caught:
        read(given)
    assert caught.value.sequence == SEQUENCE
    assert f"record {SEQUENCE}: " in caught.value.message


@pytest.mark.parametrize(
    "image",
    [
        {"a": 1},
        {"a": {}},
        {"a": {"S": "x", "N": "1"}},
        {"a": {"X": "x"}},
        {"a": {"S": 1}},
        {"a": {"L": [{"S": "x"}, "y"]}},
        {"a": {"M": []}},
    ],
)
def test_a_decoded_image_is_looked_through(image: Record) -> None:
    with pytest.raises(MalformedRecord, match="NewImage is not DynamoDB JSON") as caught:
        from_record(record(NewImage=image), LABEL)
    assert caught.value.sequence == SEQUENCE


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize("sequence", [None, "", "12a", "-1", "\u0661", "1" * 41, 12])
def test_without_a_sequence_number_there_is_no_order(read: Callable[[Record], object], sequence: object) -> None:
    with pytest.raises(MalformedRecord, match="SequenceNumber") as caught:
        read(record(SequenceNumber=sequence))
    assert caught.value.sequence == ""


@pytest.mark.parametrize("given", [{}, {"dynamodb": None}, {"dynamodb": []}, "record", None])
def test_what_is_no_record(given: Any) -> None:
    with pytest.raises(MalformedRecord):
        from_record(given, LABEL)
    with pytest.raises(MalformedRecord):
        from_page(msgspec.json.encode({"Records": [given]}), LABEL)


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[]", b'{"Records":{}}'])
def test_what_is_no_page(answer: bytes) -> None:
    with pytest.raises(MalformedRecord, match="GetRecords"):
        from_page(answer, LABEL)


@pytest.mark.parametrize("read", SOURCES)
@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"])
def test_other_views_are_refused_with_the_remedy(read: Callable[[Record], object], view: str) -> None:
    with pytest.raises(WrongStreamView, match=view) as caught:
        read(record(StreamViewType=view, NewImage=None, OldImage=None))
    assert "NEW_AND_OLD_IMAGES" in caught.value.hint
    assert "--enable-stream" in caught.value.hint


# --- names in ARNs ----------------------------------------------------------------------------------------------------------------


def test_names_in_an_arn() -> None:
    arn = f"arn:aws:dynamodb:eu-central-1:123456789012:table/orders.v-2_x/stream/{LABEL}"
    assert stream_label(arn) == LABEL
    assert table_name(arn) == "orders.v-2_x"
    assert table_name(arn.partition("/stream/")[0]) == "orders.v-2_x"


@pytest.mark.parametrize("arn", ["", "orders", "arn:aws:dynamodb:eu-central-1:123456789012:table/", "arn:aws:s3:::bucket/stream/"])
def test_what_is_no_arn(arn: str) -> None:
    with pytest.raises(MalformedRecord):
        stream_label(arn)
    with pytest.raises(MalformedRecord):
        table_name(arn)
