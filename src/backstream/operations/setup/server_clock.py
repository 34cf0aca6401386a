"""The servers' time on a machine whose clock is off: what is written into a vault is compared with the times of changes.

A reader that is a minute ahead would take a shard that is listed only now for one that was listed a minute ago, and one that is
behind would end a gap before the change that is missing. See docs/notes/0037.
"""

from __future__ import annotations

from backstream.model.clocks import CLOCKS_APART, MOST_SKEW
from backstream.ports import Clock, Table


class ServerClock:
    """`ports.Clock`: another clock, set right by so many seconds."""

    def __init__(self, clock: Clock, ahead: float) -> None:
        """`ahead`: what to add to the other one's time."""
        self._clock = clock
        self.ahead = ahead

    def now(self) -> float:
        """Epoch seconds."""
        return self._clock.now() + self.ahead

    def sleep(self, seconds: float) -> None:
        """Sleep by the other clock."""
        self._clock.sleep(seconds)


def server_clock(clock: Clock, table: Table) -> ServerClock:
    """The clock, set right by the table's server, which is asked once. It tells whole seconds: a smaller error is left as it is.

    So is one of more than a day: a server that answers so is not believed. Errors as of `Table.server_time`.
    """
    error = table.server_time() - clock.now()
    return ServerClock(clock, error if CLOCKS_APART < abs(error) <= MOST_SKEW else 0.0)
