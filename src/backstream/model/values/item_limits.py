"""Tells whether DynamoDB accepts an item before it is asked, so that an invalid value is reported with its place in the item.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from backstream.model.values import numbers, sizes, wire

MOST_BYTES = 400 << 10
DEEPEST = 32


class InvalidItem(ValueError):
    """A value that DynamoDB would not accept, or that is not an item at all. The message names the place."""


def check(fields: Mapping[str, Any], *, nameless: bool = False) -> None:
    """Raises InvalidItem, naming the place, for an item (decoded DynamoDB JSON, binary as base64 text) that DynamoDB does not
    accept. `nameless`: an attribute with an empty name passes, if its value does.
    """
    for name, value in fields.items():
        if not name and not nameless:
            raise InvalidItem("the item has an attribute without a name")
        _check_text(name, "the item")
        _check(value, str(name), 1)


def check_size(image: bytes) -> None:
    """Raises InvalidItem for an item of more than 400 KB."""
    if len(image) > MOST_BYTES and (size := sizes.item_bytes(image)) > MOST_BYTES:
        raise InvalidItem(f"the item would have {size:,} bytes: DynamoDB keeps 400 KB at most")


def _check_text(text: Any, path: str) -> None:
    if not isinstance(text, str):
        raise InvalidItem(f"{path} has a name that is no text: {text!r:.40}")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise InvalidItem(f"{path} holds what is no text in Unicode") from error


def _check(value: Any, path: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidItem(f"{path} is nested deeper than {DEEPEST} levels")
    if not isinstance(value, Mapping) or len(value) != 1:
        raise InvalidItem(f'{path} is no attribute value in DynamoDB JSON, as {{"S": "a"}}: {value!r:.60}')
    ((kind, inner),) = value.items()
    if kind == "M" and isinstance(inner, Mapping):
        for name, each in inner.items():
            _check_text(name, path)
            _check(each, f"{path}.{name}", depth + 1)
    elif kind == "L" and isinstance(inner, list):
        for place, each in enumerate(inner):
            _check(each, f"{path}[{place}]", depth + 1)
    elif not wire.well_formed(value) or (kind == "NULL" and inner is not True):
        raise InvalidItem(f'{path} is no attribute value in DynamoDB JSON, as {{"S": "a"}}: {value!r:.60}')
    elif kind in wire.SETS:
        _check_set(kind, inner, path)
    else:
        _comparable(kind, inner, path)


def _check_set(kind: str, members: Iterable[Any], path: str) -> None:
    seen = [_comparable(kind[0], each, path) for each in members]
    if not seen:
        raise InvalidItem(f"{path} is an empty set, which DynamoDB does not keep")
    if len(set(seen)) < len(seen):
        raise InvalidItem(f"{path} is a set that holds something twice")


def _comparable(kind: str, inner: Any, path: str) -> Any:
    """Returns a checked scalar in a form in which two are equal as DynamoDB compares them."""
    if kind == "N":
        try:
            return numbers.in_range(inner)
        except ValueError as error:
            raise InvalidItem(f"{path}: {error}") from error
    if kind == "B":
        try:
            return base64.b64decode(inner, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidItem(f"{path} is not base64: {inner!r:.60}") from error
    if kind == "S":
        _check_text(inner, path)
    return inner
