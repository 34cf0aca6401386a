"""A row that differed between a vault and its table, explained by changes that the vault did not hold at that time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from backstream.model.changes.entry import Entry
from backstream.model.clocks import CLOCKS_APART


def is_explained(changes: Iterable[Entry], *, held: str, seen: str, since: int, until: int) -> bool:
    """Whether these changes of an item, of which none is missing, lead to the state in which it was seen.

    `held`, `seen`: the digests of the state that the vault held, and of the one that the table had; `since`, `until`: the seconds
    between which the table had it. One of the changes has to leave that state then, and all up to it have to follow from one
    another, and from what was held where that is older than they are. A change that does not say its digest proves no other state.
    """
    ordered = sorted({each.order: each for each in changes}.values(), key=lambda each: each.order)
    for place, change in enumerate(ordered):
        following = ordered[place + 1].seconds if place + 1 < len(ordered) else until
        in_time = change.seconds <= until + CLOCKS_APART and following >= since - CLOCKS_APART
        if in_time and change.leaves == seen:
            return _follow(ordered[: place + 1], held)
    return False


def _follow(changes: list[Entry], held: str) -> bool:
    """Whether each was made upon the state that the one before left. `held` is left by one of them, or found by the first."""
    if not all(other.before in (None, one.leaves) for one, other in pairwise(changes)):
        return False
    return changes[0].before in (None, held) or any(each.leaves == held for each in changes[:-1])
