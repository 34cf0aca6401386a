"""The view `items` and the function `items_at`: the state of a table at a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from backstream.errors import BackstreamError, UsageError
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.sql import columns
from backstream.operations.sql.columns import Columns, Row, moment_column
from backstream.operations.sql.reading import Reading, batched
from backstream.operations.sql.scan import Asked
from backstream.operations.sql.spans import Span, asked_for, within
from backstream.ports import TableState

END_OF_YEARS = 253_402_300_800  # the second after the last of 9999
MOMENTS = 100  # of which one query may ask for the state


class ItemsView:
    """Reads the state of one table at one or several moments. `at`: the moment, for a view; None: the query names it."""

    def __init__(self, reading: Reading, at: int | None = None) -> None:
        self._reading = reading
        self._at = at
        self._keys = list(columns.of_keys(reading.vault.catalog.key_schema))
        self.schema = self._columns(0).schema

    def _columns(self, at: int) -> Columns:
        of_moment = [moment_column(at)] if self._at is None else []
        return Columns([*of_moment, *columns.ITEMS, *self._keys, *columns.ITEMS_LAST])

    def read(self, asked: Asked) -> Iterator[pa.RecordBatch]:
        """Yields the rows, in batches."""
        for at in [self._at] if self._at is not None else self._moments(asked.predicate):
            made = self._columns(at)
            for rows in batched((row, len(row.new or b"")) for row in self._rows(at, asked)):
                self._reading.progress.advance(len(rows))
                yield made.batch(rows, asked.needed)

    def _moments(self, predicate: pc.Expression | None) -> list[int]:
        """Returns the seconds that a query names. Raises UsageError if it names none, or a range."""
        # Moments in the future are among them, so that they are refused and not simply empty.
        everything = Span(0, END_OF_YEARS)
        spans = [] if predicate is None else asked_for(predicate, self.schema, everything, partial(within, "moment"), finest=1)
        if predicate is None or sum(each.until - each.since for each in spans) > MOMENTS:
            raise UsageError(
                "items_at needs a moment that does not depend on other tables",
                hint="Write items_at('2026-11-23T04:15:00Z') or items_at(now() - INTERVAL 15 MINUTE).",
            )
        if not spans:
            raise UsageError("not a moment between 1970 and 9999 in items_at", hint="Write items_at('2026-11-23T04:15:00Z').")
        return [second for each in spans for second in range(each.since, each.until)]

    def _rows(self, at: int, asked: Asked) -> Iterator[Row]:
        reading, vault = self._reading, self._reading.vault
        safety.check_past(at, reading.clock.now(), reading.window)
        reading.note(safety.check_table(reading.table, at, reading.window, allow_gap=reading.allow_gap))
        reading.progress.phase("reading the change log", None)
        with vault.engine.state(vault, at, reading.progress.advance) as state:
            self._check(state, at)
            reading.progress.phase("items", None)
            wants_image = "image" in asked.needed or bool(asked.needed - self._without_image)
            for part in state:
                there = ((entry, entry) for key, entry in part.items() if part.exists(key))
                if wants_image:
                    yield from self._with_images(there)
                else:
                    yield from (Row(vault.key(entry), entry) for entry, _ in there)

    @property
    def _without_image(self) -> frozenset[str]:
        return frozenset(name for name in self.schema.names if name not in columns.NEEDS_IMAGES)

    def _with_images(self, wanted: Iterator[tuple[Entry, Entry]]) -> Iterator[Row]:
        vault = self._reading.vault
        for entry, image in vault.images(wanted):
            if isinstance(image, BackstreamError):
                self._reading.unread(f"the image of {vault.key(entry).decode()}: {image.message}")
            elif image is not None:
                yield Row(vault.key(entry), entry, None, image)

    def _check(self, state: TableState, at: int) -> None:
        """Notes what is not known of the state. Raises Damaged and GapInTheWay."""
        reading, now = self._reading, self._reading.clock.now()
        for each in state.unreadable:
            reading.unread(f"{each.name}: {each.why}")
        reading.note(f"{each.name} cannot be read ({each.why}): built on what was kept before it" for each in state.passed_over)
        found = list(dict.fromkeys([*state.broken(reading.window, now), *self._uncertain(at, now)]))
        lost = [each for each in found if not each.pending]
        if lost and not reading.allow_gap:
            raise lost_changes.missing_of_items(lost)
        reading.note([lost_changes.in_words(found)] if found else [])

    def _uncertain(self, at: int, now: float) -> Sequence[BrokenChain]:
        return lost_changes.uncertain_at(self._reading.vault, at, now, window=self._reading.window)
