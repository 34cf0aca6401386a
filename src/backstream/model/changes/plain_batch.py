"""Turns a function's batch directly into lines of the change log, if it contains only what nearly every batch contains.

It gives the same bytes as the way by `change.from_record` and `entry.of_change`, without objects for each record in between.
Everything else is left to that way: a malformed record or one of another form, a key in another form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.model.changes.change import EVENTS, MICROS, VIEW
from backstream.model.values import digests, wire
from backstream.model.values.schema import KeySchema

_encode = msgspec.json.Encoder().encode
_MOST_DIGITS = 40  # of a sequence number
_number = re.compile(r"0|-?[1-9][0-9]*(?:\.[0-9]*[1-9])?|-?0\.[0-9]*[1-9]").fullmatch
_OTHERWISE = (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError, msgspec.MsgspecError)


class PlainLine(msgspec.Struct, frozen=True, gc=False):
    """One change. `line`: with its line break; `size`: bytes of its keys and images; `micros`, `keys`: as of a `Change`."""

    sequence: str
    micros: int
    line: bytes
    size: int
    keys: bytes = b""

    @property
    def seconds(self) -> int:
        """The second in which it was made."""
        return self.micros // MICROS


def lines(records: Sequence[Mapping[str, Any]], stream: str, schema: KeySchema) -> list[PlainLine] | None:
    """The lines of a batch of a table's own stream, in its order; None where it must go the general way, whatever the reason.

    `stream`: the stream's label.
    """
    label = _encode(stream).decode()
    keys = [(each.name, each.type) for each in (schema.hash, schema.range) if each is not None]
    try:
        return [_line(record, label, keys) for record in records]
    except _OTHERWISE:
        return None


def _line(record: Mapping[str, Any], label: str, schema: Sequence[tuple[str, str]]) -> PlainLine:
    """Raises one of `_OTHERWISE` where the record is not plain. It is called for every change, so it calls little itself."""
    body = record["dynamodb"]
    sequence, event, micros = body["SequenceNumber"], record["eventName"], _micros(body["ApproximateCreationDateTime"])
    if type(sequence) is not str or not (sequence.isascii() and sequence.isdigit()) or len(sequence) > _MOST_DIGITS:
        raise ValueError
    if event not in EVENTS or body["StreamViewType"] != VIEW:
        raise ValueError
    new, old = body.get("NewImage") or None, body.get("OldImage") or None
    keys, actor = _keys(body["Keys"], new or old or {}, schema), _actor(record.get("userIdentity"))
    event_id = _named("EventID", record["eventID"])
    before = digests.ABSENT if event == "INSERT" else None
    before_image, before = (b"", before) if old is None else _image(old)
    after_image, after = (b"", None) if new is None else _image(new)
    if (not after_image) is not (event == "REMOVE") or not (before_image or after_image):
        raise ValueError
    if actor and event != "INSERT":
        before = None  # see `entry.of_change`
    old_digest = "" if before is None else f',"OldDigest":{{"S":"{before}"}}'
    new_digest = "" if after is None else f',"NewDigest":{{"S":"{after}"}}'
    said = (
        f'{{"Metadata":{{"WriteTimestampMicros":{{"N":"{micros}"}},"Stream":{{"S":{label}}},"SequenceNumber":{{"S":"{sequence}"}},'
        f'"EventName":{{"S":"{event}"}}{event_id}{actor}'
        f'{old_digest}{new_digest}}},"Keys":'
    )
    old_part = b',"OldImage":' + before_image if before_image else b""
    new_part = b',"NewImage":' + after_image if after_image else b""
    line = b"%b%b%b%b}\n" % (said.encode(), keys, old_part, new_part)
    return PlainLine(sequence, micros, line, len(keys) + len(before_image) + len(after_image), keys)


def _micros(created: object) -> int:
    if (type(created) is not int and type(created) is not float) or not 0 < created < 1e11:
        raise ValueError
    return round(created * MICROS)


def _keys(keys: Any, image: Mapping[str, Any], schema: Sequence[tuple[str, str]]) -> bytes:
    """The key's bytes; the image is of the same item, and both write the key in its canonical form."""
    if type(keys) is not dict or len(keys) != len(schema):
        raise ValueError
    for name, kind in schema:
        value = keys[name]
        text = value[kind]
        if type(value) is not dict or len(value) != 1 or type(text) is not str or image[name] != value:
            raise ValueError
        if kind == "N" and _number(text) is None:
            raise ValueError
    return _encode(keys)


def _image(image: Any) -> tuple[bytes, str | None]:
    """An image's bytes, and its digest."""
    if type(image) is not dict:
        raise TypeError
    if not wire.only_scalars(image):
        return _other_image(image)
    encoded, digest = _encode(image), digests.of_scalars(image)
    return encoded, digests.of_state_if_sound(encoded) if digest is None else digest


def _other_image(image: Mapping[str, Any]) -> tuple[bytes, str | None]:
    """The same where there are other values than scalars, binary among them."""
    if not all(map(wire.well_formed, image.values())):
        raise ValueError
    encoded = _encode(image)
    return encoded, digests.of_state_if_sound(encoded)


def _actor(identity: Any) -> str:
    """A line's word of who did it; empty where that was no service of AWS."""
    return "" if identity is None else _named("Actor", identity["principalId"])


def _named(name: str, text: Any) -> str:
    if type(text) is not str or not text:
        raise ValueError
    if text.isascii() and text.isalnum():
        return f',"{name}":{{"S":"{text}"}}'
    return f',"{name}":{{"S":{_encode(text).decode()}}}'
