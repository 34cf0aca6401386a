"""Controls the speed of writing: as fast as the table accepts, and no faster than requested.

`Congestion` decides the number of calls under way, as TCP does for packets: one more with each round that succeeds, half as many
when the table throttles. Additive increase with multiplicative decrease converges, and is fair to other writers. `Gate` makes
threads keep to it, `Pace` to a number of units a second.
"""

from __future__ import annotations

import threading

from backstream.ports import Clock

LEAST, FIRST, MOST = 2, 8, 64  # calls under way
SHARE_KEPT = 0.5
LONGEST_CALL = 120.0  # seconds
SETTLING = 0.2  # seconds in which a back-off shows; until then nothing is concluded from what was sent


class Congestion:
    """The number of calls that may be under way at a time (`limit`). Pure: times come as arguments, in seconds of any one clock.

    Only calls that were sent after the last back-off could take effect are judged, so that one burst of refusals is one back-off.
    """

    def __init__(self, *, least: int = LEAST, first: int = FIRST, most: int = MOST) -> None:
        self._least, self._most = least, most
        self._window = float(first)
        self._judged_from = float("-inf")
        self._backed_off = float("-inf")

    @property
    def limit(self) -> int:
        """The number of calls, from `least` to `most`."""
        return int(self._window)

    def went_well(self, sent: float, under_way: int) -> None:
        """Notes a call that was accepted whole.

        `under_way`: the calls at that time; if they were fewer than the limit, raising it would change nothing.
        """
        if self._is_judged(sent) and under_way >= self.limit:
            self._window = min(self._most, self._window + 1 / self._window)

    def was_throttled(self, sent: float, now: float) -> None:
        """Notes a call that was refused, or that left something undone."""
        if self._is_judged(sent):
            self._window = max(self._least, self._window * SHARE_KEPT)
            self._backed_off, self._judged_from = now, now + SETTLING

    def _is_judged(self, sent: float) -> bool:
        # A call that seems older than any call can be: the clock was set back, and that must not end the judging.
        return sent >= self._judged_from or sent < self._backed_off - LONGEST_CALL


class Gate:
    """Lets as many threads through at a time as `congestion` allows, and tells it the results of their calls."""

    def __init__(self, clock: Clock, congestion: Congestion) -> None:
        self._clock = clock
        self._congestion = congestion
        self._under_way = 0
        self._sent = 0  # of those: who waits for a pace does not show that more could be under way
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """The number of calls that may be under way now."""
        with self._changed:
            return self._congestion.limit

    def enter(self) -> None:
        """Returns when there is room; `leave` must follow."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way < self._congestion.limit)
            self._under_way += 1

    def begin(self) -> float:
        """Marks that a thread that has entered sends its call now; `end` must follow. Before, it may wait for another turn."""
        with self._changed:
            self._sent += 1
            return self._clock.now()

    def end(self, sent: float, *, throttled: bool | None) -> None:
        """Ends a call. `throttled`: True if it was refused for the rate, or left something undone; None if it proves nothing."""
        with self._changed:
            if throttled:
                self._congestion.was_throttled(sent, self._clock.now())
            elif throttled is not None:
                self._congestion.went_well(sent, self._sent)
            self._sent -= 1

    def leave(self) -> None:
        """Make room."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify(max(1, self._congestion.limit - self._under_way))


class Pace:
    """Allows a number of units a second, over all threads: a call that comes too early waits."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock = clock
        self._per_second = per_second
        self._free_at = clock.now()
        self._lock = threading.Lock()

    def spend(self, units: float) -> None:
        """Returns when there is room for these units."""
        wait = self.reserve(units) - self._clock.now()
        if wait > 0:
            self._clock.sleep(wait)

    def reserve(self, units: float) -> float:
        """Returns when there is room for these units (epoch seconds), and spends them."""
        with self._lock:
            begins = max(self._free_at, self._clock.now())
            self._free_at = begins + units / self._per_second
            return begins

    def settle(self, units: float) -> None:
        """Corrects an earlier spending by these units, more or fewer: the next calls wait for that, or less."""
        with self._lock:
            self._free_at += units / self._per_second
