"""How a drill is ended when its time is up: in the middle of whatever it does, but never while it cleans up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager


class OutOfTime(BaseException):
    """The time is up. Not an Exception: nothing on its way may take it for a failure of a row, or of the live table."""


# A block that ends with OutOfTime when the time is up; a drill enters one for each part that may be broken off.
Limit = Callable[[], AbstractContextManager[object]]
