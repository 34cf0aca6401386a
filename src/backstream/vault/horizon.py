"""The horizon: the second from which a table's history is kept; and the single states from before it that stay restorable.

`retain` moves the horizon, and removes what only older moments need.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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


class KeptState(msgspec.Struct, frozen=True):
    """The state at a second before the horizon, or at it, which stays restorable.

    `since`: the second in ISO 8601, for people; `base`: the id of the base backup that holds it; `whole`: True if that base backup
    holds the whole state, False if it holds only what has changed since the kept state before this one.
    """

    second: int
    since: str
    base: str
    whole: bool


def kept_at(second: int, base: str, *, whole: bool) -> KeptState:
    """Returns the kept state at a second, with its base backup."""
    return KeptState(second, moment.iso(second), base, whole)


def chain(kept: Sequence[KeptState], second: int) -> list[KeptState]:
    """Returns the kept states that make up the one at a second, oldest first, itself included; empty if there is none."""
    until = [each for each in kept if each.second <= second]
    if not until or until[-1].second != second:
        return []
    whole = max(number for number, each in enumerate(until) if each.whole)
    return until[whole:]


def are_sound(kept: Sequence[KeptState], horizon: Horizon | None) -> bool:
    """True if the kept states are in the order of time, not after the horizon, and if the first one is whole."""
    if not kept:
        return True
    if horizon is None or not kept[0].whole or kept[-1].second > horizon.second:
        return False
    ordered = all(one.second < other.second for one, other in pairwise(kept))
    return ordered and all(moment.is_known(each.second) and _is_id(each.base) for each in kept)


def at(second: int, base: str) -> Horizon:
    """Returns the horizon at a second, with the base backup of that second."""
    return Horizon(second, moment.iso(second), base)


def is_sound(horizon: Horizon | None) -> bool:
    """True if its second is one, and if it names a base backup."""
    return horizon is None or (moment.is_known(horizon.second) and _is_id(horizon.base))


def _is_id(base: str) -> bool:
    return bool(base) and "/" not in base
