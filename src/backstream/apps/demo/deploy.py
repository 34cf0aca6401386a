"""The bad deploy: a release of the airport's software that ruins rows. It writes like any other release."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.apps.demo.airport import Airport
from backstream.apps.demo.flights import DAY, Event, Item

OLD = 18 * 60  # what was cancelled before this minute, it takes for old
TRIALS = 12

_NONSENSE: Item = {"status": {"NULL": True}, "dep_delay": {"N": "0"}, "arr_time": {"S": "NaN:NaN"}}


class DeployDamage(msgspec.Struct, frozen=True):
    """The number of rows that were ruined, deleted and left behind."""

    ruined: int
    deleted: int
    left_behind: int

    @property
    def writes(self) -> int:
        """The number of these changes, and of the changes that undo them."""
        return self.ruined + self.deleted + self.left_behind


def bad_deploy(airport: Airport, events: Sequence[Event]) -> DeployDamage:
    """Overwrites status and times of all flights that left, deletes cancelled ones, and leaves trial rows behind."""
    left = [event.key for event in events if event.status == "departed"]
    old = [event.key for event in events if event.status == "cancelled" and event.minute < OLD]
    for key in left:
        airport.set(key, _NONSENSE)
    airport.delete(old)
    airport.put(_trial(number) for number in range(1, TRIALS + 1))
    return DeployDamage(len(left), len(old), TRIALS)


def _trial(number: int) -> Item:
    return {"flight": {"S": f"TEST{number}"}, "scheduled": {"S": f"{DAY}T00:00"}, "status": {"S": "trial"}}
