"""Provides the servers' time on a machine whose clock is wrong, because times in a vault are compared with the times of changes.

A reader that is a minute ahead would take a newly listed shard for one that was listed a minute ago. One that is behind would end
a gap before the missing change. See docs/notes/0037.
"""

from __future__ import annotations

from backstream.model.clocks import CLOCKS_APART, MOST_SKEW
from backstream.ports import Clock, Table


class ServerClock:
    """A `ports.Clock` that corrects another clock by some seconds."""

    def __init__(self, clock: Clock, ahead: float) -> None:
        """`ahead`: the seconds to add to the other clock's time."""
        self._clock = clock
        self.ahead = ahead

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock.now() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Sleep by the other clock."""
        self._clock.sleep(seconds)


def server_clock(clock: Clock, table: Table) -> ServerClock:
    """Returns the clock, corrected by the table's server, which is asked once. The server states whole seconds, so a smaller error
    stays.

    An error of more than a day stays too: such a server is not trusted. Raises the errors of `Table.server_time`.
    """
    error = table.server_time() - clock.now()
    return ServerClock(clock, error if CLOCKS_APART < abs(error) <= MOST_SKEW else 0.0)
