"""The views `gaps` and `windows`: what the vault may claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from backstream.model.changes.change import MICROS
from backstream.operations.sql.reading import TableReading
from backstream.operations.sql.scan import Asked
from backstream.operations.sql.spans import TIME

GAPS = pa.schema([("since", TIME), ("until", TIME), ("reason", pa.string())])
WINDOWS = pa.schema([("since", TIME), ("until", TIME)])


def gaps(reading: TableReading, asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yields the periods whose changes may be missing: their first and their last second, and why."""
    yield _batch(GAPS, [(each.since * MICROS, each.until * MICROS, each.reason) for each in reading.window.gaps], asked)


def windows(reading: TableReading, asked: Asked) -> Iterator[pa.RecordBatch]:
    """Yields the first and the last second of each recovery window: in between every moment can be restored exactly."""
    yield _batch(WINDOWS, [(each.since * MICROS, each.until * MICROS) for each in reading.window.ranges], asked)


def _batch(schema: pa.Schema, rows: Sequence[tuple[object, ...]], asked: Asked) -> pa.RecordBatch:
    arrays = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema)]
    whole = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return whole.select([name for name in schema.names if name in asked.needed])
