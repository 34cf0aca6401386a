"""CSV as ImportTable accepts it: a header, then an item a line. Keys of the table and its indexes have types; all else is text.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataImport.Format.html
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from backstream.errors import Damaged, MalformedRecord, UsageError
from backstream.model.values import object_limits, wire
from backstream.model.values.schema import KeyAttribute, canonical_value
from backstream.vault.dumps.held import TableKeys

DELIMITERS = {"comma": ",", "tab": "\t", "colon": ":", "semicolon": ";", "pipe": "|", "space": " "}
NAMED = 10  # columns in a message
csv.field_size_limit(object_limits.ITEM)


class CsvForm(msgspec.Struct, frozen=True):
    """The form of CSV files. `columns`: the names of the columns, if the files have no header."""

    delimiter: str = ","
    columns: Sequence[str] = ()

    @classmethod
    def of(cls, delimiter: str | None, columns: str | None) -> CsvForm:
        """Returns the form that options name. Raises UsageError for a delimiter that ImportTable does not know."""
        chosen = DELIMITERS.get(delimiter or "comma", delimiter or "")
        if chosen not in DELIMITERS.values():
            raise UsageError(f"not a delimiter of CSV: {delimiter!r}", hint=f"One of {', '.join(DELIMITERS)}, or its character.")
        return cls(chosen, tuple(columns.split(",")) if columns else ())


def rows(name: str, lines: Iterator[bytes], form: CsvForm, keys: TableKeys) -> Iterator[tuple[int, bytes]]:
    """Yields the line at which an item ends, and its image. Raises Damaged with the file's name and the line."""
    reader = csv.reader(_text(name, lines), delimiter=form.delimiter, strict=True)
    columns = list(form.columns)
    if columns:
        _check_columns("--csv-columns", columns, keys)
    try:
        for fields in reader:
            if not columns:
                columns = fields
                _check_columns(f"{name}, line 1", columns, keys)
            elif fields:
                yield reader.line_num, _image(f"{name}, line {reader.line_num}", columns, fields, keys)
    except csv.Error as error:
        raise Damaged(f"{name}, line {reader.line_num}: not CSV: {error}") from error


def _text(name: str, lines: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise Damaged(f"{name}, line {number}: not text in UTF-8: {error.reason}") from error
        yield (text.removeprefix("\ufeff") if number == 1 else text) + "\n"


def _check_columns(place: str, columns: Sequence[str], keys: TableKeys) -> None:
    twice = sorted(each for each, count in Counter(columns).items() if count > 1)
    if twice or "" in columns:
        raise Damaged(f"{place}: a header names each column once: {', '.join(twice[:NAMED]) or 'one has no name'}")
    if lacking := [each for each in keys.schema.names if each not in columns]:
        raise Damaged(
            f"{place}: no column {', '.join(lacking)}, which is part of the table's key",
            hint="Has the file no header? --csv-columns names its columns. Another delimiter: --csv-delimiter.",
        )


def _image(place: str, columns: Sequence[str], fields: Sequence[str], keys: TableKeys) -> bytes:
    if len(fields) != len(columns):
        raise Damaged(f"{place}: {len(fields)} fields, and {len(columns)} columns")
    item = {}
    for column, field in zip(columns, fields, strict=True):
        kind = keys.types.get(column, "S")
        if field or column not in keys.types:
            item[column] = {kind: field}
    try:
        for each in keys.schema.attributes:
            canonical_value(each, item.get(each.name))
        for column in item.keys() & keys.types.keys():
            canonical_value(KeyAttribute(column, keys.types[column]), item[column])
    except (MalformedRecord, Damaged) as error:
        raise Damaged(f"{place}: {error.message}") from error
    return wire.encode(item)
