"""The fold: what tells an item's state at a moment, out of changes and scanned images in any order and any number of times.

Changes have a total order, their sequence numbers. A scanned image has none: it was read from the table, or taken from an export.
It loses to every change of the second in which its read began, or of a later one; it wins over older ones, which it reflects.
`docs/notes/0008-base-backups.md` has the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from backstream.model.changes.entry import Entry

BEGINNING = -1  # earlier than any second


class FoldState(msgspec.Struct, frozen=True, gc=False):
    """All that matters of one item's entries up to a moment, whatever the order in which they came.

    `change`: the change of the greatest order; `latest`: the greatest second of any change, which is the newest one's but where the
    clocks that stamp changes disagree; `scan`: the scanned image whose read began last.
    """

    change: Entry | None = None
    latest: int = BEGINNING
    scan: Entry | None = None

    def with_entry(self, entry: Entry) -> FoldState:
        """The same, knowing this entry too."""
        if entry.scanned:
            return FoldState(self.change, self.latest, later_scan(self.scan, entry))
        return FoldState(later(self.change, entry), max(self.latest, entry.seconds), self.scan)

    def with_known(self, other: FoldState) -> FoldState:
        """The same, knowing all that another knows of the same item."""
        known = self
        for entry in (other.change, other.scan):
            known = known if entry is None else known.with_entry(entry)
        return FoldState(known.change, max(known.latest, other.latest), known.scan)

    def newest(self, floor: int = BEGINNING) -> Entry | None:
        """What tells the item's state; None where it did not exist, as far as these entries know.

        `floor`: the second in which a base backup of the whole table began that the state builds on. An item that has neither a
        scan of it nor a change since was not in the table then, whatever is known of older times.
        """
        scanned = BEGINNING if self.scan is None or self.scan.began is None else self.scan.began
        if self.latest >= max(floor, scanned):
            return self.change
        return self.scan if scanned >= floor else None


def later(known: Entry | None, entry: Entry) -> Entry:
    """Of two changes of one item the one that tells its state, whichever came first: the greater order."""
    return entry if known is None or is_later(entry, known) else known


def is_later(entry: Entry, known: Entry) -> bool:
    """Whether a change of an item is of greater order than another of the same item."""
    one, other = entry.sequence, known.sequence
    if len(one) == len(other) and entry.stream == known.stream:
        return one > other  # as many digits: text compares as numbers do
    return entry.order > known.order


def later_scan(known: Entry | None, entry: Entry) -> Entry:
    """Of two scanned images of one item the one that was read later, whichever came first."""
    return entry if known is None or _read(entry) > _read(known) else known


def _read(scan: Entry) -> tuple[int, int, str, str]:
    """When it was read, and by whom: what two exports say of an item are two states, of which either may be left out."""
    return scan.since, scan.micros, scan.event, scan.event_id


def known_at(entries: Iterable[Entry], at: int) -> FoldState:
    """What one item's entries, in any order, say of its state at second `at`."""
    known = FoldState()
    for entry in entries:
        if entry.seconds <= at:
            known = known.with_entry(entry)
    return known


def newest(entries: Iterable[Entry], at: int) -> Entry | None:
    """Of one item's entries, in any order and any number of times, the one that tells its state at second `at`.

    None where there is none: as far as these entries know, the item did not exist yet.
    """
    return known_at(entries, at).newest()


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """One item's entries, each once, oldest first: changes by their order, a scan before the first change that beats it."""
    every = list(entries)
    changes = {entry.order: entry for entry in every if not entry.scanned}
    scans = {_read(entry): entry for entry in every if entry.scanned}
    ordered = [changes[order] for order in sorted(changes)]
    for read in sorted(scans, reverse=True):
        scan = scans[read]
        ordered.insert(_first_since(ordered, scan.since), scan)
    return ordered


def _first_since(changes: Sequence[Entry], second: int) -> int:
    return next((place for place, entry in enumerate(changes) if entry.since >= second), len(changes))
