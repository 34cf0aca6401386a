"""The view `history`: every version of every item, and how long each was the item's state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

import msgspec
import pyarrow as pa

from backstream.engine.local.spill import Spill, partitions_for
from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry
from backstream.model.values import wire
from backstream.operations.changes import ChangeWindow, SeenChange
from backstream.operations.changes import window as windows
from backstream.operations.changes.items import ItemPiece, pieces_of
from backstream.operations.changes.reading import WindowLog, sound
from backstream.operations.changes.seen import items_with_images
from backstream.operations.inspect import safety
from backstream.operations.inspect.actors import Actors
from backstream.operations.sql import columns
from backstream.operations.sql.columns import Columns
from backstream.operations.sql.endings import Endings, Gone
from backstream.operations.sql.learning import Learning
from backstream.operations.sql.reading import TableReading, batched
from backstream.operations.sql.row import Row
from backstream.operations.sql.scan import Asked
from backstream.operations.sql.spans import TimeRange
from backstream.operations.sql.typed import TypedColumns
from backstream.vault.below_markers import First
from backstream.vault.coverage import counts
from backstream.vault.log import inventory
from backstream.vault.log.compacted import Set
from backstream.vault.log.segments import SegmentHeader

TOGETHER = 128  # changes of several items whose images are fetched together


class HistoryView:
    """Reads all versions of one table's items: from the log and from every base backup."""

    def __init__(self, reading: TableReading) -> None:
        self._reading = reading
        self._learning = Learning(reading, lambda _: self._rows())

    def columns(self, named: Collection[str]) -> Columns:
        """Returns the columns. `named`: names of typed columns that the query uses."""
        keys = columns.of_keys(self._reading.vault.catalog.key_schema)
        return Columns([*columns.HISTORY, *keys, *columns.HISTORY_IMAGE], TypedColumns(self._reading, named, old=False))

    def read(self, made: Columns, asked: Asked) -> Iterator[pa.RecordBatch]:
        """Yields the rows, in batches: item by item, each item's oldest version first."""
        whole = TimeRange(0, self._reading.now + 1)
        if made.are_typed(asked.needed):
            self._learning.check([whole])
        for rows in batched((row, row.size) for row in self._learning.rows(whole)):
            self._reading.progress.advance(len(rows))
            yield made.batch(rows, asked.needed)

    def _rows(self) -> Iterator[Row]:
        reading = self._reading
        reading.note(self._notes())
        actors = Actors.of_vault(reading.vault, lambda error: reading.unread(error.message))
        endings = Endings(reading.vault)
        with ExitStack() as stack:
            version: Row | None = None
            known = 0  # the last second in which the version was found
            for seen in self._in_order(stack):
                row = self._row(seen, actors)
                if version is not None and version.key == row.key:
                    if seen.entry.scanned and _same(version, row):
                        known = seen.entry.since
                        continue
                    yield self._ended(version, endings.of(version.entry, known, row.entry), row.entry.micros)
                elif version is not None:
                    yield self._ended(version, endings.of(version.entry, known, None), None)
                version, known = row, seen.entry.since
            if version is not None:
                yield self._ended(version, endings.of(version.entry, known, None), None)

    def _notes(self) -> list[str]:
        """Returns what is uncertain about the whole history."""
        reading, window = self._reading, self._reading.window
        vault, since = reading.vault, max(reading.vault.coverage.followed_from - 1, reading.kept_from)
        limits = [] if vault.catalog.adopted is None else [safety.LIMITS]
        kept = [] if window.horizon is None else [f"history is kept from {moment.iso(window.horizon)}, the horizon"]
        whole = ChangeWindow(min(since, reading.now - 1), reading.now)
        return [*limits, *kept, *windows.check(vault, whole, window, reading.clock.now(), allow_gap=True).notes]

    def _ended(self, version: Row, gone: Gone | None, until: int | None) -> Row:
        """Returns a version with its end. `gone`: the item was gone by then, as far as everything could be read."""
        if gone is None or self._reading.damaged:
            return version if until is None else msgspec.structs.replace(version, until=until)
        return msgspec.structs.replace(version, until=gone.second * MICROS, note=version.note or gone.why)

    def _row(self, seen: SeenChange, actors: Actors) -> Row:
        if seen.gone and not seen.entry.removed:
            self._reading.unread(f"the image of {seen.key.decode()}: {seen.doubt}")
        note = seen.doubt if seen.gone else ""
        return Row(seen.key, seen.entry, None, seen.new, note, actors.of(seen))

    def _in_order(self, stack: ExitStack) -> Iterator[SeenChange]:
        """Yields every entry of the log and of the base backups, item by item, with its images."""
        vault, memory = self._reading.vault, self._reading.memory
        log = WindowLog(vault, ChangeWindow(self._reading.kept_from, self._reading.now), self._reading.unread, memory=memory)
        self._reading.progress.phase("reading the change log", None)
        partitions = partitions_for(log.rows)
        spilled = stack.enter_context(Spill(partitions, Entry, buffer=memory.buffer))
        for entries in self._entries(log):
            spilled.writer.extend([(vault.key(entry), entry, None) for entry in entries])
            if sum(len(each.image or b"") + len(each.old or b"") for each in entries) > memory.buffer // 4:
                spilled.writer.flush()  # the writer does not know how large these heads are
        self._reading.progress.phase("versions", None)
        for number in range(partitions):
            found = (entry for _, entry, _ in spilled.heads(number))
            for together in _together(pieces_of(found, vault.key, {})):
                for changes in items_with_images(vault, [each.pairs for each in together]):
                    yield from changes

    def _entries(self, log: WindowLog) -> Iterator[Sequence[Entry]]:
        vault = self._reading.vault
        ignored = vault.coverage.before_horizon
        for piece in log.pieces():
            yield [each for each in piece.entries if counts(ignored, each)] if ignored else piece.entries
        found = vault.inventory()
        for one in inventory.sets_of_bases(vault.bases, found.generation):
            for part in self._parts(one):
                yield from self._sound(part.name, partial(vault.compacted.claim_and_body, part.name))
        for each in inventory.parts_of_bases(vault.bases, found.generation):
            yield from self._sound(each.name, partial(vault.bases.claim_and_body, each))

    def _parts(self, one: Set) -> Sequence[First]:
        try:
            return self._reading.vault.compacted.parts(one)
        except Damaged as error:
            self._reading.unread(error.message)
            return []

    def _sound(self, name: str, read: Callable[[], tuple[SegmentHeader, bytes]]) -> Iterator[Sequence[Entry]]:
        try:
            yield from sound(*read())
        except Damaged as error:
            self._reading.unread(error.message if name in error.message else f"{name}: {error.message}")


def _same(one: Row, other: Row) -> bool:
    """True if two versions are of one state: a base backup found the item as it was known."""
    if one.new is None or other.new is None:
        return one.new is other.new and not (one.note or other.note)
    return one.new == other.new or wire.same_image(one.new, other.new)


def _together(pieces: Iterator[ItemPiece]) -> Iterator[list[ItemPiece]]:
    together, count = list[ItemPiece](), 0
    for piece in pieces:
        together.append(piece)
        count += len(piece.pairs)
        if count >= TOGETHER:
            yield together
            together, count = [], 0
    if together:
        yield together
