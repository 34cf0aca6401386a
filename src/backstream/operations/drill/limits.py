"""Ends a drill when its time is up: in the middle of any step, but never while it cleans up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager


class OutOfTime(BaseException):
    """The time is up. It is not an Exception: no handler may take it for a failure of a row, or of the live table."""


# A block that ends with OutOfTime when the time is up. A drill enters one for each part that may be interrupted.
Limit = Callable[[], AbstractContextManager[object]]
