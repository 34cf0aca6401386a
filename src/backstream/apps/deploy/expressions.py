"""The parts of a description: resources, parameters, and values that are known only at deployment.

Properties have CloudFormation's names; `terraform.py` translates them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class Given:
    """A parameter's value."""

    name: str


@dataclass(frozen=True)
class Of:
    """A property of a resource that is known after its creation: its `Arn`, or its `Ref` (name or id)."""

    resource: str
    attribute: str = "Arn"


class StackValue(Enum):
    """A property of the deployment's place. `STACK` is the deployment's own name; all other names are made from it."""

    ACCOUNT = "AWS::AccountId"
    PARTITION = "AWS::Partition"
    REGION = "AWS::Region"
    STACK = "AWS::StackName"
    DOMAIN = "AWS::URLSuffix"


@dataclass(frozen=True)
class TableName:
    """The name of one of the deployment's tables."""

    table: str


@dataclass(frozen=True)
class TableId:
    """The part of resources' names that tells one of the deployment's tables from the others."""

    table: str
    id: str


@dataclass(frozen=True)
class StreamOf:
    """The ARN of a table's stream: a parameter's value, or `arn` if the template itself holds it."""

    table: str
    parameter: str
    arn: str | None = None


Part = str | Given | Of | StackValue | TableName | TableId


@dataclass(frozen=True)
class Text:
    """Pieces of text, some of them known later, one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class IfGiven:
    """A list of one parameter's value; the empty list while that is empty."""

    parameter: str


@dataclass(frozen=True)
class Joined:
    """Texts, one after the other, with `between` between each two."""

    between: str
    entries: Sequence[Part | Text | Joined]


Value = object  # a part, Text, Joined, IfGiven, StreamOf, bool, int, or a list or mapping of these


def text(*parts: Part | Text) -> Text:
    """One text of these."""
    flat: list[Part] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Text) else [part])
    return Text(tuple(flat))


@dataclass(frozen=True)
class Parameter:
    """A question at deployment.

    `default`: None if a value must be given; `of_table`: the table whose stream it asks for; `in_template`: CloudFormation's
    template holds the value itself and asks for nothing.
    """

    name: str
    meaning: str
    default: str | int | None = None
    least: int | None = None
    most: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] | tuple[int, ...] = ()
    of_table: str | None = None
    in_template: bool = False

    @property
    def number(self) -> bool:
        """True if it is a number."""
        return isinstance(self.default, int)


@dataclass(frozen=True)
class Resource:
    """One resource to create.

    `kept`: it stays when the deployment is deleted; `after`: the resources that must exist first; `of_table`: each table has one of
    its own, and this is the table's.
    """

    id: str
    type: str
    properties: Mapping[str, Value]
    why: str = ""
    kept: bool = False
    after: tuple[str, ...] = ()
    of_table: str | None = None


@dataclass(frozen=True)
class Output:
    """A value that the deployment outputs."""

    name: str
    meaning: str
    value: Value
    of_table: str | None = None


@dataclass(frozen=True)
class DeploymentDescription:
    """All of a deployment. `moved`: it continues a module of 0.1, which named some resources otherwise."""

    summary: str
    parameters: Sequence[Parameter]
    resources: Sequence[Resource]
    outputs: Sequence[Output] = field(default_factory=tuple)
    moved: bool = False

    def type_of(self, resource: str) -> str:
        """The type of one of its resources."""
        return next(each.type for each in self.resources if each.id == resource)
