"""Reads the forms of the older tools: the names of their items' objects, and their binary values. Pure.

They name an object by a hash of `JSON.stringify(key)`, or by the key's plain values. The attributes stand in the order that the key
happened to have: the event's order, the key schema's, or sorted. So one item may have objects under two names, and all of them are
looked for. `docs/older-tools.md` lists the tools.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backstream.errors import Damaged
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.model.values import wire
from backstream.model.values.schema import KEY_TYPES, KeyAttribute, KeySchema

STREAM = "1970-01-01T00:00:00.000"  # of what has only a time of arrival: before every stream there is
PLAIN_SEPARATOR = " | "
MOST_BYTE = 255
_POSITIONS = 10**6  # of versions that arrived in one instant
_KEYS = 10**18


class Style(msgspec.Struct, frozen=True):
    """The way in which an object got its name: the naming, and the order of the key's attributes."""

    naming: Naming
    order: KeyOrder


def sequence(micros: int, position: int, key: bytes) -> str:
    """Returns the place of a version among its item's versions: by arrival, then by the listing's order within one instant. It has
    40 digits.

    The last digits come from the key, because each sequence number of a table belongs to one change.
    """
    of_key = int.from_bytes(hashlib.sha256(key).digest()[:16], "big") % _KEYS
    return f"{(micros * _POSITIONS + position) * _KEYS + of_key:040d}"


# --- names ----------------------------------------------------------------------------------------------------------------------


def names_of(schema: KeySchema, item: Mapping[str, Any]) -> dict[str, list[Style]]:
    """Returns every ID that an older tool may have given the item with these attributes (as its object's body has them)."""
    found: dict[str, list[Style]] = {}
    for order in orders_of(schema):
        attributes = ordered(schema, order)
        if any(each.name not in item for each in attributes):
            return {}
        for style, name in _ids(order, {each.name: item[each.name] for each in attributes}):
            styles = found.setdefault(name, [])
            if style not in styles:
                styles.append(style)
    return found


def ordered(schema: KeySchema, order: KeyOrder) -> Sequence[KeyAttribute]:
    """Returns the key's attributes in an order."""
    attributes = schema.attributes
    if order is KeyOrder.SORTED:
        return sorted(attributes, key=lambda each: each.name)
    return attributes[::-1] if order is KeyOrder.REVERSED else attributes


def orders_of(schema: KeySchema) -> list[KeyOrder]:
    """Returns the possible orders of a key with this schema, each once: at most two."""
    found: dict[Sequence[str], KeyOrder] = {}
    for order in KeyOrder:
        found.setdefault(tuple(each.name for each in ordered(schema, order)), order)
    return list(found.values())


def _ids(order: KeyOrder, key: Mapping[str, Any]) -> Iterator[tuple[Style, str]]:
    for form in _forms(key):
        text = stringify(form).encode()
        yield Style(Naming.SHA256, order), hashlib.sha256(text).hexdigest()
        yield Style(Naming.MD5, order), hashlib.md5(text, usedforsecurity=False).hexdigest()
    texts = [text for value in key.values() if isinstance(value, Mapping) for text in value.values()]
    if all(isinstance(text, str) for text in texts):
        yield Style(Naming.PLAIN, order), PLAIN_SEPARATOR.join(texts)


def _forms(key: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yields the key as the body has it, and with its binary values as base64 text, as a Buffer and as a Uint8Array."""
    yield key
    plain = {name: mended(value)[0] for name, value in key.items()}
    if not any("B" in value for value in plain.values()):
        return
    yield plain
    for write in (_buffer, _array):
        yield {name: {"B": write(base64.b64decode(each["B"]))} if "B" in each else each for name, each in plain.items()}


def _buffer(data: bytes) -> Any:
    return {"type": "Buffer", "data": list(data)}


def _array(data: bytes) -> Any:
    return {str(place): byte for place, byte in enumerate(data)}


def stringify(value: Any) -> str:
    """Returns the output of JavaScript's `JSON.stringify`. Source: https://tc39.es/ecma262/#sec-quotejsonstring"""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def tenant_texts(item: Mapping[str, Any]) -> dict[str, str]:
    """Returns for each attribute the text by which an item would be put into a tenant's folder: the value unchanged."""
    return {
        name: text
        for name, value in item.items()
        if isinstance(value, Mapping) and len(value) == 1
        for kind, text in value.items()
        if kind in KEY_TYPES and isinstance(text, str)
    }


# --- bodies ---------------------------------------------------------------------------------------------------------------------


def read_body(body: bytes) -> dict[str, Any]:
    """Returns the attributes in an object's body. Raises Damaged if it is not the JSON of an item; values are not checked yet."""
    return wire.decode(body)


def mended_item(item: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Returns the item with its binary values in DynamoDB JSON, and whether any was otherwise.

    Raises Damaged if it is not an item even then: nothing is guessed.
    """
    whole, changed = _mended_map(item)
    if not all(map(wire.well_formed, whole.values())):
        wrong = next(name for name, value in whole.items() if not wire.well_formed(value))
        raise Damaged(f"the attribute {wrong!r} is not in DynamoDB JSON")
    return whole, changed


def mended(value: Any) -> tuple[Any, bool]:
    """Does the same for one typed value: `{"B":{"type":"Buffer","data":[...]}}` and `{"B":{"0":...}}` can only mean these bytes."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value, False
    ((kind, inner),) = value.items()
    if kind == "B":
        text = _as_base64(inner)
        return ({"B": text}, True) if text is not None else (value, False)
    if kind == "BS" and isinstance(inner, list):
        texts = [_as_base64(each) for each in inner]
        whole = [each if text is None else text for each, text in zip(inner, texts, strict=True)]
        return {"BS": whole}, any(text is not None for text in texts)
    if kind == "L" and isinstance(inner, list):
        parts = [mended(each) for each in inner]
        return {"L": [each for each, _ in parts]}, any(changed for _, changed in parts)
    if kind == "M" and isinstance(inner, Mapping):
        whole_map, changed = _mended_map(inner)
        return {"M": whole_map}, changed
    return value, False


def _mended_map(fields: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    parts = {name: mended(value) for name, value in fields.items()}
    return {name: each for name, (each, _) in parts.items()}, any(changed for _, changed in parts.values())


def _as_base64(written: Any) -> str | None:
    """Returns base64 text; None if the value is not one of the two forms."""
    if not isinstance(written, Mapping):
        return None
    if set(written) == {"type", "data"} and written["type"] == "Buffer":
        return _encoded(written["data"])
    return _encoded(list(written.values())) if list(written) == [str(place) for place in range(len(written))] else None


def _encoded(numbers: Any) -> str | None:
    if not isinstance(numbers, list) or not all(_is_byte(each) for each in numbers):
        return None
    return base64.b64encode(bytes(numbers)).decode()


def _is_byte(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_BYTE


# --- what a bucket's objects have in common --------------------------------------------------------------------------------------


def common_tenants(seen: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Returns the attributes whose value is the folder in all these objects, each given as its folder and its item."""
    common: list[str] | None = None
    for folder, item in seen:
        here = [name for name, text in tenant_texts(item).items() if text == folder]
        common = here if common is None else [name for name in common if name in here]
    return common or []
