"""Keeps Arrow batches on disk until all of them are known: only then is it certain which columns there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from backstream.engine.local.spill import explained
from backstream.operations.tabular.batches import kind_of_field

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool:
    """Takes batches, and gives them back in their order with one schema for all. `folder`: its own; it is not removed.

    `bytes`: their size in memory; `rows`: their number of rows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._labels: list[list[str]] = []  # of each file's batches
        self._schema: pa.Schema | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None
        self.bytes = self.rows = 0

    def add(self, label: str, batch: pa.RecordBatch) -> None:
        """Takes one. `label`: comes back with it. Raises Failed if the disk is full."""
        with explained(self._folder):
            if self._writer is None or batch.schema != self._schema:
                self._begin(batch.schema)
            self._writer.write_batch(batch)  # type: ignore[union-attr]
        self._labels[-1].append(label)
        self.bytes += batch.nbytes
        self.rows += batch.num_rows

    def _begin(self, schema: pa.Schema) -> None:
        self.finish()
        self._schema = schema
        self._writer = pa.ipc.new_stream(str(self._path(len(self._labels))), schema, options=_OPTIONS)
        self._labels.append([])

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:05d}.arrow"

    def finish(self) -> None:
        """Closes the last file. Nothing may be added afterwards, unless another schema begins."""
        if self._writer is not None:
            with explained(self._folder):
                self._writer.close()
            self._writer = None

    def batches(self, schema: pa.Schema) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Yields all batches with their labels, each with exactly these columns. A column that a batch lacks is null."""
        self.finish()
        for number, labels in enumerate(self._labels):
            # By its path it would be mapped into memory, and all that was read of it would count as this process's.
            with pa.OSFile(str(self._path(number))) as file, pa.ipc.open_stream(file) as found:
                conform = conformer(found.schema, schema)
                for label, batch in zip(labels, found, strict=True):
                    yield label, conform(batch)


def conformer(source: pa.Schema, target: pa.Schema) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Returns a function that gives a batch the target's columns: the same by attribute and type, whatever their names are."""
    places = {kind_of_field(field): place for place, field in enumerate(source)}
    wanted = [places.get(kind_of_field(field)) for field in target]

    def conform(batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = [
            pa.nulls(batch.num_rows, field.type) if place is None else batch.column(place)
            for field, place in zip(target, wanted, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=target)

    return conform
