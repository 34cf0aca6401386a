"""The view `items` and the function `items_at`: the state of a table at a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from backstream.errors import BackstreamError, UsageError
from backstream.model.changes.broken_chain import BrokenChain
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.sql import columns
from backstream.operations.sql.columns import Columns, moment_column
from backstream.operations.sql.learning import Learning
from backstream.operations.sql.reading import TableReading, batched
from backstream.operations.sql.row import Row
from backstream.operations.sql.scan import Asked
from backstream.operations.sql.spans import END_OF_YEARS, TimeRange, asked_for, within
from backstream.operations.sql.typed import TypedColumns
from backstream.ports import TableState

MOMENTS = 100  # of which one query may ask for the state


class ItemsView:
    """Reads the state of one table at one or several moments. `at`: the moment, for a view; None: the query names it."""

    def __init__(self, reading: TableReading, at: int | None = None) -> None:
        self._reading = reading
        self._at = at
        self._learning = Learning(reading, self._with_images)

    def columns(self, named: Collection[str]) -> Columns:
        """Returns the columns. `named`: names of typed columns that the query uses."""
        of_moment = [moment_column(0)] if self._at is None else []
        keys = columns.of_keys(self._reading.vault.catalog.key_schema)
        return Columns([*of_moment, *columns.ITEMS, *keys, *columns.ITEMS_LAST], TypedColumns(self._reading, named, old=False))

    def read(self, made: Columns, asked: Asked) -> Iterator[pa.RecordBatch]:
        """Yields the rows, in batches."""
        moments = [self._at] if self._at is not None else self._moments(made.schema, asked.predicate)
        typed = made.are_typed(asked.needed)
        if typed:
            self._learning.check([TimeRange(at, at + 1) for at in moments])
        for at in moments:
            of_moment = made.at(moment_column(at)) if self._at is None else made
            full = typed or "image" in asked.needed
            found = self._learning.rows(TimeRange(at, at + 1)) if full else self._light(at)
            for rows in batched((row, row.size) for row in found):
                self._reading.progress.advance(len(rows))
                yield of_moment.batch(rows, asked.needed)

    def _moments(self, schema: pa.Schema, predicate: pc.Expression | None) -> list[int]:
        """Returns the seconds that a query names. Raises UsageError if it names none, or a range."""
        # Moments in the future are among them, so that they are refused and not simply empty.
        everything = TimeRange(0, END_OF_YEARS)
        spans = [] if predicate is None else asked_for(predicate, schema, everything, partial(within, "moment"), finest=1)
        if predicate is None or sum(each.until - each.since for each in spans) > MOMENTS:
            raise UsageError(
                "items_at needs a moment that does not depend on other tables",
                hint="Write items_at('2026-11-23T04:15:00Z') or items_at(now() - INTERVAL 15 MINUTE).",
            )
        if not spans:
            raise UsageError("not a moment between 1970 and 9999 in items_at", hint="Write items_at('2026-11-23T04:15:00Z').")
        return [second for each in spans for second in range(each.since, each.until)]

    def _light(self, at: int) -> Iterator[Row]:
        with self._state(at) as state:
            for part in state:
                yield from (Row(key, entry) for key, entry in part.items() if part.exists(key))

    def _with_images(self, span: TimeRange) -> Iterator[Row]:
        vault = self._reading.vault
        with self._state(span.since) as state:
            for part in state:
                there = (((key, entry), entry) for key, entry in part.items() if part.exists(key))
                for (key, entry), image in vault.images(there):
                    if isinstance(image, BackstreamError):
                        self._reading.unread(f"the image of {key.decode()}: {image.message}")
                    elif image is not None:
                        yield Row(key, entry, None, image)

    @contextmanager
    def _state(self, at: int) -> Iterator[TableState]:
        """Returns the state at a second, after all checks."""
        reading, vault = self._reading, self._reading.vault
        safety.check_past(at, reading.clock.now(), reading.window)
        reading.note(safety.check_table(reading.table, at, reading.window, allow_gap=reading.allow_gap))
        reading.progress.phase("reading the change log", None)
        with vault.engine.state(vault, at, reading.progress.advance) as state:
            self._check(state, at)
            reading.progress.phase("items", None)
            yield state

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
