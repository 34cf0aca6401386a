"""Items that are hard on tools: what DynamoDB takes, and what gets lost where images are re-encoded.

All are of the table `SCHEMA`, whose key attributes are not in alphabetical order.
"""

from __future__ import annotations

import base64
import itertools
from typing import Any

import msgspec

from backstream.model.values.schema import KeyAttribute, KeySchema

SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "N"))

_BINARY = base64.b64encode(bytes(range(256))).decode()

# Attributes of the item beside its key.
HARD_ATTRIBUTES: dict[str, dict[str, Any]] = {
    "thirty-eight digits": {"n": {"N": "12345678901234567890123456789012345678"}, "small": {"N": "0." + "0" * 90 + "1" * 38}},
    "huge number": {"n": {"N": "1E+100"}, "most": {"N": "-9.99E+125"}, "least": {"N": "1E-130"}},
    "set of numbers": {"n": {"NS": ["1E+100", "-0.5", "12345678901234567890123456789012345678"]}},
    "binary": {"b": {"B": _BINARY}, "set": {"BS": ["AAA=", "////", _BINARY]}},
    "nested binary": {"m": {"M": {"l": {"L": [{"B": _BINARY}, {"M": {"b": {"B": "AA=="}}}, {"BS": ["AQ==", "Ag=="]}]}}}},
    "empty things": {"s": {"S": ""}, "b": {"B": ""}, "l": {"L": []}, "m": {"M": {}}, "null": {"NULL": True}, "no": {"BOOL": False}},
    "awkward names": {"a.b": {"S": "."}, '"quoted"\n': {"S": "\u2028\x00\x1f\\"}, "N": {"M": {"N": {"N": "1"}}}},
    "emoji": {"s": {"S": "\U0001f600" * 92_000}},  # 368,000 bytes: an item is at most 400 KB
    "deep": {"l": {"L": [{"L": [{"M": {"a": {"L": [{"SS": ["a", "\U0001f468\u200d\U0001f469\u200d\U0001f467"]}]}}}]}]}},
}
HARD_ZONES = ("plain", "a/b|c", '"quoted" | \\ back', "line\nbreak\ttab", "\U0001f600\u00e9e\u0301", " ", "../..", "%2F+")
HARD_NUMBERS = ("0", "-1.5", "1E+100", "-9.99E+125", "12345678901234567890123456789012345678", "0.000001")


def image(zone: str, number: str | int, **attributes: dict[str, Any]) -> bytes:
    """An item, its attributes in an order that is neither alphabetical nor the schema's."""
    return msgspec.json.encode({**attributes, "number": {"N": str(number)}, "zone": {"S": zone}})


def key(zone: str, number: str | int) -> bytes:
    """The key of an item, likewise."""
    return image(zone, number)


def hard_images() -> dict[str, bytes]:
    """Every hard item, by a name for the test's output."""
    by_attributes = {name: image(name, 1, **attributes) for name, attributes in HARD_ATTRIBUTES.items()}
    by_key = {
        f"key {zone!r} {number}": image(zone, number, v={"S": zone}) for zone, number in itertools.product(HARD_ZONES, HARD_NUMBERS)
    }
    return {**by_attributes, **by_key}
