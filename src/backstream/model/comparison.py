"""One item's two sides, what the vault holds of it and what the live table does: the same or not, and whether they stood still.

A table changes while it is compared, and a change takes some seconds into the vault. So one look proves nothing but equality: a
difference is what stays one while neither side moves for longer than a change may be on its way.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from backstream.model import wire
from backstream.model.entry import Entry
from backstream.model.fold import Known


class Kind(enum.StrEnum):
    """How two sides compare. MISSING: only in the table; EXTRA: only in the vault; IN_FLIGHT: they did not stand still."""

    SAME = "same"
    MISSING = "missing"
    EXTRA = "extra"
    DIFFERENT = "different"
    IN_FLIGHT = "in_flight"


def compare(kept: bytes | None, live: bytes | None) -> Kind | None:
    """`kept`: the vault's image, `live`: the table's, None where there is none. None: no such item on either side.

    By value: numbers as numbers, sets without order. Damaged if one is no image.
    """
    if kept is None:
        return None if live is None else Kind.MISSING
    if live is None:
        return Kind.EXTRA
    return Kind.SAME if wire.same_image(kept, live) else Kind.DIFFERENT


class Sight(msgspec.Struct, frozen=True):
    """An item as it was last looked at.

    `known`: what the vault knew of it, `newest` what of that told its state; `live`: its image in the table, None where there is
    none; `moved`: whether either side has changed since the item was first looked at.
    """

    kind: Kind
    known: Known
    newest: Entry | None
    live: bytes | None
    moved: bool = False

    @property
    def verdict(self) -> Kind:
        """What is to be said of it when nobody looks again."""
        return Kind.IN_FLIGHT if self.moved else self.kind

    def still_is(self, newest: Entry | None, live: bytes | None) -> bool:
        """Whether neither side has moved: then they compare as they did."""
        return newest == self.newest and compare(self.live, live) in (None, Kind.SAME)


def in_sample(key: bytes, percent: float) -> bool:
    """Whether an item, by its canonical key, belongs to a sample of so many percent: the same items each time."""
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") < percent / 100 * 2**64
