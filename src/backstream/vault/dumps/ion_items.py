"""Reads the lines of exports in Amazon Ion. It needs the package `amazon.ion`, so nothing imports it before such a line comes.

`{Item:{...}}` in text: numbers are decimals, binary values blobs, sets lists with an annotation, and NULL is Ion's null.
"""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

from amazon.ion import simpleion
from amazon.ion.core import IonType
from amazon.ion.exceptions import IonException
from amazon.ion.simple_types import IonPyDict, IonPyList

from backstream.errors import Damaged
from backstream.model.values import wire
from backstream.model.values.decoding import DEEPEST, MISSHAPEN, UNDECODABLE, reason
from backstream.vault.aws_export import LineFormat, NetChange

_SETS = {"$dynamodb_SS": ("SS", "S"), "$dynamodb_NS": ("NS", "N"), "$dynamodb_BS": ("BS", "B")}


def read_item(line: bytes) -> bytes:
    """Returns the image of `{Item:{...}}` in DynamoDB JSON. Raises Damaged if the line is not one."""
    return _image(_struct(line, "Item"))


def read_change(line: bytes) -> NetChange:
    """Returns the change in a line of an incremental export, with or without `Record` around it. Raises Damaged likewise."""
    value = _value(line)
    fields = value["Record"] if isinstance(value, IonPyDict) and set(value) == {"Record"} else value
    try:
        micros = _whole(fields["Metadata"]["WriteTimestampMicros"])
        old, new = fields.get("OldImage"), fields.get("NewImage")
        return NetChange(
            micros=micros,
            keys=_image(fields["Keys"]),
            old=None if old is None else _image(old),
            new=None if new is None else _image(new),
        )
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise Damaged(f"not a line of an incremental export in Ion: {error!r:.200}") from error


def _whole(number: Any) -> int:
    """Returns a whole number, however it is spelled: `1601578294000000.`, `16d14`. Raises ValueError if it is none."""
    found = Decimal(str(number).rstrip("."))
    if found.adjusted() > _MICROS_DIGITS or found != found.to_integral_value():
        raise ValueError(f"not a time: {number!s:.40}")
    return int(found)


_MICROS_DIGITS = 20
ION_LINES = LineFormat(read_item, read_change)


def _struct(line: bytes, name: str) -> Any:
    value = _value(line)
    if not isinstance(value, IonPyDict) or set(value) != {name} or len(value) != 1:  # a field may come twice
        raise Damaged(f"not a line of a full export in Ion: {line[:80]!r}")
    return value[name]


def _value(line: bytes) -> Any:
    try:
        line.decode()  # the reader in C ends the process at bytes that are no text
        return simpleion.loads(line)
    except (IonException, ArithmeticError, *MISSHAPEN) as error:
        raise Damaged(f"not Amazon Ion: {error!s:.200}") from error


def _image(fields: Any) -> bytes:
    if not isinstance(fields, IonPyDict):
        raise Damaged("not an item in Ion: it is no struct")
    try:
        return wire.encode(_map(fields, "", 1))
    except (ArithmeticError, *UNDECODABLE) as error:  # a number of thousands of digits, half of a pair
        raise Damaged(f"not an item in Ion: {reason(error)}") from error


def _map(fields: IonPyDict, path: str, depth: int) -> dict[str, Any]:
    typed: dict[str, Any] = {}
    for name, value in fields.items():  # a field that comes twice comes twice here, too
        if name in typed:
            raise Damaged(f"the attribute {path}{name} comes twice")
        typed[str(name)] = _typed(value, f"{path}{name}", depth)
    return typed


def _typed(value: Any, path: str, depth: int) -> dict[str, Any]:
    kind = getattr(value, "ion_type", None)
    marks = [mark.text for mark in getattr(value, "ion_annotations", ())]
    if depth > DEEPEST or (marks and not (isinstance(value, IonPyList) and marks[0] in _SETS and len(marks) == 1)):
        raise Damaged(f"{path} is no attribute value: {marks or 'nested too deep'}")
    if marks:
        name, of = _SETS[marks[0]]
        return {name: [_scalar(each, of, path) for each in value]}
    if isinstance(value, IonPyDict):
        return {"M": _map(value, f"{path}.", depth + 1)}
    if isinstance(value, IonPyList):
        return {"L": [_typed(each, f"{path}[{place}]", depth + 1) for place, each in enumerate(value)]}
    if kind is IonType.NULL:
        return {"NULL": True}
    if kind is IonType.BOOL:
        return {"BOOL": bool(value)}
    letter = _LETTERS.get(kind, "?")
    return {letter: _scalar(value, letter, path)}


_LETTERS = {IonType.STRING: "S", IonType.DECIMAL: "N", IonType.INT: "N", IonType.BLOB: "B"}


def _scalar(value: Any, letter: str, path: str) -> str:
    kind = getattr(value, "ion_type", None)
    if _LETTERS.get(kind) != letter or value is None or not isinstance(value, (str, bytes, int, Decimal)):
        raise Damaged(f"{path} is no attribute value of DynamoDB: {value!r:.80} ({kind!s})")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return "0" if isinstance(value, Decimal) and not value else str(value)
