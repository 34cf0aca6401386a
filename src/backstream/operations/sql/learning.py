"""Learns which typed columns the rows have that a query asks for: from all of them, before the query is answered.

A query may ask for typed columns of hours that nobody has looked at. Its scan then ends with `Unlearned`; the hours are read, the
columns are known, and the query begins again. Rows that fit in memory are kept for it, so that they are not read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from backstream.operations.sql.reading import TableReading, batched
from backstream.operations.sql.row import Row
from backstream.operations.sql.spans import TimeRange, joined
from backstream.operations.sql.typed import learned


class Unlearned(Exception):
    """Typed columns are asked for that are not known yet. `learn` makes them known."""

    def __init__(self, learn: Callable[[], None]) -> None:
        super().__init__("typed columns of these hours are not known yet")
        self.learn = learn


Rows = Callable[[TimeRange], Iterator[Row]]


class Learning:
    """The known columns of one view. `rows`: reads the rows of a span, with images. `old`: old images count, too."""

    def __init__(self, reading: TableReading, rows: Rows, *, old: bool = False) -> None:
        self._reading = reading
        self._rows = rows
        self._old = old
        self._spans: list[TimeRange] = []
        self._kept: dict[TimeRange, list[Row]] = {}
        self._held = 0

    def check(self, spans: Sequence[TimeRange]) -> None:
        """Raises Unlearned if columns of some of these spans are not known."""
        missing = [each for each in spans if not any(one.since <= each.since and each.until <= one.until for one in self._spans)]
        if missing:
            raise Unlearned(lambda: self._learn(missing))

    def rows(self, span: TimeRange) -> Iterator[Row]:
        """Yields the rows of a span that was learned, with their images."""
        kept = self._kept.get(span)
        return self._rows(span) if kept is None else iter(kept)

    def _learn(self, spans: Sequence[TimeRange]) -> None:
        reading = self._reading
        for span in spans:
            kept: list[Row] | None = []
            for rows in batched((row, row.size) for row in self._rows(span)):
                reading.columns = learned(reading, rows, old=self._old)
                self._held += sum(row.size for row in rows) if kept is not None else 0
                if kept is not None and self._held <= reading.memory.bodies:
                    kept += rows
                elif kept is not None:
                    self._held -= sum(row.size for row in (*kept, *rows))
                    kept = None
            if kept is not None:
                self._kept[span] = kept
        self._spans = joined([*self._spans, *spans])
        if reading.columns.is_full:
            count = len(reading.columns.columns)
            reading.note([f"{reading.table} has more than {count:,} typed columns: the others are in the images alone"])
