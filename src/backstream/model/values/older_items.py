"""Reads items as older tools spell them: Hive's text with control characters, and JSON with type letters in lower case. Pure.

Source: awslabs/emr-dynamodb-connector (`DynamoDBItemWritable`, `AttributeValueSerializer`): the letters are the names of the fields
in AWS's SDK v1 (`s n b sS nS bS m l nULLValue bOOL`) or all in lower case. The connector reads them in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import Damaged
from backstream.model.values import wire
from backstream.model.values.decoding import DEEPEST, UNDECODABLE, reason

AFTER_NAME, AFTER_VALUE = "\x03", "\x02"  # ETX and STX: Hive's separators of a map
_LETTERS = {
    "s": "S",
    "n": "N",
    "b": "B",
    "ss": "SS",
    "ns": "NS",
    "bs": "BS",
    "m": "M",
    "l": "L",
    "bool": "BOOL",
    "null": "NULL",
    "nullvalue": "NULL",
}
_item = "Item"
_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw])
_deep = msgspec.json.Decoder(dict[str, Any])
_lenient = json.JSONDecoder(strict=False)  # Hive leaves control characters in a value as they are


def read_json(line: bytes, key_names: tuple[str, ...]) -> bytes:
    """Returns the image in a line of JSON: an item, or `{"Item":...}`, with type letters in any case.

    An image in DynamoDB JSON stays byte for byte. Raises Damaged if the line is not an item.
    """
    try:
        fields = _shallow.decode(line)
        inner = fields.get(_item)
        wrapped = inner is not None and len(fields) == 1 and _is_wrapped(inner, key_names)
        image = bytes(inner) if wrapped and inner is not None else line.strip()
        decoded = _deep.decode(image)
    except UNDECODABLE as error:
        raise Damaged(f"not an item in JSON: {reason(error)}") from error
    wire.check_names(image, decoded)
    if not all(map(wire.well_formed, decoded.values())):
        return _spelled(decoded)
    wire.check_scalars(decoded)
    return image


def _is_wrapped(inner: msgspec.Raw, key_names: tuple[str, ...]) -> bool:
    """True if the only attribute `Item` stands around an item. Only items whose key is `Item` have that attribute alone."""
    return key_names != (_item,) or _item in _shallow.decode(inner)


def read_text(line: bytes) -> bytes:
    """Returns the image in a line of Hive's text: name, ETX, value, STX, name ... Raises Damaged if the line is not an item.

    A value is JSON, and ends where its JSON ends: separators within its strings are characters of the value.
    """
    try:
        text = line.decode().removesuffix("\r")
        return _spelled(_fields(text))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"not an item in Hive's text: {reason(error)}") from error


def _fields(text: str) -> dict[str, Any]:
    fields, place = dict[str, Any](), 0
    while True:
        end = text.find(AFTER_NAME, place)
        name = text[place:end] if end >= 0 else text[place:]
        if end < 0 or name in fields:
            raise Damaged(f"{'a name without a value' if end < 0 else 'an attribute that comes twice'}: {name[:80]!r}")
        fields[name], place = _lenient.raw_decode(text, end + 1)
        if place == len(text):
            return fields
        if text[place] != AFTER_VALUE:
            raise Damaged(f"characters after the value of {name!r}: {text[place : place + 40]!r}")
        place += 1


def _spelled(fields: Mapping[str, Any]) -> bytes:
    """Returns the image in DynamoDB JSON."""
    try:
        typed = {name: _typed(value, name, 1) for name, value in fields.items()}
        wire.check_scalars(typed)
        return wire.encode(typed)
    except UNDECODABLE as error:
        raise Damaged(f"not an item: {reason(error)}") from error


def _typed(value: Any, path: str, depth: int) -> dict[str, Any]:
    given = {kind: each for kind, each in value.items() if each is not None} if isinstance(value, Mapping) else {}
    if len(given) != 1 or depth > DEEPEST:
        raise Damaged(f"{path} is no attribute value: {value!r:.80}")
    ((letters, inner),) = given.items()
    kind = _LETTERS.get(letters.lower())
    if kind is None:
        raise Damaged(f"{path} has the unknown type {letters!r:.40}")
    if kind == "M" and isinstance(inner, Mapping):
        return {kind: {name: _typed(each, f"{path}.{name}", depth + 1) for name, each in inner.items()}}
    if kind == "L" and isinstance(inner, list):
        return {kind: [_typed(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(inner)]}
    typed = {kind: inner}
    if not wire.well_formed(typed):
        raise Damaged(f"{path} is no value of the type {kind}: {inner!r:.80}")
    return typed
