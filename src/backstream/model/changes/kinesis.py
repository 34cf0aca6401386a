"""Reads changes from Kinesis Data Streams for DynamoDB: JSON in a record's data, once or more often, in any order.

The data names the table, and has a time in micro- or milliseconds, an event ID, keys and both images; it has no sequence number.
Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_using-shards-and-metrics.html (its example record),
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds.html (order by time, duplicates) and
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_EnableKinesisStreamingConfiguration.html (precision).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import Damaged, MalformedRecord
from backstream.model.changes.change import MICROS, Change, assemble, naming_record, raw_image, table_name
from backstream.model.values import wire
from backstream.model.values.binary import undoubled
from backstream.model.values.decoding import UNDECODABLE

TICKS = 10**20  # what one microsecond's changes are told apart by
RANKS = {"INSERT": 0, "MODIFY": 1, "REMOVE": 2}
DAY = 86_400
LATEST = 10**17  # microseconds: whatever lies beyond the year 5138 is no time


class KinesisSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """The Kinesis stream that a table's changes are taken from. `retention`: the seconds for which it keeps them.

    `created`: the second of its creation, if it was asked just now: a catalog does not keep it. `after`: the second up to which the
    vault had all changes from its source before; the stream may hold them too, and they are not kept again. None if there was none.
    """

    arn: str
    retention: int
    created: int | None = None
    after: int | None = None

    def is_new(self, change: Change) -> bool:
        """True if the vault does not have a change from its source before."""
        return self.after is None or change.seconds > self.after


class _RecordBody(msgspec.Struct):
    created: int | float | None = msgspec.field(name="ApproximateCreationDateTime", default=None)
    precision: str | None = msgspec.field(name="ApproximateCreationDateTimePrecision", default=None)
    size: int | None = msgspec.field(name="SizeBytes", default=None)
    sequence: str | None = msgspec.field(name="SequenceNumber", default=None)
    Keys: msgspec.Raw = msgspec.Raw()
    OldImage: msgspec.Raw = msgspec.Raw()
    NewImage: msgspec.Raw = msgspec.Raw()


class _Data(msgspec.Struct):
    body: _RecordBody = msgspec.field(name="dynamodb")
    event: str | None = msgspec.field(name="eventName", default=None)
    event_id: str | None = msgspec.field(name="eventID", default=None)
    identity: dict[str, Any] | None = msgspec.field(name="userIdentity", default=None)


class _Head(msgspec.Struct):
    source: str | None = msgspec.field(name="eventSource", default=None)
    table: str | None = msgspec.field(name="tableName", default=None)
    arn: str | None = msgspec.field(name="eventSourceARN", default=None)


_data = msgspec.json.Decoder(_Data)
_head = msgspec.json.Decoder(_Head)


def position(record: Mapping[str, Any]) -> str:
    """Returns Kinesis' own sequence number of an event's record, which Lambda uses; empty if it has none."""
    number = record["kinesis"].get("sequenceNumber")
    return number if isinstance(number, str) and number.isascii() and number.isdigit() else ""


def shard(record: Mapping[str, Any]) -> str | None:
    """Returns the shard of an event's record (`eventID` is `SHARD:SEQUENCE`)."""
    named, found, _ = str(record.get("eventID", "")).partition(":")
    return named if found else None


def data_of(record: Mapping[str, Any]) -> bytes:
    """Returns the data of an event's record. Raises MalformedRecord if it is not base64."""
    text = record["kinesis"].get("data")
    try:
        if isinstance(text, str):
            return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise MalformedRecord("a Kinesis record whose data is not base64") from error
    raise MalformedRecord("a Kinesis record without data")


def table_of(data: bytes) -> str:
    """Returns the table whose change a record's data is. Raises MalformedRecord if it is not a change of a DynamoDB table."""
    try:
        head = _head.decode(data)
    except UNDECODABLE as error:
        raise MalformedRecord("a Kinesis record that is no JSON of DynamoDB") from error
    if head.source not in (None, "aws:dynamodb"):
        raise MalformedRecord(f"a Kinesis record of {head.source!r:.60}, not of a DynamoDB table")
    if head.table:
        return head.table
    if head.arn:
        return table_name(head.arn)
    raise MalformedRecord("a Kinesis record that names no table")


def from_data(data: bytes, source: str, position: str = "") -> Change:
    """Returns the change in a record's data; images are the data's own bytes.

    `source`: the label under which the vault keeps the changes of this Kinesis stream; `position`: Kinesis' own number of the
    record, for messages, which show nothing of the item. Raises MalformedRecord if the data is not a change.
    """
    try:
        found = _data.decode(data)
        micros = _micros(found.body)
    except UNDECODABLE as error:
        raise MalformedRecord(f"record {position}: no change of an item") from error
    except MalformedRecord as error:
        raise MalformedRecord(f"record {position}: {error.message}") from error
    sequence = _sequence(found, micros, data)
    with naming_record(sequence):
        return assemble(
            stream=source,
            sequence=sequence,
            created=micros / MICROS,
            event=found.event,
            event_id=found.event_id,
            identity=found.identity,
            images=_images(found.body),
        )


def from_record(record: Mapping[str, Any], source: str) -> Change:
    """Returns the change in one record of an event. See `from_data`."""
    return from_data(data_of(record), source, position(record))


def made_within(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Returns the seconds between which a record's change was made, even for a malformed record: its own time, or not long before
    its arrival.

    Returns None if the record states neither.
    """
    try:
        second = _micros(_data.decode(data_of(record)).body) // MICROS
    except (*UNDECODABLE, MalformedRecord):
        arrived = record["kinesis"].get("approximateArrivalTimestamp")
        if not isinstance(arrived, int | float) or not 0 < arrived < LATEST // MICROS:
            return None
        return (int(arrived) - DAY) // 3600 * 3600, int(arrived)
    return second, second


def _sequence(found: _Data, micros: int, data: bytes) -> str:
    """Returns a number that orders by time and is equal for every duplicate of a change: see docs/notes/0014.

    Within one microsecond an item's INSERT comes before its MODIFY, and its MODIFY before its REMOVE; the event's ID decides the
    rest. It is a millisecond if the record has no better time. A number that the record has itself decides everything.
    """
    own = found.body.sequence
    if own is not None and own.isascii() and own.isdigit():
        return str(micros * TICKS + int(own[-20:]))
    digest = hashlib.sha256(found.event_id.encode() if found.event_id else data).digest()
    rank = RANKS.get(found.event or "", 0)
    return str(micros * TICKS + rank * (TICKS // 10) + int.from_bytes(digest[:16]) % (TICKS // 10))


def _micros(body: _RecordBody) -> int:
    """Returns the change's time. A precision in the record must fit; without one, the magnitude decides."""
    created = body.created
    unit = {"MICROSECOND": 1, "MILLISECOND": 1_000}.get(body.precision or "")
    if created is None or (body.precision is not None and unit is None):
        raise MalformedRecord(f"ApproximateCreationDateTime is {created!r}, in {body.precision!r:.40}")
    if unit is None:
        unit = MICROS if created < 10**11 else 1_000 if created < 10**14 else 1
    micros = round(created * unit)
    if not 10**14 < micros < LATEST:
        raise MalformedRecord(f"ApproximateCreationDateTime is {created!r}, which is no time in {body.precision or 'any unit'}")
    return micros


def _images(body: _RecordBody) -> Mapping[str, bytes | None]:
    images = {name: raw_image(name, getattr(body, name)) for name in ("Keys", "OldImage", "NewImage")}
    try:
        for name, image in images.items():
            if image is not None and not all(map(wire.well_formed, wire.decode(image).values())):
                raise MalformedRecord(f"{name} is not DynamoDB JSON")
        return undoubled(images, body.size)
    except Damaged as error:
        raise MalformedRecord("an image is not DynamoDB JSON") from error
