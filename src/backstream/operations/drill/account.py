"""The account of a drill's comparisons: the counts, and the differences that a report names."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from backstream.model.values import wire
from backstream.operations.drill.report import NULL, Difference, DrillDifference, Side

MOST_NAMED = 1_000  # differences in a report: it is to be read by a person
MOST_SHOWN = 100  # differences with their images
LARGEST_SHOWN = 4_096  # bytes of an image in a report


def kind_of(expected: bytes | None, found: bytes | None) -> DrillDifference | None:
    """Returns how another side differs from the vault; None if it does not. By value: `1.50` is `1.5`, sets have no order."""
    if expected is None:
        return None if found is None else DrillDifference.EXTRA
    if found is None:
        return DrillDifference.MISSING
    return None if wire.same_image(expected, found) else DrillDifference.DIFFERENT


class DrillCounts:
    """Counts differences as they come. `whys`: by key, why the restore left a row out.

    `differences`: wrong rows, each once. A row that is wrong in the scratch table is not checked further. The keys of rows that
    are wrong by their histories, which are few, are remembered.
    """

    def __init__(self, whys: Mapping[bytes, str]) -> None:
        self._whys = whys
        self._by_history: set[bytes] = set()
        self.differences = 0
        self.rows = 0
        self.matched = 0
        self.sampled = 0
        self.live_rows: int | None = None
        self.live_same = 0
        self.live_changed = 0
        self.live_different = 0
        self.found = 0  # findings: a row that is wrong by its history and in the live table is two
        self.differing: list[Difference] = []

    @property
    def named(self) -> int:
        """The number of findings that `differing` names."""
        return len(self.differing)

    def unreadable(self, key: bytes, side: Side, why: str) -> None:
        """Notes that the vault's state of a row cannot be read."""
        self._name(key, Difference(msgspec.Raw(key), DrillDifference.UNREADABLE, side, why=why))

    def compared(self, key: bytes, side: Side, expected: bytes | None, found: bytes | None, kind: DrillDifference) -> None:
        """Notes a row that differs."""
        shown = len(self.differing) < MOST_SHOWN
        difference = Difference(
            key=msgspec.Raw(key),
            kind=kind,
            side=side,
            expected=_shown(expected) if shown else NULL,
            found=_shown(found) if shown else NULL,
            why=self._whys.get(key, "") if side is Side.SCRATCH else "",
        )
        self._name(key, difference)

    def _name(self, key: bytes, difference: Difference) -> None:
        self.differences += key not in self._by_history
        if difference.side is Side.HISTORY:
            self._by_history.add(key)
        self.found += 1
        if len(self.differing) < MOST_NAMED:
            self.differing.append(difference)


def _shown(image: bytes | None) -> msgspec.Raw:
    return NULL if image is None or len(image) > LARGEST_SHOWN else msgspec.Raw(image)
