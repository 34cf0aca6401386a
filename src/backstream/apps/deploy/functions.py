"""The functions, all from one zip: one keeps changes, with a mapping from each stream; the witness and the drill are scheduled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backstream.apps.deploy import roles, storage
from backstream.apps.deploy.choices import BUCKET, KEY_ARN, KMS, LOG_DAYS, PROFILE_ARN, Architecture, Choices
from backstream.apps.deploy.expressions import Given, Joined, Of, Parameter, Part, Resource, StackValue, Text, Value, text
from backstream.apps.deploy.tables import Target
from backstream.apps.monitoring.emf import DEPLOYMENT_VARIABLE
from backstream.model import request_settings, retention
from backstream.model.request_settings import RequestSettings
from backstream.operations.doctor import expected
from backstream.version import __version__

CAPTURE, CAPTURE_LOG = "Capture", "CaptureLog"
WITNESS, WITNESS_LOG = "Witness", "WitnessLog"
WITNESS_TIMEOUT = 300  # seconds, four minutes of them for reading
WITNESS_MEMORY = 512  # MB
DRILL, DRILL_LOG = "Drill", "DrillLog"
DRILL_HANDLER = "backstream.apps.aws_drill.handler"
DRILL_TIMEOUT = 900  # seconds: all that Lambda gives
DRILL_MEMORY = 2_048  # MB
DRILL_DISK = 4_096  # MB; where the engine keeps what does not fit in memory
RETAIN, RETAIN_LOG = "Retain", "RetainLog"
RETAIN_HANDLER = "backstream.apps.aws_retain.handler"
RETRIED_SECONDS = 3_600
DRILLS, DRILLS_OF_MANY = "rate(1 day)", "rate(1 hour)"
DUE = "24h"  # of many tables, each is drilled once in that time
SIGNING = "CodeSigning"


def parameters(choices: Choices) -> Iterator[Parameter]:
    """Yields the parameters of the functions and the mapping."""
    zip_name = f"backstream-lambda-{__version__}-{choices.architecture}.zip"
    yield Parameter("CodeBucket", "The bucket where the function's zip lies, in this region.", pattern=BUCKET)
    yield Parameter("CodeKey", "The zip's key in it. A new zip needs a new key, or it is not seen.", zip_name, pattern=".+[.]zip")
    kinds = tuple(each.value for each in Architecture)
    yield Parameter("Architecture", "The architecture of the zip.", choices.architecture.value, choices=kinds)
    yield Parameter("Runtime", "Lambda's Python, the same as in the zip.", choices.runtime, pattern="python3[.][0-9]{1,2}")
    yield _number(
        "MemorySize", "Memory of the capturing function, in MB; it sets its share of a processor, too.", "memory", choices
    )
    yield _number("Timeout", "Seconds that the function has for a batch.", "timeout", choices)
    yield Parameter("LogRetentionDays", "Days for which logs are kept.", choices.log_days, choices=LOG_DAYS)
    if choices.logs_key:
        yield Parameter("LogsKeyArn", "The KMS key that encrypts the logs.", choices.logs_key, pattern=KEY_ARN)
    if choices.environment_key:
        meaning = "The KMS key that encrypts the functions' variables."
        yield Parameter("EnvironmentKeyArn", meaning, choices.environment_key, pattern=KEY_ARN)
    if choices.signing_profile:
        meaning = "The version of a signing profile of AWS Signer: code that is not signed by it is refused."
        yield Parameter("SigningProfileVersionArn", meaning, choices.signing_profile, pattern=PROFILE_ARN)
    if choices.signing_key:
        meaning = "The KMS key with which the functions sign what they write; the one that `init --sign` names."
        yield Parameter("SigningKeyArn", meaning, choices.signing_key, pattern=KEY_ARN)
    yield _number("BatchSize", "Changes in one invocation at most.", "batch_size", choices)
    yield _number("BatchingWindowSeconds", "Time in which a batch may fill up.", "batching_window", choices)
    meaning = "Batches of one shard at a time. More than 1 is faster where a shard has more than one function can keep."
    yield _number("ParallelizationFactor", meaning, "parallelization", choices)
    meaning = "Retries of a failing batch before it goes to the failures' bucket."
    yield _number("MaximumRetryAttempts", meaning, "retries", choices)
    meaning = "Age at which a change that cannot be kept goes to the failures' bucket; a stream forgets it after 86400."
    yield _number("MaximumRecordAgeSeconds", meaning, "record_age", choices)
    if choices.witness:
        meaning = "When the witness reads the streams again: no second is claimed before it has."
        yield Parameter("WitnessSchedule", meaning, choices.witness_schedule, pattern=r"(rate|cron)[(].+[)]")
    if choices.retain:
        meaning = "When the history that `init --keep` gives up is removed."
        yield Parameter("RetainSchedule", meaning, choices.retain_schedule, pattern=r"(rate|cron)[(].+[)]")
    if choices.alarms or choices.drill:
        yield _number(
            "RpoSeconds",
            "Recovery point objective in seconds, for the alarm on lag and the drill.",
            "rpo_seconds",
            choices,
        )
    if choices.drill:
        yield _number("RtoSeconds", "Recovery time objective in seconds, for the drill.", "rto_seconds", choices)
        yield Parameter(
            "DrillSchedule",
            "When restores are tried.",
            choices.drill_schedule or (DRILLS_OF_MANY if choices.many else DRILLS),
            pattern=r"(rate|cron)[(].+[)]",
        )


def resources(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the functions with their logs and roles, the mappings and the schedules."""
    if choices.signing_profile:
        yield signing()
    yield log_group(CAPTURE_LOG, "capture", choices)
    yield roles.capture_role(choices, targets, log_name("capture"))
    yield _capture(choices)
    yield from (mapping(choices, each) for each in targets)
    if choices.witness:
        yield log_group(WITNESS_LOG, "witness", choices)
        yield roles.witness_role(choices, targets, log_name("witness"))
        yield _witness(choices)
        yield tried_once(WITNESS, "The next run does the rest, so a run is not tried twice more, as Lambda would.")
        yield from _witnessings(choices, targets)
    if choices.drill:
        yield log_group(DRILL_LOG, "drill", choices)
        yield roles.drill_role(choices, targets, log_name("drill"))
        yield _drill(choices)
        yield tried_once(DRILL, "A drill that failed has found something: it is not tried twice more, as Lambda would.")
        yield from _schedules(choices, targets)
    if choices.retain:
        yield log_group(RETAIN_LOG, "retain", choices)
        yield roles.retain_role(choices, targets, log_name("retain"))
        yield _retain(choices)
        yield tried_once(RETAIN, "The next run goes on where one was interrupted, so it is not tried twice more, as Lambda would.")
        yield from _retentions(targets)
    asked = ((WITNESS, choices.witness), (DRILL, choices.drill), (RETAIN, choices.retain), ("Export", choices.export is not None))
    scheduled = [name for name, wanted in asked if wanted]
    if scheduled:
        yield roles.schedule_role(scheduled)


def mapping_id(target: Target) -> str:
    """The id of a table's event source mapping."""
    return f"{target.id}Mapping"


def _number(name: str, meaning: str, choice: str, choices: Choices) -> Parameter:
    limit = choices.limit(choice)
    return Parameter(name, meaning, getattr(choices, choice), least=limit.least, most=limit.most)


def log_name(word: str) -> Text:
    return text("/aws/lambda/", StackValue.STACK, f"-{word}")


def log_group(id_: str, word: str, choices: Choices) -> Resource:
    properties: dict[str, Value] = {"LogGroupName": log_name(word), "RetentionInDays": Given("LogRetentionDays")}
    if choices.logs_key:
        properties["KmsKeyId"] = Given("LogsKeyArn")
    return Resource(id_, "AWS::Logs::LogGroup", properties)


def signing() -> Resource:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-codesigning.html"""
    properties: dict[str, Value] = {
        "AllowedPublishers": {"SigningProfileVersionArns": [Given("SigningProfileVersionArn")]},
        "CodeSigningPolicies": {"UntrustedArtifactOnDeployment": "Enforce"},
    }
    return Resource(SIGNING, "AWS::Lambda::CodeSigningConfig", properties, "The functions take only code that is signed.")


def function(id_: str, word: str, handler: str, choices: Choices, more: Mapping[str, Value], why: str) -> Resource:
    """Returns a function that finds the vault in its variables, unless `more` has others."""
    properties: dict[str, Value] = {
        "FunctionName": text(StackValue.STACK, f"-{word}"),
        "Handler": handler,
        "Runtime": Given("Runtime"),
        "Architectures": [Given("Architecture")],
        "Code": {"S3Bucket": Given("CodeBucket"), "S3Key": Given("CodeKey")},
        "Environment": {"Variables": vault_variables(choices)},
        **more,
    }
    if choices.environment_key:
        properties["KmsKeyArn"] = Given("EnvironmentKeyArn")
    if choices.signing_profile:
        properties["CodeSigningConfigArn"] = Of(SIGNING, "Ref")
    return Resource(id_, "AWS::Lambda::Function", properties, why, after=(f"{id_}Log",))


def vault_variables(choices: Choices) -> dict[str, Value]:
    """Returns the variables by which a function finds the vault."""
    return {
        expected.VAULT_VARIABLE: storage.vault_url(choices),
        expected.OWNER_VARIABLE: text(storage.vault_owner(choices)),
        **({DEPLOYMENT_VARIABLE: text(StackValue.STACK)} if choices.grouped else {}),
        **_requests_variables(choices.asked),
    }


def _requests_variables(asked: RequestSettings) -> dict[str, Value]:
    """Returns the variables that say what the bucket's policy demands. The functions follow them whatever the catalog says."""
    key: dict[str, Value] = {request_settings.KEY: text(Given("KmsKeyArn"))} if asked.kms_key is not None else {}
    return {**asked.variables(), **key}


def _writers_variables(choices: Choices) -> dict[str, Value]:
    """Returns the variables of writers. They sign with this key whatever the catalog says, because the catalog is in the bucket."""
    signing: dict[str, Value] = {expected.SIGN_VARIABLE: text(KMS, Given("SigningKeyArn"))} if choices.signing_key else {}
    return {**vault_variables(choices), **signing}


def _capture(choices: Choices) -> Resource:
    parallel = {expected.PARALLELIZATION_VARIABLE: text(Given("ParallelizationFactor"))}
    more: dict[str, Value] = {
        "Role": Of(roles.CAPTURE_ROLE),
        "MemorySize": Given("MemorySize"),
        "Timeout": Given("Timeout"),
        "Environment": {"Variables": {**_writers_variables(choices), **parallel}},
    }
    if choices.reserved_concurrency is not None:
        more["ReservedConcurrentExecutions"] = choices.reserved_concurrency
    return function(CAPTURE, "capture", expected.HANDLER, choices, more, "Keeps each batch of changes in the vault.")


def mapping(choices: Choices, target: Target) -> Resource:
    """Returns a mapping. docs/notes/0012-one-description-two-templates.md explains its settings."""
    properties: dict[str, Value] = {
        "FunctionName": Of(CAPTURE, "Ref"),
        "EventSourceArn": target.stream,
        "StartingPosition": expected.START,
        "BatchSize": Given("BatchSize"),
        "MaximumBatchingWindowInSeconds": Given("BatchingWindowSeconds"),
        "ParallelizationFactor": Given("ParallelizationFactor"),
        "FunctionResponseTypes": [expected.PARTIAL],
        "BisectBatchOnFunctionError": True,
        "MaximumRetryAttempts": Given("MaximumRetryAttempts"),
        "MaximumRecordAgeInSeconds": Given("MaximumRecordAgeSeconds"),
        "DestinationConfig": {"OnFailure": {"Destination": storage.failures_arn(choices)}},
        "MetricsConfig": {"Metrics": ["EventCount"]},
    }
    why = "The stream's changes, from the oldest on. A batch that cannot be kept goes to the failures' bucket."
    return Resource(mapping_id(target), "AWS::Lambda::EventSourceMapping", properties, why, of_table=target.table)


def _witness(choices: Choices) -> Resource:
    more: dict[str, Value] = {
        "Role": Of(roles.WITNESS_ROLE),
        "MemorySize": WITNESS_MEMORY,
        "Timeout": WITNESS_TIMEOUT,
        "Environment": {"Variables": _writers_variables(choices)},
    }
    why = "Checks the streams against the vault, and proves what may be claimed."
    return function(WITNESS, "witness", expected.WITNESS_HANDLER, choices, more, why)


def _witnessings(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the schedules of the witness: one for each table, or one for all of many."""
    at = (Given("WitnessSchedule"), {"Mode": "OFF"}, Of(WITNESS))
    if choices.many:
        yield started("Witnesses", text(StackValue.STACK, "-witness"), "The witness of all tables.", *at, of_all(targets, "}"))
        return
    for each in targets:
        name = text(StackValue.STACK, "-", each.label, "-witness")
        event = text('{"table": "', each.name, '"}')
        yield started(f"{each.id}Witnesses", name, each.named("The witness of ", "."), *at, event, each.table)


def _drill(choices: Choices) -> Resource:
    more: dict[str, Value] = {
        "Role": Of(roles.DRILL_ROLE),
        "MemorySize": DRILL_MEMORY,
        "Timeout": DRILL_TIMEOUT,
        "EphemeralStorage": {"Size": DRILL_DISK},
    }
    return function(DRILL, "drill", DRILL_HANDLER, choices, more, "Tries a restore, and tells how it went.")


def _retain(choices: Choices) -> Resource:
    least: dict[str, Value] = {} if choices.keep_at_least is None else {retention.VARIABLE: choices.keep_at_least}
    more: dict[str, Value] = {
        "Role": Of(roles.RETAIN_ROLE),
        "MemorySize": DRILL_MEMORY,
        "Timeout": DRILL_TIMEOUT,
        "EphemeralStorage": {"Size": DRILL_DISK},
        "Environment": {"Variables": {**_writers_variables(choices), **least}},
    }
    return function(RETAIN, "retain", RETAIN_HANDLER, choices, more, "Removes the history that `init --keep` gives up, for good.")


def _retentions(targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the schedule of the retention, of all tables: its function takes them one after the other."""
    at = (Given("RetainSchedule"), {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, Of(RETAIN))
    yield started("Retentions", text(StackValue.STACK, "-retain"), "The retention of all tables.", *at, of_all(targets, "}"))


def tried_once(function: str, why: str) -> Resource:
    """Returns the setting by which Lambda runs a scheduled function once."""
    properties = {
        "FunctionName": Of(function, "Ref"),
        "Qualifier": "$LATEST",
        "MaximumRetryAttempts": 0,
        "MaximumEventAgeInSeconds": RETRIED_SECONDS,
    }
    return Resource(f"{function}Invocation", "AWS::Lambda::EventInvokeConfig", properties, why)


def _schedules(choices: Choices, targets: Sequence[Target]) -> Iterator[Resource]:
    """Yields the schedules of drills: one for each table, or one for all of many."""
    at = (Given("DrillSchedule"), {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}, Of(DRILL))
    objectives = ('"rpo": "', Given("RpoSeconds"), 's", "rto": "', Given("RtoSeconds"), 's"}')
    if choices.many:
        # The function begins with the table whose last drill is longest ago. The next run goes on until none is due.
        within = ('"within": "', Given("DrillWithinHours"), 'h", ') if choices.alarms else ()
        event = of_all(targets, f', "due": "{DUE}", ', *within, *objectives)
        yield started("Drills", text(StackValue.STACK, "-drill"), "The drills of all tables.", *at, event)
        return
    for each in targets:
        name = text(StackValue.STACK, "-", each.label, "-drill")
        one = text('{"table": "', each.name, '", ', *objectives)
        yield started(f"{each.id}Drills", name, each.named("A drill of ", "."), *at, one, each.table)


def started(
    id_: str,
    name: Text,
    what: str | Text,
    when: Value,
    window: Mapping[str, Value],
    function: Of,
    event: Value,
    table: str | None = None,
) -> Resource:
    """Returns a schedule that starts a function with an event: see the handlers, as apps/aws_witness.py."""
    properties: dict[str, Value] = {
        "Name": name,
        "Description": what,
        "ScheduleExpression": when,
        "FlexibleTimeWindow": window,
        "Target": {"Arn": function, "RoleArn": Of(roles.SCHEDULE_ROLE), "Input": event},
    }
    return Resource(id_, "AWS::Scheduler::Schedule", properties, of_table=table)


def of_all(targets: Sequence[Target], *rest: Part) -> Joined | Text:
    """Returns the event for all tables, with one table in a line of the template."""
    if len(targets) == 1:
        return text('{"tables": ["', targets[0].name, '"]', *rest)
    names = Joined('", "', [each.name for each in targets])
    return Joined("", ['{"tables": ["', names, text('"]', *rest)])
