"""Writes the rows of an answer: CSV, JSON, Parquet, or a table for people."""

from __future__ import annotations

import base64
import datetime
import enum
import math
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import chain, islice
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as parquet

from backstream.errors import UsageError
from backstream.model.values.visible import visible_json, visible_line

LOOKED_AT = 500  # rows by which the widths of a table's columns are chosen
WIDEST = 100  # characters of a table's cell

Batches = Iterator[pa.RecordBatch]
Row = tuple[Any, ...]


class Form(enum.StrEnum):
    """The format of an answer. `VISIBLE_CSV`: for a terminal; CSV itself has no escapes."""

    TABLE = "table"
    CSV = "csv"
    VISIBLE_CSV = "visible-csv"
    JSON = "json"
    PARQUET = "parquet"


def write(form: Form, file: BinaryIO, schema: pa.Schema, batches: Batches) -> int:
    """Writes all rows into a file, and returns their number. Raises UsageError if the form cannot hold them."""
    return _WRITERS[form](file, schema, batches)


def rows_of(batches: Batches) -> Iterator[Row]:
    """Yields the rows as Python's values. Raises UsageError for a time that Python does not have."""
    for batch in batches:
        try:
            columns = [column.to_pylist() for column in batch.columns]
        except (ValueError, OverflowError, pa.ArrowException) as error:
            raise UsageError(f"a value cannot be written: {error}", hint="CAST it to VARCHAR in the query.") from error
        yield from zip(*columns, strict=True)


def plain(value: Any) -> Any:
    """Returns a value as JSON has it. Numbers keep all digits, times are ISO 8601 in UTC, bytes are base64."""
    if isinstance(value, Decimal):
        return msgspec.Raw(f"{value:f}".encode())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, datetime.datetime):
        return _time(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): plain(each) for name, each in value.items()}
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def _time(value: datetime.datetime) -> str:
    if value.tzinfo is None:
        return value.isoformat()
    return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")


def text_of(value: Any) -> str:
    """Returns a value as text."""
    found = plain(value)
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def check_names(names: Sequence[str]) -> None:
    """Raises UsageError if two columns have one name: one of them would be lost."""
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise UsageError(f"two columns of the answer are named {twice!r}", hint="Give one of them another name: AS other.")


def _csv(file: BinaryIO, schema: pa.Schema, batches: Batches) -> int:
    """Writes CSV as RFC 4180 has it. NULL is an empty field; an empty text is a field of two quotes."""
    count = -1  # the header
    for line in _csv_lines(schema, batches):
        file.write(f"{line}\r\n".encode())
        count += 1
    return count


def _visible_csv(file: BinaryIO, schema: pa.Schema, batches: Batches) -> int:
    """Writes the same with everything visible. A row is one line, whatever is in it."""
    count = -1
    for line in _csv_lines(schema, batches):
        file.write(f"{visible_line(line)}\n".encode())
        count += 1
    return count


def _csv_lines(schema: pa.Schema, batches: Batches) -> Iterator[str]:
    yield ",".join(map(_field, schema.names))
    for row in rows_of(batches):
        yield ",".join(_field(None if each is None else text_of(each)) for each in row)


def _field(text: str | None) -> str:
    if text is None:
        return ""
    if text and not any(each in text for each in '",\r\n') and text == text.strip():
        return text
    return '"' + text.replace('"', '""') + '"'


def _json(file: BinaryIO, schema: pa.Schema, batches: Batches) -> int:
    check_names(schema.names)
    names, count = schema.names, 0
    for row in rows_of(batches):
        file.write(b",\n" if count else b"[")
        file.write(visible_json(msgspec.json.encode({name: plain(each) for name, each in zip(names, row, strict=True)})))
        count += 1
    file.write(b"]\n" if count else b"[]\n")
    return count


def _parquet(file: BinaryIO, schema: pa.Schema, batches: Batches) -> int:
    check_names(schema.names)
    count = 0
    try:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in batches:
                writer.write_batch(batch)
                count += batch.num_rows
    except pa.ArrowNotImplementedError as error:
        raise UsageError(f"Parquet cannot hold a column of the answer: {error}", hint="CAST it to VARCHAR in the query.") from error
    return count


def _table(file: BinaryIO, schema: pa.Schema, batches: Batches) -> int:
    """Writes columns side by side. A long cell is cut: the other forms have all of it."""
    shown = ([_cell(each) for each in row] for row in rows_of(batches))
    first = list(islice(shown, LOOKED_AT))
    names = [_cut(name) for name in schema.names]
    widths = [max(map(len, column)) for column in zip(names, *first, strict=True)]
    count = 0
    for row in chain([names, ["-" * each for each in widths]], first, shown):
        file.write("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip().encode() + b"\n")
        count += 1
    return count - 2


def _cell(value: Any) -> str:
    return "NULL" if value is None else _cut(text_of(value))


def _cut(text: str) -> str:
    line = visible_line(text)
    return line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"


_WRITERS: dict[Form, Callable[[BinaryIO, pa.Schema, Batches], int]] = {
    Form.TABLE: _table,
    Form.CSV: _csv,
    Form.VISIBLE_CSV: _visible_csv,
    Form.JSON: _json,
    Form.PARQUET: _parquet,
}
