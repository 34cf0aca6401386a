"""DynamoDB numbers as text: up to 38 significant digits, 1E-130 to 9.99...E+125, never a float.

DynamoDB answers with plain notation and without needless zeros, whatever was written; `canonical` gives that same form, so that
two texts of one number are equal, and so that a key has one name.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html (Number).
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"\s*([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,6}))?\s*", re.ASCII)


def canonical(text: str) -> str:
    """The one plain notation of the number `text`: `1.50` -> `1.5`, `1E+3` -> `1000`, `-0.0` -> `0`. ValueError if it is none."""
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise ValueError(f"not a number: {text!r}")
    digits = (match[2] + match[3]).lstrip("0")
    exponent = int(match[4] or 0) - len(match[3])
    stripped = digits.rstrip("0")
    if not stripped:
        return "0"
    return ("-" if match[1] == "-" else "") + _plain(stripped, exponent + len(digits) - len(stripped))


def _plain(digits: str, exponent: int) -> str:
    if exponent >= 0:
        return digits + "0" * exponent
    point = len(digits) + exponent
    if point > 0:
        return f"{digits[:point]}.{digits[point:]}"
    return "0." + "0" * -point + digits
