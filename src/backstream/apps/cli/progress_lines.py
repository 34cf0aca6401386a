"""Progress as lines, for the log of a job that nobody watches at a terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable

PERIOD = 60.0  # seconds between two lines
MINUTE, HOUR = 60, 3_600


class ProgressLines:
    """Implements `operations.bulk.progress.Progress`: a line each minute, with the rate and the remaining time.

    `now`: returns the seconds of the clock; `write`: takes a line.
    """

    def __init__(self, now: Callable[[], float], write: Callable[[str], None]) -> None:
        self._now = now
        self._write = write
        self._lock = threading.Lock()
        self.phase("", None)

    def phase(self, name: str, total: int | None) -> None:
        """Begins a new phase. Nothing is written before a minute of it is over."""
        with self._lock:
            self._name, self._total, self._done = name, total, 0
            self._began = self._told = self._now()

    def expect(self, total: int) -> None:
        """Notes the number of the phase's steps."""
        self._total = total

    def advance(self, steps: int) -> None:
        """Adds finished steps, and writes a line if one is due."""
        with self._lock:
            self._done += steps
            now = self._now()
            if now - self._told >= PERIOD:
                self._told = now
                self._write(self._line(now - self._began))

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        of = "" if self._total is None else f" of {self._total:,}"
        left = "" if self._total is None or not rate else f", {spelled((self._total - self._done) / rate)} left"
        return f"progress: {self._name}: {self._done:,}{of}, {rate:,.0f} a second{left}"


def spelled(seconds: float) -> str:
    """Returns a time as `7 s`, `12 min` or `3 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    hours, minutes = divmod(-(-whole // MINUTE), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
