"""DynamoDB numbers as text: up to 38 significant digits, 1E-130 to 9.99...E+125, never a float.

DynamoDB answers with plain notation and without needless zeros, whatever was written; `canonical` gives that same form, so that
two texts of one number are equal, and so that a key has one name.
Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html (Number).
"""

from __future__ import annotations

import re

MOST_DIGITS = 38
MOST_WHOLE = 126  # digits before the point, of 9.99...E+125
MOST_LEADING_ZEROS = 130  # after it: 1E-130 has one fewer

_NUMBER = re.compile(r"\s*([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d{1,6}))?\s*", re.ASCII)


def canonical(text: str) -> str:
    """Returns the one plain notation of a number: `1.50` -> `1.5`, `1E+3` -> `1000`, `-0.0` -> `0`.

    Raises ValueError if it is not one.
    """
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


def compare(one: str, other: str) -> int:
    """Returns less than, equal to or greater than 0, comparing two numbers by value. Raises ValueError if one is not a number."""
    first, second = canonical(one), canonical(other)
    if first == second:
        return 0
    negative = first.startswith("-")
    if negative != second.startswith("-"):
        return -1 if negative else 1
    larger = _magnitude(first) > _magnitude(second)
    return 1 if larger is not negative else -1


def _magnitude(plain: str) -> tuple[int, str, str]:
    """Returns a key that orders plain notations of one sign: the whole part by its length, then text by text."""
    whole, _, fraction = plain.removeprefix("-").partition(".")
    return len(whole), whole, fraction


def in_range(text: str) -> str:
    """Returns the same as `canonical`.

    Raises ValueError for a number beyond DynamoDB's limits: 38 digits, 1E-130 to 9.99...E+125.
    """
    plain = canonical(text)
    whole, _, fraction = plain.removeprefix("-").partition(".")
    digits = (whole + fraction).strip("0")
    leading = len(fraction) - len(fraction.lstrip("0")) if whole == "0" else 0
    if len(digits) > MOST_DIGITS or len(whole) > MOST_WHOLE or leading >= MOST_LEADING_ZEROS:
        raise ValueError(f"not a number that DynamoDB takes: {text!r}")
    return plain
