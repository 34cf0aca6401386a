"""The description: everything that a deployment asks, creates and outputs, in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.apps.deploy import exporting, functions, replica, roles, sizes, spark, storage, tables
from backstream.apps.deploy.choices import Choices
from backstream.apps.deploy.expressions import DeploymentDescription, Given, Of, Output, Part, text
from backstream.apps.deploy.monitoring import alarms
from backstream.apps.deploy.tables import Target
from backstream.errors import UsageError
from backstream.version import __version__


def describe(choices: Choices) -> DeploymentDescription:
    """Returns all of a deployment. Raises UsageError for impossible choices."""
    choices.check()
    exporting.check(choices)
    spark.check(choices)
    if choices.replica is not None:
        return replica.describe(msgspec.structs.replace(choices, witness=False, drill=False))
    targets = tables.targets(choices)
    asked = [*tables.parameters(choices), *functions.parameters(choices), *storage.parameters(choices), *alarms.parameters(choices)]
    asked += [*spark.parameters(choices), *exporting.parameters(choices)]
    made = [
        *storage.resources(choices),
        *functions.resources(choices, targets),
        *alarms.resources(choices, targets),
        *spark.resources(choices, targets),
        *exporting.resources(choices, targets),
    ]
    of = ", ".join(choices.tables) if len(choices.tables) <= 5 else "many tables"
    summary = f"Backstream {__version__}: every change of {of or 'a DynamoDB table'} kept in S3."
    description = DeploymentDescription(summary, asked, made, [*_outputs(choices, targets)], choices.moved)
    _check_names(description)
    sizes.check(description)
    return description


def _check_names(description: DeploymentDescription) -> None:
    """Raises UsageError if two things have one name: one of them would not be deployed."""
    names = [each.id for each in description.resources] + [each.name for each in description.parameters]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two tables' names make one name of a resource: {twice[0]}", hint="Deploy them in two stacks.")


def _requests(choices: Choices) -> Iterator[Part]:
    """Yields the options of `init` that name the settings of requests."""
    asked = choices.asked
    words = {
        "--sse": "" if asked.sse is None else asked.sse.value,
        "--log-class": asked.log_class,
        "--rows-class": asked.rows_class,
    }
    flags = {
        "--bucket-key": asked.bucket_key,
        "--no-bucket-key": asked.bucket_key is False,
        "--request-payer": asked.requester_pays,
    }
    said = [f" {name} {value}" for name, value in words.items() if value] + [f" {name}" for name, on in flags.items() if on]
    if said:
        yield "".join(said)
    if asked.kms_key is not None:
        yield from (" --kms-key ", Given("KmsKeyArn"))


def _outputs(choices: Choices, targets: Sequence[Target]) -> Iterator[Output]:
    vault = storage.vault_url(choices)
    failures = text("s3://", storage.failures_bucket(choices))
    yield Output("VaultUrl", "The value for --vault and BACKSTREAM_VAULT.", vault)
    yield Output("FailuresUrl", "Where batches lie that Lambda gave up on.", failures)
    yield Output("FunctionName", "The function that keeps changes.", Of(functions.CAPTURE, "Ref"))
    yield Output("CaptureRoleArn", "The role of that function: who a vault in another account lets in.", Of(roles.CAPTURE_ROLE))
    if choices.witness:
        yield Output("WitnessRoleArn", "The role of the witness.", Of(roles.WITNESS_ROLE))
    if choices.drill:
        yield Output("DrillRoleArn", "The role of the drill.", Of(roles.DRILL_ROLE))
    if choices.retain:
        yield Output("RetainRoleArn", "The role of the retention, which alone may remove versions.", Of(roles.RETAIN_ROLE))
    yield from spark.outputs(choices)
    yield from exporting.outputs(choices)
    signing = (" --sign kms:", Given("SigningKeyArn")) if choices.signing_key else ()
    rest = (" --vault ", vault, " --failures ", failures, *signing, *_requests(choices))
    if choices.many:
        yield Output(
            "Next", "The command to run now, for each table; nothing is kept before.", text("backstream init TABLE", *rest)
        )
        return
    for each in targets:
        uuid = Of(functions.mapping_id(each), "Ref")
        yield Output(f"{each.id}MappingUuid", "The event source mapping.", uuid, each.table)
        command = text("backstream init ", each.name, *rest)
        yield Output(f"{each.id}Next", "The commands to run now; nothing is kept before.", command, each.table)
