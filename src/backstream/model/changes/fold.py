"""The fold: finds an item's state at a moment from changes and scanned images, in any order and with any repetition.

Changes have a total order, their sequence numbers. A scanned image has none: it was read from the table, or taken from an export.
It loses to every change of the second in which its read began, or of a later one; it wins over older ones, which it reflects.
`docs/notes/0008-base-backups.md` has the proof.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from backstream.model.changes.entry import Entry

BEGINNING = -1  # earlier than any second


class FoldState(msgspec.Struct, frozen=True, gc=False):
    """The summary of one item's entries up to a moment, in whatever order they came.

    `change`: the change of the greatest order; `latest`: the greatest second of any change, which is the newest one's unless the
    clocks that stamp changes disagree; `scan`: the scanned image whose read began last.
    """

    change: Entry | None = None
    latest: int = BEGINNING
    scan: Entry | None = None

    def with_entry(self, entry: Entry) -> FoldState:
        """Returns the state with this entry added."""
        if entry.scanned:
            return FoldState(self.change, self.latest, later_scan(self.scan, entry))
        return FoldState(later(self.change, entry), max(self.latest, entry.seconds), self.scan)

    def with_known(self, other: FoldState) -> FoldState:
        """Returns the state with another state of the same item added."""
        known = self
        for entry in (other.change, other.scan):
            known = known if entry is None else known.with_entry(entry)
        return FoldState(known.change, max(known.latest, other.latest), known.scan)

    def newest(self, floor: int = BEGINNING) -> Entry | None:
        """Returns the entry that gives the item's state; None if it did not exist, as far as these entries know.

        `floor`: the second in which the base backup in use began. An item without a scan in it and without a later change was not
        in the table then, whatever is known of older times.
        """
        scanned = BEGINNING if self.scan is None or self.scan.began is None else self.scan.began
        if self.latest >= max(floor, scanned):
            return self.change
        return self.scan if scanned >= floor else None


def later(known: Entry | None, entry: Entry) -> Entry:
    """Returns the change that gives the item's state, of two changes in any order: the one of greater order."""
    return entry if known is None or is_later(entry, known) else known


def is_later(entry: Entry, known: Entry) -> bool:
    """True if a change of an item is of greater order than another of the same item."""
    one, other = entry.sequence, known.sequence
    if len(one) == len(other) and entry.stream == known.stream:
        return one > other  # as many digits: text compares as numbers do
    return entry.order > known.order


def later_scan(known: Entry | None, entry: Entry) -> Entry:
    """Returns the scanned image that was read later, of two images of one item in any order."""
    return entry if known is None or read_order(entry) > read_order(known) else known


def read_order(scan: Entry) -> tuple[int, int, str, str]:
    """Returns the time and the source of a read. Two exports give two states of an item, and either may be left out."""
    return scan.since, scan.micros, scan.event, scan.event_id


def known_at(entries: Iterable[Entry], at: int) -> FoldState:
    """Returns the summary of one item's entries, in any order, at second `at`."""
    known = FoldState()
    for entry in entries:
        if entry.seconds <= at:
            known = known.with_entry(entry)
    return known


def newest(entries: Iterable[Entry], at: int) -> Entry | None:
    """Returns the entry that gives an item's state at second `at`, from its entries in any order and with any repetition.

    Returns None if, as far as these entries know, the item did not exist yet.
    """
    return known_at(entries, at).newest()


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Returns one item's entries, each once, oldest first: changes by their order, a scan before the first change that beats it."""
    every = list(entries)
    changes = {entry.order: entry for entry in every if not entry.scanned}
    scans = {read_order(entry): entry for entry in every if entry.scanned}
    ordered = [changes[order] for order in sorted(changes)]
    for read in sorted(scans, reverse=True):
        scan = scans[read]
        ordered.insert(_first_since(ordered, scan.since), scan)
    return ordered


def scans_first_in_order(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yields what `in_order` returns, for entries that come one by one: scans by `read_order`, then changes by their order."""
    scans = deque[Entry]()
    for entry in entries:
        if entry.scanned:
            scans.append(entry)
            continue
        while scans and entry.since >= scans[0].since:
            yield scans.popleft()
        yield entry
    yield from scans


def _first_since(changes: Sequence[Entry], second: int) -> int:
    return next((place for place, entry in enumerate(changes) if entry.since >= second), len(changes))
