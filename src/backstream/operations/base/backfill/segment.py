"""Reads one segment of a base backup page by page, keeps the images, and writes parts that follow each other without a break."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.errors import BackstreamError
from backstream.model.changes.entry import Entry, Scanned
from backstream.operations.base.backfill.source import SegmentPosition, TableSource
from backstream.operations.bulk.progress import Progress
from backstream.operations.bulk.rate_limited_scan import Stopped
from backstream.ports import Clock
from backstream.vault.bases import BasePlan, Bases

PART_ROWS = 10_000
PART_BYTES = 8 << 20
ROWS_AT_ONCE = 500  # a page of 1 MB may hold thousands, and take minutes to be kept as row objects
PART_SECONDS = 10.0  # what is not in a part yet is read again after a crash

Keep = Callable[[Sequence[Scanned]], list[Entry]]


class BackfillWork(msgspec.Struct, frozen=True):
    """The context that all segments of a base backup share."""

    bases: Bases
    source: TableSource
    plan: BasePlan
    keep: Keep
    clock: Clock
    progress: Progress
    stopped: Stopped


class SegmentReader:
    """Reads one segment in one thread: pages into parts, each part durable before the next is begun."""

    def __init__(self, work: BackfillWork, number: int) -> None:
        self._work = work
        self._number = number
        self._buffer: list[Entry] = []
        self._next = 0
        self._since = 0.0

    def read(self) -> None:
        """Reads the rest of the segment, or as much as it can until it is stopped."""
        self._work.progress.advance(self._reached()[0].rows)
        while not self._read_on():
            pass  # somebody else has written the part that this was about to write: on from behind it

    def _reached(self) -> tuple[SegmentPosition, bool]:
        """Returns the position to continue from, and whether nothing is left."""
        parts = self._work.bases.parts_of(self._work.plan.id, self._number)
        if not parts:
            return SegmentPosition(), False
        newest = parts[-1]
        self._next = newest.number + 1
        entries = self._work.bases.read(newest)
        return SegmentPosition(sum(part.count for part in parts), entries[-1].keys if entries else None), newest.last

    def _read_on(self) -> bool:
        reached, ended = self._reached()
        if ended:
            return True
        plan, stopped = self._work.plan, self._work.stopped
        self._buffer = []
        self._since = self._work.clock.now()
        try:
            pages = self._work.source.pages(self._number, plan.segments, reached, stopped)
            for rows in (rows for page in pages for rows in batches(page, ROWS_AT_ONCE)):
                if stopped():
                    break
                self._buffer.extend(self._work.keep(rows))
                if self._due() and not self._write(last=False):
                    return False
        except BackstreamError:
            self._write(last=False)  # what was read before that is not to be read again
            raise
        return self._write(last=not stopped())

    def _due(self) -> bool:
        size = sum(len(entry.image or b"") for entry in self._buffer)
        old = self._work.clock.now() - self._since >= PART_SECONDS
        return bool(self._buffer) and (old or len(self._buffer) >= PART_ROWS or size >= PART_BYTES)

    def _write(self, *, last: bool) -> bool:
        """Writes a part. Returns False if somebody else had written it."""
        if not self._buffer and not last:
            return True
        if not self._work.bases.write_part(self._work.plan.id, self._number, self._next, self._buffer, last=last):
            return False
        self._next += 1
        self._buffer = []
        self._since = self._work.clock.now()
        return True
