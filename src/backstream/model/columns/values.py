"""The values of items in typed columns: many images at a time, column by column.

S text   N text, or a decimal where a scale is fixed   B bytes   BOOL bool   SS NS BS L M their DynamoDB JSON as text

NULL has no column: `nulls` names an item's attributes that are NULL. A missing attribute is None in all of its columns.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Any

import msgspec

from backstream.errors import Damaged
from backstream.model.columns.schema import TYPES, Column, ColumnSchema
from backstream.model.values import numbers
from backstream.model.values.decoding import UNDECODABLE, reason

_NOTHING = msgspec.Raw()
_OTHERS = 9  # of the ten fields of a value


class Value(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One typed value. Exactly one field is there, or it is not a value. Sets, lists and maps stay the bytes that they are."""

    S: str | None = None
    N: str | None = None
    B: str | None = None
    BOOL: bool | None = None
    NULL: bool | None = None
    SS: msgspec.Raw = _NOTHING
    NS: msgspec.Raw = _NOTHING
    BS: msgspec.Raw = _NOTHING
    L: msgspec.Raw = _NOTHING
    M: msgspec.Raw = _NOTHING


Row = Mapping[str, Value]
_decoder = msgspec.json.Decoder(dict[str, Value])
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines
_EXACT = Context(prec=numbers.MOST_DIGITS, traps=[InvalidOperation, Inexact])
_STEPS = [Decimal(1).scaleb(-scale) for scale in range(numbers.MOST_DIGITS + 1)]


def row_of(image: bytes) -> Row:
    """Returns the attributes of an image. Raises Damaged if the bytes are not an item in DynamoDB JSON."""
    try:
        row = _decode(image)
    except UNDECODABLE as error:
        raise Damaged(f"not an item in DynamoDB JSON ({reason(error)}): {image[:80]!r}") from error
    for name, value in row.items():
        _check_single(name, value)
    return row


def rows_of(images: Sequence[bytes]) -> Sequence[Row]:
    """Returns the attributes of many images. Raises Damaged if one is not an item."""
    lines = b"\n".join(images)
    try:
        rows = _decode_lines(lines)
    except UNDECODABLE:
        return [row_of(image) for image in images]
    # Each name and each type ends with `":`. If there are two for each attribute, no value has two types.
    plain = lines.count(b'":') == 2 * sum(map(len, rows)) and not _has_spaced_colon(lines)
    return rows if plain and len(rows) == len(images) else [row_of(image) for image in images]


def _has_spaced_colon(image: bytes) -> bool:
    return b" :" in image or b"\n:" in image or b"\t:" in image or b"\r:" in image


def _check_single(name: str, value: Value) -> None:
    """Raises Damaged if a value has not exactly one type."""
    scalars = [value.S, value.N, value.B, value.BOOL, value.NULL]
    containers = [value.SS, value.NS, value.BS, value.L, value.M]
    if scalars.count(None) + containers.count(_NOTHING) != _OTHERS:
        raise _not_single(name)


def _not_single(name: str) -> Damaged:
    return Damaged(f"an item's attribute {name!r:.80} is not one typed value")


class TypedRows(msgspec.Struct, frozen=True):
    """Some items in typed columns, in the order of the items.

    `schema`: the one that was given, with a column for each new attribute and type; `values`: for each of its columns that has a
    value, by name, a value or None for each item; `nulls`: for each item the names of its attributes that are NULL; `unfit`: for
    each item the number of its numbers that do not fit a column of decimals.
    """

    schema: ColumnSchema
    values: Mapping[str, list[Any]]
    nulls: list[list[str]]
    unfit: list[int]


def typed(rows: Sequence[Row], schema: ColumnSchema) -> TypedRows:
    """Returns some items in typed columns. Raises Damaged if a value is not one."""
    found = _by_attribute(rows) if rows else {}
    return _Typing(rows, found, schema).typed()


def _by_attribute(rows: Sequence[Row]) -> Mapping[str, Sequence[Value | None]]:
    """Returns each attribute's values, None for an item without it."""
    if len(shapes := set(map(tuple, rows))) == 1:  # the items of most tables, and nearly all that come together
        return dict(zip(shapes.pop(), zip(*(row.values() for row in rows), strict=True), strict=True))
    count, found = len(rows), dict[str, list[Value | None]]()
    for place, row in enumerate(rows):
        for name, value in row.items():
            if name not in found:
                found[name] = [None] * count
            found[name][place] = value
    return found


class _Typing:
    def __init__(self, rows: Sequence[Row], found: Mapping[str, Sequence[Value | None]], schema: ColumnSchema) -> None:
        self._found = found
        self._schema = schema
        self._values: dict[str, list[Any]] = {}
        self._nulls: list[list[str]] = [[] for _ in rows]
        self._unfit = [0] * len(rows)

    def typed(self) -> TypedRows:
        by_kind = {name: self._kinds(name, values) for name, values in self._found.items()}
        schema = self._schema.with_kinds((name, kind) for name, kinds in by_kind.items() for kind in kinds)
        for name, kinds in by_kind.items():
            for kind, values in kinds.items():
                for column in schema.by_kind.get((name, kind), ()):
                    self._values[column.name] = self._converted(column, values)
        return TypedRows(schema, self._values, self._nulls, self._unfit)

    def _kinds(self, name: str, values: Sequence[Value | None]) -> dict[str, list[Any]]:
        """Returns an attribute's values for each type that it has. Each value is of exactly one type."""
        left = len(values) - values.count(None)
        found: dict[str, list[Any]] = {}
        for kind in self._likely(name):
            if not left:
                break
            of_kind = _READ[kind](values)
            if count := len(of_kind) - of_kind.count(None):
                left -= count
                found[kind] = of_kind
        if left and not self._note_nulls(name, values):
            raise _not_single(name)
        return {kind: found[kind] for kind in TYPES if kind in found}

    def _likely(self, name: str) -> Sequence[str]:
        """Returns the types, first those that the attribute has had."""
        had = [kind for kind in TYPES if (name, kind) in self._schema.by_kind]
        return had + [kind for kind in TYPES if kind not in had]

    def _note_nulls(self, name: str, values: Sequence[Value | None]) -> int:
        places = [place for place, value in enumerate(values) if value is not None and value.NULL is not None]
        for place in places:
            self._nulls[place].append(name)
        return len(places)

    def _converted(self, column: Column, values: list[Any]) -> list[Any]:
        if column.type == "B":
            return [None if each is None else _binary(column, each) for each in values]
        if column.scale is not None:
            return self._decimals(column.scale, values)
        if column.type in _TEXT:
            return values
        return [None if each is None else _container(column, each) for each in values]

    def _decimals(self, scale: int, values: list[str | None]) -> list[Decimal | None]:
        found = [None if each is None else decimal_of(each, scale) for each in values]
        for place, (text, number) in enumerate(zip(values, found, strict=True)):
            if number is None and text is not None:
                self._unfit[place] += 1
        return found


_TEXT = ("S", "N", "BOOL")
# One expression for each type: a function that took the type's name would take twice as long.
_READ: Mapping[str, Callable[[Sequence[Value | None]], list[Any]]] = {
    "S": lambda values: [None if each is None else each.S for each in values],
    "N": lambda values: [None if each is None else each.N for each in values],
    "B": lambda values: [None if each is None else each.B for each in values],
    "BOOL": lambda values: [None if each is None else each.BOOL for each in values],
    "SS": lambda values: [None if each is None else bytes(each.SS) or None for each in values],
    "NS": lambda values: [None if each is None else bytes(each.NS) or None for each in values],
    "BS": lambda values: [None if each is None else bytes(each.BS) or None for each in values],
    "L": lambda values: [None if each is None else bytes(each.L) or None for each in values],
    "M": lambda values: [None if each is None else bytes(each.M) or None for each in values],
}


def decimal_of(text: str, scale: int) -> Decimal | None:
    """Returns a number with exactly that many digits after the point; None if decimal(38, scale) does not hold its exact value.

    Raises Damaged if the text is not a number.
    """
    try:
        return Decimal(numbers.canonical(text)).quantize(_STEPS[scale], context=_EXACT)
    except (InvalidOperation, Inexact):
        return None
    except ValueError as error:
        raise Damaged(f"not a DynamoDB number: {text!r:.100}") from error


def _binary(column: Column, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Damaged(f"the attribute {column.attribute!r:.80} is not base64: {text!r:.60}") from error


def _container(column: Column, raw: bytes) -> str:
    if raw[:1] != (b"{" if column.type == "M" else b"["):
        raise _not_single(column.attribute)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Damaged(f"an item's attribute {column.attribute!r:.80} is not UTF-8") from error
