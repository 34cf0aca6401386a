"""CloudFormation templates read back, and their values as they would be after deployment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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

ROLE = f"arn:aws:iam::{ACCOUNT}:role/some-function"


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


def bucket_policy(template: Mapping[str, Any], bucket: str, known: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The statements of a bucket's policy."""
    found = resolved(template["Resources"][f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"], known)
    return list(found)


def permitted(policies: Sequence[Mapping[str, Any]], call: Call, principal: str = ROLE) -> bool:
    """What IAM decides: allowed by one statement, and denied by none."""
    met = [each for each in policies if applies(each, call, principal)]
    return any(each["Effect"] == "Allow" for each in met) and all(each["Effect"] == "Allow" for each in met)


def allows(statement: Mapping[str, Any], call: Call) -> bool:
    """Whether a statement allows a call."""
    return statement.get("Effect", "Allow") == "Allow" and applies(statement, call)


def applies(statement: Mapping[str, Any], call: Call, principal: str = ROLE) -> bool:
    """Whether a statement speaks of a call, made over TLS by way of S3."""
    actions, resources = ([each] if isinstance(each, str) else each for each in (statement["Action"], statement["Resource"]))
    spoken = any(fnmatchcase(call.action, each) for each in actions) and any(fnmatchcase(call.resource, each) for each in resources)
    context = {
        "aws:ResourceAccount": call.account,
        "aws:PrincipalArn": principal,
        "aws:SecureTransport": "true",
        "kms:ViaService": f"s3.{REGION}.amazonaws.com",
        "kms:MessageType": "DIGEST",
    }
    return spoken and all(
        _holds(test, context[key], [values] if isinstance(values, str) else values)
        for test, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _holds(test: str, value: str, wanted: Sequence[str]) -> bool:
    match test:
        case "StringEquals" | "Bool":
            return value in wanted
        case "StringLike" | "ArnLike":
            return any(fnmatchcase(value, each) for each in wanted)
        case "ArnNotLike":
            return not any(fnmatchcase(value, each) for each in wanted)
    raise AssertionError(f"an unknown test: {test}")
