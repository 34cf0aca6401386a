"""Compares the row versions that the log names with a listing of the existing ones, by object names, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, groupby
from typing import Self

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import Pairs, Spill
from backstream.errors import BackstreamError, Damaged
from backstream.model.changes.entry import Entry
from backstream.operations.bulk.chunks import in_chunks
from backstream.operations.bulk.progress import Progress
from backstream.operations.inspect.check.report import FindingKind, RepairableFinding, wrong
from backstream.ports import ObjectVersion, StoredObject
from backstream.vault.rows.row_versions import entry_of, keys_in, parse_metadata
from backstream.vault.table_vault import TableVault

FOREIGN = "a foreign object: it was not written by Backstream"
EMPTY = "an object of zero bytes stands where a row should be"
HELD = 10_000  # listed versions of one object that are compared at a time

Claimed = tuple[str, bytes]  # a version, and the key of its item


class MissingVersion(msgspec.Struct, frozen=True, array_like=True):
    """A version that the log names, and that is missing or empty."""

    name: str
    version: str
    why: str


class LoggedVersions(msgspec.Struct, frozen=True, array_like=True):
    """A row object with delete markers on top."""

    name: str
    markers: list[ObjectVersion]


class RowCheck:
    """One comparison.

    `gone`, `covered` and `unlogged` are keyed by item, and partitioned like the log's lines: missing versions, hidden objects, and
    the metadata of an object's newest version if the log does not name it.
    """

    def __init__(self, vault: TableVault, lines: Spill[Entry], kept: Spill[Entry], memory: Memory, progress: Progress) -> None:
        """`kept`: lines of states from before the horizon, in as many partitions."""
        self._vault = vault
        self._lines = lines
        self._kept = kept
        self._progress = progress
        self._files = ExitStack()
        named, listed, self.gone, self.covered, self.unlogged = (
            self._files.enter_context(Pairs(lines.partitions, buffer=memory.buffer // 5)) for _ in range(5)
        )
        self._named, self._listed = named, listed
        self.objects = 0
        self.versions = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def compare(self) -> Iterator[RepairableFinding]:
        """Fills the partitions, and yields foreign objects at once."""
        self._note_named()
        self._list()
        self._progress.phase("comparing with the listing", self._lines.partitions)
        unlogged = (each for number in range(self._lines.partitions) for each in self._partition(number))
        yield from self._look_at(unlogged)

    def _note_named(self) -> None:
        for number in range(self._lines.partitions):
            for key, entry, _ in chain(self._lines.heads(number), self._kept.heads(number)):
                if entry.place is not None:
                    self._named.add(entry.place.name.encode(), msgspec.msgpack.encode((entry.place.version, key)))

    def _list(self) -> None:
        """Lists the rows. The log was read before, so every version that it names existed by then."""
        self._progress.phase("listing rows", None)
        for folder in self._folders():
            for name, rows in groupby(self._vault.store.versions(folder), key=lambda each: each.name):
                self.objects += 1
                for held in in_chunks(rows, HELD):
                    self.versions += len(held)
                    self._progress.advance(len(held))
                    self._listed.add(name.encode(), msgspec.msgpack.encode(held))

    def _folders(self) -> list[str]:
        catalog = self._vault.catalog
        own = f"{catalog.table}/"
        folder = own if catalog.adopted is None else catalog.adopted.folder
        return [own] if folder.startswith(own) else [folder] if own.startswith(folder) else [own, folder]

    # --- one partition ---

    def _partition(self, number: int) -> Iterator[tuple[str, str | None]]:
        """Compares one partition. Yields the names and versions of the newest bodies that the log does not name."""
        self._progress.advance(1)
        claimed = dict[str, dict[str, bytes]]()
        for name, value in self._named.read(number):
            version, key = _claims.decode(value)
            claimed.setdefault(name.decode(), {})[version] = key
        there = dict[str, list[ObjectVersion]]()
        for name, value in self._listed.read(number):
            there.setdefault(name.decode(), []).extend(_versions.decode(value))
        for named, versions in claimed.items():
            yield from self._named_object(named, versions, there.pop(named, []))
        for unnamed, rows in there.items():
            if not rows[0].marker and (rows[0].size or not unnamed.endswith("/")):
                yield unnamed, rows[0].version

    def _named_object(
        self, name: str, versions: dict[str, bytes], rows: Sequence[ObjectVersion]
    ) -> Iterator[tuple[str, str | None]]:
        sizes = {row.version: row.size for row in rows if not row.marker}
        for version, key in versions.items():
            if not sizes.get(version):
                why = "the log names this version, and it is missing" if version not in sizes else "it is empty"
                self.gone.add(key, msgspec.msgpack.encode(MissingVersion(name, version, why)))
        newest = next((row for row in rows if not row.marker), None)
        if newest is None:
            return
        if newest.version not in versions:
            yield name, newest.version
        if rows[0].marker:
            covered = LoggedVersions(name, list(rows[: rows.index(newest)]))
            for key in set(versions.values()):
                self.covered.add(key, msgspec.msgpack.encode(covered))

    # --- what the log does not name ---

    def _look_at(self, unlogged: Iterator[tuple[str, str | None]]) -> Iterator[RepairableFinding]:
        """Checks these rows: a crash leaves a row whose change is not in the log yet; a late change puts a copy on top; all others
        are foreign.
        """
        wanted = (((name, version), name, version) for name, version in unlogged)
        for (name, _), found in self._vault.store.get_each(wanted):
            if isinstance(found, BackstreamError):
                continue  # it is gone since it was listed: the log did not name it
            try:
                if not self._is_row(found) and self._vault.catalog.adopted is None:
                    yield wrong(FindingKind.FOREIGN, name, FOREIGN if found.body else EMPTY)
            except Damaged as error:
                yield wrong(FindingKind.DAMAGED, name, error.message)

    def _is_row(self, found: StoredObject) -> bool:
        row = parse_metadata(found.info)
        if row is None or not found.body:
            return False
        key = self._vault.key(entry_of(row, keys_in(row, found.body)))
        self.unlogged.add(key, msgspec.msgpack.encode(row.entry))
        return True


_claims = msgspec.msgpack.Decoder(tuple[str, bytes])
_versions = msgspec.msgpack.Decoder(list[ObjectVersion])
