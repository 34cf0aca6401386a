"""The horizon: the second from which a table's history is kept. `retain` moves it, and removes what only older moments need."""

from __future__ import annotations

import msgspec

from backstream.model import moment


class Horizon(msgspec.Struct, frozen=True):
    """The horizon, as the catalog records it.

    `second`: the first restorable second; `since`: the same in ISO 8601, for people; `base`: the id of the base backup that holds
    the table's state at the end of that second. Changes up to that second do not count any more, wherever they still lie.
    """

    second: int
    since: str
    base: str


def at(second: int, base: str) -> Horizon:
    """Returns the horizon at a second, with the base backup of that second."""
    return Horizon(second, moment.iso(second), base)


def is_sound(horizon: Horizon | None) -> bool:
    """True if its second is one, and if it names a base backup."""
    return horizon is None or (moment.is_known(horizon.second) and bool(horizon.base) and "/" not in horizon.base)
