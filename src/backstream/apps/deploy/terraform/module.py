"""A description as a Terraform module, for the AWS provider (https://registry.terraform.io/providers/hashicorp/aws/latest/docs)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from backstream.apps.deploy import yaml_text
from backstream.apps.deploy.expressions import DeploymentDescription, Parameter
from backstream.apps.deploy.terraform import tables
from backstream.apps.deploy.terraform.hcl import Block, Raw, lines
from backstream.apps.deploy.terraform.types import KINDS
from backstream.apps.deploy.terraform.values import Values, snake

PROVIDER = ">= 6.0"  # the first whose aws_region knows `region`
TERRAFORM = ">= 1.5"
NAME = Parameter("Name", "The deployment's name, the start of all its resources' names.", "backstream", pattern="[a-z][a-z0-9-]*")


def as_hcl(description: DeploymentDescription) -> str:
    """The module, as one file."""
    return "\n".join("".join(f"{line}\n" for line in each) for each in _sections(description))


def _sections(description: DeploymentDescription) -> Iterator[list[str]]:
    yield [*yaml_text.comment(description.summary, "")]
    yield [*lines(_requirements())]
    for source in ("aws_caller_identity", "aws_partition", "aws_region"):
        yield [*lines(Block(("data", source, "current")))]
    for parameter in (NAME, *(each for each in description.parameters if each.of_table is None)):
        yield [*lines(_variable(parameter))]
    yield from ([*lines(each)] for each in tables.blocks(description))
    values = Values(description)
    for resource in tables.one_of_each(description.resources):
        of_each = values if resource.of_table is None else values.in_each(resource.of_table)
        blocks = KINDS[resource.type](replace(resource, id=of_each.name_of(resource.id)), of_each)
        for at, block in enumerate(blocks):
            kept = _kept(block) if resource.kept and block.head[0] == "resource" else block
            repeated = tables.repeated(kept) if resource.of_table is not None else kept
            yield [*(yaml_text.comment(resource.why, "") if at == 0 else ()), *lines(repeated)]
    for output in tables.one_of_each(description.outputs):
        yield [*lines(tables.output(output, values))]
    yield from ([*lines(each)] for each in tables.moves(description, values))


def _requirements() -> Block:
    aws = {"aws": Raw(f'{{ source = "hashicorp/aws", version = "{PROVIDER}" }}')}
    return Block(("terraform",), {"required_version": TERRAFORM}, [Block(("required_providers",), aws)])


def _kept(block: Block) -> Block:
    """Marks a block that `terraform destroy` must refuse."""
    return Block(block.head, block.arguments, [*block.blocks, Block(("lifecycle",), {"prevent_destroy": True})])


def _variable(parameter: Parameter) -> Block:
    given = {} if parameter.default is None else {"default": parameter.default}
    kind = Raw("number" if parameter.number else "string")
    conditions = [*_conditions(parameter)]
    checks = [Block(("validation",), {"condition": Raw(condition), "error_message": message}) for condition, message in conditions]
    return Block(("variable", snake(parameter.name)), {"description": parameter.meaning, "type": kind, **given}, checks)


def _conditions(parameter: Parameter) -> Iterator[tuple[str, str]]:
    name = f"var.{snake(parameter.name)}"
    if parameter.least is not None:
        yield (
            f"{name} >= {parameter.least} && {name} <= {parameter.most}",
            f"It must be from {parameter.least} to {parameter.most}.",
        )
    if parameter.pattern:
        yield f"can(regex({json.dumps(f'^{parameter.pattern}$')}, {name}))", f"It must match {parameter.pattern}"
    if parameter.choices:
        yield (
            f"contains({json.dumps(list(parameter.choices))}, {name})",
            f"It must be one of {', '.join(map(str, parameter.choices))}.",
        )
