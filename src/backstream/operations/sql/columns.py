"""The columns of the views that are always there, and how each is made of a row."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from backstream.errors import Damaged
from backstream.model.changes.kinds import ChangedAttributes
from backstream.model.columns.names import NULLS, UNFIT
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.sql.row import Row
from backstream.operations.sql.spans import TIME
from backstream.operations.sql.typed import TypedColumns, is_name

_changed = ChangedAttributes()
TEXT, COUNT, FLAG = pa.string(), pa.int64(), pa.bool_()
_KEY, _OF_KEY = "key_", "_key"


Make = Callable[[Sequence[Row]], list[Any]]
Column = tuple[pa.Field, Make]

_TIME = (pa.field("time", TIME), lambda rows: [each.entry.micros for each in rows])
_MICROS = (pa.field("micros", COUNT), lambda rows: [each.entry.micros for each in rows])
_SEQUENCE = (pa.field("sequence", TEXT), lambda rows: [each.sequence for each in rows])
_STREAM = (pa.field("stream", TEXT), lambda rows: [each.entry.stream if each.is_numbered else None for each in rows])
_EVENT = (pa.field("event", TEXT), lambda rows: [each.entry.event for each in rows])
_ACTOR = (pa.field("actor", TEXT), lambda rows: [each.actor for each in rows])
_KEY_TEXT = (pa.field("key", TEXT), lambda rows: [text_of(each.key) for each in rows])
_OLD = (pa.field("old", TEXT), lambda rows: [text_of(each.old) for each in rows])
_NEW = (pa.field("new", TEXT), lambda rows: [text_of(each.new) for each in rows])
_IMAGE = (pa.field("image", TEXT), lambda rows: [text_of(each.new) for each in rows])
_CHANGED = (
    pa.field("changed", pa.list_(TEXT)),
    lambda rows: [[] if each.note else _changed(each.old, each.new) for each in rows],
)
_NOTE = (pa.field("note", TEXT), lambda rows: [each.note or None for each in rows])
_SINCE = (pa.field("since", TIME), _TIME[1])
_UNTIL = (pa.field("until", TIME), lambda rows: [each.until for each in rows])
_MOMENT = pa.field("moment", TIME)

CHANGES: Sequence[Column] = (_KEY_TEXT, _STREAM, _SEQUENCE, _MICROS, _TIME, _EVENT, _ACTOR)
CHANGES_IMAGES: Sequence[Column] = (_NEW, _OLD, _CHANGED, _NOTE)
ITEMS: Sequence[Column] = (_KEY_TEXT,)
ITEMS_LAST: Sequence[Column] = (_STREAM, _SEQUENCE, _MICROS, _TIME, _EVENT, _IMAGE)
HISTORY: Sequence[Column] = (_KEY_TEXT, _STREAM, _SEQUENCE, _MICROS, _SINCE, _UNTIL, _EVENT, _ACTOR)
HISTORY_IMAGE: Sequence[Column] = (_IMAGE, _NOTE)
NEEDS_IMAGES = frozenset({"old", "new", "changed", "note", "image"})  # and every typed column
_FIXED = frozenset(
    {each[0].name for group in (CHANGES, CHANGES_IMAGES, ITEMS_LAST, HISTORY, HISTORY_IMAGE) for each in group}
    | {"moment", NULLS, UNFIT}
)


class Columns:
    """The columns of one view: those that are always there, and then the typed ones."""

    def __init__(self, made: Sequence[Column], typed: TypedColumns) -> None:
        self._made: Mapping[str, Column] = {each[0].name: each for each in made}
        self._typed = typed
        self.schema = pa.schema([*(each[0] for each in made), *typed.fields])

    def are_typed(self, needed: frozenset[str]) -> bool:
        """True if typed columns are needed. A query for all columns asks for these as well, even if none is known."""
        return not needed.isdisjoint(self._typed.names)

    def at(self, moment: Column) -> Columns:
        """Returns the same columns, of a state at another moment."""
        return Columns([moment, *(each for each in self._made.values() if each[0] != _MOMENT)], self._typed)

    def batch(self, rows: Sequence[Row], needed: frozenset[str]) -> pa.RecordBatch:
        """Returns the needed columns of some rows."""
        arrays = {name: array(make(rows), field.type) for name, (field, make) in self._made.items() if name in needed}
        arrays |= {name: each for name, each in self._typed.arrays(rows, needed) if name in needed}
        schema = pa.schema([field for field in self.schema if field.name in arrays])
        return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Returns the values as an Arrow array. Raises Damaged if a text is not UTF-8."""
    try:
        return pa.array(values, kind)
    except (UnicodeEncodeError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise Damaged(f"a value of an item cannot be told as text: {error}") from error


def text_of(body: bytes | None) -> str | None:
    """Returns an image as text of one line. Raises Damaged if it is not UTF-8."""
    try:
        return None if body is None else wire.one_line(body).decode()
    except UnicodeDecodeError as error:
        raise Damaged(f"an image is not UTF-8: {body!r:.80}") from error


def of_keys(schema: KeySchema) -> Iterator[Column]:
    """Yields a column for each key attribute, with its own name if no other column can have it. Numbers are exact: as text."""
    taken = set(_FIXED)
    for each in schema.attributes:
        name = each.name + _OF_KEY if is_name(each.name) else each.name  # no typed column ends in `_key`
        while name.lower() in taken:
            name = _KEY + name
        taken.add(name.lower())
        kind = pa.binary() if each.type == "B" else TEXT
        yield pa.field(name, kind, metadata={"attribute": each.name}), _key_values(each)


def _key_values(attribute: KeyAttribute) -> Make:
    decode, name, kind = msgspec.json.Decoder(dict[str, dict[str, str]]).decode, attribute.name, attribute.type
    if kind == "B":
        return lambda rows: [base64.b64decode(decode(each.key)[name][kind]) for each in rows]
    return lambda rows: [decode(each.key)[name][kind] for each in rows]


def moment_column(second: int) -> Column:
    """Returns the column that says a state's moment."""
    return _MOMENT, lambda rows: [second * 1_000_000] * len(rows)
