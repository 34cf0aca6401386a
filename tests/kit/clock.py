"""A clock that tests set by hand: it moves when told, or when somebody sleeps by it."""

from __future__ import annotations


class ManualClock:
    """`ports.Clock` that begins at `start` (epoch seconds); `slept`: every sleep so far."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self.slept: list[float] = []

    def now(self) -> float:
        """Epoch seconds."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self._now += seconds

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class OffClock:
    """`ports.Clock` of a machine that is so many seconds `ahead` of the servers' clock; behind it, where that is negative."""

    def __init__(self, right: ManualClock, ahead: float) -> None:
        self._right = right
        self._ahead = ahead

    def now(self) -> float:
        """Epoch seconds, wrong."""
        return self._right.now() + self._ahead

    def sleep(self, seconds: float) -> None:
        """Move the right one on."""
        self._right.sleep(seconds)
