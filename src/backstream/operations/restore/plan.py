"""Plans a restore, counted while it is decided: rows, write units, dollars, time, and a few sample rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.model import prices
from backstream.model.plan import Action
from backstream.model.values import wire
from backstream.model.values.sizes import write_units

SAMPLE = 5  # rows of each kind that are shown
# The write units per second that a table takes at once:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
ON_DEMAND_UNITS = 4_000.0


class Sampled(msgspec.Struct, frozen=True):
    """A row to be put or deleted: its key, its image now and then; null if there is none."""

    key: msgspec.Raw
    action: str
    before: msgspec.Raw
    after: msgspec.Raw


class Planned(msgspec.Struct, frozen=True):
    """The estimate of a restore.

    `write_units`: for the table alone, each index takes as many again for its items; `dollars`: by on-demand prices;
    `estimated_seconds`: at the table's speed of writing, or at the requested one; `sample`: some of the rows.
    """

    write_units: int
    dollars: float
    estimated_seconds: float
    sample: list[Sampled]


class Planning:
    """Counts the plan. `units_a_second`: the limit of the writing."""

    def __init__(self, units_a_second: float) -> None:
        self._units_a_second = units_a_second
        self._units = 0
        self._sample: dict[Action, list[Sampled]] = {Action.PUT: [], Action.DELETE: []}

    def add(self, key: bytes, action: Action, then: bytes | None, live: bytes | None) -> None:
        """Adds one row and its action."""
        if action is Action.ALONE:
            return
        self._units += max(write_units(image) for image in (then, live) if image is not None)
        if len(self._sample[action]) < SAMPLE:
            self._sample[action].append(Sampled(msgspec.Raw(key), action.value, _raw(live), _raw(then)))

    def planned(self) -> Planned:
        """Returns the counted plan."""
        return Planned(
            write_units=self._units,
            dollars=round(self._units * prices.WRITE_UNIT, 6),
            estimated_seconds=round(self._units / self._units_a_second, 1),
            sample=[each for rows in self._sample.values() for each in rows],
        )


def _raw(image: bytes | None) -> msgspec.Raw:
    return msgspec.Raw(b"null" if image is None else wire.one_line(image))


def units_a_second(description: bytes | None, asked: float | None) -> float:
    """Returns a table's speed of writing: its capacity, or on-demand's initial capacity; never more than was asked for.

    `description`: DescribeTable's `Table`; None for a table to be created.
    """
    table: Mapping[str, Any] = msgspec.json.decode(description) if description else {}
    provisioned = table.get("ProvisionedThroughput", {}).get("WriteCapacityUnits") or 0
    most = float(provisioned) if provisioned else ON_DEMAND_UNITS
    return most if asked is None else min(most, asked)
