"""Formats items' values for people: plain JSON that loses no digit, or DynamoDB JSON as it is kept."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from backstream.apps.web.access.privacy import ShownValue
from backstream.model.values.decoding import UNDECODABLE

MASKED = "(masked)"
LONG = 400  # characters of a value in a table; the item's JSON has all of it
BEFORE = 40  # characters before the first difference of two long values
_SETS = {"SS": "S", "NS": "N", "BS": "B"}


def plain(raw: bytes) -> str:
    """Returns a typed value (`{"N":"1.50"}`) as plain JSON (`1.50`); unchanged if it is not one."""
    try:
        return _plain(msgspec.json.decode(raw))
    except (*UNDECODABLE, ValueError, TypeError, KeyError, RecursionError):
        return raw.decode("utf-8", "replace")


def _plain(value: Any) -> str:
    ((kind, inner),) = value.items()
    if kind in ("N", "B"):
        return str(inner) if kind == "N" else _text(inner)
    if kind == "NULL":
        return "null"
    if kind == "M":
        return "{" + ", ".join(f"{_text(name)}: {_plain(each)}" for name, each in inner.items()) + "}"
    if kind == "L":
        return "[" + ", ".join(map(_plain, inner)) + "]"
    if kind in _SETS:
        return "[" + ", ".join(_plain({_SETS[kind]: each}) for each in inner) + "]"
    return json.dumps(inner, ensure_ascii=False)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def kind_of(raw: bytes) -> str:
    """Returns the type of a typed value, as `S`; empty if it is not one."""
    try:
        value = msgspec.json.decode(raw)
    except UNDECODABLE:
        return ""
    return next(iter(value), "") if isinstance(value, dict) else ""


def cell(value: ShownValue | None) -> str:
    """Returns a value for a table's cell, cut if it is long."""
    return _cut(_whole(value), 0)


def changed_cells(before: ShownValue | None, after: ShownValue | None) -> tuple[str, str]:
    """Returns two values for cells, of which one replaces the other, with their difference in sight.

    A long text is cut around it. If only the types differ, they are shown.
    """
    texts = _whole(before), _whole(after)
    if before is None or after is None or before.raw == after.raw:
        return cell(before), cell(after)
    if texts[0] == texts[1]:
        texts = before.raw.decode("utf-8", "replace"), after.raw.decode("utf-8", "replace")
    same = _same_characters(*texts)
    begin = 0 if same < LONG - BEFORE else same - BEFORE
    return _cut(texts[0], begin), _cut(texts[1], begin)


def _whole(value: ShownValue | None) -> str:
    if value is None:
        return ""
    return MASKED if value.masked else plain(value.raw)


def _cut(text: str, begin: int) -> str:
    end = begin + LONG
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if len(text) > end else ''}"


def _same_characters(one: str, other: str) -> int:
    """Returns the number of characters that both texts begin with, by halves: a value has up to 400,000."""
    same, most = 0, min(len(one), len(other))
    while same < most:
        middle = (same + most + 1) // 2
        same, most = (middle, most) if one[same:middle] == other[same:middle] else (same, middle - 1)
    return same


def document(attributes: dict[str, ShownValue], *, typed: bool) -> str:
    """Returns a whole item as indented JSON, plain or DynamoDB's."""
    lines = [f"  {_text(name)}: {_line(each, typed=typed)}" for name, each in attributes.items()]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def _line(value: ShownValue, *, typed: bool) -> str:
    if value.masked:
        return _text(MASKED)
    return value.raw.decode("utf-8", "replace") if typed else plain(value.raw)


def key_words(key: bytes) -> str:
    """Returns a key in plain JSON, for headings and lists."""
    try:
        fields = msgspec.json.decode(key, type=dict[str, msgspec.Raw])
    except UNDECODABLE:
        return key.decode("utf-8", "replace")
    return ", ".join(f"{name} = {plain(bytes(raw))}" for name, raw in fields.items())
