"""What a description is made of: resources, parameters, and values that are known only when it is deployed.

Properties bear CloudFormation's names; `terraform.py` says what they are called there.
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
    """What a resource of this description is known by once it is there: its `Arn`, or its `Ref` (name or id)."""

    resource: str
    attribute: str = "Arn"


class StackValue(Enum):
    """Where it is deployed. `STACK` is the deployment's own name, of which all other names are made."""

    ACCOUNT = "AWS::AccountId"
    PARTITION = "AWS::Partition"
    REGION = "AWS::Region"
    STACK = "AWS::StackName"
    DOMAIN = "AWS::URLSuffix"


Part = str | Given | Of | StackValue


@dataclass(frozen=True)
class Text:
    """Pieces of text, some of them known later, one after the other."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class IfGiven:
    """A list of one parameter's value; the empty list while that is empty."""

    parameter: str


Value = object  # a part, Text, IfGiven, bool, int, or a list or mapping of these


def text(*parts: Part | Text) -> Text:
    """One text of these."""
    flat: list[Part] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Text) else [part])
    return Text(tuple(flat))


@dataclass(frozen=True)
class Parameter:
    """What is asked of who deploys. `default`: None where it must be given."""

    name: str
    meaning: str
    default: str | int | None = None
    least: int | None = None
    most: int | None = None
    pattern: str = ""
    choices: tuple[str, ...] | tuple[int, ...] = ()

    @property
    def number(self) -> bool:
        """Whether it is one."""
        return isinstance(self.default, int)


@dataclass(frozen=True)
class Resource:
    """One thing to be made. `kept`: it stays when the deployment is deleted; `after`: what has to be there first."""

    id: str
    type: str
    properties: Mapping[str, Value]
    why: str = ""
    kept: bool = False
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """What the deployment tells about itself."""

    name: str
    meaning: str
    value: Value


@dataclass(frozen=True)
class DeploymentDescription:
    """All of a deployment."""

    summary: str
    parameters: Sequence[Parameter]
    resources: Sequence[Resource]
    outputs: Sequence[Output] = field(default_factory=tuple)

    def type_of(self, resource: str) -> str:
        """The type of one of its resources."""
        return next(each.type for each in self.resources if each.id == resource)
