"""A description's values as expressions of HCL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from backstream.apps.deploy.expressions import DeploymentDescription, Given, IfGiven, Of, Part, StackValue, Text, Value
from backstream.apps.deploy.hcl import Raw

# Terraform's type of a resource, and its names for Ref and Arn.
NAMES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "AWS::S3::Bucket": ("aws_s3_bucket", {"Ref": "bucket", "Arn": "arn"}),
    "AWS::IAM::Role": ("aws_iam_role", {"Ref": "id", "Arn": "arn"}),
    "AWS::Lambda::Function": ("aws_lambda_function", {"Ref": "function_name", "Arn": "arn"}),
    "AWS::Lambda::EventSourceMapping": ("aws_lambda_event_source_mapping", {"Ref": "uuid"}),
    "AWS::Lambda::CodeSigningConfig": ("aws_lambda_code_signing_config", {"Ref": "id"}),
    "AWS::EMRServerless::Application": ("aws_emrserverless_application", {"Ref": "id", "Arn": "arn"}),
    "AWS::SNS::Topic": ("aws_sns_topic", {"Ref": "id"}),
    "AWS::Logs::LogGroup": ("aws_cloudwatch_log_group", {"Ref": "name"}),
}
PLACES = {
    StackValue.ACCOUNT: "data.aws_caller_identity.current.account_id",
    StackValue.PARTITION: "data.aws_partition.current.partition",
    StackValue.REGION: "data.aws_region.current.region",
    StackValue.DOMAIN: "data.aws_partition.current.dns_suffix",
    StackValue.STACK: "var.name",
}


def snake(name: str) -> str:
    """Returns `rpo_minutes` for `RpoMinutes`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class Values:
    """The values of one description."""

    def __init__(self, description: DeploymentDescription) -> None:
        self._types = {each.id: each.type for each in description.resources}

    def of(self, value: Value) -> object:
        """Returns a value in the form for `hcl.expression`."""
        match value:
            case Text((only,)):
                return self.of(only)
            case Text(parts):
                return self._template(parts)
            case IfGiven(parameter):
                name = f"var.{snake(parameter)}"
                return Raw(f'{name} == "" ? [] : [{name}]')
            case Given() | Of() | StackValue():
                return Raw(self._reference(value))
            case Mapping():
                return {name: self.of(each) for name, each in value.items()}
            case list() | tuple():
                return [self.of(each) for each in value]
        return value

    def arguments(self, properties: Mapping[str, Any], names: Mapping[str, str] | None = None) -> dict[str, object]:
        """Returns arguments: with the same names in snake case, or the names in `names`."""
        return {(names or {}).get(name, snake(name)): self.of(each) for name, each in properties.items()}

    def _reference(self, part: Given | Of | StackValue) -> str:
        if isinstance(part, Given):
            return f"var.{snake(part.name)}"
        if isinstance(part, StackValue):
            return PLACES[part]
        kind, attributes = NAMES[self._types[part.resource]]
        return f"{kind}.{snake(part.resource)}.{attributes[part.attribute]}"

    def _template(self, parts: Sequence[Part]) -> Raw:
        """Returns a text with values in it: in quotes, or line by line."""
        several = any(isinstance(each, str) and "\n" in each for each in parts)
        pieces = [_literal(each, several=several) if isinstance(each, str) else f"${{{self._reference(each)}}}" for each in parts]
        joined = "".join(pieces)
        return Raw(f"<<EOT\n{joined}\nEOT" if several else f'"{joined}"')


def _literal(text: str, *, several: bool) -> str:
    plain = text if several else json.dumps(text, ensure_ascii=False)[1:-1]
    return plain.replace("${", "$${").replace("%{", "%%{")
