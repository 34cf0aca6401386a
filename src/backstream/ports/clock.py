"""The source of time."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """The source of time. Seconds are since 1970 UTC; `wake` may cut a sleep short."""

    def now(self) -> float:
        """The machine's time, in epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Returns after `seconds`."""
