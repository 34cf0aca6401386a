"""One change of one item, in one normal form for every source.

Three inputs: a Lambda event (JSON, binary as base64 text), a `GetRecords` record as botocore gives it (binary as bytes, times as
datetime) and the raw JSON of the Streams API, whose images stay the bytes that they are.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from backstream.errors import MalformedRecord, WrongStreamView
from backstream.model.values import wire
from backstream.model.values.decoding import UNDECODABLE, reason

EVENTS = ("INSERT", "MODIFY", "REMOVE")
VIEW = "NEW_AND_OLD_IMAGES"
MICROS = 1_000_000


LATEST = 253_402_300_800 * MICROS  # the year 10000
_MOST_DIGITS = 40  # of a sequence number


def is_sequence(text: str) -> bool:
    """True if text is a sequence number: digits that are compared as an integer."""
    return text.isdecimal() and len(text) <= _MOST_DIGITS


class Order(msgspec.Struct, frozen=True, order=True):
    """The place of a change among all changes of its item: the stream first (labels are ISO times), then the sequence number."""

    stream: str
    sequence: int


class Change(msgspec.Struct, frozen=True):
    """One record of a table's stream.

    `stream`: the stream's label; `sequence`: its digits as received (21-40 of them; compare as integers, see `order`);
    `micros`: when the change was made, microseconds since 1970 (DynamoDB Streams rounds down to the second);
    `actor`: the principal of a change that DynamoDB itself made (TTL: `dynamodb.amazonaws.com`), else None;
    `keys`, `old`, `new`: DynamoDB JSON; `new` is None exactly for REMOVE.
    """

    stream: str
    sequence: str
    micros: int
    event: str
    event_id: str
    actor: str | None
    keys: bytes
    old: bytes | None
    new: bytes | None

    @property
    def order(self) -> Order:
        """The order of the change: greater is later, among the changes of one item. It is never the order of arrival."""
        return Order(self.stream, int(self.sequence))

    @property
    def seconds(self) -> int:
        """The second of the change."""
        return self.micros // MICROS

    @property
    def image_bytes(self) -> int:
        """The bytes of both images: nearly all the space that the change needs."""
        return len(self.new or b"") + len(self.old or b"")

    @property
    def size(self) -> int:
        """The bytes of the keys and both images."""
        return len(self.keys) + self.image_bytes


def stream_label(arn: str) -> str:
    """Returns the label at the end of a stream's ARN (`.../stream/2026-11-23T04:15:33.123`). Each stream of a table has its own."""
    _, found, label = arn.rpartition("/stream/")
    if not found or not label:
        raise MalformedRecord(f"not a stream ARN: {arn!r}")
    return label


def table_name(arn: str) -> str:
    """Returns the table's name in a stream's or table's ARN (`arn:aws:dynamodb:...:table/NAME/stream/...`)."""
    _, found, rest = arn.partition(":table/")
    name = rest.split("/", 1)[0]
    if not found or not name:
        raise MalformedRecord(f"not the ARN of a table or stream: {arn!r}")
    return name


# --- from decoded records: Lambda events, botocore ------------------------------------------------------------------------------


def from_record(record: Mapping[str, Any], stream: str) -> Change:
    """Returns the change in one record of a Lambda event (`event["Records"][i]`) or of botocore's GetRecords.

    Raises MalformedRecord, which names the fault and the sequence number but shows nothing of the item, because its message goes to
    logs. Raises WrongStreamView if the stream carries no full images.
    """
    body = record.get("dynamodb") if isinstance(record, Mapping) else None
    if not isinstance(body, Mapping):
        raise MalformedRecord("a stream record without 'dynamodb'")
    sequence = _sequence(body.get("SequenceNumber"))
    with naming_record(sequence):
        _check_view(body.get("StreamViewType"))
        images = {name: _image(name, body.get(name)) for name in ("Keys", "OldImage", "NewImage")}
        return assemble(
            stream=stream,
            sequence=sequence,
            created=body.get("ApproximateCreationDateTime"),
            event=record.get("eventName"),
            event_id=record.get("eventID"),
            identity=record.get("userIdentity"),
            images=images,
        )


def _image(name: str, value: Any) -> bytes | None:
    if value is None or (name != "Keys" and not value):
        return None
    if not isinstance(value, Mapping) or not value or not (wire.only_scalars(value) or all(map(wire.well_formed, value.values()))):
        raise MalformedRecord(f"{name} is not DynamoDB JSON")
    return wire.encode(value)


# --- from the raw JSON protocol ---------------------------------------------------------------------------------------------------


class _RawBody(msgspec.Struct):
    SequenceNumber: str = ""
    ApproximateCreationDateTime: float | None = None
    StreamViewType: str | None = None
    Keys: msgspec.Raw = msgspec.Raw()
    OldImage: msgspec.Raw = msgspec.Raw()
    NewImage: msgspec.Raw = msgspec.Raw()


class _RawRecord(msgspec.Struct):
    dynamodb: _RawBody
    event: str | None = msgspec.field(name="eventName", default=None)
    event_id: str | None = msgspec.field(name="eventID", default=None)
    identity: dict[str, Any] | None = msgspec.field(name="userIdentity", default=None)


class _RawPage(msgspec.Struct):
    Records: list[_RawRecord] = []
    NextShardIterator: str | None = None


_raw_page = msgspec.json.Decoder(_RawPage)


def from_page(answer: bytes, stream: str) -> tuple[Sequence[Change], str | None]:
    """Returns the changes and the next iterator of a GetRecords answer in the raw JSON protocol; images are the answer's own bytes.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_GetRecords.html
    """
    try:
        page = _raw_page.decode(answer)
    except UNDECODABLE as error:
        raise MalformedRecord(f"an answer of GetRecords that is not one ({reason(error)})") from error
    return [_from_raw(record, stream) for record in page.Records], page.NextShardIterator


def _from_raw(record: _RawRecord, stream: str) -> Change:
    body = record.dynamodb
    sequence = _sequence(body.SequenceNumber)
    with naming_record(sequence):
        _check_view(body.StreamViewType)
        images = {name: raw_image(name, getattr(body, name)) for name in ("Keys", "OldImage", "NewImage")}
        return assemble(
            stream=stream,
            sequence=sequence,
            created=body.ApproximateCreationDateTime,
            event=record.event,
            event_id=record.event_id,
            identity=record.identity,
            images=images,
        )


def raw_image(name: str, raw: msgspec.Raw) -> bytes | None:
    """Returns the image's own bytes. An absent, null or empty object is not an image."""
    data = bytes(raw)
    if data in (b"", b"null", b"{}"):
        return None
    if not data.startswith(b"{"):
        raise MalformedRecord(f"{name} is not DynamoDB JSON")
    return data


# --- what every source has in common ----------------------------------------------------------------------------------------------


@contextmanager
def naming_record(sequence: str) -> Iterator[None]:
    """Context in which every MalformedRecord gets the record's sequence number."""
    try:
        yield
    except MalformedRecord as error:
        raise MalformedRecord(f"record {sequence}: {error.message}", hint=error.hint, sequence=sequence) from error


def _sequence(value: object) -> str:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or len(value) > 40:
        raise MalformedRecord(f"a stream record without a usable SequenceNumber: {value!r:.60}")
    return value


def _check_view(view: object) -> None:
    if view is not None and view != VIEW:
        raise WrongStreamView(
            f"the stream carries {view} records: they do not hold whole items",
            hint=f"A stream's view type cannot be changed: disable the stream, then enable it with {VIEW} "
            "(`backstream init TABLE --enable-stream`).",
        )


def assemble(
    *,
    stream: str,
    sequence: str,
    created: object,
    event: object,
    event_id: object,
    identity: object,
    images: Mapping[str, bytes | None],
) -> Change:
    """Assembles a change from its parts.

    `created` is in epoch seconds, or a datetime. Raises MalformedRecord if they do not make one.
    """
    keys, old, new = images["Keys"], images["OldImage"], images["NewImage"]
    if keys is None:
        raise MalformedRecord("no Keys")
    if event not in EVENTS:
        raise MalformedRecord(f"eventName is {event!r}, not one of {', '.join(EVENTS)}")
    removed = event == "REMOVE"
    if (old if removed else new) is None:
        raise MalformedRecord(f"{event} without {'OldImage' if removed else 'NewImage'}")
    return Change(
        stream=stream,
        sequence=sequence,
        micros=_micros(created),
        event=str(event),
        event_id=event_id if isinstance(event_id, str) else "",
        actor=_actor(identity),
        keys=keys,
        old=old,
        new=None if removed else new,
    )


def _micros(created: object) -> int:
    if isinstance(created, datetime.datetime):
        created = created.timestamp()
    if isinstance(created, bool) or not isinstance(created, int | float) or not 0 < created < 1e11:
        raise MalformedRecord(f"ApproximateCreationDateTime is {created!r}, not epoch seconds")
    return round(created * MICROS)


def _actor(identity: object) -> str | None:
    """Returns `dynamodb.amazonaws.com` for TTL deletes. botocore spells the fields with capitals; Lambda and the API do not."""
    if not isinstance(identity, Mapping):
        return None
    principal = identity.get("principalId", identity.get("PrincipalId"))
    return principal if isinstance(principal, str) else None
