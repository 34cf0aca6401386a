"""A state as Parquet files, written where its partitions lie: a file for each partition.

Two passes: the first finds out which columns there are, and whether every image can be read; the second writes, all files with one
schema. So nothing is written before all that can fail has been tried, as on one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import pyarrow as pa

from backstream.errors import BackstreamError, Failed, raising
from backstream.model.columns.schema import STATES, ColumnSchema
from backstream.operations.export.parquet_files import ExportFile, ParquetFiles
from backstream.operations.export.reading import SpoolSink
from backstream.operations.restore.targets.sinks import LeftItem
from backstream.operations.tabular.batches import BatchBuilder, arrow_schema
from backstream.ports import Files, Put
from backstream.ports.engine import PartitionWork, StatePartition, WorkPlace
from backstream.vault.columns import ColumnStore
from backstream.vault.table_vault import TableVault

FilesOpener = Callable[[], Files]  # opens the export's place anywhere; it can be pickled


class PartColumns(msgspec.Struct, frozen=True):
    """The findings of the first pass in a partition: how many items, their columns, and those that cannot be exported."""

    items: int
    schema: ColumnSchema
    unfit: int
    left: list[LeftItem]


class PartWritten(msgspec.Struct, frozen=True):
    """The file of a partition. `file`: None if it holds no item."""

    items: int
    file: ExportFile | None


_columns = msgspec.msgpack.Decoder(PartColumns).decode
_written = msgspec.msgpack.Decoder(PartWritten).decode


class FindColumns(msgspec.Struct, frozen=True):
    """The first pass. `schema`: the columns that are known."""

    schema: ColumnSchema

    def __call__(self, vault: TableVault, partition: StatePartition, place: WorkPlace) -> bytes:  # noqa: ARG002
        """Returns a `PartColumns`, in MessagePack."""
        builder, rows = BatchBuilder(self.schema, raising), list[int]()
        left = _each_batch(vault, partition, builder, lambda batch: rows.append(batch.num_rows))
        return msgspec.msgpack.encode(PartColumns(sum(rows), builder.schema, builder.unfit, left))


class WritePart(msgspec.Struct, frozen=True):
    """The second pass: writes a partition's items, in the order of their keys. Again, it writes the same under the same name."""

    opener: FilesOpener
    schema: ColumnSchema

    def __call__(self, vault: TableVault, partition: StatePartition, place: WorkPlace) -> bytes:
        """Returns a `PartWritten`, in MessagePack."""
        files = ParquetFiles(self.opener(), arrow_schema(STATES, self.schema), f"part-{place.number:05d}.parquet")
        builder = BatchBuilder(self.schema, raising)
        _each_batch(vault, partition, builder, lambda batch: files.add("", batch))
        files.close()
        file = next(iter(files.files), None)
        return msgspec.msgpack.encode(PartWritten(0 if file is None else file.rows, file))


def _each_batch(
    vault: TableVault, partition: StatePartition, builder: BatchBuilder, take: Callable[[pa.RecordBatch], None]
) -> list[LeftItem]:
    """Gives the items of a partition to `take`, in the order of their keys. Returns those that cannot be exported."""
    wanted = ((key, entry) for key, entry in partition.items() if not entry.removed)
    found = sorted(vault.images(wanted), key=lambda each: each[0])
    sink = SpoolSink(lambda images: take(builder.states(images)), vault.key_of)
    left = list[LeftItem]()
    for key, image in found:
        if isinstance(image, BackstreamError):
            left.append(LeftItem(key, image.message))
        elif image is not None:
            sink.add(Put(image), None)
    return [*left, *(LeftItem(vault.key_of(each.write.body), each.reason) for each in sink.finish())]


class SpreadSpoolSink(SpoolSink):
    """Exports a state from other machines, if it lies there; else as `SpoolSink`. See `restore.targets.sinks.SpreadSink`.

    `files`: those that were written; None if they are to be written here. `schema`: of all of them; `unfit`: see `BatchBuilder`.
    """

    def __init__(
        self,
        take: Callable[[list[tuple[bytes, bytes]]], None],
        key_of: Callable[[bytes], bytes],
        begin: Callable[[], None],
        store: ColumnStore,
        known: ColumnSchema,
        opener: FilesOpener,
        *,
        skip_damaged: bool,
    ) -> None:
        super().__init__(take, key_of)
        self._begin = begin
        self._store = store
        self._opener = opener
        self._skip_damaged = skip_damaged
        self._items = self._done = 0
        self._whole = True
        self.schema = known
        self.unfit = 0
        self.files: list[ExportFile] | None = None

    def work(self) -> PartitionWork[TableVault]:
        """Returns the first pass."""
        return FindColumns(self.schema)

    def took(self, result: bytes) -> tuple[int, Sequence[LeftItem]]:
        """Notes the columns of a partition."""
        part = _columns(result)
        self.schema = self.schema.including(part.schema)
        self.unfit += part.unfit
        self._items += part.items
        self._whole = self._whole and not part.left
        return part.items, part.left

    def further(self) -> PartitionWork[TableVault] | None:
        """Returns the second pass; None if something is damaged that may not be skipped."""
        self.files = []
        if not (self._whole or self._skip_damaged):
            return None
        self._begin()
        self.schema = self._store.keep(self.schema)
        return WritePart(self._opener, self.schema)

    def took_further(self, result: bytes) -> int:
        """Notes the file of a partition."""
        part = _written(result)
        if part.file is not None and self.files is not None:
            self.files.append(part.file)
        self._done += part.items
        return part.items

    def check(self) -> None:
        """Raises Failed if an item that could be read at first was not written."""
        if self.files is not None and self._done != self._items:
            raise Failed(
                f"{self._items:,} items were read, and {self._done:,} of them were written: an image was lost meanwhile",
                hint="The export is not whole, and has no manifest. Make it again, elsewhere.",
            )
