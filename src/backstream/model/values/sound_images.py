"""Finds out whether an image is an item that DynamoDB can hold. Whoever can write a line of the log can write any bytes there.

Every image of a restore is looked at. So a quick loop finds the values that are plainly sound, and `item_limits` decides about the
others, which are few.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from backstream.errors import Damaged, MalformedRecord
from backstream.model.values import item_limits, wire
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.item_limits import InvalidItem
from backstream.model.values.schema import KeySchema, canonical_key

_typed = msgspec.json.Decoder(dict[str, dict[str, Any]])
_encode = msgspec.json.Encoder().encode
_DIGITS = 38  # a plain number of so few characters is within all limits
_plain_number = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]*[1-9])?", re.ASCII).fullmatch  # two texts are two numbers, but for -0


class ImageReader:
    """Reads images of one table's items."""

    def __init__(self, schema: KeySchema) -> None:
        self._schema = schema

    def __call__(self, image: bytes) -> bytes:
        """Returns the canonical key of an image.

        Raises Damaged if DynamoDB can hold no such item: it has a value that is not one of its type, a number beyond 38 digits, an
        empty set, more than 32 levels, a name that comes twice, or another key than this table's. A name that is empty passes: it
        changes nothing else of the item, and a table that does not take it refuses it by name.
        """
        try:
            fields = _typed.decode(image)
            key = canonical_key(self._schema, fields)
        except (*UNDECODABLE, MalformedRecord) as error:
            raise Damaged(f"not an item with this table's key ({reason(error)}): {image[:80]!r}") from error
        if not _are_sound(fields.values(), 1):
            try:
                item_limits.check(fields, nameless=True)
            except InvalidItem as error:
                raise Damaged(f"not an item that DynamoDB can hold ({reason(error)}): {image[:80]!r}") from error
        size = len(_encode(fields))  # of two equal names the last is decoded
        if size != len(image) and (b"\\" in image or size != len(msgspec.json.format(image, indent=-1))):
            wire.check_names(image, fields)
        return key


def _are_sound(values: Iterable[Any], depth: int) -> bool:
    """True if all values are plainly such as DynamoDB holds. `depth`: the level they are on. It is called for every item."""
    if depth > item_limits.DEEPEST:
        return False
    for value in values:
        if type(value) is not dict or len(value) != 1:
            return False
        (kind,) = value
        inner = value[kind]
        if kind == "S" or kind == "N":
            if type(inner) is not str or (kind == "N" and (len(inner) > _DIGITS or _plain_number(inner) is None)):
                return False
        elif not _is_sound(kind, inner, depth):
            return False
    return True


def _is_sound(kind: str, inner: Any, depth: int) -> bool:
    match kind:
        case "BOOL":
            return type(inner) is bool
        case "NULL":
            return inner is True
        case "M":
            return isinstance(inner, Mapping) and _are_sound(inner.values(), depth + 1)
        case "L":
            return isinstance(inner, list) and _are_sound(inner, depth + 1)
        case "B":
            return type(inner) is str and _is_binary(inner)
        case "SS":
            return isinstance(inner, list) and all(type(each) is str for each in inner) and 0 < len(inner) == len(set(inner))
        case "NS":
            return isinstance(inner, list) and all(map(_is_plain, inner)) and 0 < len(inner) == len(set(inner))
        case _:
            return False


def _is_plain(number: Any) -> bool:
    return type(number) is str and len(number) <= _DIGITS and _plain_number(number) is not None and number != "-0"


def _is_binary(text: str) -> bool:
    try:
        binascii.a2b_base64(text, strict_mode=True)
    except ValueError:  # binascii.Error is one
        return False
    return True
