"""Counts in words."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Returns the count and its noun, as "1 row" or "2,000 rows". `many` is the plural if it is not formed with an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
