"""Changes out of a Kinesis stream: their times, their sequence numbers, what is no change."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import MalformedRecord, UsageError
from backstream.model.changes import deliveries, kinesis
from backstream.model.changes.change import Change
from kit import images
from kit.kinesis import data, record

LABEL = "2026-11-26T08:00:00.000"
NOW = 1_764_144_000_123_456
KEYS = images.key("z", 1)
ONE, TWO = images.image("z", 1, v={"N": "1"}), images.image("z", 1, v={"N": "2"})


def change(content: bytes) -> Change:
    return kinesis.from_data(content, LABEL)


def insert(micros: int, event_id: str, precision: str | None = "MICROSECOND") -> Change:
    return change(data("INSERT", micros, keys=KEYS, new=ONE, event_id=event_id, precision=precision))


def altered(field: str, value: object, *, where: str = "dynamodb") -> bytes:
    made: dict[str, Any] = json.loads(data("MODIFY", NOW, keys=KEYS, old=ONE, new=TWO, event_id="e"))
    (made[where] if where else made)[field] = value
    return json.dumps(made).encode()


def test_the_documented_record() -> None:
    """The example of AWS's page on shards and metrics, put together again: milliseconds, no word of precision."""
    content = b"""{"awsRegion":"us-west-2","eventID":"32dae1eb-2c2d-4e12-aa38-7c8f5a8e6ad5","eventName":"MODIFY",
        "userIdentity":null,"recordFormat":"application/json","tableName":"Music",
        "dynamodb":{"ApproximateCreationDateTime":1640276115120,"Keys":{"Artist":{"S":"x"}},
        "NewImage":{"Artist":{"S":"x"},"n":{"N":"1.50"}},"OldImage":{"Artist":{"S":"x"}},"SizeBytes":21},
        "eventSource":"aws:dynamodb"}"""
    found = change(content)
    assert (found.micros, found.event, found.stream) == (1_640_276_115_120_000, "MODIFY", LABEL)
    assert found.new == b'{"Artist":{"S":"x"},"n":{"N":"1.50"}}', "the record's own bytes"
    assert kinesis.table_of(content) == "Music"
    assert found.sequence.isdecimal()
    assert len(found.sequence) <= 40


@given(micros=st.integers(1_500_000_000_000_000, 4_000_000_000_000_000))
def test_each_microsecond_is_kept(micros: int) -> None:
    assert insert(micros, "e").micros == micros
    assert insert(micros, "e", "MILLISECOND").micros == micros // 1000 * 1000


@given(one=st.integers(NOW, NOW + 50), other=st.integers(NOW, NOW + 50), ids=st.tuples(st.text(), st.text()))
def test_order_is_that_of_the_times(one: int, other: int, ids: tuple[str, str]) -> None:
    before, after = insert(one, ids[0]), insert(other, ids[1])
    if one != other:
        assert (before.order < after.order) == (one < other)
    assert (before.order == after.order) == (one == other and (ids[0] == ids[1] or not any(ids)))


def test_within_one_tick_an_item_is_made_changed_and_deleted_in_this_order() -> None:
    for number in range(50):
        made = change(data("INSERT", NOW, keys=KEYS, new=ONE, event_id=f"a{number}"))
        changed = change(data("MODIFY", NOW, keys=KEYS, old=ONE, new=TWO, event_id=f"b{number}"))
        gone = change(data("REMOVE", NOW, keys=KEYS, old=TWO, event_id=f"c{number}"))
        assert made.order < changed.order < gone.order
        assert gone.order < insert(NOW + 1, "d").order


def test_a_number_that_the_record_has_itself_decides() -> None:
    assert (
        change(altered("SequenceNumber", "900000000000000000000000000001")).order
        > change(altered("SequenceNumber", "100000000000000000000000000000")).order
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ApproximateCreationDateTime", None),
        ("ApproximateCreationDateTime", NOW // 1000),  # which is not what the record says that it is
        ("ApproximateCreationDateTime", "yesterday"),
        ("ApproximateCreationDateTime", -1),
        ("ApproximateCreationDateTimePrecision", "NANOSECOND"),
        ("Keys", None),
        ("Keys", {"zone": "z"}),
        ("NewImage", None),
        ("NewImage", {"zone": "z"}),
        ("NewImage", [1]),
        ("OldImage", {"zone": {"S": 1}}),
    ],
)
def test_what_is_no_change(field: str, value: object) -> None:
    with pytest.raises(MalformedRecord) as caught:
        change(altered(field, value))
    assert "zone" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"[]", b"{}", b'{"tableName":3}', b'{"eventSource":"aws:s3","tableName":"t"}']
)
def test_what_names_no_table(content: bytes) -> None:
    with pytest.raises(MalformedRecord):
        kinesis.table_of(content)


def test_data_that_is_not_base64() -> None:
    made = record(b"", 1)
    made["kinesis"]["data"] = "{"
    with pytest.raises(MalformedRecord, match="base64"):
        kinesis.data_of(made)
    with pytest.raises(MalformedRecord, match="base64"):
        deliveries.deliveries({"Records": [made]})


@pytest.mark.parametrize("service", ["aws:sqs", "aws:s3", "aws:sns", "aws:kafka"])
def test_events_of_other_services(service: str) -> None:
    field = "EventSource" if service == "aws:sns" else "eventSource"
    with pytest.raises(UsageError, match=service) as caught:
        deliveries.deliveries({"Records": [{field: service, "body": "{}"}]})
    assert "stream" in caught.value.hint


# --- binary -----------------------------------------------------------------------------------------------------------------------

RAW = bytes([18, 2, 8, 123])


def binary(value: str, size: int) -> Change:
    """The record of https://github.com/awslabs/amazon-kinesis-client/issues/959, with another value."""
    old, new = (json.dumps({"id": {"S": "1"}, "binaryData": {"B": value}}).encode() for _ in range(2))
    return change(data("MODIFY", NOW, keys=b'{"id":{"S":"1"}}', old=old, new=new, event_id="e", size=size))


def value_of(found: Change) -> bytes:
    return base64.b64decode(json.loads(found.new or b"")["binaryData"]["B"])


def test_binary_that_is_encoded_twice_is_told_by_the_size() -> None:
    twice = base64.b64encode(base64.b64encode(RAW)).decode()
    assert twice == "RWdJSWV3PT0="
    assert value_of(binary(twice, 37)) == RAW, "37 bytes are those of 4 raw ones, twice"
    assert value_of(binary(twice, 45)) == b"EgIIew==", "text that happens to be base64"


def test_binary_that_is_encoded_once_stays() -> None:
    once = base64.b64encode(RAW).decode()
    for size in (37, 0, 10**6):
        assert value_of(binary(once, size)) == RAW


@given(raw=st.binary(min_size=1, max_size=60), nested=st.booleans(), number=st.integers(-(10**30), 10**30))
def test_binary_either_way(raw: bytes, nested: bool, number: int) -> None:  # noqa: FBT001 - drawn by Hypothesis
    def image(times: int) -> bytes:
        value = raw
        for _ in range(times):
            value = base64.b64encode(value)
        inner: dict[str, object] = {"B": value.decode()}
        held: dict[str, object] = {"L": [{"M": {"x": {"BS": [inner["B"]]}}}, inner]} if nested else inner
        return json.dumps({"id": inner, "n": {"N": str(number)}, "b": held}, separators=(",", ":")).encode()

    def read(times: int) -> bytes | None:
        key = json.dumps({"id": json.loads(image(times))["id"]}).encode()
        made = data("INSERT", NOW, keys=key, new=image(times), event_id="e", size=_size(raw, number, nested=nested))
        return change(made).new

    assert json.loads(read(1) or b"") == json.loads(read(2) or b"") == json.loads(image(1))


def _size(raw: bytes, number: int, *, nested: bool) -> int:
    """As DynamoDB counts: keys, and the image."""
    digits = str(abs(number)).strip("0")
    count = (len(digits) + 1) // 2 + 1 + (number < 0)
    held = 3 + 1 + (3 + 1 + 1 + len(raw)) + 1 + len(raw) if nested else len(raw)
    return (2 + len(raw)) * 2 + 1 + count + 1 + held
