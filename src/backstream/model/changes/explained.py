"""Tells whether changes that the vault did not hold at that time explain a row that differed between vault and table."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from backstream.model.changes.entry import Entry
from backstream.model.clocks import CLOCKS_APART


def is_explained(changes: Iterable[Entry], *, held: str, seen: str, since: int, until: int) -> bool:
    """True if these changes of an item, with none missing, lead to the state in which it was seen.

    `held`, `seen`: the digests of the vault's state and of the table's state; `since`, `until`: the seconds between which the table
    had it. One of the changes must leave that state then. All changes up to it must follow from one another, and from the held
    state if that is older. A change without a digest proves no other state.
    """
    ordered = sorted({each.order: each for each in changes}.values(), key=lambda each: each.order)
    for place, change in enumerate(ordered):
        following = ordered[place + 1].seconds if place + 1 < len(ordered) else until
        in_time = change.seconds <= until + CLOCKS_APART and following >= since - CLOCKS_APART
        if in_time and change.leaves == seen:
            return _follow(ordered[: place + 1], held)
    return False


def _follow(changes: list[Entry], held: str) -> bool:
    """True if each change was made upon the state that the one before left.

    `held` is left by one of them, or found by the first.
    """
    if not all(other.before in (None, one.leaves) for one, other in pairwise(changes)):
        return False
    return changes[0].before in (None, held) or any(each.leaves == held for each in changes[:-1])
