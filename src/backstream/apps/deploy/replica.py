"""A replica's deployment: a function that keeps another table like one, its role, its mapping, and the bucket of failed batches."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.apps.deploy import functions, roles, storage, tables
from backstream.apps.deploy.choices import REGION, Choices
from backstream.apps.deploy.expressions import (
    DeploymentDescription,
    Given,
    Of,
    Output,
    Parameter,
    Part,
    Resource,
    StackValue,
    Text,
    Value,
    text,
)
from backstream.apps.deploy.monitoring import alarms
from backstream.apps.deploy.tables import Target
from backstream.version import __version__

HANDLER = "backstream.apps.aws_replica.handler"
TABLE_VARIABLE, REGION_VARIABLE, DELETES_VARIABLE = (f"BACKSTREAM_REPLICA{each}" for each in ("", "_REGION", "_DELETES"))
ROLE = "ReplicaRole"


def describe(choices: Choices) -> DeploymentDescription:
    """All of it, for one table."""
    (target,) = tables.targets(choices)
    asked = [
        *tables.parameters(choices),
        *_parameters(choices),
        *functions.parameters(choices),
        *storage.failures_parameters(choices),
        *alarms.topic_parameters(choices),
    ]
    summary = f"Backstream {__version__}: {choices.replica} kept like {', '.join(choices.tables) or 'a DynamoDB table'}."
    return DeploymentDescription(summary, asked, [*_resources(choices, target)], [*_outputs(choices, target)])


def _parameters(choices: Choices) -> Iterator[Parameter]:
    meaning = "The table that becomes like it. It is there already."
    yield Parameter("ReplicaTable", meaning, choices.replica, pattern="[a-zA-Z0-9_.-]{3,255}")
    if choices.replica_region:
        yield Parameter("ReplicaRegion", "The region of that table.", choices.replica_region, pattern=REGION)
    yield Parameter(
        "ReplicaDeletes",
        "Which deletes reach it; `not-ttl`: all except time to live's.",
        choices.replica_deletes,
        choices=("all", "not-ttl", "none"),
    )


def _resources(choices: Choices, target: Target) -> Iterator[Resource]:
    yield from storage.failures_resources(choices)
    if choices.signing_profile:
        yield functions.signing()
    yield functions.log_group(functions.CAPTURE_LOG, "replica", choices)
    yield _role(choices, target)
    yield _function(choices)
    yield functions.mapping(choices, target)
    if choices.alarms:
        yield from alarms.of_replica(choices, target)


def _outputs(choices: Choices, target: Target) -> Iterator[Output]:
    yield Output("FunctionName", "The function that replicates.", Of(functions.CAPTURE, "Ref"))
    yield Output("ReplicaRoleArn", "Its role: whom a replica in another account lets in.", Of(ROLE))
    yield Output("FailuresUrl", "Where batches lie that Lambda gave up on.", text("s3://", storage.failures_bucket(choices)))
    yield Output(f"{target.id}MappingUuid", "The event source mapping.", Of(functions.mapping_id(target), "Ref"), target.table)
    command = text("backstream diff ", target.name, " ", Given("ReplicaTable"), " --repair")
    yield Output(f"{target.id}Next", "The command that makes both equal now; the function keeps them equal.", command, target.table)


def _function(choices: Choices) -> Resource:
    variables: dict[str, Value] = {
        TABLE_VARIABLE: text(Given("ReplicaTable")),
        REGION_VARIABLE: text(_region(choices)),
        DELETES_VARIABLE: text(Given("ReplicaDeletes")),
    }
    more: dict[str, Value] = {
        "Role": Of(ROLE),
        "MemorySize": Given("MemorySize"),
        "Timeout": Given("Timeout"),
        "Environment": {"Variables": variables},
    }
    if choices.reserved_concurrency is not None:
        more["ReservedConcurrentExecutions"] = choices.reserved_concurrency
    return functions.function(functions.CAPTURE, "replica", HANDLER, choices, more, "Keeps the second table like the first.")


def _role(choices: Choices, target: Target) -> Resource:
    """Returns its role. It reads items of both tables and writes the second one; it has no access to the vault."""
    statements = [
        roles.allow("SeeTables", ["dynamodb:DescribeTable"], [roles.table(target.name), _replica(choices)]),
        roles.allow("ReadItems", ["dynamodb:BatchGetItem"], [roles.table(target.name), _replica(choices)]),
        roles.allow("WriteReplica", ["dynamodb:PutItem", "dynamodb:DeleteItem"], [_replica(choices)]),
        *roles.failing(choices),
        *roles.reading(choices, roles.Tables([target])),
        *roles.keys(choices, vault=False),
        roles.log(functions.log_name("replica")),
    ]
    return roles.role(
        ROLE, "lambda", "replica", statements, "The permissions of the replicator: read both tables, write the second."
    )


def _replica(choices: Choices) -> Text:
    return text(
        "arn:", StackValue.PARTITION, ":dynamodb:", _region(choices), ":", StackValue.ACCOUNT, ":table/", Given("ReplicaTable")
    )


def _region(choices: Choices) -> Part:
    return Given("ReplicaRegion") if choices.replica_region else StackValue.REGION
