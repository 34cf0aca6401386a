"""CloudFormation templates read back, and their values as they would be after deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import yaml

from kit.recorded import ACCOUNT, REGION, Call

PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "kept",
    "AWS::URLSuffix": "amazonaws.com",
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc] # it has no types
    """YAML with CloudFormation's short forms."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".") if suffix == "GetAtt" else value}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _short_form)


def parse(text: str) -> dict[str, Any]:
    """A template, short forms as long ones."""
    loaded = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    assert isinstance(loaded, dict)
    return loaded


def resolved(value: Any, known: Mapping[str, str]) -> Any:
    """A value with references replaced. `known`: by `Name`, or `Name.Attribute`."""
    values = {**PSEUDO, **known}
    if isinstance(value, Mapping):
        if "Ref" in value:
            return values[value["Ref"]]
        if "Fn::GetAtt" in value:
            return values[".".join(value["Fn::GetAtt"])]
        if "Fn::Sub" in value:
            return re.sub(r"\$\{([^}]+)\}", lambda found: values[found[1]], value["Fn::Sub"])
        return {name: resolved(each, known) for name, each in value.items()}
    if isinstance(value, list):
        return [resolved(each, known) for each in value]
    return value


def statements(template: Mapping[str, Any], role: str, known: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """What a role may do, with its resources' real names."""
    for policy in template["Resources"][role]["Properties"]["Policies"]:
        yield from resolved(policy["PolicyDocument"]["Statement"], known)


def allows(statement: Mapping[str, Any], call: Call) -> bool:
    """Whether a statement allows a call."""
    return call.action in statement["Action"] and any(fnmatchcase(call.resource, each) for each in statement["Resource"])
