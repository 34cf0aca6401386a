"""Converts items to plain Python values and back. A script sees these unless it asks for DynamoDB JSON.

    S str   N decimal.Decimal (int is taken, too)   B bytes   BOOL bool   NULL None   M dict   L list   SS NS BS set

Nothing is lost: numbers keep their 38 digits and their text, empty strings stay, a set stays a set. A value without one meaning in
DynamoDB (a float, an empty set, a set of different types) is refused, with the path to it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from typing import Any

from backstream.model.values import wire
from backstream.model.values.item_limits import InvalidItem

# 38 digits, as in DynamoDB. By Python's own default, arithmetic would round to 28.
CONTEXT = Context(prec=38, Emin=-130, Emax=125, traps=[InvalidOperation, DivisionByZero, Overflow])
_BINARIES = (bytes, bytearray, memoryview)


def to_plain(image: bytes) -> dict[str, Any]:
    """Returns an image's attributes as plain values. Raises Damaged if it is not an image."""
    return {name: _plain(value) for name, value in wire.well_formed_item(image).items()}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, inner),) = value.items()
    return _READ[kind](inner)


def _binary(text: str) -> bytes:
    return base64.b64decode(text)


_READ: Mapping[str, Callable[[Any], Any]] = {
    "S": str,
    "N": Decimal,
    "B": _binary,
    "BOOL": bool,
    "NULL": lambda _: None,
    "M": lambda inner: {name: _plain(value) for name, value in inner.items()},
    "L": lambda inner: [_plain(value) for value in inner],
    "SS": set,
    "NS": lambda inner: set(map(Decimal, inner)),
    "BS": lambda inner: set(map(_binary, inner)),
}


def from_plain(fields: Mapping[Any, Any]) -> dict[str, dict[str, Any]]:
    """Returns plain values as decoded DynamoDB JSON.

    Raises InvalidItem, naming the place, for a value that DynamoDB does not have.
    """
    return {_name(name, "item"): _typed(value, str(name)) for name, value in fields.items()}


def _typed(value: Any, path: str) -> dict[str, Any]:
    """Returns one typed value. `path` names it in an error."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (str, int, Decimal, *_BINARIES)):
        kind, text = _scalar(value, path)
        return {kind: text}
    if isinstance(value, Mapping):
        return {"M": {_name(name, path): _typed(each, f"{path}.{name}") for name, each in value.items()}}
    if isinstance(value, list | tuple):
        return {"L": [_typed(each, f"{path}[{place}]") for place, each in enumerate(value)]}
    if isinstance(value, AbstractSet):
        return _set(value, path)
    if isinstance(value, float):
        raise InvalidItem(f"{path} is a float ({value!r}), which loses digits: give an int or a decimal.Decimal")
    raise InvalidItem(f"{path} is of the type {type(value).__name__}, which DynamoDB does not know")


def _scalar(value: Any, path: str) -> tuple[str, str]:
    if isinstance(value, str):
        return "S", str.__str__(value)
    if isinstance(value, _BINARIES):
        return "B", base64.b64encode(value).decode()
    if isinstance(value, Decimal) and not value.is_finite():
        raise InvalidItem(f"{path} is {value}, which is no number of DynamoDB's")
    try:
        return "N", str(value) if isinstance(value, Decimal) else int.__str__(value)
    except ValueError as error:  # Python's own limit, of thousands of digits
        raise InvalidItem(f"{path} is a number of too many digits") from error


def _set(values: AbstractSet[Any], path: str) -> dict[str, Any]:
    if not values:
        raise InvalidItem(f"{path} is an empty set, which DynamoDB does not keep: remove the attribute, or give a list")
    for each in values:
        if isinstance(each, bool) or not isinstance(each, (str, int, Decimal, *_BINARIES)):
            raise InvalidItem(f"{path} is a set that holds a {type(each).__name__}: strings, numbers or bytes can be in one")
    members = [_scalar(each, path) for each in values]
    kinds = {kind for kind, _ in members}
    if len(kinds) > 1:
        raise InvalidItem(f"{path} is a set of different types, which DynamoDB does not know")
    return {f"{kinds.pop()}S": [text for _, text in members]}


def _name(name: Any, path: str) -> str:
    if not isinstance(name, str):
        raise InvalidItem(f"{path} has a name that is no text: {name!r}")
    return str.__str__(name)
