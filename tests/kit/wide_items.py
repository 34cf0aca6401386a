"""Items as hard as DynamoDB takes them, from a seeded source: all types, several under one name, odd names, the ends of numbers."""

from __future__ import annotations

import base64
import random
from typing import Any

from backstream.model.values import wire
from kit import images

# Few of them, so that an attribute has several types, and an item has twins that differ only in case.
NAMES = ["status", "Status", "STATUS", "a.b", "a_b", "", "Größe", "x" * 60, "X" * 60, "key", "_null", "old", "new", "1st", "a\nb"]
NUMBERS = ["0", "-1", "1.5", "9" * 38, "0." + "0" * 129 + "1", "1" + "0" * 125, "-" + "9" * 38 + "0" * 87, "12.50", "1E+3"]
TEXTS = ["", "a", "2026-01-01", "null", "NULL", "007", "é\u2028😀", '"', "\\", "\x00", "a" * 300]


def value(source: random.Random, depth: int = 0) -> dict[str, Any]:
    """One typed value."""
    kind = source.choice(["S", "S", "N", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M"][: 10 if depth > 2 else 12])
    match kind:
        case "S":
            return {"S": source.choice(TEXTS)}
        case "N":
            return {"N": source.choice(NUMBERS)}
        case "B":
            return {"B": base64.b64encode(source.randbytes(source.randrange(4))).decode()}
        case "BOOL":
            return {"BOOL": source.random() < 0.5}
        case "NULL":
            return {"NULL": True}
        case "SS":
            return {"SS": source.sample(TEXTS[1:], source.randrange(1, 4))}
        case "NS":
            return {"NS": source.sample(NUMBERS, source.randrange(1, 4))}
        case "BS":
            return {"BS": [base64.b64encode(bytes([number])).decode() for number in range(source.randrange(1, 4))]}
        case "L":
            return {"L": [value(source, depth + 1) for _ in range(source.randrange(3))]}
        case _:
            return {"M": {name: value(source, depth + 1) for name in source.sample(NAMES, source.randrange(3))}}


def item(source: random.Random, number: int) -> bytes:
    """An item of the stage's table."""
    fields = {name: value(source) for name in source.sample(NAMES, source.randrange(6))}
    return wire.encode({**wire.decode(images.key("z", number)), **fields})
