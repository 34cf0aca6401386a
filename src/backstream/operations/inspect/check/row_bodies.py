"""Reads row versions and verifies them: here, or many at a time by an executor."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from backstream.errors import BackstreamError, Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.model.changes.fold import FoldState
from backstream.model.tables import legacy_names
from backstream.model.values import digests
from backstream.operations.inspect.check.report import Finding, FindingKind
from backstream.ports import StoredObject, Wanted
from backstream.vault.rows.row_versions import parse_metadata
from backstream.vault.table_vault import TableVault

Versions = frozenset[tuple[str, str]]  # names of objects, each with a version
ORDER_ITEMS = 2_000  # of an executor's order at most


class RowBodies:
    """Reads the row versions that the log names. `percent`: the share of them that is read; `read`: how many were."""

    def __init__(self, vault: TableVault, percent: float) -> None:
        self._vault = vault
        self._percent = percent
        self.read = 0

    def findings(self, items: Mapping[bytes, Sequence[Entry]], missing: Versions) -> Iterator[Finding]:
        """Yields a finding for each version that is not as the log says. `items`: all entries of some items; `missing`: versions
        that are known to be missing, and are not read.
        """
        for (key, entry), found in self._vault.store.get_each(self._wanted(items, missing)):
            self.read += 1
            if isinstance(found, BackstreamError) and not isinstance(found, (Damaged, MissingObject)):
                raise found
            why = found.message if isinstance(found, BackstreamError) else self._why(key, entry, found)
            if why:
                kind = FindingKind.MISSING if isinstance(found, MissingObject) else FindingKind.DAMAGED
                yield about(kind, key, entry, items[key], why)

    def _wanted(self, items: Mapping[bytes, Sequence[Entry]], missing: Versions) -> Iterator[Wanted[tuple[bytes, Entry]]]:
        for key, entries in items.items():
            for place, entry in {entry.place: entry for entry in entries if entry.place is not None}.items():
                if place is not None and (place.name, place.version) not in missing and self._is_chosen(place):
                    yield (key, entry), place.name, place.version

    def _is_chosen(self, place: ImagePlace) -> bool:
        return zlib.crc32(f"{place.name} {place.version}".encode()) % 10_000 < self._percent * 100

    def _why(self, key: bytes, entry: Entry, found: StoredObject) -> str:
        """Returns the fault of a row's body or metadata; empty if there is none."""
        try:
            if self._vault.key_of_item(found.body) != key:
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


class RowsRead(msgspec.Struct, frozen=True):
    """The findings of an executor in some rows. `read`: how many versions it has read."""

    read: int
    findings: list[Finding]


RowsOrder = tuple[Mapping[bytes, Sequence[Entry]], Versions]  # see `RowBodies.findings`
rows_read = msgspec.json.Decoder(RowsRead).decode


class ReadRows(msgspec.Struct, frozen=True):
    """The work of an executor: reads and verifies rows of some items. `percent`: see `RowBodies`."""

    percent: float

    def __call__(self, vault: TableVault, order: RowsOrder) -> bytes:
        """Returns a `RowsRead` in JSON: a finding holds a key, which is JSON."""
        bodies = RowBodies(vault, self.percent)
        findings = list(bodies.findings(*order))
        return msgspec.json.encode(RowsRead(bodies.read, findings))


def about(kind: FindingKind, key: bytes, entry: Entry, entries: Sequence[Entry], why: str) -> Finding:
    """Returns a finding about one version of an item. `entries`: all of the item's."""
    since, until = affected(entry, entries)
    name, version = ("", None) if entry.place is None else (entry.place.name, entry.place.version)
    end = None if until is None else moment.iso(until)
    return Finding(kind, name, why, key=msgspec.Raw(key), since=moment.iso(since), until=end, version=version, rows=1)


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
