"""The bad night: a release ruins some rows while passengers go on booking. Only its writes are to be undone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from backstream.apps.demo.airport import Airport
from backstream.apps.demo.flights import DAY, Event, Item
from backstream.apps.demo.proof import Copy, copy_of, key_of

UPDATED, BOOKED, DELETED, CREATED, OTHERS = 107, 5, 15, 3, 20
TOUCHED = UPDATED + DELETED + CREATED
WHERE = "carrier exists"  # true of flights, not of bookings

_NONSENSE: Item = {"status": {"S": "unknown"}, "distance": {"N": "0"}}


class Night:
    """One night. `release` and `passengers` write; `expected` returns the table's contents once the release is undone."""

    def __init__(self, airport: Airport, events: Sequence[Event], good: Copy, *, first: int = 0) -> None:
        """`first`: the number of its first booking, so that two nights book different ones."""
        self._airport = airport
        self._first = first
        self._good = good
        self._updated = [event.key for event in events if event.status == "arrived"][:UPDATED]
        self._deleted = [event.key for event in events if event.status == "cancelled"][:DELETED]
        self._written: list[Item] = []

    def release(self, *, alone: bool = False) -> None:
        """Ruins 107 flights, deletes 15, leaves 3 behind; meanwhile passengers make eleven bookings, unless it is `alone`."""
        for number, key in enumerate(self._updated):
            self._airport.set(key, _NONSENSE)
            if number % 10 == 0 and not alone:
                self._book(number)
        self._airport.delete(self._deleted)
        self._airport.put(_trial(number) for number in range(CREATED))

    def _book(self, number: int) -> None:
        booking: Item = {"flight": {"S": f"BOOKING{self._first + number}"}, "scheduled": {"S": DAY}, "seats": {"N": "2"}}
        self._airport.put([booking])
        self._written.append(booking)

    def passengers(self) -> None:
        """Some hours later: five of the ruined flights are booked out, and more bookings come in."""
        for key in self._updated[:BOOKED]:
            self._airport.set(key, {"seats_left": {"N": "0"}})
        for number in range(1_000, 1_000 + OTHERS):
            self._book(number)

    @property
    def writes(self) -> int:
        """The number of the night's changes, with those that undo the release."""
        return 2 * TOUCHED + len(self._written) + BOOKED

    def expected(self) -> Copy:
        """Returns the table without the release, and with everything else."""
        rows: dict[str, Mapping[str, object]] = {key: msgspec.json.decode(row) for key, row in self._good.rows.items()}
        for key in self._updated[:BOOKED]:
            name = key_of(key)
            rows[name] = {**rows[name], "seats_left": {"N": "0"}}
        rows.update({key_of(booking): booking for booking in self._written})
        return copy_of(rows.values())


def _trial(number: int) -> Item:
    key: Item = {"flight": {"S": f"TEST{number}"}, "scheduled": {"S": f"{DAY}T00:00"}}
    return {**key, "carrier": {"S": "XX"}, "status": {"S": "trial"}}
