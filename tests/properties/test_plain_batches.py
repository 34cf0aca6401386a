"""A batch that becomes lines at once gives what the general way gives, byte for byte; what that way refuses, it does not take."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.model.changes import plain_batch
from backstream.model.changes.change import VIEW
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.capture.batch import BatchReport, keep_batch
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Catalog
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.stage import Stage
from kit.strategies import ITEMS

Record = dict[str, Any]
NOW = 1_795_500_000.0
LABEL = "2026-11-23T00:00:00.000"
SCHEMA = KeySchema(KeyAttribute("id", "S"), KeyAttribute("place", "N"))
CATALOG: Catalog = msgspec.structs.replace(Stage(ManualClock(NOW)).vault().catalog, key_schema=SCHEMA)


def record(number: int, item: Record | None = None, event: str = "MODIFY", old: Record | None = None) -> Record:
    """A change of an item of its own, as Lambda gives it."""
    keys = {"id": {"S": f"é{number}"}, "place": {"N": str(number)}}
    image = {**(item or {"v": {"N": "1.50"}}), **keys}
    body: Record = {"ApproximateCreationDateTime": NOW + number * 1000, "Keys": keys, "SequenceNumber": f"{10**20 + number}"}
    if event != "REMOVE":
        body["NewImage"] = image
    if event != "INSERT":
        body["OldImage"] = {**(old or {}), **keys}
    source = {"eventSource": "aws:dynamodb", "eventSourceARN": "arn:aws:dynamodb:us-east-1:1:table/t/stream/" + LABEL}
    return {"eventID": f"{number:032x}", "eventName": event, "dynamodb": body | {"StreamViewType": VIEW}, **source}


def kept(records: list[Record], codec: Codec) -> tuple[BatchReport, list[tuple[str, bytes, object]]]:
    """What one batch leaves in an empty vault."""
    store = MemoryStore(ManualClock(NOW))
    vault = TableVault(store, msgspec.structs.replace(CATALOG, compress=codec))
    with ThreadPoolExecutor(1) as pool:
        report = keep_batch(vault, records, LABEL, pool, writer="f", kind=SegmentKind.LAMBDA, now=lambda: NOW)
    names = [each.name for each in store.list("")]
    return report, [(name, found.body, found.info.metadata) for name in names for found in [store.get(name)]]


def both_ways(records: list[Record], codec: Codec = Codec.ZSTD) -> bool:
    """Whether the batch is plain. Whichever way it goes, it is kept as the general way keeps it."""
    is_plain = plain_batch.lines(records, LABEL, SCHEMA) is not None
    report, there = kept(records, codec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_batch, "lines", lambda *_: None)
        expected, as_expected = kept(records, codec)
    assert there == as_expected
    assert (report.captured, report.size, report.newest) == (expected.captured, expected.size, expected.newest)
    assert {at: str(error) for at, error in report.failures.items()} == {at: str(error) for at, error in expected.failures.items()}
    assert not (is_plain and expected.failures)
    return is_plain


EVENTS = st.sampled_from(["INSERT", "MODIFY", "REMOVE"])


@settings(max_examples=30)
@given(st.lists(st.tuples(EVENTS, ITEMS, ITEMS, st.integers(0, 9)), min_size=1, max_size=6), st.sampled_from(list(Codec)))
def test_any_items_and_events_give_the_same_bytes_either_way(drawn: list[Any], codec: Codec) -> None:
    records = [record(number, item, event, old) for event, item, old, number in drawn]
    assert both_ways(records, codec)


def by_ttl(change: Record) -> None:
    change["userIdentity"] = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}


PLAIN: list[Callable[[Record], object]] = [
    dict.copy,
    by_ttl,
    lambda change: change.update(eventID='a-b "\u2028'),
    lambda change: change["dynamodb"].pop("OldImage"),
    lambda change: change["dynamodb"].update(OldImage={}),
    lambda change: change["dynamodb"].update(ApproximateCreationDateTime=1_795_500_000),
    lambda change: change["dynamodb"].update(ApproximateCreationDateTime=1_795_500_000.123457),
    lambda change: change["dynamodb"].update(SequenceNumber="7"),
    lambda change: change["dynamodb"]["NewImage"].update(b={"B": b"\x00"}),
    lambda change: change["dynamodb"]["NewImage"].update(n={"N": "no number"}, N={"S": '"N":"01"'}),
    lambda change: change["dynamodb"]["NewImage"].update(s={"NS": ["1.0", "x"]}),
]
VALUES: list[object] = [
    *({}, [], "S", ["S"], None, {"S": 1}, {"N": 1}, {"S": None}, {"BOOL": 1}, {"NULL": "true"}, {"X": "1"}),
    *({"S": "1", "N": "1"}, {"N": Decimal(1)}, {"SS": "ab"}, {"NS": [1]}, {"L": {}}, {"M": []}, {"L": [{}]}),
]


def valued(value: object) -> Callable[[Record], object]:
    return lambda change: change["dynamodb"]["NewImage"].update(v=value)


ODD: list[Callable[[Record], object]] = [
    lambda change: change.pop("dynamodb"),
    lambda change: change.pop("eventName"),
    lambda change: change.update(eventName="UPSERT"),
    lambda change: change.update(eventName="REMOVE"),  # beside a new image
    lambda change: change.pop("eventID"),
    lambda change: change.update(eventID=7),
    lambda change: change.update(userIdentity={"type": "Service"}),
    lambda change: change["dynamodb"].pop("NewImage"),
    lambda change: change["dynamodb"].update(NewImage={}),
    lambda change: change["dynamodb"].update(NewImage=[1]),
    lambda change: change["dynamodb"].update(SequenceNumber=7),
    lambda change: change["dynamodb"].update(SequenceNumber="٣"),
    lambda change: change["dynamodb"].update(SequenceNumber="1" * 41),
    lambda change: change["dynamodb"].update(ApproximateCreationDateTime=True),
    lambda change: change["dynamodb"].update(ApproximateCreationDateTime=0),
    lambda change: change["dynamodb"].update(ApproximateCreationDateTime=1e11),
    lambda change: change["dynamodb"].update(ApproximateCreationDateTime="now"),
    lambda change: change["dynamodb"].update(Keys=None),
    lambda change: change["dynamodb"].update(Keys={}),
    lambda change: change["dynamodb"].update(Keys={"id": {"S": "other"}, "place": {"N": "3"}}),
    lambda change: change["dynamodb"]["Keys"].update(place={"N": "3.0"}),
    lambda change: change["dynamodb"]["Keys"].update(place={"S": "3"}),
    lambda change: change["dynamodb"]["Keys"].update(more={"S": "3"}),
    lambda change: change["dynamodb"]["NewImage"].update(place={"N": "3.0"}),
    lambda change: change["dynamodb"]["NewImage"].pop("id"),
    *map(valued, VALUES),
    lambda change: change["dynamodb"]["NewImage"].update(v={"M": {"a": {"S": "1", "N": "2"}}}),
]


@pytest.mark.parametrize("number", range(len(PLAIN)))
def test_what_is_usual_is_taken(number: int) -> None:
    assert both_ways(changed(PLAIN[number]))


@pytest.mark.parametrize("number", range(len(ODD)))
def test_what_is_odd_is_left_to_the_general_way(number: int) -> None:
    assert not both_ways(changed(ODD[number]))


def changed(how: Callable[[Record], object]) -> list[Record]:
    """Five changes, of which the one in the middle is changed."""
    records = copy.deepcopy([record(number) for number in range(1, 6)])
    how(records[2])
    return records


def test_a_change_of_a_stream_without_whole_items_refuses_the_batch_either_way() -> None:
    records = [record(1), record(2)]
    records[1]["dynamodb"]["StreamViewType"] = "NEW_IMAGE"
    assert plain_batch.lines(records, LABEL, SCHEMA) is None
