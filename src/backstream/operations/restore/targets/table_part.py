"""One partition of a state, written into a new table where the partition lies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from backstream.errors import BackstreamError
from backstream.operations.bulk.writer import BulkWriter
from backstream.operations.restore.targets.sinks import LeftItem, TableSink
from backstream.ports import Clock, Put, Table, Write
from backstream.ports.engine import StatePartition, WorkPlace
from backstream.vault.table_vault import TableVault

TableOpener = Callable[[], tuple[Table, Clock]]  # opens the table anywhere, with the clock there; it can be pickled


class FilledPart(msgspec.Struct, frozen=True, array_like=True):
    """The outcome of a partition: the number of items that were written, and those that were left out."""

    items: int
    left: list[LeftItem]


_decode = msgspec.msgpack.Decoder(FilledPart).decode


class TablePart(msgspec.Struct, frozen=True):
    """Puts the items of a partition. Again, it puts the same. `max_units`: write units a second of all partitions together."""

    opener: TableOpener
    patience: float
    max_units: float | None

    def __call__(self, vault: TableVault, partition: StatePartition, place: WorkPlace) -> bytes:
        """Returns what was written, in MessagePack."""
        table, clock = self.opener()
        share = None if self.max_units is None else self.max_units / place.beside
        writer: BulkWriter[Write] = BulkWriter(table, clock, patience=self.patience, max_units=share)
        items, left = 0, list[LeftItem]()
        try:
            for key, image in vault.images((key, entry) for key, entry in partition.items() if not entry.removed):
                if isinstance(image, BackstreamError):
                    left.append(LeftItem(key, image.message))
                elif image is not None:
                    writer.add(Put(image))
                    items += 1
            writer.finish()
        except BaseException:
            writer.abandon()
            raise
        unwritten = [LeftItem(vault.key_of(each.write.body), each.reason) for each in writer.left_out]
        return msgspec.msgpack.encode(FilledPart(items - len(unwritten), [*left, *unwritten]))


class SpreadTableSink(TableSink):
    """Writes into a new table, from other machines if the state lies there."""

    def __init__(self, writer: BulkWriter[Write], part: TablePart) -> None:
        super().__init__(writer)
        self._part = part
        self._spread = False

    @property
    def touched(self) -> bool:
        """True if DynamoDB has taken anything, or may have taken it from another machine."""
        return self._spread or super().touched

    def work(self) -> TablePart:
        """See `SpreadSink`. From here on something may have been written."""
        self._spread = True
        return self._part

    def took(self, result: bytes) -> tuple[int, Sequence[LeftItem]]:
        """See `SpreadSink`."""
        part = _decode(result)
        return part.items, part.left

    def further(self) -> None:
        """See `SpreadSink`: there is none."""
        return

    def took_further(self, result: bytes) -> int:  # noqa: ARG002 - there is none
        """See `SpreadSink`."""
        return 0
