"""A description as a CloudFormation template: a JSON document, or the same as YAML with comments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from backstream.apps.deploy import yaml_text
from backstream.apps.deploy.expressions import (
    DeploymentDescription,
    Given,
    IfGiven,
    Joined,
    Of,
    Output,
    Parameter,
    Part,
    Resource,
    StackValue,
    StreamOf,
    TableId,
    TableName,
    Text,
    Value,
)

VERSION = "2010-09-09"  # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/format-version-structure.html


def document(description: DeploymentDescription) -> dict[str, Any]:
    """The template."""
    conditions = {
        _condition(each): {"Fn::Not": [{"Fn::Equals": [{"Ref": each}, ""]}]}
        for each in dict.fromkeys(_asked_for(resource.properties) for resource in description.resources)
        if each is not None
    }
    return {
        "AWSTemplateFormatVersion": VERSION,
        "Description": description.summary,
        "Parameters": {each.name: _parameter(each) for each in description.parameters if not each.in_template},
        **({"Conditions": conditions} if conditions else {}),
        "Resources": {each.id: _resource(each) for each in description.resources},
        "Outputs": {each.name: _output(each) for each in description.outputs},
    }


def as_json(description: DeploymentDescription) -> str:
    """The template as JSON."""
    return json.dumps(document(description), indent=2) + "\n"


def as_yaml(description: DeploymentDescription) -> str:
    """Returns the template as YAML, with a comment on each part."""
    whys = {each.id: each.why for each in description.resources}
    return "".join(f"{line}\n" for line in _yaml(document(description), whys))


def _yaml(template: Mapping[str, Any], whys: Mapping[str, str]) -> Iterator[str]:
    for section, content in template.items():
        if not isinstance(content, Mapping):
            yield from yaml_text.lines({section: content})
            continue
        yield f"\n{section}:"
        for at, (name, each) in enumerate(content.items()):
            if section == "Resources":
                yield from [""] * (at > 0)
                yield from yaml_text.comment(whys[name], "  ")
            yield from yaml_text.lines({name: each}, "  ")


def _parameter(parameter: Parameter) -> dict[str, Any]:
    limits = {"MinValue": parameter.least, "MaxValue": parameter.most, "Default": parameter.default}
    return {
        "Type": "Number" if parameter.number else "String",
        "Description": parameter.meaning,
        **{name: each for name, each in limits.items() if each is not None},
        **({"AllowedPattern": f"^{parameter.pattern}$"} if parameter.pattern else {}),
        **({"AllowedValues": list(parameter.choices)} if parameter.choices else {}),
    }


def _resource(resource: Resource) -> dict[str, Any]:
    return {
        "Type": resource.type,
        **({"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"} if resource.kept else {}),
        **({"DependsOn": list(resource.after)} if resource.after else {}),
        "Properties": _value(resource.properties),
    }


def _output(output: Output) -> dict[str, Any]:
    return {"Description": output.meaning, "Value": _value(output.value)}


def _value(value: Value) -> Any:
    match value:
        case Given() | Of() | StackValue() | StreamOf() | TableName() | TableId():
            return _single(value)
        case Joined(between, entries):
            return {"Fn::Join": [between, [_value(each) for each in entries]]}
        case Text((only,)):
            return _value(only)
        case Text(parts):
            return _text(parts)
        case IfGiven(parameter):
            return {"Fn::If": [_condition(parameter), [{"Ref": parameter}], {"Ref": "AWS::NoValue"}]}
        case Mapping():
            return {name: _value(each) for name, each in value.items()}
        case list() | tuple():
            return [_value(each) for each in value]
    return value


def _single(value: Part | StreamOf) -> Any:
    match value:
        case Given(name) | Of(name, "Ref"):
            return {"Ref": name}
        case Of(resource, attribute):
            return {"Fn::GetAtt": [resource, attribute]}
        case StackValue():
            return {"Ref": value.value}
        case StreamOf(_, parameter, arn):
            return {"Ref": parameter} if arn is None else arn
        case TableName(name):
            return name
        case TableId(_, id_):
            return id_
    return value


def _text(parts: tuple[Part, ...]) -> Any:
    joined = "".join(map(_piece, parts))
    later = any(not isinstance(each, str | TableName | TableId) for each in parts)
    return {"Fn::Sub": joined} if later else joined


def _piece(part: Part) -> str:
    match part:
        case Given(name) | Of(name, "Ref"):
            return f"${{{name}}}"
        case Of(resource, attribute):
            return f"${{{resource}.{attribute}}}"
        case StackValue():
            return f"${{{part.value}}}"
        case TableName(name):
            return name
        case TableId(_, id_):
            return id_
    return part


def _condition(parameter: str) -> str:
    return f"Has{parameter}"


def _asked_for(properties: Mapping[str, Value]) -> str | None:
    return next((each.parameter for each in properties.values() if isinstance(each, IfGiven)), None)
