"""The tables of a Terraform module: one block for all of them (`for_each`), in which a table's name tells its resources apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TypeVar

from backstream.apps.deploy.expressions import DeploymentDescription, Output, Resource
from backstream.apps.deploy.ids import former_id_of, id_of, short_id_of
from backstream.apps.deploy.terraform.hcl import Block, Raw, expression
from backstream.apps.deploy.terraform.values import NAMES, STREAMS, TABLES, Values, snake

Made = TypeVar("Made", Resource, Output)
IN_VALIDATION = "    "  # the indent of an expression there


def blocks(description: DeploymentDescription) -> Iterator[Block]:
    """Yields the tables, each with the part of its resources' names, and the variable with their streams."""
    asked = [each for each in description.parameters if each.of_table is not None]
    if not asked:
        return
    tables = [each.of_table or "" for each in asked]
    yield Block(("locals",), {TABLES: {json.dumps(table): short_id_of(table) for table in tables}})
    known = {json.dumps(each.of_table): each.default for each in asked if each.default is not None}
    arguments = {
        "description": "The ARN of each table's stream, by the table's name.",
        "type": Raw("map(string)"),
        **({"default": known} if known else {}),
    }
    given = f"length(setsubtract({expression(tables, IN_VALIDATION)}, keys(var.{STREAMS}))) == 0"
    checks = [Block(("validation",), {"condition": Raw(given), "error_message": "Each table needs its stream's ARN."})]
    if all(":table/" in each.pattern for each in asked):
        own = f'alltrue([for table, arn in var.{STREAMS} : strcontains(arn, ":table/${{table}}/stream/")])'
        checks.append(Block(("validation",), {"condition": Raw(own), "error_message": "A stream's ARN names its table."}))
    yield Block(("variable", STREAMS), arguments, checks)


def one_of_each(made: Sequence[Made]) -> Iterator[Made]:
    """Yields what is there once, and of each kind that every table has the first table's."""
    first = next((each.of_table for each in made if each.of_table is not None), None)
    yield from (each for each in made if each.of_table in (None, first))


def repeated(block: Block) -> Block:
    """Returns the block for every table."""
    return Block(block.head, {"for_each": Raw(f"local.{TABLES}"), **block.arguments}, block.blocks, block.comment)


def output(output: Output, values: Values) -> Block:
    """Returns an output: a map by the tables' names for one that each table has."""
    if output.of_table is None:
        return Block(("output", snake(output.name)), {"description": output.meaning, "value": values.of(output.value)})
    name, value = output.name.removeprefix(id_of(output.of_table)), values.in_each(output.of_table, "table").of(output.value)
    every = Raw(f"{{ for table in keys(local.{TABLES}) : table => {expression(value)} }}")
    return Block(("output", snake(name)), {"description": output.meaning, "value": every})


def moves(description: DeploymentDescription, values: Values) -> Iterator[Block]:
    """Yields the new addresses of the resources that a module made by 0.1 called otherwise, if the description asks for them.

    A name that 0.1 may have given to two of the tables is left out: nothing tells whose it was.
    """
    if not description.moved:
        return
    made = [each for each in description.resources if each.of_table is not None]
    former = [_former(each) for each in made]
    for each, name in zip(made, former, strict=True):
        if former.count(name) == 1:
            kind, _ = NAMES[each.type]
            to = f"{kind}.{snake(values.name_of(each.id))}[{json.dumps(each.of_table)}]"
            yield Block(("moved",), {"from": Raw(f"{kind}.{name}"), "to": Raw(to)})


def _former(resource: Resource) -> str:
    table = resource.of_table or ""
    return snake(former_id_of(table) + resource.id.removeprefix(id_of(table)))
