"""Checks each item's changes together: when missing changes matter, objects that should not be hidden, and rows to be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.engine.local.spill import Pairs, Spill
from backstream.model import moment
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.model.changes.fold import FoldState
from backstream.operations.bulk.progress import Progress
from backstream.operations.inspect.check.report import Finding, FindingKind, RepairableFinding
from backstream.operations.inspect.check.row_bodies import (
    ORDER_ITEMS,
    ReadRows,
    RowBodies,
    RowsOrder,
    Versions,
    about,
    rows_read,
)
from backstream.operations.inspect.check.rows import LoggedVersions, MissingVersion, RowCheck
from backstream.ports import Executors
from backstream.vault.table_vault import TableVault

_Value = TypeVar("_Value", MissingVersion, LoggedVersions, Entry)


class Items:
    """Checks the items of a vault.

    `percent`: the share of the log's row versions that is read. `bodies`: the number that was read. `linked`: the number of
    changes that state their previous state; `silent`: the number of changes that do not, so that a missing change before them
    does not show. An older version wrote them, they were adopted, or come from an incremental export, or expired. `kept`:
    lines of states from before the horizon, in as many partitions: only their row versions are checked.
    """

    def __init__(
        self,
        vault: TableVault,
        lines: Spill[Entry],
        kept: Spill[Entry],
        rows: RowCheck,
        progress: Progress,
        *,
        percent: float,
    ) -> None:
        self._vault = vault
        self._lines = lines
        self._kept = kept
        self._rows = rows
        self._progress = progress
        self._percent = percent
        self.bodies = self.linked = self.silent = 0

    def go_through(self) -> Iterator[RepairableFinding]:
        """Yields the findings of all items, one partition in memory at a time. Executors, if there are any, read the rows."""
        executors = self._vault.executors
        self._progress.phase("going through items", None)
        for number in range(self._lines.partitions):
            items = dict[bytes, list[Entry]]()
            for key, entry, _ in self._lines.heads(number):
                items.setdefault(key, []).append(entry)
                self._count(entry)
            self._progress.advance(len(items))
            missing = _of(self._rows.gone, number, MissingVersion)
            yield from self._covered(items, number)
            for key, entry, _ in self._kept.heads(number):
                items.setdefault(key, []).append(entry)
            yield from self._missing(items, missing)
            if self._percent and executors is None:
                bodies = RowBodies(self._vault, self._percent)
                yield from map(RepairableFinding, bodies.findings(items, _versions(missing.values())))
                self.bodies += bodies.read
        if self._percent and executors is not None:
            yield from self._read_elsewhere(executors)

    def _count(self, entry: Entry) -> None:
        if entry.before is not None:
            self.linked += 1
        elif not entry.scanned or entry.event_id:
            self.silent += 1

    # --- versions that are not there ---

    def _missing(
        self, items: Mapping[bytes, Sequence[Entry]], missing: Mapping[bytes, Sequence[MissingVersion]]
    ) -> Iterator[RepairableFinding]:
        for key, gone in missing.items():
            for each in set(gone):
                entry = next(one for one in items[key] if one.place == ImagePlace(each.name, each.version))
                kind = FindingKind.DAMAGED if each.why == "it is empty" else FindingKind.MISSING
                yield RepairableFinding(about(kind, key, entry, items[key], each.why))

    # --- delete markers ---

    def _covered(self, items: Mapping[bytes, Sequence[Entry]], number: int) -> Iterator[RepairableFinding]:
        covered = _of(self._rows.covered, number, LoggedVersions)
        unlogged = _of(self._rows.unlogged, number, Entry) if covered else {}
        for key, objects in covered.items():
            known = FoldState()
            for entry in (*items.get(key, ()), *unlogged.get(key, ())):
                known = known.with_entry(entry)
            newest = known.newest()
            for each in objects:
                if newest is not None and not newest.removed and newest.place is not None and newest.place.name == each.name:
                    yield _hidden_row(key, each)

    # --- rows, read by executors ---

    def _read_elsewhere(self, executors: Executors) -> Iterator[RepairableFinding]:
        self._progress.phase("reading rows", None)
        orders = (order for number in range(self._lines.partitions) for order in self._orders(number))
        for found in map(rows_read, executors.each(self._vault, ReadRows(self._percent), orders)):
            self.bodies += found.read
            self._progress.advance(found.read)
            yield from map(RepairableFinding, found.findings)

    def _orders(self, number: int) -> Iterator[RowsOrder]:
        """Yields a partition's items, some together, and the versions among theirs that are missing."""
        items = dict[bytes, list[Entry]]()
        for key, entry, _ in chain(self._lines.heads(number), self._kept.heads(number)):
            items.setdefault(key, []).append(entry)
        gone = _of(self._rows.gone, number, MissingVersion)
        named = (key for key, entries in items.items() if any(each.place is not None for each in entries))
        for together in batches(named, ORDER_ITEMS):
            yield {key: items[key] for key in together}, _versions(gone.get(key, ()) for key in together)


def _versions(missing: Iterable[Sequence[MissingVersion]]) -> Versions:
    return frozenset((each.name, each.version) for some in missing for each in some)


def _hidden_row(key: bytes, each: LoggedVersions) -> RepairableFinding:
    put = moment.iso(int(max(marker.modified for marker in each.markers)))
    why = f"the row exists, and a delete marker of {put} hides it from plain S3 tools"
    finding = Finding(FindingKind.HIDDEN, each.name, why, key=msgspec.Raw(key), since=put, repairable=True, rows=1)
    return RepairableFinding(finding, each.markers)


def _of(pairs: Pairs, number: int, kind: type[_Value]) -> dict[bytes, list[_Value]]:
    """Returns the values of one partition, by key."""
    decode = msgspec.msgpack.Decoder(kind).decode
    found = dict[bytes, list[_Value]]()
    for key, value in pairs.read(number):
        found.setdefault(key, []).append(decode(value))
    return found
