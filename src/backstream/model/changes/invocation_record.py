"""Recognizes and reads Lambda's record of a discarded batch: the invocation record in an S3 on-failure destination.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html and
https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html: `DDBStreamBatchInfo` or `KinesisBatchInfo` states
the records and their shard, `requestContext.condition` the reason; `payload`, in S3 only, is the whole event as an escaped JSON
string.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.values.decoding import UNDECODABLE, reason

FOLDER = "aws/lambda/"  # `aws/lambda/MAPPING/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-UUID`
# These belong to asynchronous invocations, not to streams:
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
ASYNCHRONOUS = FOLDER + "async/"
PAYLOAD = b'"payload"'


class StreamKind(enum.StrEnum):
    """The kind of a batch's stream, as its records name it."""

    DYNAMODB = "aws:dynamodb"
    KINESIS = "aws:kinesis"


class InvocationRecord(msgspec.Struct, frozen=True):
    """One discarded batch, without its records.

    `since`, `until`: the seconds of its first and last record, None if it does not state them; `given_up`: the second in which
    Lambda wrote it; `size`: the number of records; `condition`: the reason, in AWS's term.
    """

    source: StreamKind
    stream_arn: str
    since: int | None
    until: int | None
    given_up: int | None
    size: int | None
    condition: str


class _BatchInfo(msgspec.Struct):
    arn: str = msgspec.field(name="streamArn", default="")
    first: str | None = msgspec.field(name="approximateArrivalOfFirstRecord", default=None)
    last: str | None = msgspec.field(name="approximateArrivalOfLastRecord", default=None)
    size: int | None = msgspec.field(name="batchSize", default=None)


class _Context(msgspec.Struct):
    condition: str = "no condition told"


class _InvocationRecord(msgspec.Struct):
    context: _Context | None = msgspec.field(name="requestContext", default=None)
    timestamp: str | None = None
    dynamodb: _BatchInfo | None = msgspec.field(name="DDBStreamBatchInfo", default=None)
    kinesis: _BatchInfo | None = msgspec.field(name="KinesisBatchInfo", default=None)
    payload: msgspec.Raw = msgspec.Raw()


_written = msgspec.json.Decoder(_InvocationRecord)


def at_a_glance(start: bytes) -> InvocationRecord | None:
    """Reads the first bytes of a record, if everything but the payload precedes it; None if the whole record must be read."""
    told, found, _ = start.partition(PAYLOAD)
    try:
        written = _written.decode(told.rstrip().rstrip(b",") + b"}" if found else told)
    except UNDECODABLE:
        return None
    return _of(written, ()) if written.dynamodb is not None and written.dynamodb.arn else None


def read(body: bytes) -> tuple[InvocationRecord, Sequence[Any]]:
    """Returns a whole record, and the records of its batch: none if it carries no payload.

    Raises Damaged if it is not one, or does not name its stream.
    """
    try:
        written = _written.decode(body)
    except UNDECODABLE as error:
        raise Damaged(f"not an invocation record of Lambda's: {reason(error)}") from error
    records = _records(bytes(written.payload))
    return _of(written, records), records


def tables_named(records: Sequence[Any]) -> set[str]:
    """Returns the tables whose changes the records of a Kinesis stream carry, as far as they can be read."""
    return {name for record in records if (name := _table_named(record))}


def _of(written: _InvocationRecord, records: Sequence[Any]) -> InvocationRecord:
    info = written.dynamodb or written.kinesis or _BatchInfo()
    arn = info.arn or next(filter(None, map(_arn, records)), "")
    if not arn:
        raise Damaged("an invocation record that does not name its stream")
    times = [second for each in (info.first, info.last) if (second := _second(each)) is not None]
    # A Kinesis stream's times are times of arrival, which are later than the change: the records state when the change was made.
    if written.dynamodb is None or not times:
        times = [second for each in records if (second := _created(each)) is not None] or times
    return InvocationRecord(
        source=StreamKind.KINESIS if ":kinesis:" in arn else StreamKind.DYNAMODB,
        stream_arn=arn,
        since=min(times, default=None),
        until=max(times, default=None),
        given_up=_second(written.timestamp),
        size=info.size,
        condition=(written.context or _Context()).condition,
    )


def _records(payload: bytes) -> Sequence[Any]:
    """Returns an event's records, whether the event is embedded as text or as JSON."""
    try:
        event = msgspec.json.decode(payload) if payload else None
        if isinstance(event, str):
            event = msgspec.json.decode(event)
    except UNDECODABLE as error:
        raise Damaged(f"an invocation record whose payload is not an event: {reason(error)}") from error
    records = event.get("Records") if isinstance(event, dict) else event
    return records if isinstance(records, list) else ()


def _arn(record: Any) -> str:
    arn = record.get("eventSourceARN") if isinstance(record, Mapping) else None
    return arn if isinstance(arn, str) else ""


def _second(text: str | None) -> int | None:
    try:
        return None if text is None else moment.parse_iso_micros(text) // MICROS
    except ValueError:
        return None


def _created(record: Any) -> int | None:
    """Returns the second of a record's change. A time finer than a second is a greater number."""
    change = record if isinstance(record, Mapping) and "dynamodb" in record else _carried(record)
    body = change.get("dynamodb")
    created = body.get("ApproximateCreationDateTime") if isinstance(body, Mapping) else None
    if not isinstance(created, int | float) or isinstance(created, bool) or created <= 0:
        return None
    while created >= 1e11:
        created /= 1000
    return int(created)


def _table_named(record: Any) -> str:
    name = _carried(record).get("tableName")
    return name if isinstance(name, str) else ""


def _carried(record: Any) -> Mapping[str, Any]:
    """Returns the change that a record of a Kinesis stream carries; empty if there is none."""
    body = record.get("kinesis") if isinstance(record, Mapping) else None
    data = body.get("data") if isinstance(body, Mapping) else None
    try:
        carried = msgspec.json.decode(base64.b64decode(data, validate=True)) if isinstance(data, str) else None
    except UNDECODABLE:
        return {}
    return carried if isinstance(carried, dict) else {}
