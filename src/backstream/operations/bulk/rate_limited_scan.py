"""Reads a table at a pace that leaves capacity for others: pages of a parallel Scan, and single items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from backstream.errors import BackstreamError, UsageError
from backstream.model.values import sizes
from backstream.operations.bulk.rate import Pace
from backstream.ports import Clock, ConditionalWrite, ScannedTable, ScanPage, Write

MOST_SEGMENTS = 256  # each a thread
GROWTH = 4  # a page may have so many times the items of the last one
ITEMS_AT_ONCE = 100_000  # more than a page of 1 MB ever holds
PAGE_SECONDS = 0.5  # of the budget, in one page
STOPS_WITHIN = 0.2

Stopped = Callable[[], bool]


def check_reading(segments: int, max_units: float | None) -> None:
    """Raises UsageError if a table cannot be read with one of these."""
    if not 1 <= segments <= MOST_SEGMENTS:
        raise UsageError(f"not a number of segments: {segments}", hint=f"From 1 to {MOST_SEGMENTS}.")
    if max_units is not None and not 0 < max_units < float("inf"):
        raise UsageError(f"not a read budget: {max_units:g}", hint="Read units a second, more than 0.")


class PacedTable:
    """Reads a table within a limit.

    `max_units`: read units (4 KB each) a second at most, over all threads. `units`: the units consumed so far.

    `consistent`: True to read pages strongly consistent, False to read them for half the units. Single items always are. Safe to
    call from many threads.
    """

    def __init__(self, table: ScannedTable, clock: Clock, *, max_units: float | None = None, consistent: bool = True) -> None:
        self._table = table
        self._clock = clock
        self._max_units = max_units
        self._consistent = consistent
        self._pace = Pace(clock, max_units or 1.0)
        self._took: list[float] = []

    @property
    def units(self) -> float:
        """The read units consumed so far."""
        return sum(self._took)

    def pages(self, segment: int, segments: int, after: bytes | None, stopped: Stopped) -> Iterator[ScanPage]:
        """Yields the rest of a segment, page by page; nothing more is read once `stopped` returns True."""
        budget = None if self._max_units is None else _PageBudget(self._pace, self._max_units / segments, self._unit_bytes)
        while not stopped():
            if budget is not None and not self._wait_until(budget.turn(), stopped):
                return
            limit = None if budget is None else budget.limit
            page = self._table.page(segment, segments, after, limit, consistent=self._consistent)
            self._took.append(page.units or 0.0 if budget is None else budget.took(page))
            yield page
            after = page.after
            if after is None:
                return

    @property
    def _unit_bytes(self) -> int:
        return sizes.READ_UNIT if self._consistent else 2 * sizes.READ_UNIT

    def _wait_until(self, second: float, stopped: Stopped) -> bool:
        """Waits. Returns True if that time has come, False if it was stopped before."""
        while not stopped():
            wait_for = second - self._clock.now()
            if wait_for <= 0:
                return True
            self._clock.sleep(min(wait_for, STOPS_WITHIN))
        return False

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        """Does the same as `ports.Table.fetch`. Each key costs its item's size in whole units, or one if there is none."""
        at_once = len(keys) if self._max_units is None else max(1, int(self._max_units * PAGE_SECONDS))
        return [image for start in range(0, len(keys), at_once) for image in self._fetch(keys[start : start + at_once])]

    def _fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        if self._max_units is not None:
            self._pace.spend(len(keys))
        images = self._table.fetch(keys)
        units = len(keys) - len(images) + sum(map(sizes.read_units, images))
        self._took.append(float(units))
        if self._max_units is not None:
            self._pace.settle(units - len(keys))
        return images

    def write_if(self, write: Write, before: bytes | None) -> bool:
        """Does the same as `ports.Table.write_if`, outside of the budget of reads."""
        return self._table.write_if(write, before)

    def write_each(self, writes: Sequence[ConditionalWrite]) -> Sequence[bool | BackstreamError]:
        """Does the same as `ports.Table.write_each`, outside of the budget of reads."""
        return self._table.write_each(writes)


class _PageBudget:
    """Paces one segment's pages: the time of the next one, and the number of its items, so that it consumes its share."""

    def __init__(self, pace: Pace, per_second: float, unit_bytes: int) -> None:
        self._pace = pace
        self._share = max(1.0, per_second * PAGE_SECONDS)
        self._unit_bytes = unit_bytes
        self.limit = 1  # until it is known how large they are: one item may take a hundred units

    def turn(self) -> float:
        """Returns the time of the next page. Its expected cost is paid before it is read."""
        return self._pace.reserve(self._share)

    def took(self, page: ScanPage) -> float:
        """Learns from a page, and pays its cost beyond the share. Returns the units: the answer's, if its endpoint counts them.

        A page never costs less than its items' size, even if it states less.
        """
        size = sum(map(sizes.item_bytes, page.images))
        whole = -(-size // sizes.READ_UNIT) * sizes.READ_UNIT / self._unit_bytes
        units = max(page.units or 0.0, whole)
        self._pace.settle(units - self._share)
        # A page's units are rounded up: by them no item would seem to be smaller than a whole unit.
        each = (units if units > whole else size / self._unit_bytes) / max(1, len(page.images))
        fitting = int(self._share / each) if each else ITEMS_AT_ONCE
        self.limit = max(1, min(fitting, self.limit * GROWTH, ITEMS_AT_ONCE))
        return units


def side_by_side(parts: int, read: Callable[[int, Stopped], None]) -> None:
    """Reads the parts, each in a thread. The first error ends all of them with their next page, and is raised."""
    stop = threading.Event()
    with ThreadPoolExecutor(parts, thread_name_prefix="segment") as pool:
        reading = [pool.submit(read, part, stop.is_set) for part in range(parts)]
        try:
            wait(reading, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    for each in reading:
        each.result()
