"""The schema of a table's typed columns: one column for each attribute and type. It only ever grows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import msgspec

from backstream.errors import Damaged
from backstream.model.columns.names import NULLS, UNFIT, column_name
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.numbers import MOST_DIGITS

FORMAT = 1
MOST_COLUMNS = 1_000  # engines and files slow down with more; further attributes are in the exact image alone
TYPES = ("S", "N", "B", "BOOL", "SS", "NS", "BS", "L", "M")  # NULL has no column of its own: see `names.NULLS`
CHANGES = ("key", "stream", "sequence", "micros", "time", "event", "actor", "new", "old", "changed", "note")
ITEMS = ("key", "stream", "sequence", "micros", "time", "event", "image")
STATES = ("key", "image")  # of an exported state: every item of one moment


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """A typed column: the values of one type that an attribute has. `attribute`: its true name.

    `scale`: the digits after the point, of a column of decimals; None where numbers are text.
    """

    name: str
    attribute: str
    type: str
    scale: int | None = None


Kind = tuple[str, str]  # an attribute's name, and a type


class ColumnSchema(msgspec.Struct, frozen=True, dict=True):
    """The typed columns of a table, in the order in which they were added."""

    columns: tuple[Column, ...] = ()

    @cached_property
    def by_kind(self) -> Mapping[Kind, tuple[Column, ...]]:
        """The columns of each attribute and type: one, or several with different scales."""
        found: dict[Kind, tuple[Column, ...]] = {}
        for each in self.columns:
            found[each.attribute, each.type] = (*found.get((each.attribute, each.type), ()), each)
        return found

    @property
    def is_full(self) -> bool:
        """True if no attribute gets another column."""
        return len(self.columns) >= MOST_COLUMNS

    def with_kinds(self, kinds: Iterable[Kind]) -> ColumnSchema:
        """Returns the schema with a column for each of these attributes and types, as far as there is room.

        An attribute that has a column keeps it. New ones come in the order of `kinds`.
        """
        return self._with((attribute, kind, None) for attribute, kind in kinds if (attribute, kind) not in self.by_kind)

    def with_scales(self, scales: Mapping[str, int]) -> ColumnSchema:
        """Returns the schema with a column of decimals for each attribute's numbers, with that many digits after the point.

        A scale never changes: another one is another column. Raises ValueError for a scale that decimal(38) does not have.
        """
        for attribute, scale in scales.items():
            if not 0 <= scale <= MOST_DIGITS:
                raise ValueError(f"not a scale: {scale} (of {attribute}; from 0 to {MOST_DIGITS})")
        known = {(each.attribute, each.scale) for each in self.columns if each.type == "N"}
        return self._with((name, "N", scale) for name, scale in scales.items() if (name, scale) not in known)

    def including(self, other: ColumnSchema) -> ColumnSchema:
        """Returns the schema with the columns of another one that it lacks, as far as there is room."""
        known = {(each.attribute, each.type, each.scale) for each in self.columns}
        wanted = [(each.attribute, each.type, each.scale) for each in other.columns]
        return self._with(each for each in wanted if each not in known)

    def _with(self, wanted: Iterable[tuple[str, str, int | None]]) -> ColumnSchema:
        columns, added = list(self.columns), set[tuple[str, str, int | None]]()
        taken = {each.name.lower() for each in columns} | {*CHANGES, *ITEMS, NULLS, UNFIT}
        for attribute, kind, scale in wanted:
            if (attribute, kind, scale) in added or len(columns) >= MOST_COLUMNS:
                continue
            added.add((attribute, kind, scale))
            name = column_name(attribute, f"_{kind.lower()}" if scale is None else f"_d{scale}", taken)
            taken.add(name.lower())
            columns.append(Column(name, attribute, kind, scale))
        return self if not added else ColumnSchema(tuple(columns))


class _Stored(msgspec.Struct, frozen=True):
    format: int
    columns: tuple[Column, ...]


_stored = msgspec.json.Decoder(_Stored)


def to_json(schema: ColumnSchema) -> bytes:
    """Returns the schema as it is stored."""
    return msgspec.json.format(msgspec.json.encode(_Stored(FORMAT, schema.columns)), indent=1)


def from_json(body: bytes) -> ColumnSchema:
    """The inverse of `to_json`. Raises Damaged if it is not such a schema."""
    try:
        stored = _stored.decode(body)
    except UNDECODABLE as error:
        raise Damaged(f"not a schema of columns ({reason(error)})") from error
    names = {each.name.lower() for each in stored.columns}
    if stored.format != FORMAT or len(names) < len(stored.columns) or any(each.type not in TYPES for each in stored.columns):
        raise Damaged(f"not a schema of columns of format {FORMAT}")
    return ColumnSchema(stored.columns)
