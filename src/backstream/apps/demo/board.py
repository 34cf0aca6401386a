"""The departures board: the number of flights in each state, as the day goes by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from backstream.apps.demo.flights import Event
from backstream.apps.demo.narration import Narration

STATES = ("scheduled", "delayed", "departed", "arrived", "cancelled")
_EVERY = 3 * 60  # minutes of the airports' clock between two lines


class Board:
    """Prints the state of the day every three hours of its clock, and at its end."""

    def __init__(self, narration: Narration, flights: int) -> None:
        self._narration = narration
        self._counts = Counter(scheduled=flights)

    def follow(self, events: Iterable[Event]) -> None:
        """Yields all events, and watches them."""
        self._narration.columns("clock", *STATES)
        told = minute = 0
        for event in events:
            minute = event.minute
            if minute >= told + _EVERY:
                told = minute - minute % _EVERY
                self._tell(told)
            self._counts[event.was] -= 1
            self._counts[event.status] += 1
        self._tell(minute)

    def _tell(self, minute: int) -> None:
        clock = f"{minute // 60 % 24:02}:{minute % 60:02}"
        self._narration.row(clock, *(self._counts[state] for state in STATES))
