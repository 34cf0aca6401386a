"""Finds a few items' states at a moment in the log, reading backwards and no further than necessary.

The log is the truth, not the listing of an item's versions. A version that was removed from the bucket is missing there, and a
version that a crash left is in no segment. Reads a few frames of compacted sets, and the small segments between the item's last
change and the moment. Reads the parts of a base backup only if no later change gives the item's state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from backstream.errors import Damaged, raising
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING, FoldState
from backstream.model.clocks import FAR_APART
from backstream.vault.bases import Part
from backstream.vault.coverage import RestoreBase
from backstream.vault.log import inventory
from backstream.vault.log.compacted import Set
from backstream.vault.log.filters.segment_filters import SegmentFilters
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.links import Links
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import OnDamage, TableVault

READERS = 8
FIRST_PIECE = 3_600  # seconds before the moment in which an item's last change is looked for first
FURTHER = 8  # each piece of the log is so many times longer than the one before

_Read = Callable[[], list[Entry]]


def newest(vault: TableVault, key: bytes, at: int, basis: RestoreBase, damaged: OnDamage = raising) -> Entry | None:
    """Returns the entry that gives one item's state at a second; None if it did not exist, as far as is known.

    See `newest_each`.
    """
    return newest_each(vault, [key], at, basis, damaged)[key]


def newest_each(
    vault: TableVault, keys: Collection[bytes], at: int, basis: RestoreBase, damaged: OnDamage = raising
) -> dict[bytes, Entry | None]:
    """Returns the same for several items, by their canonical keys.

    `basis` is the one for the same second. `damaged` receives the error of each object that cannot be read; if it returns, the rest
    is read.
    """
    return _Lookup(vault, keys, at, basis, damaged).run()


class _Lookup:
    def __init__(self, vault: TableVault, keys: Collection[bytes], at: int, basis: RestoreBase, damaged: OnDamage) -> None:
        self._vault = vault
        self._at = at
        self._basis = basis
        self._damaged = damaged
        self._known = dict.fromkeys(keys, FoldState())
        self._links = Links(vault.log)
        self._filters = SegmentFilters(vault.log, vault.store, self._links, list(self._known))
        self._sets_of_bases: Sequence[Set] = ()

    def run(self) -> dict[bytes, Entry | None]:
        """Reads all sources, and returns the entry of each item."""
        begin = self._basis.log_since
        found = self._vault.inventory(since=begin, until=self._at)
        self._read_sets(found.sets)
        self._read_segments(found)
        self._sets_of_bases = inventory.sets_of_bases(self._vault.bases, found.generation)
        self._read_sets([each for each in self._sets_of_bases if each.since <= self._at])
        self._read_parts(found)
        for gone in self._links.missing(found, since=begin, until=self._at):
            self._damaged(Damaged(f"{gone.name}: {gone.why}"))
        return {key: known.newest(self._basis.floor) for key, known in self._known.items()}

    # --- what has been found out ---

    def _told(self, key: bytes) -> int:
        """Returns the second before which nothing can change the item's state, with a margin for clocks that disagree."""
        known = self._known[key]
        scanned = BEGINNING if known.scan is None else known.scan.since
        return max(known.latest, scanned) - FAR_APART

    def _earliest(self) -> int:
        return min(map(self._told, self._known), default=self._at)

    def _is_asked_for(self, entry: Entry) -> bool:
        return self._vault.key(entry) in self._known

    def _note(self, entries: Iterable[Entry], *, of_log: bool = True) -> None:
        for entry in entries:
            if entry.seconds > self._at or not (self._basis.counts(entry) or (not of_log and self._basis.is_of_base(entry))):
                continue
            key = self._vault.key(entry)
            if key in self._known:
                self._known[key] = self._known[key].with_entry(entry)

    def _take(self, reads: Sequence[_Read], *, of_log: bool = True) -> None:
        """Reads them side by side."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="items") as pool:
            for reading in [pool.submit(read) for read in reads]:
                try:
                    self._note(reading.result(), of_log=of_log)
                except Damaged as error:
                    self._damaged(error)

    # --- where it is read ---

    def _read_sets(self, sets: Sequence[Set]) -> None:
        """Reads the frames with the items' lines, from the log's sets or from the sets of base backups."""
        asked = [(each, key) for each in sets for key in self._known if each.until >= self._told(key)]
        self._take([partial(self._vault.of_set, *each) for each in asked], of_log=not (sets and sets[0].bases))
        for each in asked:
            for planted in self._vault.compacted.planted_around(*each):
                self._damaged(planted)

    def _read_segments(self, found: Inventory) -> None:
        """Reads segments backwards, until no older one can change the state of any of the items."""
        left = sorted((each for each in found.segments if self._concerns(each)), key=_end)
        for each in found.segments:
            if each.segment is None:
                self._damaged(Damaged(f"{each.name}: {each.strange}"))
        for since in self._pieces():
            piece = list(_cut(left, since))
            self._take([partial(self._vault.of_segment, each, self._links, self._is_asked_for, self._filters) for each in piece])
            if not left or _end(left[-1]) < self._earliest():
                return

    def _concerns(self, listed: LogListing) -> bool:
        return listed.segment is not None and listed.segment.count > 0 and listed.segment.min_time <= self._at

    def _pieces(self) -> Iterator[int]:
        """Yields the seconds at which the pieces of the log begin, newest first."""
        length = FIRST_PIECE
        while length < self._at:
            yield self._at - length
            length *= FURTHER
        yield BEGINNING

    def _read_parts(self, found: Inventory) -> None:
        """Reads the parts of base backups that may hold a later state than the known one: of the one in use, or of any."""
        try:
            parts = [each for each in self._parts(found) if each.seconds[0] <= self._at and each.seconds[1] >= self._earliest()]
        except Damaged as error:
            self._damaged(error)
            return
        self._take([partial(self._vault.bases.read, each, self._is_asked_for) for each in parts], of_log=False)
        for planted in self._vault.bases.planted(parts):
            self._damaged(planted)

    def _parts(self, found: Inventory) -> list[Part]:
        base = self._basis.base
        covered = {each for one in self._sets_of_bases for each in one.bases}
        if base is None:
            return list(inventory.parts_of_bases(self._vault.bases, found.generation))
        if base.id in covered or self._earliest() > base.end:
            return []
        return [part for each in self._basis.bases for part in self._vault.bases.whole(each)]


def _end(listed: LogListing) -> int:
    return 0 if listed.segment is None else listed.segment.max_time


def _cut(left: list[LogListing], since: int) -> Iterator[LogListing]:
    """Removes and yields the last listings, which end at a second or later."""
    while left and _end(left[-1]) >= since:
        yield left.pop()
