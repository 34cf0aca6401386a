"""Compares one item on two sides, a table and the vault or another table, and tracks whether the sides stopped changing.

A table changes while it is compared, and a change takes some seconds to reach its copy. So one look proves only equality. A
difference is proven if it stays while neither side moves for longer than a change may be on its way.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState
from backstream.model.values import wire


class ComparisonKind(enum.StrEnum):
    """The result of a comparison.

    MISSING: only in the table; EXTRA: only in its copy; IN_FLIGHT: the sides did not stop changing.
    """

    SAME = "same"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    IN_FLIGHT = "in_flight"


def compare(kept: bytes | None, live: bytes | None) -> ComparisonKind | None:
    """Compares the copy's image (`kept`) with the table's (`live`); None if there is none. Returns None if neither side has the
    item.

    Compares by value: numbers as numbers, sets without order. Raises Damaged if one is not an image.
    """
    if kept is None:
        return None if live is None else ComparisonKind.MISSING
    if live is None:
        return ComparisonKind.EXTRA
    return ComparisonKind.SAME if wire.same_image(kept, live) else ComparisonKind.DIFFERENT


DIFFERENCES = (ComparisonKind.MISSING, ComparisonKind.EXTRA, ComparisonKind.DIFFERENT)


class Observation(msgspec.Struct, frozen=True):
    """An item at its last look.

    `live`: its image in the table, None if there is none; `moved`: True if either side has changed since the first look.
    """

    kind: ComparisonKind
    live: bytes | None
    moved: bool = False

    @property
    def verdict(self) -> ComparisonKind:
        """The verdict if nobody looks again."""
        return ComparisonKind.IN_FLIGHT if self.moved else self.kind


class TableObservation(Observation, frozen=True, kw_only=True):
    """An item of a table beside the vault. `known`: the vault's knowledge of it; `newest`: the entry that gives its state."""

    known: FoldState
    newest: Entry | None

    def still_is(self, newest: Entry | None, live: bytes | None) -> bool:
        """True if neither side has moved; the result of the comparison is then the same."""
        return newest == self.newest and stands(self.live, live)


class PairObservation(Observation, frozen=True, kw_only=True):
    """An item of a table beside another table. `other`: its image there, None if there is none."""

    other: bytes | None


def stands(before: bytes | None, now: bytes | None) -> bool:
    """True if a side has not changed."""
    return compare(before, now) in (None, ComparisonKind.SAME)


def face(live: bytes | None, other: bytes | None, before: PairObservation | None) -> PairObservation | None:
    """Observes an item in two tables now, given the last observation; None if neither has it.

    Raises Damaged if one is not an image.
    """
    kind = compare(other, live)
    if kind is None:
        return None
    moved = before is not None and (before.moved or not (stands(before.live, live) and stands(before.other, other)))
    return PairObservation(kind, live, moved=moved, other=other)


def in_sample(key: bytes, percent: float) -> bool:
    """True if an item, by its canonical key, belongs to a sample of `percent`: the same items each time."""
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") < percent / 100 * 2**64
