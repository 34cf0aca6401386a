"""Calls the garbage collector less often, for work on millions of objects that hold no cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

FEW = 50_000  # objects that are made between two collections


@contextmanager
def few_collections() -> Iterator[None]:
    """Context with few collections. Millions of changes hold no cycles: looking for them takes a tenth of the time."""
    before = gc.get_threshold()
    gc.set_threshold(FEW, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
