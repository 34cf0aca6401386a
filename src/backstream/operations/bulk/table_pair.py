"""A pair of live tables, source and target: both exist and are ACTIVE, have the same key schema, and are not the same table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.errors import MissingTable, Refused
from backstream.model.values.schema import KeySchema
from backstream.ports import ScannedTable, TableFacts

ACTIVE = "ACTIVE"


class Pair(msgspec.Struct, frozen=True):
    """The descriptions of both tables, which share one key schema."""

    facts: tuple[TableFacts, TableFacts]

    @property
    def source(self) -> TableFacts:
        """The source."""
        return self.facts[0]

    @property
    def target(self) -> TableFacts:
        """The target, which is kept like the source."""
        return self.facts[1]

    @property
    def schema(self) -> KeySchema:
        """The key schema of both."""
        return self.facts[0].schema


def pair_of(table: ScannedTable, other: ScannedTable) -> Pair:
    """Raises MissingTable if one does not exist; Refused if they are one table, not alike, or not ACTIVE. Nothing is touched."""
    one = table.facts()
    try:
        two = other.facts()
    except MissingTable as error:
        where = "Check its name, and where it is: --to-region, --to-profile, --to-endpoint."
        raise MissingTable(f"the second table: {error.message}", hint=where) from error
    if is_same(one, two):
        raise Refused(
            f"{one.name} and {two.name} are the same table ({one.arn})",
            hint="Name another table, or say where the other one is: --to-region, --to-profile, --to-endpoint.",
        )
    for each in (one, two):
        if each.status != ACTIVE:
            raise Refused(f"the table {each.name} is {each.status}", hint=f"Try again once it is {ACTIVE}.")
    if one.schema != two.schema:
        raise Refused(
            f"{one.name} and {two.name} have different key schemas: {_words(one.schema)}, and {_words(two.schema)}",
            hint="Only items of the same key attributes, of the same types, can be told to be the same item.",
        )
    return Pair((one, two))


def is_same(one: TableFacts, two: TableFacts) -> bool:
    """True if two descriptions are of one table.

    A table has one ARN however it is reached. The same ARN comes with another id only from other servers, or from a table that was
    created again. Replicas of a global table have ARNs of their own.
    """
    return one.arn == two.arn and (one.table_id == two.table_id or not (one.table_id and two.table_id))


def _words(schema: KeySchema) -> str:
    roles: Sequence[str] = ("HASH", "RANGE")
    return ", ".join(f"{each.name} ({each.type}, {role})" for each, role in zip(schema.attributes, roles, strict=False))
