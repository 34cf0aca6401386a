"""Two tables that are to hold the same items: whether they can."""

from __future__ import annotations

import msgspec

from backstream.errors import MissingTable, Refused
from backstream.ports import Table, TableFacts


class Pair(msgspec.Struct, frozen=True):
    """What two tables are, that have been found fit for each other."""

    source: TableFacts
    target: TableFacts


def pair(source: Table, target: Table) -> Pair:
    """Look at both. Refused where they are one and the same or have different keys; MissingTable where one is not there."""
    one = source.facts()
    try:
        other = target.facts()
    except MissingTable as error:
        raise MissingTable(error.message, hint=f"Create it first, with the same key as {source.name}.") from error
    if one.arn == other.arn or (one.table_id and one.table_id == other.table_id):
        raise Refused(f"{source.name} and {target.name} are one and the same table", hint="Name two, or another region.")
    if one.schema != other.schema:
        raise Refused(
            f"the tables have different keys: {source.name} has {_key(one)}, {target.name} has {_key(other)}",
            hint="An item of one has no place in the other.",
        )
    for facts in (one, other):
        if facts.status not in ("ACTIVE", "UPDATING"):
            raise Refused(f"{facts.name} is {facts.status}", hint="Wait until it is ACTIVE.")
    return Pair(one, other)


def _key(facts: TableFacts) -> str:
    return " and ".join(f"{each.name} ({each.type})" for each in facts.schema.attributes)
