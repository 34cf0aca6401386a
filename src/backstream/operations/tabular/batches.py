"""Makes Arrow batches of changes and of items: the columns that are always right first, then the typed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from backstream.errors import Damaged, raising
from backstream.model.changes.entry import Entry
from backstream.model.changes.kinds import ChangedAttributes
from backstream.model.columns import schema as columns
from backstream.model.columns.names import NULLS, UNFIT
from backstream.model.columns.schema import Column, ColumnSchema
from backstream.model.columns.values import TypedRows, row_of, rows_of, typed
from backstream.model.tables import legacy_names
from backstream.model.values import numbers
from backstream.model.values.decoding import UNDECODABLE
from backstream.operations.changes.seen import SeenChange

DIGITS = 40  # of a sequence number as text, so that text orders as numbers do
ATTRIBUTE, TYPE = b"attribute", b"type"  # in a field's metadata: the attribute's true name, and DynamoDB's type

_TEXTS = pa.list_(pa.string())
_FIXED: Mapping[str, pa.DataType] = {
    "key": pa.string(),
    "stream": pa.string(),
    "sequence": pa.string(),
    "micros": pa.int64(),
    "time": pa.timestamp("us", tz="UTC"),
    "event": pa.string(),
    "actor": pa.string(),
    "new": pa.string(),
    "old": pa.string(),
    "image": pa.string(),
    "changed": _TEXTS,
    "note": pa.string(),
    NULLS: _TEXTS,
    UNFIT: pa.int32(),
}


def arrow_type(column: Column) -> pa.DataType:
    """Returns the Arrow type of a typed column."""
    if column.scale is not None:
        return pa.decimal128(numbers.MOST_DIGITS, column.scale)
    return {"B": pa.binary(), "BOOL": pa.bool_()}.get(column.type, pa.string())


def arrow_schema(fixed: Sequence[str], schema: ColumnSchema) -> pa.Schema:
    """Returns the Arrow schema of a table. `fixed`: its first columns, `schema.CHANGES` or `schema.ITEMS`."""
    first = [pa.field(name, _FIXED[name]) for name in (*fixed, NULLS, UNFIT)]
    return pa.schema([*first, *(_field(each) for each in schema.columns)])


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, arrow_type(column), metadata={ATTRIBUTE: column.attribute.encode(), TYPE: column.type.encode()})


def kind_of_field(field: pa.Field) -> tuple[bytes | str, ...]:
    """Returns what a field is, whatever its name: an attribute's values of one type, or one of the first columns."""
    if field.metadata is None or ATTRIBUTE not in field.metadata:
        return (field.name,)
    scale = str(field.type.scale) if pa.types.is_decimal(field.type) else ""
    return field.metadata[ATTRIBUTE], field.metadata[TYPE], scale


class ItemRow(msgspec.Struct, frozen=True, gc=False):
    """One item of a state: its canonical key, the entry that tells its state, and its image."""

    key: bytes
    entry: Entry
    image: bytes


class BatchBuilder:
    """Makes Arrow batches. `schema`: the typed columns, which grow with the batches; `unfit`: the number of values so far
    that fit no decimal.

    `damaged` is told of each image that is not an item in DynamoDB JSON, by the change or item that it belongs to.
    """

    def __init__(self, schema: ColumnSchema, damaged: Callable[[Damaged], None] = raising) -> None:
        self.schema = schema
        self.unfit = 0
        self._damaged = damaged
        self._changed = ChangedAttributes()

    def changes(self, seen: Sequence[SeenChange], actors: Sequence[str | None]) -> pa.RecordBatch:
        """Returns changes as a batch, in their order. `actors`: who made each, as far as that is known.

        Typed columns show the item after the change. After a delete only the key's attributes are there. If an image is not known,
        `note` says why.
        """
        try:
            return self._of_changes(seen, actors)
        except (Damaged, *UNDECODABLE):
            return self._of_changes([self._sound_change(each) for each in seen], actors)

    def _of_changes(self, seen: Sequence[SeenChange], actors: Sequence[str | None]) -> pa.RecordBatch:
        rows = rows_of([each.key if each.new is None or each.gone else each.new for each in seen])
        fixed = {
            **_places([each.entry for each in seen]),
            "key": [each.key for each in seen],
            "actor": actors,
            "new": [each.new for each in seen],
            "old": [each.old for each in seen],
            "changed": [[] if each.doubt else self._changed(each.old, each.new) for each in seen],
            "note": [each.doubt or None for each in seen],
        }
        return self._batch(columns.CHANGES, fixed, typed(rows, self.schema))

    def _sound_change(self, seen: SeenChange) -> SeenChange:
        """Returns the change; if one of its images is not an item, with a note that says so."""
        try:
            for image in (seen.old, seen.new):
                if image is not None:
                    self._check(image)
        except Damaged as error:
            self._damaged(error.of(f"the change {seen.sequence} of {seen.key.decode()}"))
            return SeenChange(seen.key, seen.entry, _text(seen.old), _text(seen.new), error.message, gone=True)
        return seen

    def items(self, items: Sequence[ItemRow]) -> pa.RecordBatch:
        """Returns items of one state as a batch, in their order. A damaged one is left out if `damaged` returns."""
        try:
            return self._of_items(items)
        except Damaged:
            return self._of_items([each for each in items if self._is_sound(each)])

    def _of_items(self, items: Sequence[ItemRow]) -> pa.RecordBatch:
        fixed = {
            **_places([each.entry for each in items]),
            "key": [each.key for each in items],
            "image": [each.image for each in items],
        }
        return self._batch(columns.ITEMS, fixed, typed(rows_of([each.image for each in items]), self.schema))

    def states(self, images: Sequence[tuple[bytes, bytes]]) -> pa.RecordBatch:
        """Returns items as a batch with a column for the key and one for the image. `images`: each key with its sound image."""
        fixed = {"key": [key for key, _ in images], "image": [image for _, image in images]}
        return self._batch(columns.STATES, fixed, typed(rows_of([image for _, image in images]), self.schema))

    def _is_sound(self, item: ItemRow) -> bool:
        try:
            self._check(item.image)
        except Damaged as error:
            self._damaged(error.of(f"the item {item.key.decode()}"))
            return False
        return True

    def _check(self, image: bytes) -> None:
        """Raises Damaged if an image is not an item in DynamoDB JSON."""
        typed([row_of(image)], self.schema)
        if _text(image) is None:
            raise Damaged(f"an image that is not UTF-8: {image[:80]!r}")

    def _batch(self, first: Sequence[str], fixed: Mapping[str, Any], found: TypedRows) -> pa.RecordBatch:
        self.schema = found.schema
        self.unfit += sum(found.unfit)
        schema = arrow_schema(first, found.schema)
        count = len(found.unfit)
        values = {**fixed, NULLS: found.nulls, UNFIT: found.unfit, **found.values}
        arrays = [_array(values.get(field.name), field.type, count) for field in schema]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any] | None, kind: pa.DataType, count: int) -> pa.Array:
    if values is None or values.count(None) == count:
        return pa.nulls(count, kind)
    if kind == _TEXTS and not any(values):
        return pa.ListArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), count + 1), pa.array([], pa.string()))
    try:
        return pa.array(values, kind)
    except pa.ArrowInvalid as error:
        raise Damaged(f"not text: {error}") from error


def _text(image: bytes | None) -> bytes | None:
    """Returns the image if it can be stored as text."""
    try:
        return image if image is None or image.decode() is not None else None
    except UnicodeDecodeError:
        return None


def _places(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """Returns the columns that tell the place of each change among all changes."""
    numbered = [each.began is None and each.stream != legacy_names.STREAM for each in entries]
    micros = [each.micros for each in entries]
    return {
        "stream": [each.stream if known else None for each, known in zip(entries, numbered, strict=True)],
        "sequence": [each.sequence.zfill(DIGITS) if known else None for each, known in zip(entries, numbered, strict=True)],
        "micros": micros,
        "time": micros,
        "event": [each.event for each in entries],
    }
