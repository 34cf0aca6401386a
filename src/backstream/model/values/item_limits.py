"""Whether DynamoDB takes an item: told before it is asked, so that what it would refuse is named by its place in the item.

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
    """What DynamoDB would not take, or what is no item at all; the message names the place."""


def check(fields: Mapping[str, Any]) -> None:
    """Unfit, naming the place, where an item (decoded DynamoDB JSON, binary as base64 text) is none that DynamoDB takes."""
    for name, value in fields.items():
        if not name:
            raise InvalidItem("the item has an attribute without a name")
        _check_text(name, "the item")
        _check(value, str(name), 1)


def check_size(image: bytes) -> None:
    """Unfit for an item of more than 400 KB."""
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
    """A scalar, checked, so that two of them are equal as DynamoDB says."""
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
