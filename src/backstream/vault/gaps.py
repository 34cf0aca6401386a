"""Gaps: the changes that are known to be missing from a log. A gap is never changed or removed; the log shows whether it still
stands.

A gap that is found again and is longer by then gets a further record: see docs/notes/0018.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.change import is_sequence
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore
from backstream.vault import below_markers
from backstream.vault.below_markers import First
from backstream.vault.catalog import folder

READERS = 16
_SECOND = re.compile(r"[0-9]{11}")
_NO_RECORD = "Bring it back from a replica of the bucket: it says which changes are missing, and nothing else does."


class DifferingRow(msgspec.Struct, frozen=True, array_like=True):
    """A row that `verify` found to differ, and that did not change between two seconds. `key` is the canonical key.

    `held` is the digest of the vault's state of it, and `seen` the digest of the table's state. See `values.digests`.
    """

    key: str
    held: str
    seen: str
    since: int
    until: int


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """Changes made between `since` and `until` (seconds, both included) may be missing.

    `sequence`: the one missing change, if it is known; the gap is closed once the log holds it. `batch`: the object in the
    on-failure destination whose changes are missing; the gap is closed once `redrive` has brought them. `sequences`: the batch's
    changes, if they could be read; the gap is also closed once the log holds all of them. `key`: the canonical key of the only item
    that lacks a change; None if it may be any item. `differing`: all rows in which vault and table differed; the gap is closed once
    the vault holds the changes that explain each of them. It is None if they are not known: see docs/notes/0031.
    """

    reason: str
    since: int
    until: int
    stream: str
    shard: str | None = None
    sequence: str | None = None
    batch: str | None = None
    sequences: tuple[str, ...] = ()
    key: str | None = None
    differing: tuple[DifferingRow, ...] | None = None

    @property
    def id(self) -> str:
        """The id of the gap. A gap that is found twice keeps its id: a change or a batch whatever the reason, a period by its
        begin.

        An item's gap is identified by the second of the change that shows it.
        """
        what: tuple[str, ...] = (self.stream, self.shard or "", self.reason, str(self.since))
        if self.key is not None:
            what = ("item", self.key, str(self.until))
        elif self.sequence:
            what = (self.stream, self.sequence)
        elif self.batch:
            what = ("batch", self.batch)
        return hashlib.sha256("|".join(what).encode()).hexdigest()[:16]

    @property
    def unread(self) -> bool:
        """True if nobody ever read the stream of that time, in any shard: no reader has to go back there."""
        return self.shard is self.sequence is self.key is self.batch is None and self.differing is None

    @property
    def evidence(self) -> str:
        """The name of exactly these rows that differed."""
        return f"differing|{self.id}|{hashlib.sha256(msgspec.json.encode(self.differing)).hexdigest()}"

    @property
    def numbers(self) -> tuple[str, ...]:
        """The sequence numbers of the missing changes; none if one of them is unknown or not a number."""
        found = self.sequences if self.sequence is None else (self.sequence,)
        return found if all(map(is_sequence, found)) else ()


class Gaps:
    """The gaps of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._table = table
        self._agreed = folder(table) + "agreed/"
        self._prefix = folder(table) + "gaps/"
        self._known: dict[tuple[str, str], Gap] = {}  # by the name and version of a record
        self._noted: set[str] = set()

    def record(self, gap: Gap) -> None:
        """Records a gap. A known gap stays unchanged; if it is longer now, a further record with its own name says so."""
        for name in self._names(gap):
            try:
                self._store.put(name, msgspec.json.encode(gap), {"format": "1"}, if_absent=True)
            except AlreadyExists:
                known = _decoded(name, self._store.get(name).body)
                if known.until >= gap.until and known.differing == gap.differing:
                    return  # as long already: that is what was asked for
            else:
                return

    def _names(self, gap: Gap) -> Iterator[str]:
        yield f"{self._prefix}{gap.id}.json"
        yield f"{self._prefix}{gap.id}-{gap.until}.json"
        if gap.differing is not None:
            yield f"{self._prefix}{gap.id}-{gap.until}-{hashlib.sha256(gap.evidence.encode()).hexdigest()[:16]}.json"

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
        """Whether that was noted. A note is never taken back, so one that was found is not asked for again."""
        if batch not in self._noted:
            try:
                below_markers.head(self._store, note_of(self._table, batch))
            except MissingObject:
                return False
            self._noted.add(batch)
        return True

    def unexplained(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Those gaps of which nobody has noted that their changes are in the vault. The notes are asked for side by side."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="notes") as pool:
            return [gap for gap, explained in zip(gaps, pool.map(self._is_explained, gaps), strict=True) if not explained]

    def _is_explained(self, gap: Gap) -> bool:
        noted = gap.batch or (None if gap.differing is None else gap.evidence)
        return noted is not None and self.has_arrived(noted)

    def of_items(self) -> list[Gap]:
        """Returns the gaps of single items: see `Gap.key`."""
        return [gap for gap in self.all() if gap.key is not None]

    def all(self) -> Iterator[Gap]:
        """Yields every gap ever recorded. Raises Damaged if one cannot be read: it must not pass for no gap."""
        longest: dict[str, Gap] = {}
        for gap in self._each(list(self.records())):
            known = longest.get(gap.id)
            longest[gap.id] = gap if known is None else _together(known, gap)
        return iter(longest.values())

    def _each(self, records: Sequence[First]) -> Iterator[Gap]:
        """What these records say, in their order. A version never changes, so none is read twice; new ones are read together."""
        new = [each for each in records if (each.name, each.version) not in self._known]
        for each in new:
            _check_there(each)
        for each, found in below_markers.pinned_each(self._store, new):
            self._known[each.name, each.version] = _decoded(each.name, found.body)
        return (self._known[each.name, each.version] for each in records)

    def records(self) -> Iterator[First]:
        """Yields the objects that hold the gaps, including hidden ones and those that only a marker is left of.

        No gap is ever removed.
        """
        listing = below_markers.every_first(self._store, self._prefix)
        return (each for each in listing if not each.markers or each.name.endswith(".json"))

    def read(self, record: First) -> Gap:
        """Returns the gap in a record. Raises Damaged if it cannot be read."""
        _check_there(record)
        return _decoded(record.name, below_markers.pinned(self._store, record).body)


def _together(one: Gap, other: Gap) -> Gap:
    """Returns the longer one of two records of a gap, with the rows of both. A row that differed once is explained or missing."""
    known = one.differing is not None and other.differing is not None
    rows = {*(one.differing or ()), *(other.differing or ())}
    return msgspec.structs.replace(
        max(one, other, key=lambda each: each.until),
        differing=tuple(sorted(rows, key=msgspec.structs.astuple)) if known else None,
    )


def _check_there(record: First) -> None:
    if not record.version:
        raise Damaged(f"the record of a gap is gone: {record.name} has a delete marker, and nothing below it", hint=_NO_RECORD)


def _decoded(name: str, body: bytes) -> Gap:
    try:
        gap = msgspec.json.decode(body, type=Gap)
    except UNDECODABLE as error:
        raise Damaged(f"the record of a gap cannot be read: {name}: {reason(error)}") from error
    if not (moment.is_known(gap.since) and moment.is_known(gap.until)):
        raise Damaged(f"the record of a gap cannot be read: {name}: it is of no time")
    return gap


def note_of(table: str, batch: str) -> str:
    """The name of the note that a batch of the on-failure destination is done for this table."""
    return f"{folder(table)}redriven/{hashlib.sha256(batch.encode()).hexdigest()[:32]}"
