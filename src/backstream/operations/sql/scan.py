"""A view as DuckDB scans it: DuckDB says which columns and rows it wants, and takes Arrow batches as they are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds


class Asked(msgspec.Struct, frozen=True):
    """The columns and rows that a scan is asked for. `needed`: the columns to return, and those that the predicate reads."""

    columns: Sequence[str]
    needed: frozenset[str]
    predicate: pc.Expression | None

    def answer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the rows of a batch that satisfy the predicate, with the columns that were asked for."""
        found = batch if self.predicate is None else batch.filter(self.predicate)
        return found.select(list(self.columns))


Read = Callable[[Asked], Iterator[pa.RecordBatch]]  # batches of the needed columns, in the order of the schema


class Scan(ds.Dataset):  # type: ignore[misc]  # pyarrow has no types
    """A view. `read`: yields batches with the columns that are needed; rows that do not satisfy the predicate may be among them.

    `note`: is told the error that ends a scan, because DuckDB only passes its text on.
    """

    def __init__(self, schema: pa.Schema, read: Read, note: Callable[[BaseException], None]) -> None:
        # No call of the base class: it cannot be made. DuckDB asks a dataset for its schema and for scanners, and for nothing else.
        self._schema = schema
        self._read = read
        self._note = note

    @property
    def schema(self) -> pa.Schema:
        """The view's columns."""
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None, **_: object) -> _ScanReader:  # noqa: A002 - pyarrow's own name
        """Returns one reading of the view."""
        wanted = list(self._schema.names if columns is None else columns)
        try:
            asked = Asked(wanted, needed(self._schema, wanted, filter), filter)
        except BaseException as error:
            self._note(error)
            raise
        return _ScanReader(pa.schema([self._schema.field(name) for name in wanted]), self._batches(asked))

    def _batches(self, asked: Asked) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._read(asked):
                yield asked.answer(batch)
        except GeneratorExit:
            raise  # DuckDB needs no more
        except BaseException as error:
            self._note(error)
            raise


class _ScanReader:
    """The rows of one scan, as DuckDB takes them: one batch at a time."""

    def __init__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
        self._schema = schema
        self._batches = batches

    def to_reader(self) -> pa.RecordBatchReader:
        """Returns the batches."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches)


def needed(schema: pa.Schema, wanted: Sequence[str], predicate: pc.Expression | None) -> frozenset[str]:
    """Returns the columns that a scan must make: the wanted ones, and those that the predicate reads."""
    if predicate is None:
        return frozenset(wanted)
    text = str(predicate)
    named = {name for name in schema.names if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)}
    found = frozenset(named.union(wanted))
    return found if _suffices(schema, found, predicate) else frozenset(schema.names)


def _suffices(schema: pa.Schema, names: frozenset[str], predicate: pc.Expression) -> bool:
    """True if these columns are enough to compute a predicate. Its text is a guess, this is the proof."""
    part = pa.schema([field for field in schema if field.name in names])
    try:
        pa.RecordBatch.from_pylist([], schema=part).filter(predicate)
    except pa.ArrowInvalid:
        return False
    return True
