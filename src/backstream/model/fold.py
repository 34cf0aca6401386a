"""The fold: which change tells an item's state at a moment. State at T = per item the change of greatest order with time <= T."""

from __future__ import annotations

from collections.abc import Iterable

from backstream.model.entry import Entry


def later(known: Entry | None, entry: Entry) -> Entry:
    """Of two changes of one item the one that tells its state, whichever came first: the greater order."""
    return entry if known is None or entry.order > known.order else known


def newest(entries: Iterable[Entry], at: int) -> Entry | None:
    """Of one item's entries, in any order and any number of times, the one that tells its state at second `at`.

    None where there is none: as far as these entries know, the item did not exist yet.
    """
    best: Entry | None = None
    for entry in entries:
        if entry.seconds <= at:
            best = later(best, entry)
    return best
