"""Checks each item's changes together: when missing changes matter, objects that should not be hidden, and rows to be read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from backstream.engine.local.spill import Pairs, Spill
from backstream.errors import BackstreamError, Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.model.changes.fold import FoldState
from backstream.model.tables import legacy_names
from backstream.model.values import digests
from backstream.operations.bulk.progress import Progress
from backstream.operations.inspect.check.report import Finding, FindingKind, RepairableFinding
from backstream.operations.inspect.check.rows import LoggedVersions, MissingVersion, RowCheck
from backstream.ports import StoredObject, Wanted
from backstream.vault.rows.row_versions import parse_metadata
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
        """Yields the findings of all items, one partition in memory at a time."""
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
            if self._percent:
                yield from self._read(items, {(each.name, each.version) for some in missing.values() for each in some})

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
                yield _about(kind, key, entry, items[key], each.why)

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

    # --- rows, read ---

    def _read(self, items: Mapping[bytes, Sequence[Entry]], missing: set[tuple[str, str]]) -> Iterator[RepairableFinding]:
        def wanted() -> Iterator[Wanted[tuple[bytes, Entry]]]:
            for key, entries in items.items():
                for place, entry in {entry.place: entry for entry in entries if entry.place is not None}.items():
                    if place is not None and (place.name, place.version) not in missing and self._is_chosen(place):
                        yield (key, entry), place.name, place.version

        for (key, entry), found in self._vault.store.get_each(wanted()):
            self.bodies += 1
            if isinstance(found, BackstreamError) and not isinstance(found, (Damaged, MissingObject)):
                raise found
            why = found.message if isinstance(found, BackstreamError) else self._why(key, entry, found)
            if why:
                kind = FindingKind.MISSING if isinstance(found, MissingObject) else FindingKind.DAMAGED
                yield _about(kind, key, entry, items[key], why)

    def _is_chosen(self, place: ImagePlace) -> bool:
        return zlib.crc32(f"{place.name} {place.version}".encode()) % 10_000 < self._percent * 100

    def _why(self, key: bytes, entry: Entry, found: StoredObject) -> str:
        """Returns the fault of a row's body or metadata; empty if there is none."""
        try:
            if self._vault.key_of(found.body) != key:
                return "it holds the image of another item"
            row = parse_metadata(found.info)
        except Damaged as error:
            return error.message
        if entry.body is not None and digests.of_body(found.body) != entry.body:
            return "its bytes are not those that were written: the log has another SHA-256"
        if entry.scanned or entry.stream == legacy_names.STREAM:
            return ""
        if row is None:
            return "its metadata is missing: nothing says which change it is"
        return "" if row.entry.order == entry.order else "its metadata belongs to another change"


def _hidden_row(key: bytes, each: LoggedVersions) -> RepairableFinding:
    put = moment.iso(int(max(marker.modified for marker in each.markers)))
    why = f"the row exists, and a delete marker of {put} hides it from plain S3 tools"
    finding = Finding(FindingKind.HIDDEN, each.name, why, key=msgspec.Raw(key), since=put, repairable=True, rows=1)
    return RepairableFinding(finding, each.markers)


def _about(kind: FindingKind, key: bytes, entry: Entry, entries: Sequence[Entry], why: str) -> RepairableFinding:
    """Returns a finding about one version of an item."""
    since, until = affected(entry, entries)
    name, version = ("", None) if entry.place is None else (entry.place.name, entry.place.version)
    end = None if until is None else moment.iso(until)
    finding = Finding(kind, name, why, key=msgspec.Raw(key), since=moment.iso(since), until=end, version=version, rows=1)
    return RepairableFinding(finding)


def affected(entry: Entry, entries: Sequence[Entry]) -> tuple[int, int | None]:
    """Returns the seconds, both included, at which an entry gives its item's state; the second of the change itself at least.

    `entries`: all of the item's, in any order. The end is None if it still does.
    """
    beaten = [max(other.seconds, entry.seconds) for other in entries if _beats(other, entry)]
    return entry.seconds, max(entry.seconds, min(beaten) - 1) if beaten else None


def _beats(other: Entry, entry: Entry) -> bool:
    newest = FoldState().with_entry(entry).with_entry(other).newest()
    return newest == other != entry and not (_same_change(other, entry))


def _same_change(one: Entry, other: Entry) -> bool:
    return not one.scanned and not other.scanned and one.order == other.order


def _of(pairs: Pairs, number: int, kind: type[_Value]) -> dict[bytes, list[_Value]]:
    """Returns the values of one partition, by key."""
    decode = msgspec.msgpack.Decoder(kind).decode
    found = dict[bytes, list[_Value]]()
    for key, value in pairs.read(number):
        found.setdefault(key, []).append(decode(value))
    return found
