"""Checks AWS's limits for one deployment: the number of resources, and the length of policies.

An error here is better than one at deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstream.apps.deploy.expressions import (
    DeploymentDescription,
    Given,
    Of,
    Resource,
    StackValue,
    StreamOf,
    TableName,
    Text,
    Value,
)
from backstream.errors import UsageError

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
RESOURCES, PARAMETERS, OUTPUTS = 500, 200, 200
# AWS limits all inline policies of a role together, without white space:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
POLICIES = 10_240
# These are the most characters of later values: a stream's ARN for a table with a name of medium length, a bucket's name.
_LATER = {StackValue.PARTITION: 10, StackValue.ACCOUNT: 12, StackValue.REGION: 14, StackValue.DOMAIN: 16, StackValue.STACK: 29}
_GIVEN, _BUCKET = 120, 63


def check(description: DeploymentDescription) -> None:
    """Raises UsageError if it is too large."""
    for has, most, what in (
        (len(description.resources), RESOURCES, "resources in a stack"),
        (sum(not each.in_template for each in description.parameters), PARAMETERS, "parameters of a stack"),
        (len(description.outputs), OUTPUTS, "outputs of a stack"),
        (max(map(policies, description.resources)), POLICIES, "characters in a role's policies"),
    ):
        if has > most:
            raise UsageError(
                f"too many tables for one deployment: about {has:,} {what}, of {most:,} that AWS takes",
                hint="Deploy them in several stacks, which may share a vault: --existing-bucket.",
            )


def policies(resource: Resource) -> int:
    """Returns the characters of a role's policies; 0 for any other resource."""
    return _length(resource.properties["Policies"]) if resource.type == "AWS::IAM::Role" else 0


def _length(value: Value) -> int:
    """Returns the length of a value as JSON."""
    match value:
        case Text(parts):
            return 2 + sum(len(each) if isinstance(each, str) else _length(each) for each in parts)
        case Given("VaultPrefix"):
            return _LATER[StackValue.STACK]
        case Given() | StreamOf():
            return _GIVEN
        case TableName(name):
            return len(name)
        case Of():
            return _BUCKET
        case StackValue():
            return _LATER[value]
        case Mapping():
            return 2 + sum(len(str(name)) + 4 + _length(each) for name, each in value.items())
        case str():
            return len(value) + 2
        case Sequence():
            return 2 + sum(1 + _length(each) for each in value)
    return len(str(value))
