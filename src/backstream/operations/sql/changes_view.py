"""The view `changes`: every change of the hours that a query asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa

from backstream.model import moment
from backstream.operations.changes import ChangeCriteria, Changes, ChangesContext, ChangeWindow, SeenChange
from backstream.operations.changes import window as windows
from backstream.operations.changes.items import looks_back
from backstream.operations.changes.reading import WindowLog
from backstream.operations.changes.sorting import TimeSorter
from backstream.operations.inspect.actors import Actors
from backstream.operations.sql import columns
from backstream.operations.sql.columns import Columns
from backstream.operations.sql.learning import Learning
from backstream.operations.sql.reading import TableReading, batched
from backstream.operations.sql.row import Row
from backstream.operations.sql.scan import Asked
from backstream.operations.sql.spans import TimeRange, asked_for, asks_for_earlier
from backstream.operations.sql.typed import TypedColumns


class ChangesView:
    """Reads the changes of one table for a scan."""

    def __init__(self, reading: TableReading) -> None:
        self._reading = reading
        self._learning = Learning(reading, self._with_images, old=True)

    def columns(self, named: Collection[str]) -> Columns:
        """Returns the columns. `named`: names of typed columns that the query uses."""
        keys = columns.of_keys(self._reading.vault.catalog.key_schema)
        return Columns([*columns.CHANGES, *keys, *columns.CHANGES_IMAGES], TypedColumns(self._reading, named, old=True))

    @property
    def _whole(self) -> TimeRange:
        """The seconds from which changes are known, and those before that, if an older tool kept some of them."""
        vault = self._reading.vault
        since = 0 if vault.catalog.adopted is not None else vault.coverage.followed_from
        return TimeRange(max(since, self._reading.kept_from + 1), self._reading.now + 1)

    def read(self, made: Columns, asked: Asked) -> Iterator[pa.RecordBatch]:
        """Yields the rows, in batches."""
        whole = self._whole
        spans = asked_for(asked.predicate, made.schema, whole)
        if asks_for_earlier(asked.predicate, made.schema, whole):
            reading, since = self._reading, moment.iso(whole.since)
            reading.note(
                [f"the vault holds the changes of {reading.table} since {since}, none before: earlier ones are not in the answer"]
            )
        typed = made.are_typed(asked.needed)
        if typed:
            self._learning.check(spans)
        for span in spans:
            found = self._learning.rows(span) if typed or self._needs_images(asked) else self._light(span)
            for rows in batched((row, row.size) for row in found):
                self._reading.progress.advance(len(rows))
                yield made.batch(rows, asked.needed)

    def _window(self, span: TimeRange) -> ChangeWindow:
        """Returns the window of a span. Raises GapInTheWay if changes of it may be missing."""
        reading, window = self._reading, ChangeWindow(span.since - 1, span.until - 1)
        reading.progress.phase(f"reading the changes from {window}", None)
        allow = reading.allow_gap or reading.vault.catalog.adopted is not None
        reading.note(windows.check(reading.vault, window, reading.window, reading.clock.now(), allow_gap=allow).notes)
        return window

    def _light(self, span: TimeRange) -> Iterator[Row]:
        """Yields the rows without their images, if they can be told without them."""
        window = self._window(span)
        with TimeSorter() as sorter:
            if self._gather(window, sorter):
                yield from self._without_images(sorter)
                return
        yield from self._with_images(span)

    def _needs_images(self, asked: Asked) -> bool:
        """True unless the lines of the log tell all that is asked for, in a vault that keeps images elsewhere."""
        vault = self._reading.vault
        by_attribute = vault.catalog.actor_attribute is not None and "actor" in asked.needed
        return by_attribute or not columns.NEEDS_IMAGES.isdisjoint(asked.needed) or not looks_back(vault)

    def _gather(self, window: ChangeWindow, sorter: TimeSorter) -> bool:
        """Reads the lines. Returns False if a read of the table is among them: only images tell if it found anything new."""
        log = WindowLog(self._reading.vault, window, self._reading.unread, memory=self._reading.memory)
        for piece in log.pieces():
            if any(each.scanned for each in piece.entries):
                return False
            sorter.add([(entry, None) for entry in piece.entries])
        return True

    def _without_images(self, sorter: TimeSorter) -> Iterator[Row]:
        vault = self._reading.vault
        actors = self._actors()
        for entry, _ in sorter.until(None):
            seen = SeenChange(vault.key(entry), entry, None, None)
            yield Row(seen.key, entry, actor=actors.of(seen))

    def _with_images(self, span: TimeRange) -> Iterator[Row]:
        reading, window = self._reading, self._window(span)
        around = ChangesContext(reading.clock, reading.memory)
        found = Changes(reading.vault, window, ChangeCriteria(), around, allow_gap=True)
        actors, told = found.actors, 0
        only_stream = actors.knows_none
        for seen in found.known(briefly=True):
            if seen.gone:
                reading.unread(f"an image of the change {seen.sequence} of {seen.key.decode()}: {seen.doubt}")
            if len(found.warnings) > told:
                told = self._pass_on(found.warnings, told)
            actor = seen.actor if only_stream else actors.of(seen)
            yield Row(seen.key, seen.entry, seen.old, seen.new, seen.doubt, actor)
        self._pass_on(found.warnings, told)

    def _pass_on(self, warnings: Sequence[str], told: int) -> int:
        """Notes the warnings that came since. Returns their number."""
        for each in warnings[told:]:
            self._reading.unread(each)
        return len(warnings)

    def _actors(self) -> Actors:
        return Actors.of_vault(self._reading.vault, lambda error: self._reading.unread(error.message))
