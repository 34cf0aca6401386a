"""Reads a table by a parallel, strongly consistent Scan, at a pace that leaves capacity for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.errors import Refused
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Scanned
from backstream.model.clocks import CLOCKS_APART
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema
from backstream.operations.base.backfill.source import SegmentPosition
from backstream.operations.bulk.rate_limited_scan import MOST_SEGMENTS, PacedTable, Stopped
from backstream.operations.setup.destination import check_sent
from backstream.ports import Clock, Table
from backstream.vault.bases import BaseKind
from backstream.vault.table_vault import TableVault


class TableScan:
    """A `source.TableSource` of a live table. `max_units`: read units (4 KB each) a second at most, over all segments."""

    def __init__(
        self, table: Table, schema: KeySchema, clock: Clock, *, segments: int, rows: int = 0, max_units: float | None = None
    ) -> None:
        self._table = table
        self._schema = schema
        self._paced = PacedTable(table, clock, max_units=max_units)
        self.kind = BaseKind.SCAN
        self.id = table.facts().table_id
        self.segments = segments
        self.side_by_side = MOST_SEGMENTS
        self.rows = rows

    @property
    def units(self) -> float:
        """The read units consumed so far."""
        return self._paced.units

    def begin(self) -> int:
        """Returns the begin by the server's clock."""
        return int(self._table.server_time()) - CLOCKS_APART

    def pages(self, segment: int, segments: int, reached: SegmentPosition, stopped: Stopped) -> Iterator[Sequence[Scanned]]:
        """Yields each page's images with the second in which its read began: not before the answer to the last one came."""
        began = self._table.server_time()
        for page in self._paced.pages(segment, segments, reached.last, stopped):
            yield [self._scanned(image, began, page.answered) for image in page.images]
            began = page.answered

    def _scanned(self, image: bytes, began: float, answered: float) -> Scanned:
        return Scanned(
            keys=wire.key_of(self._schema, image),
            image=image,
            began=int(began) - CLOCKS_APART,
            micros=(int(answered) + CLOCKS_APART) * MICROS,
        )

    def end(self) -> int:
        """Returns the end by the server's clock. Raises Refused if the table was created again meanwhile."""
        if self._table.facts().table_id != self.id:
            raise Refused(
                f"the table {self._table.name} was deleted and created again while it was read",
                hint="Run `backfill` again: it begins anew, with the table that is there now.",
            )
        return int(self._table.server_time()) + CLOCKS_APART


def scan_of(vault: TableVault, table: Table, clock: Clock, *, segments: int, max_units: float | None) -> TableScan:
    """Returns the scan of a vault's table. Raises Refused if its key schema differs, or if nothing would follow its changes."""
    facts = table.facts()
    if facts.schema != vault.catalog.key_schema:
        raise Refused(
            f"the table {table.name} has another key schema than the vault's",
            hint="It was created anew: back it up into another vault.",
        )
    if vault.catalog.kinesis is not None:
        if check_sent(vault, table, vault.catalog.kinesis.arn, table.server_time()) is not None:
            clock.sleep(CLOCKS_APART + 2)  # the base backup makes up for what was not sent only if it begins after that
    elif not facts.stream_enabled:
        raise Refused(
            f"the stream of {table.name} is off: what changes after the base backup would be lost",
            hint=f"Run `backstream init {table.name} --enable-stream` first, and have it followed by `tail` or Lambda.",
        )
    return TableScan(table, vault.catalog.key_schema, clock, segments=segments, rows=facts.items, max_units=max_units)
