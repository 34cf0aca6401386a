"""A table's key schema, and the one canonical form of an item's key.

One item has one canonical key, in whatever order a source gives the key attributes, and however it writes their numbers. It has
its attributes in key-schema order, numbers in DynamoDB's plain notation, compact JSON. Names, grouping and comparison all use it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import MalformedRecord
from backstream.model.values import numbers

KEY_TYPES = ("S", "N", "B")


class KeyAttribute(msgspec.Struct, frozen=True):
    """One attribute of the key: its name and type (S, N or B)."""

    name: str
    type: str


class KeySchema(msgspec.Struct, frozen=True, omit_defaults=True):
    """The partition key (`hash`) and, if the table has one, the sort key (`range`)."""

    hash: KeyAttribute
    range: KeyAttribute | None = None

    @property
    def attributes(self) -> tuple[KeyAttribute, ...]:
        """The attributes in key-schema order: hash, then range."""
        return (self.hash,) if self.range is None else (self.hash, self.range)

    @property
    def names(self) -> tuple[str, ...]:
        """The attributes' names, in key-schema order."""
        return tuple(attribute.name for attribute in self.attributes)


def canonical_value(attribute: KeyAttribute, value: object) -> dict[str, str]:
    """Returns `{"S": "a"}` of one key attribute, numbers in plain notation.

    Raises MalformedRecord if it is missing or of another type.
    """
    if not isinstance(value, Mapping) or tuple(value) != (attribute.type,) or not isinstance(value[attribute.type], str):
        raise MalformedRecord(f"the key attribute {attribute.name!r} is not of type {attribute.type}: {value!r:.100}")
    text = value[attribute.type]
    if attribute.type == "N":
        try:
            text = numbers.canonical(text)
        except ValueError as error:
            raise MalformedRecord(f"the key attribute {attribute.name!r}: {error}") from error
    return {attribute.type: text}


def canonical_key(schema: KeySchema, image: Mapping[str, Any]) -> bytes:
    """Returns the canonical key of an item (or of its key alone), from decoded DynamoDB JSON.

    Raises MalformedRecord if it has none.
    """
    return msgspec.json.encode({a.name: canonical_value(a, image.get(a.name)) for a in schema.attributes})
