"""A table read by a parallel, strongly consistent Scan, at a pace that leaves capacity for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.errors import Refused
from backstream.layouts.bases import Kind
from backstream.layouts.vault import TableVault
from backstream.model import sizes, wire
from backstream.model.change import MICROS
from backstream.model.clocks import CLOCKS_APART
from backstream.model.entry import Scanned
from backstream.model.schema import KeySchema
from backstream.operations.backfill.source import Reached, Stopped
from backstream.operations.speed import Pace
from backstream.ports import Clock, ScanPage, Table

MOST_SEGMENTS = 256  # each a thread
GROWTH = 4  # a page may have so many times the items of the last one
ITEMS_AT_ONCE = 100_000  # more than a page of 1 MB ever holds
PAGE_SECONDS = 0.5  # of the budget, in one page
STOPS_WITHIN = 0.2


class TableScan:
    """`source.Source` of a live table. `max_units`: read units (4 KB each) a second at most, from all segments together."""

    def __init__(
        self, table: Table, schema: KeySchema, clock: Clock, *, segments: int, rows: int = 0, max_units: float | None = None
    ) -> None:
        self._table = table
        self._schema = schema
        self._clock = clock
        self._max_units = max_units
        self._pace = Pace(clock, max_units or 1.0)
        self._units: list[float] = []
        self.kind = Kind.SCAN
        self.id = table.facts().table_id
        self.segments = segments
        self.side_by_side = MOST_SEGMENTS
        self.rows = rows

    @property
    def units(self) -> float:
        """The read units that were taken so far."""
        return sum(self._units)

    def begin(self) -> int:
        """As of the server's clock."""
        return int(self._table.server_time()) - CLOCKS_APART

    def pages(self, segment: int, segments: int, reached: Reached, stopped: Stopped) -> Iterator[Sequence[Scanned]]:
        """Each page's images with the second in which its read began: not before the answer to the last one was given."""
        began, after = self._table.server_time(), reached.last
        budget = None if self._max_units is None else _PageBudget(self._pace, self._max_units / segments)
        while not stopped():
            if budget is not None and not self._wait_until(budget.turn(), stopped):
                return
            page = self._table.page(segment, segments, after, None if budget is None else budget.limit)
            self._units.append(page.units or 0.0 if budget is None else budget.took(page))
            yield [self._scanned(image, began, page.answered) for image in page.images]
            began, after = page.answered, page.after
            if after is None:
                return

    def _wait_until(self, second: float, stopped: Stopped) -> bool:
        """Whether that time has come; not, if it was stopped before."""
        while not stopped():
            wait = second - self._clock.now()
            if wait <= 0:
                return True
            self._clock.sleep(min(wait, STOPS_WITHIN))
        return False

    def _scanned(self, image: bytes, began: float, answered: float) -> Scanned:
        return Scanned(
            keys=wire.key_of(self._schema, image),
            image=image,
            began=int(began) - CLOCKS_APART,
            micros=(int(answered) + CLOCKS_APART) * MICROS,
        )

    def end(self) -> int:
        """As of the server's clock."""
        if self._table.facts().table_id != self.id:
            raise Refused(
                f"the table {self._table.name} was deleted and created again while it was read",
                hint="Run `backfill` again: it begins anew, with the table that is there now.",
            )
        return int(self._table.server_time()) + CLOCKS_APART


def scan_of(vault: TableVault, table: Table, clock: Clock, *, segments: int, max_units: float | None) -> TableScan:
    """The scan of a vault's table. Refused where its key schema is another, or its stream is off: nothing would come after it."""
    facts = table.facts()
    if facts.schema != vault.catalog.key_schema:
        raise Refused(
            f"the table {table.name} has another key schema than the vault's",
            hint="It was created anew: back it up into another vault.",
        )
    if not facts.stream_enabled:
        raise Refused(
            f"the stream of {table.name} is off: what changes after the base backup would be lost",
            hint=f"Run `backstream init {table.name} --enable-stream` first, and have it followed by `tail` or Lambda.",
        )
    return TableScan(table, vault.catalog.key_schema, clock, segments=segments, rows=facts.items, max_units=max_units)


class _PageBudget:
    """One segment's pages: when the turn of the next one is, and how many items it may have, so that it takes its share."""

    def __init__(self, pace: Pace, per_second: float) -> None:
        self._pace = pace
        self._share = max(1.0, per_second * PAGE_SECONDS)
        self.limit = 1  # until it is known how large they are: one item may take a hundred units

    def turn(self) -> float:
        """When the next page's turn is: what it will take, as far as that can be known, is paid before it is read."""
        return self._pace.reserve(self._share)

    def took(self, page: ScanPage) -> float:
        """Learn from a page, and pay what it took beyond its share. The units: an answer's, if its endpoint counts them.

        Whatever it says, a page does not take less than its items' size.
        """
        size = sum(map(sizes.item_bytes, page.images))
        whole = float(-(-size // sizes.READ_UNIT))
        units = max(page.units or 0.0, whole)
        self._pace.settle(units - self._share)
        # A page's units are rounded up: by them no item would seem to be smaller than a whole one.
        each = (units if units > whole else size / sizes.READ_UNIT) / max(1, len(page.images))
        fitting = int(self._share / each) if each else ITEMS_AT_ONCE
        self.limit = max(1, min(fitting, self.limit * GROWTH, ITEMS_AT_ONCE))
        return units
