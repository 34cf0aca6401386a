"""A description's values as expressions of HCL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from backstream.apps.deploy.expressions import (
    DeploymentDescription,
    Given,
    IfGiven,
    Joined,
    Of,
    Part,
    StackValue,
    StreamOf,
    TableId,
    TableName,
    Text,
    Value,
)
from backstream.apps.deploy.ids import id_of
from backstream.apps.deploy.terraform.hcl import Raw, expression, quoted

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
    "AWS::CloudWatch::Alarm": ("aws_cloudwatch_metric_alarm", {"Ref": "alarm_name"}),
    "AWS::Scheduler::Schedule": ("aws_scheduler_schedule", {"Ref": "name"}),
}
TABLES, STREAMS = "tables", "streams"  # the local value, the variable
EACH = "each.key"
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
    """The values of one description. Within a block for every table, a table's own name stands for each of them."""

    def __init__(self, description: DeploymentDescription, table: str = "", key: str = EACH) -> None:
        self._description = description
        self._types = {each.id: each.type for each in description.resources}
        self._tables = {each.id: each.of_table for each in description.resources if each.of_table is not None}
        self._table, self._key = table, key

    def in_each(self, table: str, key: str = EACH) -> Values:
        """Returns the values in a block for every table, written as the one of `table`. `key`: the expression of a table's name."""
        return Values(self._description, table, key)

    def name_of(self, resource: str) -> str:
        """Returns a resource's name in the module. A resource that every table has is one block, without the tables' ids."""
        table = self._tables.get(resource)
        return resource if table is None else resource.removeprefix(id_of(table))

    def of(self, value: Value) -> object:
        """Returns a value in the form for `hcl.expression`."""
        match value:
            case TableName() | TableId() | StreamOf():
                return self._of_table(value)
            case Joined(between, entries):
                return Raw(f"join({quoted(between)}, {expression([self.of(each) for each in entries])})")
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
        table = self._tables.get(part.resource)
        index = "" if table is None else f"[{self._index(table)}]"
        return f"{kind}.{snake(self.name_of(part.resource))}{index}.{attributes[part.attribute]}"

    def _of_table(self, value: TableName | TableId | StreamOf) -> object:
        if isinstance(value, StreamOf):
            return Raw(f"var.{STREAMS}[{self._index(value.table)}]")
        if isinstance(value, TableId):
            return Raw("each.value") if value.table == self._table else value.id
        return Raw(self._key) if value.table == self._table else value.table

    def _index(self, table: str) -> str:
        return self._key if table == self._table else quoted(table)

    def _template(self, parts: Sequence[Part]) -> Raw:
        """Returns a text with values in it: in quotes, or line by line."""
        several = any(isinstance(each, str) and "\n" in each for each in parts)
        joined = "".join(self._piece(each, several=several) for each in parts)
        return Raw(f"<<EOT\n{joined}\nEOT" if several else f'"{joined}"')

    def _piece(self, part: Part, *, several: bool) -> str:
        value = self.of(part)
        return f"${{{value.text}}}" if isinstance(value, Raw) else _literal(str(value), several=several)


def _literal(text: str, *, several: bool) -> str:
    plain = text if several else json.dumps(text, ensure_ascii=False)[1:-1]
    return plain.replace("${", "$${").replace("%{", "%%{")
