"""The rate and the lag of a running tail, in one line of a terminal that is written again each second."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from backstream.apps.cli.output import err, notice
from backstream.operations.capture.shards import Wrote

RECENT = 10.0  # seconds that the rate is of
EVERY = 1.0  # seconds
_CLEAR = "\r\x1b[K"  # https://www.ecma-international.org/publications-and-standards/standards/ecma-48/ 8.3.41 (EL)


class ChangePace:
    """Counts what became durable. Safe to call from many threads. `began`: epoch seconds."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._total = 0
        self._last: Wrote | None = None

    def add(self, segment: Wrote) -> None:
        """Notes a segment that is durable."""
        with self._lock:
            self._recent.append((segment.ended, segment.count))
            self._total += segment.count
            if self._last is None or segment.ended >= self._last.ended:
                self._last = segment

    def text(self, now: float) -> str:
        """Returns the line for a second."""
        with self._lock:
            while self._recent and self._recent[0][0] <= now - RECENT:
                self._recent.popleft()
            rate = sum(count for _, count in self._recent) / max(1.0, min(RECENT, now - self._began))
            if self._last is None:
                return "0 changes/s; no change yet"
            lag, ago = max(0.0, self._last.ended - self._last.newest), max(0.0, now - self._last.ended)
            return f"{rate:,.1f} changes/s, {self._total:,} captured; lag {lag:.1f} s, the last one {ago:.0f} s ago"


class LiveLine:
    """Shows a `ChangePace` while the block runs, if `shown`: on a terminal. Elsewhere it shows nothing."""

    def __init__(self, now: Callable[[], float], *, shown: bool | None = None) -> None:
        self._now = now
        self._shown = err.is_terminal if shown is None else shown
        self._pace = ChangePace(now())
        self._done = threading.Event()
        self._drawing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="live-line", daemon=True)

    def __enter__(self) -> Self:
        if self._shown:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._shown:
            self._done.set()
            self._thread.join()
            self._write(_CLEAR)

    def wrote(self, segment: Wrote) -> None:
        """Counts a segment."""
        self._pace.add(segment)

    def notice(self, text: str) -> None:
        """Prints a line above it."""
        with self._drawing:
            if self._shown:
                self._write(_CLEAR)
            notice(text)

    def _run(self) -> None:
        while not self._done.wait(EVERY):
            with self._drawing:
                self._write(_CLEAR + self._pace.text(self._now())[: max(1, err.width - 1)])

    @staticmethod
    def _write(text: str) -> None:
        err.file.write(text)
        err.file.flush()
