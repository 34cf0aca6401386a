"""Finds row versions that no moment from the horizon on needs: in bounded memory, by the names of their objects.

A version stays if a line that counts names it: an entry of the state at the horizon, a later change, a later base backup. So it
does not matter where in its object the current image lies. Any other version goes only on evidence: a line of the log from
before the horizon names it, or it was superseded before the horizon. The version that plain S3 tools see stays, too. A row that was
deleted before the horizon goes even if no line names it any more: a lock may have kept it from the run that removed its lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, pairwise
from typing import Self

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.errors import Damaged, MissingObject
from backstream.model.changes.entry import Entry
from backstream.model.clocks import FAR_APART
from backstream.operations.bulk.chunks import in_chunks
from backstream.operations.retain.sweep import Doomed, whole
from backstream.ports import ObjectVersion
from backstream.vault.rows.row_versions import parse_metadata
from backstream.vault.table_vault import TableVault

PARTITIONS = 256
HELD = 10_000  # listed versions of one object that are written at a time


class RowNames:
    """The row versions that lines name, with whether the line counts from the horizon on, and the listing of all that exist."""

    def __init__(self, vault: TableVault, horizon: int, buffer: int, planned: Sequence[int] = ()) -> None:
        """`planned`: seconds whose states a dry run takes to be kept, oldest first: the last version up to each of them stays."""
        self._vault = vault
        self._horizon = horizon
        self._planned = planned
        self._named = Pairs(PARTITIONS, buffer=buffer)
        self._listed = Pairs(PARTITIONS, buffer=buffer)
        self.any = False
        self.bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._named.close()
        self._listed.close()

    def keep(self, entry: Entry) -> None:
        """Notes that this entry counts."""
        self._note(entry, counts=True)

    def of_log(self, entries: Iterable[Entry]) -> None:
        """Notes these entries of the log: those up to the horizon do not count."""
        for entry in entries:
            self._note(entry, counts=entry.seconds > self._horizon)

    def _note(self, entry: Entry, *, counts: bool) -> None:
        if entry.place is not None:
            self.any = True
            period = -1 if counts else bisect_left(self._planned, entry.seconds)
            period = -1 if period == len(self._planned) else period
            named = _Named(entry.place.version, counts, period, entry.micros, entry.removed)
            self._named.add(entry.place.name.encode(), msgspec.msgpack.encode(named))

    def superfluous(self) -> Iterator[Doomed]:
        """Yields what goes of each object. Call it once every line has been noted."""
        if not self.any:
            return
        for folder in folders(self._vault):
            for name, rows in groupby(self._vault.store.versions(folder), key=lambda each: each.name):
                for held in in_chunks(rows, HELD):
                    self.bytes += sum(each.size for each in held)
                    self._listed.add(name.encode(), msgspec.msgpack.encode(held))
        for number in range(PARTITIONS):
            yield from self._partition(number)

    def _partition(self, number: int) -> Iterator[Doomed]:
        named = dict[bytes, dict[str, bool]]()
        last = dict[tuple[bytes, int], _Named]()
        for name, value in self._named.read(number):
            one = _claims.decode(value)
            known = named.setdefault(name, {})
            known[one.version] = known.get(one.version, False) or one.counts
            if one.period >= 0 and one.micros >= last.get((name, one.period), one).micros:
                last[name, one.period] = one
        for (name, period), one in last.items():
            # The first state is whole, and a whole state holds no deletes.
            named[name][one.version] |= bool(period or self._vault.catalog.kept_states or not one.removed)
        there = dict[bytes, list[ObjectVersion]]()
        for name, value in self._listed.read(number):
            there.setdefault(name, []).extend(_versions.decode(value))
        for name, rows in there.items():
            if name not in named:
                if self._is_left_over(rows):
                    yield whole(rows)
            elif (found := self._doomed(rows, named[name])).first or found.then:
                yield found

    def _is_left_over(self, rows: Sequence[ObjectVersion]) -> bool:
        """True for an object that no line names, if it is a row of ours that was deleted before the horizon.

        An earlier run has removed its lines, and a lock has kept it. Any other object that no line names is not ours to remove.
        """
        if not rows[0].marker or any(each.modified > self._horizon - FAR_APART for each in rows):
            return False
        newest = next((each for each in rows if not each.marker), None)
        if newest is None:
            return False
        with suppress(Damaged, MissingObject):
            return parse_metadata(self._vault.store.head(newest.name, newest.version)) is not None
        return False

    def _doomed(self, rows: Sequence[ObjectVersion], named: dict[str, bool]) -> Doomed:
        """Returns what goes of one object, whose rows are newest first."""
        superseded_early = {below.version for above, below in pairwise(rows) if above.modified <= self._horizon - FAR_APART}
        bodies = [
            row
            for row in rows
            if not row.marker and not row.latest and not named.get(row.version, False)
            if row.version in named or row.version in superseded_early
        ]
        going = {row.version for row in bodies}
        left = [row for row in rows if row.version not in going]
        return Doomed(bodies, _bare_markers(left))


def _bare_markers(rows: Sequence[ObjectVersion]) -> list[ObjectVersion]:
    """Returns the delete markers that hide nothing any more: no version lies below them."""
    bare = list[ObjectVersion]()
    for row in reversed(rows):
        if not row.marker:
            break
        bare.append(row)
    return bare


def folders(vault: TableVault) -> list[str]:
    """Returns the folders in which the table's rows lie."""
    own, adopted = f"{vault.catalog.table}/", vault.catalog.adopted
    folder = own if adopted is None else adopted.folder
    return [own] if folder.startswith(own) else [folder] if own.startswith(folder) else [own, folder]


class _Named(msgspec.Struct, frozen=True, array_like=True):
    """A version that a line names.

    `counts`: True if that line counts from the horizon on; else `period` is the number of the planned state that it may be needed
    for, -1 for none.
    """

    version: str
    counts: bool
    period: int
    micros: int
    removed: bool


_claims = msgspec.msgpack.Decoder(_Named)
_versions = msgspec.msgpack.Decoder(list[ObjectVersion])
