"""Reads dumps by other tools as a base backup. The table is not touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.errors import Refused, UsageError
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Scanned
from backstream.model.clocks import CLOCKS_APART
from backstream.operations.base.backfill.source import SegmentPosition
from backstream.operations.bulk.held_items import HeldItems
from backstream.operations.bulk.rate_limited_scan import Stopped
from backstream.operations.setup.identity import check_owner
from backstream.vault.bases import BaseKind
from backstream.vault.dumps.held import HeldTable
from backstream.vault.table_vault import TableVault


class FilesSource:
    """A `source.TableSource` of the items that files hold. `read`: the first and the last second in which they were read."""

    def __init__(self, items: HeldItems, read: tuple[int, int]) -> None:
        self._items = items
        self._read = read
        self.kind = BaseKind.EXPORT
        self.id = f"file:{items.digest()}:{read[0]}-{read[1]}"
        self.segments = 1
        self.side_by_side = 1
        self.rows = items.count
        self.units = None

    def begin(self) -> int:
        """Returns the second before which no item was read."""
        return self._read[0] - CLOCKS_APART

    def pages(self, segment: int, segments: int, reached: SegmentPosition, stopped: Stopped) -> Iterator[Sequence[Scanned]]:
        """Yields the items in the order of their keys, from the first one that is not kept yet."""
        del segment, segments  # there is one
        for page in self._items.images(reached.rows):
            if stopped():
                return
            yield [Scanned(key, image, self.begin(), self.end() * MICROS) for key, image in page]

    def end(self) -> int:
        """Returns the second by which all items had been read."""
        return self._read[1] + CLOCKS_APART


def read_between(vault: TableVault, held: HeldTable, given: tuple[int, int] | None, now: float) -> tuple[int, int]:
    """Returns the seconds between which the items were read from the vault's table.

    Raises UsageError if neither the files nor the caller tell them, and Refused for files of another table.
    """
    facts, catalog = held.facts, vault.catalog
    if facts.table not in ("", catalog.table):
        raise Refused(f"{facts.url} holds the table {facts.table}, not {catalog.table}")
    if facts.table_arn:
        check_owner(catalog, facts.table_arn)
    if facts.table_id and catalog.table_id and facts.table_id != catalog.table_id:
        raise Refused(
            f"{facts.url} holds a table {catalog.table} with the id {facts.table_id}; the vault's has the id {catalog.table_id}",
            hint="The table was deleted and created again: these items are not its past.",
        )
    told = given or facts.read
    if told is None:
        raise UsageError(
            f"{facts.url} does not tell when its items were read from the table",
            hint="--read-between BEGAN ENDED tells it. Begin some seconds early: most tools read eventually consistent.",
        )
    if not told[0] <= told[1] <= now:
        raise UsageError(f"not a time of reading: {moment.iso(told[0])} to {moment.iso(told[1])}", hint="First the earlier moment.")
    return told
