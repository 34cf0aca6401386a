"""The typed columns of a view: `status_s` for the item's state, and `status_s_old` for the state before the change.

Their names and values are the same as in `export`: see `model.columns`. The columns are learned from all images of the hours that
a query asks for, and never from a sample: see `learning`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from backstream.errors import Damaged
from backstream.model.columns.names import NULLS, UNFIT
from backstream.model.columns.schema import TYPES, Column, ColumnSchema
from backstream.model.columns.values import Row as Attributes
from backstream.model.columns.values import TypedRows, row_of, typed
from backstream.model.values.numbers import MOST_DIGITS
from backstream.operations.sql.reading import TableReading
from backstream.operations.sql.row import Row
from backstream.operations.tabular.batches import ATTRIBUTE, TYPE, arrow_type
from backstream.vault.columns import ColumnStore
from backstream.vault.table_vault import TableVault

OLD = "_old"  # at the end of the name of a column of the state before a change; all others end in their type
_NAME = re.compile(rf"(?P<name>.+_(?:(?P<type>{'|'.join(TYPES).lower()})|d(?P<scale>\d{{1,2}})))(?P<old>{OLD})?", re.IGNORECASE)
_NULLS, _UNFIT = pa.field(NULLS, pa.list_(pa.string())), pa.field(UNFIT, pa.int32())


def kept(vault: TableVault) -> ColumnSchema:
    """Returns the columns that the vault keeps, and the key's columns: `export` has named them, and they keep their names."""
    keys = ((each.name, each.type) for each in vault.catalog.key_schema.attributes)
    return ColumnStore(vault.store, vault.catalog.table).load().with_kinds(keys)


def is_name(name: str) -> bool:
    """True for a name that only a typed column can have."""
    return _column(name) is not None


def _column(name: str) -> Column | None:
    """Returns a column that could have this name; None if none can."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if found["scale"] is not None:
        return Column(found["name"], "", "N", int(found["scale"])) if int(found["scale"]) <= MOST_DIGITS else None
    return Column(found["name"], "", found["type"].upper())


class TypedColumns:
    """The typed columns of one view. `named`: names that a query uses; those that no item has are NULL.

    `old`: with columns of the state before the change.
    """

    def __init__(self, reading: TableReading, named: Iterable[str], *, old: bool) -> None:
        self._reading = reading
        self._new = {each.name: each for each in reading.columns.columns}
        self._old = {each.name + OLD: each for each in reading.columns.columns} if old else {}
        known = {name.lower() for name in (*self._new, *self._old)}
        for name in named:
            column = _column(name)
            if column is None or name.lower() in known:
                continue
            if name.lower().endswith(OLD) and old:
                self._old[name] = column
            elif not name.lower().endswith(OLD):
                self._new[name] = column
        self.names = frozenset({NULLS, UNFIT, *self._new, *self._old})

    @property
    def fields(self) -> list[pa.Field]:
        """The columns, in their order."""
        return [_NULLS, _UNFIT, *(_field(name, each) for name, each in (*self._new.items(), *self._old.items()))]

    def arrays(self, rows: Sequence[Row], needed: frozenset[str]) -> Iterator[tuple[str, pa.Array]]:
        """Yields the needed columns of some rows, by name."""
        if not needed.isdisjoint({NULLS, UNFIT, *self._new}):
            only = None if needed & {NULLS, UNFIT} else _attributes(self._new, needed)
            found = typed_rows(self._reading, [(each, each.key if each.new is None else each.new) for each in rows], only)
            yield NULLS, pa.array(found.nulls, _NULLS.type)
            yield UNFIT, pa.array(found.unfit, _UNFIT.type)
            yield from _arrays(self._new, needed, found, len(rows))
        if not needed.isdisjoint(self._old):
            found = typed_rows(self._reading, [(each, each.old) for each in rows], _attributes(self._old, needed))
            yield from _arrays(self._old, needed, found, len(rows))


def _attributes(columns: Mapping[str, Column], needed: frozenset[str]) -> frozenset[str]:
    return frozenset(each.attribute for name, each in columns.items() if name in needed)


def typed_rows(reading: TableReading, images: Sequence[tuple[Row, bytes | None]], only: frozenset[str] | None = None) -> TypedRows:
    """Returns images in typed columns. One that is not an item in DynamoDB JSON is named, and has no values.

    `only`: these attributes; None for all.
    """
    try:
        rows = [{} if image is None else row_of(image) for _, image in images]
        if only is not None:
            rows = [{name: row[name] for name in only if name in row} for row in rows]
        return typed(rows, reading.columns)
    except Damaged:
        return typed([_sound(reading, row, image) for row, image in images], reading.columns)


def _sound(reading: TableReading, row: Row, image: bytes | None) -> Attributes:
    if image is None:
        return {}
    try:
        found = row_of(image)
        typed([found], reading.columns)
    except Damaged as error:
        reading.unread(f"an image of {row.key.decode()}: {error.message}")
        return {}
    return found


def learned(reading: TableReading, rows: Sequence[Row], *, old: bool) -> ColumnSchema:
    """Returns the schema with a column for each attribute and type of these rows."""
    images = [(each, each.key if each.new is None else each.new) for each in rows]
    return typed_rows(reading, [*images, *((each, each.old) for each in rows if old)]).schema


def _field(name: str, column: Column) -> pa.Field:
    return pa.field(name, arrow_type(column), metadata={ATTRIBUTE: column.attribute.encode(), TYPE: column.type.encode()})


def _arrays(columns: Mapping[str, Column], needed: frozenset[str], found: TypedRows, count: int) -> Iterator[tuple[str, pa.Array]]:
    for name, column in columns.items():
        if name in needed:
            values = found.values.get(column.name)
            kind = arrow_type(column)
            yield name, pa.nulls(count, kind) if values is None else pa.array(values, kind)
