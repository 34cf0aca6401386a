"""Computes the size of an item as DynamoDB counts it for read and write units.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backstream.model.values import wire

READ_UNIT = 4096  # bytes that one unit reads, strongly consistent
WRITE_UNIT = 1024  # bytes that one unit writes
CONTAINER = 3  # of a list or a map, besides what is in it, and 1 for each of its elements


def item_bytes(image: bytes) -> int:
    """Returns the size of an item in bytes: names in UTF-8, and values. Raises Damaged if it is not an image."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in wire.decode(image).items())


def write_units(image: bytes) -> int:
    """Returns the units for writing an item with that image, without indexes. Raises Damaged if it is large and not an image.

    JSON is longer than DynamoDB's count, never shorter: nearly every item is known to take one unit without a look into it. Source:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    return 1 if len(image) <= WRITE_UNIT else max(1, -(-item_bytes(image) // WRITE_UNIT))


def read_units(image: bytes) -> int:
    """Returns the units for a strongly consistent read of an item with that image. Errors and source: see `write_units`."""
    return 1 if len(image) <= READ_UNIT else max(1, -(-item_bytes(image) // READ_UNIT))


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, inner),) = value.items()
    match kind:
        case "S":
            return len(inner.encode())
        case "B":
            return len(inner) * 3 // 4 - str(inner).count("=")
        case "N":
            return _number_bytes(inner)
        case "SS" | "NS" | "BS":
            return sum(_value_bytes({kind[0]: each}) for each in inner)
        case "M":
            return CONTAINER + sum(1 + len(name.encode()) + _value_bytes(each) for name, each in inner.items())
        case "L":
            return CONTAINER + sum(1 + _value_bytes(each) for each in inner)
        case _:
            return 1


def _number_bytes(text: str) -> int:
    """Returns the bytes of a number: one for two significant digits, one more, and one for the sign of a negative number."""
    digits = text.lower().partition("e")[0].lstrip("-").replace(".", "").strip("0")
    return -(-len(digits) // 2) + 1 + text.startswith("-")
