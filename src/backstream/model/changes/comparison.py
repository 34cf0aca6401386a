"""One item's two sides, a table and the vault or another table: the same or not, and whether they stood still.

A table changes while it is compared, and a change takes some seconds into its copy. So one look proves nothing but equality: a
difference is what stays one while neither side moves for longer than a change may be on its way.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState
from backstream.model.values import wire


class ComparisonKind(enum.StrEnum):
    """How two sides compare. MISSING: only in the table; EXTRA: only in its copy; IN_FLIGHT: they did not stand still."""

    SAME = "same"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    IN_FLIGHT = "in_flight"


def compare(kept: bytes | None, live: bytes | None) -> ComparisonKind | None:
    """`kept`: the copy's image, `live`: the table's, None where there is none. None: no such item on either side.

    By value: numbers as numbers, sets without order. Damaged if one is no image.
    """
    if kept is None:
        return None if live is None else ComparisonKind.MISSING
    if live is None:
        return ComparisonKind.EXTRA
    return ComparisonKind.SAME if wire.same_image(kept, live) else ComparisonKind.DIFFERENT


DIFFERENCES = (ComparisonKind.MISSING, ComparisonKind.EXTRA, ComparisonKind.DIFFERENT)


class Observation(msgspec.Struct, frozen=True):
    """An item as it was last looked at.

    `live`: its image in the table, None where there is none; `moved`: whether either side has changed since it was first looked at.
    """

    kind: ComparisonKind
    live: bytes | None
    moved: bool = False

    @property
    def verdict(self) -> ComparisonKind:
        """What is to be said of it when nobody looks again."""
        return ComparisonKind.IN_FLIGHT if self.moved else self.kind


class TableObservation(Observation, frozen=True, kw_only=True):
    """One beside the vault. `known`: what the vault knew of it, `newest` what of that told its state."""

    known: FoldState
    newest: Entry | None

    def still_is(self, newest: Entry | None, live: bytes | None) -> bool:
        """Whether neither side has moved: then they compare as they did."""
        return newest == self.newest and stands(self.live, live)


class PairObservation(Observation, frozen=True, kw_only=True):
    """One beside another table. `other`: its image there, None where there is none."""

    other: bytes | None


def stands(before: bytes | None, now: bytes | None) -> bool:
    """Whether a side is as it was."""
    return compare(before, now) in (None, ComparisonKind.SAME)


def face(live: bytes | None, other: bytes | None, before: PairObservation | None) -> PairObservation | None:
    """How an item looks in two tables now, given how it looked; None where neither has it. Damaged if one is no image."""
    kind = compare(other, live)
    if kind is None:
        return None
    moved = before is not None and (before.moved or not (stands(before.live, live) and stands(before.other, other)))
    return PairObservation(kind, live, moved=moved, other=other)


def in_sample(key: bytes, percent: float) -> bool:
    """Whether an item, by its canonical key, belongs to a sample of so many percent: the same items each time."""
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") < percent / 100 * 2**64
