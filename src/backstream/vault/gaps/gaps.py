"""Gaps: the changes that are known to be missing from a log. A gap is never changed or removed; the log shows whether it still
stands.

A gap that is found again and is longer by then gets a further record: see docs/notes/0018.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import takewhile

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore, ObjectVersion
from backstream.vault import below_markers
from backstream.vault.below_markers import First
from backstream.vault.catalog import folder
from backstream.vault.gaps.gap import DifferingRow, Gap, is_sound, merged, together
from backstream.vault.gaps.index import FoldedGap, GapIndex, GapIndexes, in_all

__all__ = ["DifferingRow", "Gap", "Gaps", "note_of"]

READERS = 16
FOLDED_TOGETHER = 100  # records: to read so many one by one costs little, so that indexes stay few
MOST_FOLDED = 20_000  # records at once: an index has to fit into memory
_SECOND = re.compile(r"[0-9]{11}")
_NO_RECORD = "Bring it back from a replica of the bucket: it says which changes are missing, and nothing else does."


class Gaps:
    """The gaps of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._table = table
        self._agreed = folder(table) + "agreed/"
        self._prefix = folder(table) + "gaps/"
        self._indexes = GapIndexes(store, table)
        self._number: int | None = None  # of the newest index, as far as is known here
        self._known: dict[tuple[str, str], Gap] = {}  # by the name and version of a record
        self._noted: set[str] = set()

    def record(self, gap: Gap) -> None:
        """Records a gap. A known gap stays unchanged; if it is longer now, a further record with its own name says so.

        The record goes to the folder of the newest index. If another index has come meanwhile, it is recorded again.
        """
        if self._number is None:
            self._number = self._indexes.number()
        while True:
            number = self._number
            if not (number and self._is_folded(gap)):
                self._record_in(self._folder(number), gap)
            self._number = self._indexes.number()
            if self._number == number:
                return

    def _is_folded(self, gap: Gap) -> bool:
        """True if the newest index has it, with that length, among those that stand."""
        known = [each.gap for each in self._indexes.newest().standing if each.gap.id == gap.id]
        return any(each.until >= gap.until and each.differing == gap.differing for each in known)

    def _folder(self, number: int) -> str:
        """Returns the folder of the gaps recorded after that index."""
        return f"{self._prefix}since={number:08d}/" if number else self._prefix

    def _record_in(self, place: str, gap: Gap) -> None:
        for name in self._names(place, gap):
            if not self._is_there(name):
                with suppress(AlreadyExists):
                    self._store.put(name, msgspec.json.encode(gap), {"format": "1"}, if_absent=True)
                    return
            known = self.read(below_markers.first(self._store, name))
            if known.until >= gap.until and known.differing == gap.differing:
                return  # as long already: that is what was asked for

    def _is_there(self, name: str) -> bool:
        """True if there is a record of that name, hidden or not: what is written over a delete marker does not count."""
        return any(not row.marker for row in self._store.versions_of(name))

    def _names(self, place: str, gap: Gap) -> Iterator[str]:
        yield f"{place}{gap.id}.json"
        yield f"{place}{gap.id}-{gap.until}.json"
        if gap.differing is not None:
            yield f"{place}{gap.id}-{gap.until}-{hashlib.sha256(gap.evidence.encode()).hexdigest()[:16]}.json"

    def agree(self, second: int) -> None:
        """Notes that vault and table held the same at that second: a change that is found missing later was lost after it."""
        self._store.put(f"{self._agreed}{second:011d}", b"", {"format": "1"})

    def last_agreed(self, until: int) -> int | None:
        """Returns the last second up to `until` at which vault and table were seen to agree; None if they never were.

        Raises NotSigned if the reader requires signatures and the note of that second has none.
        """
        notes = {
            int(found): each
            for each in below_markers.newest(self._store, self._agreed)
            if _SECOND.fullmatch(found := each.name.removeprefix(self._agreed)) and int(found) <= until
        }
        last = max(notes, default=None)
        if last is not None:
            below_markers.vouch(self._store, notes[last].name, notes[last].version)
        return last

    def arrived(self, batch: str) -> None:
        """Notes that the changes of a batch of the on-failure destination are in the vault, or in gaps of their own."""
        self._store.put(note_of(self._table, batch), batch.encode(), {"format": "1"})

    def has_arrived(self, batch: str) -> bool:
        """True if the arrival was noted. A note is never removed, so a found one is not looked up again."""
        if batch not in self._noted:
            try:
                below_markers.head(self._store, note_of(self._table, batch))
            except MissingObject:
                return False
            self._noted.add(batch)
        return True

    def unexplained(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Returns the gaps without a note that their changes are in the vault. The notes are looked up side by side."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="notes") as pool:
            return [gap for gap, explained in zip(gaps, pool.map(self._is_explained, gaps), strict=True) if not explained]

    def _is_explained(self, gap: Gap) -> bool:
        noted = gap.batch or (None if gap.differing is None else gap.evidence)
        return noted is not None and self.has_arrived(noted)

    def of_items(self) -> list[Gap]:
        """Returns the gaps of single items: see `Gap.key`."""
        return [gap for gap in self.all() if gap.key is not None]

    def all(self) -> Iterator[Gap]:
        """Yields every gap ever recorded, in its longest form, except those that an index states as closed.

        Raises Damaged if one cannot be read: it must not pass for no gap.
        """
        index, records = self._since_index()
        return iter(merged([*(each.gap for each in index.standing), *self._each(records)]))

    def _since_index(self) -> tuple[GapIndex, list[First]]:
        """Returns the newest index, and the records that it does not fold; more of them do no harm.

        Records of its own time and of the time before are looked for below delete markers too. Records of older versions of this
        tool are elsewhere, and are current until an index folds them.
        """
        while True:
            index = self._indexes.newest()
            if not index.number:
                return index, list(self.records())
            folded = in_all([index])
            found = [each for each in self._recent(index.number) if (each.name, each.version) not in folded]
            if self._indexes.number() == index.number:
                return index, found

    def _recent(self, number: int) -> Iterator[First]:
        """Yields the records of the time since the index before that one, hidden or not, and all others that are current."""
        since = f"{self._prefix}since={number - 1:08d}"
        for listed in takewhile(lambda each: each.name <= since, self._store.list(self._prefix)):
            yield from self._current(listed.name)
        yield from (each for each in below_markers.every_first(self._store, self._prefix, after=since) if _is_record(each))

    def _current(self, name: str) -> Iterator[First]:
        """Yields the current version of a record: over a marker, an older version of this tool may have written a longer one."""
        rows = list(self._store.versions_of(name))
        if rows and not rows[0].marker:
            yield below_markers.first_of(rows[:1])

    def recorded_since(self, received: float) -> list[Gap]:
        """Returns the gaps that no index folds and that were recorded since (epoch seconds)."""
        return merged(self._each([each for each in self._since_index()[1] if each.modified >= received]))

    def fold(self, standing: Callable[[Sequence[Gap]], Sequence[Gap]]) -> int:
        """Folds the records since the newest index into a new one, if that is worth it. Returns the number of records.

        `standing`: returns the gaps that are not known to be closed permanently. Raises Damaged like `all`.
        """
        index, records = self._since_index()
        if len(records) < FOLDED_TOGETHER:
            return 0
        records = sorted(records, key=lambda each: not each.markers)[:MOST_FOLDED]  # what is hidden must not be left behind
        by_gap = {each.gap.id: (each.gap, list(each.records)) for each in index.standing}
        gaps = list(self._each(records))
        if len(gaps) < len(records):
            return 0  # `retain` has removed some meanwhile: the next compaction folds the others
        for record, gap in zip(records, gaps, strict=True):
            known, of_gap = by_gap.get(gap.id, (gap, []))
            by_gap[gap.id] = together(known, gap), [*of_gap, (record.name, record.version)]
        stand = {gap.id for gap in standing([gap for gap, _ in by_gap.values()])}
        every = {key: FoldedGap(*each) for key, each in by_gap.items()}
        new = GapIndex(
            index.number + 1,
            standing=[each for key, each in every.items() if key in stand],
            closed=[each for key, each in every.items() if key not in stand],
        )
        if not self._indexes.write(new):
            return 0  # another compaction was faster
        with ThreadPoolExecutor(READERS, thread_name_prefix="hider") as pool:
            list(pool.map(self._store.delete, [each.name for each in records if not each.markers]))
        return len(records)

    def write_index_anew(self, row: ObjectVersion, changed: Callable[[Gap], Gap | None]) -> None:
        """Writes a version of an index anew: see `GapIndexes.write_anew`."""
        self._indexes.write_anew(row, changed)

    def recent_records(self) -> Iterator[First]:
        """Yields the records since the newest index, including hidden ones; all of them where there is no index."""
        number = self._indexes.number()
        return self._recent(number) if number else self.records()

    def folded_lately(self) -> set[tuple[str, str]]:
        """The same as `folded`, of the two newest indexes alone."""
        return in_all(self._indexes.newest_two())

    def folded(self) -> set[tuple[str, str]]:
        """Returns the name and version of each record that an index has folded: this tool hides these."""
        return in_all(list(self._indexes.every()))

    def _each(self, records: Sequence[First]) -> Iterator[Gap]:
        """Yields the gaps in these records, in their order.

        A version never changes, so none is read twice; new ones are read together.
        """
        new = [each for each in records if (each.name, each.version) not in self._known]
        for each in new:
            _check_there(each)
        try:
            for each, found in below_markers.pinned_each(self._store, new):
                self._known[each.name, each.version] = _decoded(each.name, found.body)
        except MissingObject:
            there = [each for each in records if any(True for _ in self._store.versions_of(each.name))]
            if len(there) == len(records):
                raise
            return self._each(there)  # `retain` has removed the others since they were listed, of gaps that had ended
        return (self._known[each.name, each.version] for each in records)

    def records(self) -> Iterator[First]:
        """Yields the objects that hold the gaps, including hidden ones and those that only a marker is left of.

        No gap is ever removed.
        """
        return (each for each in below_markers.every_first(self._store, self._prefix) if _is_record(each))

    def read(self, record: First) -> Gap:
        """Returns the gap in a record. Raises Damaged if it cannot be read."""
        _check_there(record)
        return _decoded(record.name, below_markers.pinned(self._store, record).body)


def _is_record(each: First) -> bool:
    return not each.markers or each.name.endswith(".json")


def _check_there(record: First) -> None:
    if not record.version:
        raise Damaged(f"the record of a gap is gone: {record.name} has a delete marker, and nothing below it", hint=_NO_RECORD)


def _decoded(name: str, body: bytes) -> Gap:
    try:
        gap = msgspec.json.decode(body, type=Gap)
    except UNDECODABLE as error:
        raise Damaged(f"the record of a gap cannot be read: {name}: {reason(error)}") from error
    if not is_sound(gap):
        raise Damaged(f"the record of a gap cannot be read: {name}: it is of no time")
    return gap


def note_of(table: str, batch: str) -> str:
    """Returns the name of the note that a batch of the on-failure destination is done for this table."""
    return f"{folder(table)}redriven/{hashlib.sha256(batch.encode()).hexdigest()[:32]}"
