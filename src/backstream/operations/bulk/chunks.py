"""Cuts what comes one by one into lists that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Row = TypeVar("Row")


def in_chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yields the rows in lists of `size`, the last one shorter; none if there are no rows."""
    waiting = iter(rows)
    while held := list(islice(waiting, size)):
        yield held
