"""Two live tables, one to be like the other: the same key schema, both there and at rest, and not one and the same."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.errors import MissingTable, Refused
from backstream.model.values.schema import KeySchema
from backstream.ports import Table, TableFacts

ACTIVE = "ACTIVE"


class Pair(msgspec.Struct, frozen=True):
    """`facts` of the one, and of the other; their key schema is one."""

    facts: tuple[TableFacts, TableFacts]

    @property
    def source(self) -> TableFacts:
        """The one."""
        return self.facts[0]

    @property
    def target(self) -> TableFacts:
        """The other, which is to be like it."""
        return self.facts[1]

    @property
    def schema(self) -> KeySchema:
        """Of both."""
        return self.facts[0].schema


def pair_of(table: Table, other: Table) -> Pair:
    """MissingTable where one is not there; Refused where they are one table, not alike, or not ACTIVE. Nothing is touched."""
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
    """Whether two descriptions are of one table: a table has one ARN however it is reached, and only of other servers, or of one
    that was made again, does the same ARN come with another id. Replicas of a global table have ARNs of their own.
    """
    return one.arn == two.arn and (one.table_id == two.table_id or not (one.table_id and two.table_id))


def _words(schema: KeySchema) -> str:
    roles: Sequence[str] = ("HASH", "RANGE")
    return ", ".join(f"{each.name} ({each.type}, {role})" for each, role in zip(schema.attributes, roles, strict=False))
