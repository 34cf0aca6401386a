"""Writes Parquet files as Athena, Trino, Spark and DuckDB read them well: sorted, cut at a size, in row groups."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from backstream.ports import Files

GROUP_BYTES = 16 << 20  # of a row group, in memory
FILE_BYTES = 32 << 20  # of a file, compressed
LEVEL = 3  # of zstd
# Values that hardly ever repeat: a dictionary of them would be built for nothing.
_UNIQUE = frozenset({"key", "sequence", "micros", "time", "new", "old", "image"})


class ExportFile(msgspec.Struct, frozen=True):
    """One file of an export: its name below the export's folder, its rows, its size, and the SHA-256 of its bytes."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ParquetFiles:
    """Writes batches into files. `files`: those that are durable. `name`: of the only file; None: as many as needed."""

    def __init__(self, to: Files, schema: pa.Schema, name: str | None = None) -> None:
        self._to = to
        self._name = name
        self._schema = schema
        self._dictionary = [field.name for field in schema if field.name not in _UNIQUE]
        self._folder = ""
        self._group: list[pa.RecordBatch] = []
        self._group_bytes = self._rows = 0
        self._sink: pa.BufferOutputStream | None = None
        self._writer: pq.ParquetWriter | None = None
        self._numbers: dict[str, int] = {}
        self.files: list[ExportFile] = []

    def add(self, folder: str, batch: pa.RecordBatch) -> None:
        """Adds rows to the files of a folder. A folder's rows come one after the other."""
        if folder != self._folder:
            self.close()
            self._folder = folder
        self._group.append(batch)
        self._group_bytes += batch.nbytes
        if self._group_bytes >= GROUP_BYTES:
            self._write_group()
            if self._sink is not None and self._sink.tell() >= FILE_BYTES and self._name is None:
                self.close()

    def _write_group(self) -> None:
        if not self._group:
            return
        if self._writer is None:
            self._sink = pa.BufferOutputStream()
            self._writer = pq.ParquetWriter(
                self._sink,
                self._schema,
                compression="zstd",
                compression_level=LEVEL,
                use_dictionary=self._dictionary,
                write_page_index=True,
                version="2.6",
            )
        table = pa.Table.from_batches(self._group, schema=self._schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._rows += table.num_rows
        self._group, self._group_bytes = [], 0

    def close(self) -> None:
        """Finishes the file under way."""
        self._write_group()
        if self._writer is None or self._sink is None:
            return
        self._writer.close()
        body = self._sink.getvalue().to_pybytes()
        number = self._numbers.get(self._folder, 0)
        self._numbers[self._folder] = number + 1
        name = self._name or "/".join([*([self._folder] if self._folder else []), f"part-{number:05d}.parquet"])
        self._to.put(name, body)
        self.files.append(ExportFile(name, self._rows, len(body), hashlib.sha256(body).hexdigest()))
        self._writer, self._sink, self._rows = None, None, 0


def total(files: Sequence[ExportFile]) -> tuple[int, int]:
    """Returns the rows and the bytes of some files."""
    return sum(each.rows for each in files), sum(each.bytes for each in files)
