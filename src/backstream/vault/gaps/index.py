"""An index of gaps, made by `compact`, so that nobody reads thousands of records when hardly one still matters.

    compacted/gaps/NUMBER.json.zst    all gaps that stood then, and those closed since the index before: each with its records

From an index on, its records are not read one by one any more: they get delete markers, and new gaps are recorded in a folder of
that index's number. So a reader needs the newest index, and what is recorded since. See docs/notes/0046.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from backstream.errors import AlreadyExists, Damaged
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore, ObjectVersion
from backstream.vault import below_markers, decompression
from backstream.vault.below_markers import First
from backstream.vault.catalog import folder
from backstream.vault.gaps.gap import Gap, is_sound
from backstream.vault.log.segments import Codec

FORMAT = 1
_NAME = re.compile(r"(\d{8,})\.json\.zst")
_BRING_BACK = "Bring it back from the bucket's versions or from a replica: without it nobody knows all gaps."


class FoldedGap(msgspec.Struct, frozen=True, array_like=True):
    """A gap in its longest form, and its records: the name of each, and the version that was read."""

    gap: Gap
    records: list[tuple[str, str]]


class GapIndex(msgspec.Struct, frozen=True):
    """One index. `standing`: all gaps that are not known to be closed; `closed`: gaps that were closed since the index before."""

    number: int
    standing: list[FoldedGap]
    closed: list[FoldedGap] = []
    format: int = FORMAT


NONE = GapIndex(0, [])


class GapIndexes:
    """The indexes of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._prefix = folder(table) + "compacted/gaps/"
        self._read: dict[tuple[str, str], GapIndex] = {}

    def number(self) -> int:
        """Returns the greatest number of an index; 0 if there is none."""
        return max(self._records(), default=0)

    def newest_two(self) -> list[GapIndex]:
        """The two of the greatest numbers, as far as there are any. Damaged where one cannot be read."""
        records = self._records()
        return [self._index(number, records) for number in sorted(records)[-2:]]

    def newest(self) -> GapIndex:
        """Returns the index with the greatest number, `NONE` if there is none.

        Raises Damaged if it cannot be read, or if it skips a gap that stood when the one before it was made: no compaction does
        that.
        """
        records = self._records()
        if not records:
            return NONE
        number = max(records)
        newest = self._index(number, records)
        before = self._index(number - 1, records) if number > 1 else NONE
        known = {each.gap.id for each in (*newest.standing, *newest.closed)}
        if any(each.gap.id not in known for each in before.standing):
            raise Damaged(f"{self._name(number)} leaves out a gap of the index before it", hint=_BRING_BACK)
        return newest

    def every(self) -> Iterator[GapIndex]:
        """Yields all of them, oldest first. Raises Damaged if one cannot be read."""
        records = self._records()
        return (self._index(number, records) for number in sorted(records))

    def write(self, index: GapIndex) -> bool:
        """Puts it in force. Returns False, and writes nothing, if there is one with that number."""
        try:
            version = self._store.put(self._name(index.number), _encoded(index), {"format": str(FORMAT)}, if_absent=True)
        except AlreadyExists:
            return False
        return self._records()[index.number].version == version

    def write_anew(self, row: ObjectVersion, changed: Callable[[Gap], Gap | None]) -> None:
        """Writes a version of an index anew, on top of it, with each gap as `changed` returns it; None leaves the gap out.

        The new version counts once the old one is removed. Raises Damaged if the old one cannot be read.
        """
        match = _NAME.fullmatch(row.name, len(self._prefix))
        if match is None:
            raise Damaged(f"{row.name} is no index of gaps")
        found = _decoded(row.name, int(match[1]), self._store.get(row.name, row.version).body)
        standing, closed = (
            [FoldedGap(gap, one.records) for one in each if (gap := changed(one.gap)) is not None]
            for each in (found.standing, found.closed)
        )
        self._store.put(row.name, _encoded(GapIndex(found.number, standing, closed)), {"format": str(FORMAT)})
        self._read.clear()

    def _records(self) -> dict[int, First]:
        found: dict[int, First] = {}
        for each in below_markers.every_first(self._store, self._prefix):
            match = _NAME.fullmatch(each.name, len(self._prefix))
            if match is not None:
                found[int(match[1])] = each
        return found

    def _name(self, number: int) -> str:
        return f"{self._prefix}{number:08d}.json.zst"

    def _index(self, number: int, records: dict[int, First]) -> GapIndex:
        name, record = self._name(number), records.get(number)
        if record is None or not record.version:
            raise Damaged(f"the index of gaps {name} is missing", hint=_BRING_BACK)
        if (name, record.version) not in self._read:
            self._read[name, record.version] = _decoded(name, number, below_markers.pinned(self._store, record).body)
        return self._read[name, record.version]


def _encoded(index: GapIndex) -> bytes:
    return Codec.ZSTD.compress(msgspec.json.encode(index))


def _decoded(name: str, number: int, body: bytes) -> GapIndex:
    try:
        found = msgspec.json.decode(decompression.zstd_frame(body, object_limits.GENERATION), type=GapIndex)
    except (Damaged, *UNDECODABLE) as error:
        why = error.message if isinstance(error, Damaged) else reason(error)
        raise Damaged(f"the index of gaps {name} cannot be read: {why}", hint=_BRING_BACK) from error
    if found.format > FORMAT:
        raise Damaged(f"{name} is of format {found.format}", hint="Use a newer Backstream.")
    if found.number != number or not all(map(_is_sound, (*found.standing, *found.closed))):
        raise Damaged(f"the index of gaps {name} says what no compaction does", hint=_BRING_BACK)
    if any(not _may_close(each.gap) for each in found.closed):
        raise Damaged(f"{name} says that a gap is closed, and nothing else does", hint=_BRING_BACK)
    return found


def _is_sound(each: FoldedGap) -> bool:
    return bool(each.records) and is_sound(each.gap)


def _may_close(gap: Gap) -> bool:
    """True if a gap may be closed at all: by its changes, by its batch, or by the explanation of its rows."""
    return gap.key is None and bool(gap.numbers or gap.batch or gap.differing is not None)


def in_all(indexes: Sequence[GapIndex]) -> set[tuple[str, str]]:
    """Returns the records that are folded in any of these."""
    return {each for index in indexes for one in (*index.standing, *index.closed) for each in one.records}
