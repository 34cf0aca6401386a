"""DynamoDB JSON on the wire: images as bytes, looked into but never rewritten.

An image is the JSON object of an item's attributes (`{"id":{"S":"a"}}`), binary as base64 text. This module reads single attributes
from such bytes, and compares two images by value.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.errors import Damaged, MalformedRecord
from backstream.model.values import numbers
from backstream.model.values.decoding import DEEPEST, UNDECODABLE, reason
from backstream.model.values.schema import KeySchema, canonical_key

_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw])
_deep = msgspec.json.Decoder(dict[str, dict[str, Any]])
_any = msgspec.json.Decoder()

SCALARS = {"S": str, "N": str, "B": str, "BOOL": bool, "NULL": bool}
_PLAINLY: Mapping[str, type] = {"S": str, "N": str, "BOOL": bool, "NULL": bool}
SETS = ("SS", "NS", "BS")
_MAPS = (dict, Mapping)  # what is no dict is rare, and an abstract class answers twenty times as slowly


def encode(image: Mapping[str, Any]) -> bytes:
    """Returns the bytes of an image in decoded DynamoDB JSON. Raw `bytes` values (as boto3 gives them) become base64 text."""
    return msgspec.json.encode(image)


def decode(image: bytes) -> dict[str, dict[str, Any]]:
    """Returns the attributes of an image. Raises Damaged if the bytes are not a JSON object of typed values."""
    try:
        return _deep.decode(image)
    except UNDECODABLE as error:
        raise Damaged(f"not an item in DynamoDB JSON ({reason(error)}): {image[:80]!r}") from error


def attribute(image: bytes, name: str) -> dict[str, Any] | None:
    """Returns one typed value of an image, without decoding the rest; None if the item has no such attribute."""
    try:
        raw = _shallow.decode(image).get(name)
        return None if raw is None else msgspec.json.decode(raw, type=dict[str, Any])
    except UNDECODABLE as error:
        raise Damaged(f"not an item in DynamoDB JSON ({reason(error)}): {image[:80]!r}") from error


def key_of(schema: KeySchema, image: bytes) -> bytes:
    """Returns the canonical key of an image. Raises Damaged if the bytes are not an item of this key schema."""
    try:
        fields = _shallow.decode(image)
        return canonical_key(schema, {n: _any.decode(fields[n]) for n in schema.names if n in fields})
    except (*UNDECODABLE, MalformedRecord) as error:
        raise Damaged(f"not an item with this table's key ({reason(error)}): {image[:80]!r}") from error


class KeyReader:
    """Finds canonical keys of one schema. It recognizes a key that is already canonical, as nearly every key is, at a glance."""

    def __init__(self, schema: KeySchema) -> None:
        self._schema = schema
        attributes = (
            re.escape(msgspec.json.encode(each.name))
            + b":"
            + re.escape(b'{"%s":"' % each.type.encode())
            + _PLAIN[each.type]
            + b'"}'
            for each in schema.attributes
        )
        self._plain = re.compile(rb"\{" + b",".join(attributes) + rb"\}").fullmatch

    def __call__(self, keys: bytes) -> bytes:
        """Returns the canonical key of an item's key attributes, or of its image: see `key_of`."""
        return keys if self._plain(keys) else key_of(self._schema, keys)


# Text that JSON writes in only one way, and numbers in the form of `numbers.canonical`.
_PLAIN = {
    "S": rb"[ !#-\[\]-~]*",
    "B": rb"[ !#-\[\]-~]*",
    "N": rb"(?:0|-?[1-9][0-9]*(?:\.[0-9]*[1-9])?|-?0\.[0-9]*[1-9])",
}


def one_line(raw: bytes) -> bytes:
    """Returns the same JSON without line breaks (valid JSON has them only between tokens), for a line of newline-delimited JSON."""
    return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw


def same_image(one: bytes, other: bytes) -> bool:
    """True if two images are the same item: numbers by value, sets without order, the rest exactly."""
    return one == other or _comparable_map(well_formed_item(one)) == _comparable_map(well_formed_item(other))


def same_state(one: bytes | None, other: bytes | None) -> bool:
    """True if two states of an item are the same: by `same_image`, or both None, which is no item."""
    return one is other is None or (one is not None and other is not None and same_image(one, other))


def fingerprint(image: bytes) -> bytes:
    """Returns 16 bytes of an image, in whatever order its attributes are: if they are equal, the images are the same item.

    If they differ, the images may still be one item in two spellings: `same_image` decides. Raises Damaged if it is not an image.
    """
    try:
        fields = _shallow.decode(image)
    except UNDECODABLE as error:
        raise Damaged(f"not an item in DynamoDB JSON ({reason(error)}): {image[:80]!r}") from error
    return hashlib.blake2b(msgspec.json.encode({name: fields[name] for name in sorted(fields)}), digest_size=16).digest()


def well_formed_item(image: bytes) -> dict[str, dict[str, Any]]:
    """Returns the same as `decode`. Raises Damaged also if a value is not one, at any depth."""
    fields = decode(image)
    if not all(map(well_formed, fields.values())):
        raise Damaged(f"not an item in DynamoDB JSON: {image[:80]!r}")
    return fields


def check_scalars(fields: Mapping[str, Any]) -> None:
    """Raises Damaged if a number or binary value of well-formed attributes is none, at any depth."""
    if not only_scalars(fields) or any("N" in value for value in fields.values()):
        _comparable_map(fields)


def check_names(image: bytes, fields: Mapping[str, Any]) -> None:
    """Raises Damaged if a name comes twice in an object of the image. `fields`: the image, decoded; it has the last of two."""
    if len(msgspec.json.encode(fields)) < len(image):  # or it has blanks and escapes, which is seldom
        try:
            json.loads(image, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise Damaged(f"not an item in DynamoDB JSON ({reason(error)}): {image[:80]!r}") from error


def _once(pairs: Sequence[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise Damaged(f"a name comes twice: {', '.join(twice)[:80]}")


def _comparable_map(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _comparable(value) for name, value in fields.items()}


def _comparable(value: Any) -> Any:
    """Returns a value whose `==` is DynamoDB's equality, from well-formed attribute values, at any depth."""
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return kind, _number(inner)
        case "B":
            return kind, _binary(inner)
        case "M":
            return kind, _comparable_map(inner)
        case "L":
            return kind, [_comparable(each) for each in inner]
        case "NS":
            return kind, frozenset(map(_number, inner))
        case "BS":
            return kind, frozenset(map(_binary, inner))
        case "SS":
            return kind, frozenset(inner)
        case _:
            return kind, inner


def canonical_scalar(kind: str, text: str) -> str:
    """Returns the one text of a number (`N`) or of binary (`B`), equal for equal values. Raises Damaged if it is not one."""
    return _number(text) if kind == "N" else base64.b64encode(_binary(text)).decode()


def _number(text: str) -> str:
    try:
        return numbers.canonical(text)
    except ValueError as error:
        raise Damaged(f"not a DynamoDB number: {text!r:.100}") from error


def _binary(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Damaged(f"not base64: {text!r:.60}") from error


def only_scalars(image: Mapping[str, Any]) -> bool:
    """True if all values of decoded JSON are plainly S, N, BOOL or NULL. Nearly every item's are, and this check is quick."""
    try:
        for value in image.values():
            (kind,) = value
            if type(value[kind]) is not _PLAINLY[kind]:
                return False
    except (LookupError, TypeError, ValueError):
        return False
    return True


def well_formed(value: Any, depth: int = 0) -> bool:
    """True if decoded JSON is one typed attribute value (`{"S": "a"}`, `{"L": [{"N": "1"}]}`), within the allowed depth."""
    if not isinstance(value, _MAPS) or len(value) != 1 or depth > DEEPEST:
        return False
    ((kind, inner),) = value.items()
    if (scalar := SCALARS.get(kind)) is not None:
        return isinstance(inner, scalar) or (kind == "B" and isinstance(inner, bytes))
    if kind in SETS:
        return isinstance(inner, list) and all(isinstance(each, (str, bytes) if kind == "BS" else str) for each in inner)
    if kind == "M":
        return isinstance(inner, _MAPS) and all(well_formed(each, depth + 1) for each in inner.values())
    return kind == "L" and isinstance(inner, list) and all(well_formed(each, depth + 1) for each in inner)
