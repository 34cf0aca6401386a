"""Where time comes from."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Seconds since 1970 UTC; sleeping may be cut short by `wake`."""

    def now(self) -> float:
        """The machine's time, in epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
