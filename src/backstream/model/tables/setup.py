"""Plans how to set up a table like another one: the creation, the steps after its items are in, and the steps for people. Pure.

Some settings are set later: those that would act on the items while they are written (time to live, Kinesis), those that would
prevent a new start (deletion protection, which comes last), and those that CreateTable does not know.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backstream.model.tables import leftovers
from backstream.model.tables.creation import OF_AWS, Creation, creation_of, definitions, global_index
from backstream.model.tables.leftovers import Left
from backstream.model.tables.settings import PARTS, AutoScaling, TableSettings
from backstream.model.values.decoding import UNDECODABLE
from backstream.model.values.schema import KeySchema

DYNAMODB = "dynamodb"
SCALING = "application-autoscaling"

# Every on-demand table has this from its first second:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
WARM = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000}
_CAPACITY = {"ReadUnitsPerSecond": "ReadCapacityUnits", "WriteUnitsPerSecond": "WriteCapacityUnits"}


class SetupStep(msgspec.Struct, frozen=True):
    """One call that sets one thing. `what`: its name for people; `operation`: of the API of `service`, with this `request`."""

    what: str
    service: str
    operation: str
    request: Mapping[str, Any]

    @property
    def command(self) -> str:
        """The same call as a command of the AWS CLI, for a POSIX shell."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "-", self.operation).lower()
        return f"aws {self.service} {words} --cli-input-json {shlex.quote(msgspec.json.encode(self.request).decode())}"


class Todo(msgspec.Struct, frozen=True):
    """A setting that differs from the former table's, and why. `command`: sets it, or shows it; empty if there is none.

    `failed`: True if it was tried; otherwise a person decides, or there is nothing to do.
    """

    what: str
    why: str
    command: str = ""
    failed: bool = False


class TableNames(msgspec.Struct, frozen=True):
    """The ARNs of the settings' table and of the new table; `stream` is the ARN of the former table's stream."""

    former_arn: str
    arn: str
    stream: str = ""

    @property
    def former(self) -> str:
        """The former table's name."""
        return self.former_arn.rpartition("/")[2]

    @property
    def name(self) -> str:
        """The new table's name."""
        return self.arn.rpartition("/")[2]

    @property
    def account(self) -> str:
        """The account of the new table; empty if its ARN does not state it."""
        return (self.arn.split(":") + [""] * 5)[4]

    @property
    def region(self) -> str:
        """The region of the new table."""
        return (self.arn.split(":") + [""] * 4)[3]


class Setup(msgspec.Struct, frozen=True):
    """The plan: create, fill, then the `steps` in this order. `time_to_live` is the first of them, or None."""

    creation: Creation
    time_to_live: SetupStep | None
    steps: Sequence[SetupStep]
    todo: Sequence[Todo]


def plan(settings: TableSettings, schema: KeySchema, names: TableNames, *, indexes: bool = True) -> Setup:
    """Plans a table with these settings; without `indexes`, neither they nor their settings are set."""
    left: list[Todo] = [*_unknown(settings), *_left_indexes(settings.table, schema, names, indexes=indexes)]
    steps: list[SetupStep] = []
    for step in _steps(settings, names):
        if isinstance(step, Todo):
            left.append(step)
        elif not indexes and _is_of_an_index(step):
            left.append(Todo(step.what, "its index was left out: once that is there", step.command))
        else:
            steps.append(step)
    table = settings.table
    left += _left(leftovers.vector_indexes(table, schema), names)
    left += [*_warmth(table, names), *_left(leftovers.replicas(table, names.region), names)]
    left += [*_left(leftovers.unknown_members(table), names), *_from_outside(settings, names)]
    return Setup(creation_of(schema, settings, indexes=indexes), _time_to_live(settings, names), steps, left)


def after_import(creation: Creation, names: TableNames) -> Iterator[SetupStep]:
    """Yields the steps that set what CreateTable could have set, and ImportTable cannot."""
    request, of_table = creation.request, {"TableName": names.name}
    if "Tags" in request:
        yield SetupStep("tags", DYNAMODB, "TagResource", {"ResourceArn": names.arn, "Tags": request["Tags"]})
    if "StreamSpecification" in request:
        yield SetupStep("stream", DYNAMODB, "UpdateTable", {**of_table, "StreamSpecification": request["StreamSpecification"]})
    if "TableClass" in request:
        yield SetupStep("table class", DYNAMODB, "UpdateTable", {**of_table, "TableClass": request["TableClass"]})


def _time_to_live(settings: TableSettings, names: TableNames) -> SetupStep | None:
    if settings.time_to_live is None:
        return None
    wanted = {"Enabled": True, "AttributeName": settings.time_to_live}
    request = {"TableName": names.name, "TimeToLiveSpecification": wanted}
    return SetupStep("time to live", DYNAMODB, "UpdateTimeToLive", request)


# --- steps ------------------------------------------------------------------------------------------------------------------------


def _steps(settings: TableSettings, names: TableNames) -> Iterator[SetupStep | Todo]:
    of_table = {"TableName": names.name}
    recovery = settings.point_in_time_recovery
    if recovery.enabled:
        days = {} if recovery.recovery_period_in_days is None else {"RecoveryPeriodInDays": recovery.recovery_period_in_days}
        wanted = {"PointInTimeRecoveryEnabled": True, **days}
        request = {**of_table, "PointInTimeRecoverySpecification": wanted}
        yield SetupStep("point-in-time recovery", DYNAMODB, "UpdateContinuousBackups", request)
    for insights in settings.contributor_insights:
        index = {} if insights.index is None else {"IndexName": insights.index}
        mode = {} if insights.mode is None else {"ContributorInsightsMode": insights.mode}
        request = {**of_table, **index, "ContributorInsightsAction": "ENABLE", **mode}
        where = "" if insights.index is None else f" of {insights.index}"
        yield SetupStep(f"contributor insights{where}", DYNAMODB, "UpdateContributorInsights", request)
    for each in settings.kinesis_destinations:
        request = {**of_table, "StreamArn": each.stream_arn}
        if each.precision is not None:
            request["EnableKinesisStreamingConfiguration"] = {"ApproximateCreationDateTimePrecision": each.precision}
        yield SetupStep(f"Kinesis destination {each.stream_arn}", DYNAMODB, "EnableKinesisStreamingDestination", request)
    yield from _scaling(settings, names)
    if settings.resource_policy is not None:
        yield _policy(settings.resource_policy, names)
    if settings.table.get("DeletionProtectionEnabled"):
        yield SetupStep("deletion protection", DYNAMODB, "UpdateTable", {**of_table, "DeletionProtectionEnabled": True})


def _is_of_an_index(step: SetupStep) -> bool:
    return "IndexName" in step.request or "/index/" in str(step.request.get("ResourceId", ""))


# --- auto scaling -----------------------------------------------------------------------------------------------------------------

_OF_TARGET = ("ServiceNamespace", "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity", "SuspendedState")
_OF_POLICY = (
    "ServiceNamespace",
    "ResourceId",
    "ScalableDimension",
    "PolicyName",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "StepScalingPolicyConfiguration",
    "PredictiveScalingPolicyConfiguration",
)
_OF_ACTION = (
    "ServiceNamespace",
    "ResourceId",
    "ScalableDimension",
    "ScheduledActionName",
    "Schedule",
    "Timezone",
    "StartTime",
    "EndTime",
    "ScalableTargetAction",
)
_LINES_OF_SCALING = {
    "targets": ("auto scaling", "RegisterScalableTarget", _OF_TARGET),
    "policies": ("scaling policy", "PutScalingPolicy", _OF_POLICY),
    "scheduled_actions": ("scheduled action", "PutScheduledAction", _OF_ACTION),
}
_DIMENSIONS = ("dynamodb:table:", "dynamodb:index:")
SERVICE_ROLE = ":role/aws-service-role/"  # the service takes its own by itself; naming it would take iam:PassRole


def _scaling(settings: TableSettings, names: TableNames) -> Iterator[SetupStep | Todo]:
    """Yields targets first: policies and scheduled actions belong to a target.

    A line of another table or of another service is left to a person: it would change what was never restored.
    """
    scaling = settings.autoscaling
    for kind in _LINES_OF_SCALING:
        yield from (_of_something_else(kind, line) for line in getattr(scaling, kind) if not _is_of_table(line, names))
    scaling = AutoScaling(*([each for each in getattr(scaling, kind) if _is_of_table(each, names)] for kind in _LINES_OF_SCALING))
    for target in scaling.targets:
        role = str(target.get("RoleARN", SERVICE_ROLE))
        request = _scaled(target, _OF_TARGET, names) | ({} if SERVICE_ROLE in role else {"RoleARN": role})
        yield SetupStep(f"auto scaling of {_scaled_part(request)}", SCALING, "RegisterScalableTarget", request)
    for policy in scaling.policies:
        yield from _scaling_policy(policy, names)
    for action in scaling.scheduled_actions:
        request = _scaled(action, _OF_ACTION, names)
        what = f"scheduled action {request.get('ScheduledActionName')} of {_scaled_part(request)}"
        yield SetupStep(what, SCALING, "PutScheduledAction", request)


def _is_of_table(line: Mapping[str, Any], names: TableNames) -> bool:
    namespace, dimension = line.get("ServiceNamespace", DYNAMODB), str(line.get("ScalableDimension", ""))
    table, _, index = str(line.get("ResourceId", "")).partition("/index/")
    return (
        namespace == DYNAMODB
        and table == f"table/{names.former}"
        and "/" not in index
        and dimension.startswith(_DIMENSIONS[bool(index)])
    )


def _of_something_else(kind: str, line: Mapping[str, Any]) -> Todo:
    what, operation, members = _LINES_OF_SCALING[kind]
    of = f"{line.get('ServiceNamespace', DYNAMODB)} {line.get('ResourceId')}"
    request = {name: line[name] for name in members if name in line}
    return Todo(f"{what} of {of}", "left off: it is not of this table", SetupStep(what, SCALING, operation, request).command)


def _scaling_policy(policy: Mapping[str, Any], names: TableNames) -> Iterator[SetupStep | Todo]:
    request = _with_dimensions(_scaled(policy, _OF_POLICY, names), names)
    what = f"scaling policy {request.get('PolicyName')} of {_scaled_part(request)}"
    yield SetupStep(what, SCALING, "PutScalingPolicy", request)
    if policy.get("PolicyType") == "StepScaling":
        yield Todo(what, "its alarms are not in the catalog: they are to name the new policy's ARN as their action")


def _scaled(line: Mapping[str, Any], members: Sequence[str], names: TableNames) -> dict[str, Any]:
    """Returns a described line as it is registered for the new table."""
    kept = {"ServiceNamespace": DYNAMODB} | {name: line[name] for name in members if line.get(name) is not None}
    parts = str(line.get("ResourceId", "")).split("/", 2)
    if parts[:2] == ["table", names.former]:
        kept["ResourceId"] = "/".join(["table", names.name, *parts[2:]])
    return kept


def _scaled_part(request: Mapping[str, Any]) -> str:
    """Returns `index by-carrier, ReadCapacityUnits`."""
    index = str(request.get("ResourceId", "")).partition("/index/")[2]
    dimension = str(request.get("ScalableDimension", "")).rpartition(":")[2]
    return f"{f'index {index}' if index else 'the table'}, {dimension}"


def _with_dimensions(value: Any, names: TableNames) -> Any:
    """Returns a policy in which the former table's own metrics are replaced by the new table's."""
    if isinstance(value, Mapping):
        if value.get("Name") == "TableName" and value.get("Value") == names.former:
            return {**value, "Value": names.name}
        return {name: _with_dimensions(each, names) for name, each in value.items()}
    return [_with_dimensions(each, names) for each in value] if isinstance(value, list) else value


# --- the resource policy ----------------------------------------------------------------------------------------------------------


def _policy(policy: str, names: TableNames) -> SetupStep | Todo:
    text = policy_for(policy, names)
    if text is not None:
        return SetupStep("resource policy", DYNAMODB, "PutResourcePolicy", {"ResourceArn": names.arn, "Policy": text})
    as_it_was = SetupStep("", DYNAMODB, "PutResourcePolicy", {"ResourceArn": names.arn, "Policy": policy})
    why = f"it names more than {names.former_arn} and its indexes: this is the old text, to be changed before it is set"
    return Todo("resource policy", why, as_it_was.command)


def policy_for(policy: str, names: TableNames) -> str | None:
    """Returns the policy with the new table's ARNs in place of the former one's; None if that may change its meaning."""
    if names.arn == names.former_arn:
        return policy
    if names.arn.rpartition("/")[0] != names.former_arn.rpartition("/")[0]:
        return None  # another account or region: principals and conditions may mean something else there
    try:
        document = msgspec.json.decode(policy, type=dict[str, Any])
    except UNDECODABLE:
        return None
    said = document.get("Statement", [])
    statements = [_statement(each, names) for each in (said if isinstance(said, list) else [said])]
    text = msgspec.json.encode({**document, "Statement": statements}).decode()
    sure = None not in statements and not re.search(re.escape(names.former_arn) + r"(?![\w.-])", text)
    return text if sure else None


def _statement(statement: Any, names: TableNames) -> dict[str, Any] | None:
    if not isinstance(statement, Mapping) or "NotResource" in statement:
        return None
    said = statement.get("Resource", [])
    resources = [_resource(str(each), names) for each in (said if isinstance(said, list) else [said])]
    if None in resources:
        return None
    rewritten = {"Resource": resources if isinstance(said, list) else resources[0]} if "Resource" in statement else {}
    return {**statement, **rewritten}


def _resource(resource: str, names: TableNames) -> str | None:
    if resource == "*":
        return resource
    if resource == names.former_arn or resource.startswith((f"{names.former_arn}/index/", f"{names.former_arn}/*")):
        return names.arn + resource.removeprefix(names.former_arn)
    return None  # a pattern, a stream (the new one has another label), or another table


# --- what is left to people -------------------------------------------------------------------------------------------------------


def _unknown(settings: TableSettings) -> Iterator[Todo]:
    """Yields the parts that are set as they were last seen, which may be never."""
    for part, why in settings.unknown.items():
        known = getattr(settings, part, None) != getattr(TableSettings({}), part, None)
        done = "set as it was last seen" if known else "not set"
        words = f"could not be seen when the settings were kept ({why}): {done}, which may be wrong"
        yield Todo(PARTS.get(part, part), words)


def _left_indexes(table: Mapping[str, Any], schema: KeySchema, names: TableNames, *, indexes: bool) -> Iterator[Todo]:
    if indexes:
        return
    for line in table.get("GlobalSecondaryIndexes") or ():
        created = [{"Create": global_index(line, table)}]
        request = {
            "TableName": names.name,
            "AttributeDefinitions": definitions(schema, table, [line]),
            "GlobalSecondaryIndexUpdates": created,
        }
        step = SetupStep(f"global index {line['IndexName']}", DYNAMODB, "UpdateTable", request)
        yield Todo(step.what, "left out, as asked; one at a time", step.command)
    for line in table.get("LocalSecondaryIndexes") or ():
        yield Todo(f"local index {line['IndexName']}", "left out, as asked; it can only be created with the table: restore again")


def _warmth(table: Mapping[str, Any], names: TableNames) -> Iterator[Todo]:
    """Yields the warm throughput: it grows with use, and having it at once is billed, so a person decides."""
    why = "it grows with use; to have it at once costs something"
    if warm := _is_warm(table):
        yield _update("warm throughput", why, names, WarmThroughput=warm)
    for index in table.get("GlobalSecondaryIndexes") or ():
        if warm := _is_warm(index):
            change = {"Update": {"IndexName": index["IndexName"], "WarmThroughput": warm}}
            yield _update(f"warm throughput of {index['IndexName']}", why, names, GlobalSecondaryIndexUpdates=[change])


def _is_warm(part: Mapping[str, Any]) -> dict[str, int]:
    """Returns the part's warm throughput, if it is more than a new part has."""
    warm, capacity = part.get("WarmThroughput") or {}, part.get("ProvisionedThroughput") or {}
    grown = any(warm.get(name, 0) > max(least, capacity.get(_CAPACITY[name]) or 0) for name, least in WARM.items())
    return {name: warm[name] for name in WARM if name in warm} if grown else {}


def _left(left: Iterator[Left], names: TableNames) -> Iterator[Todo]:
    for each in left:
        yield Todo(each.what, each.why) if each.request is None else _update(each.what, each.why, names, **each.request)


def _update(what: str, why: str, names: TableNames, **request: Any) -> Todo:
    return Todo(what, why, SetupStep(what, DYNAMODB, "UpdateTable", {"TableName": names.name, **request}).command)


def _from_outside(settings: TableSettings, names: TableNames) -> Iterator[Todo]:
    """Yields the things that point at the table and are kept elsewhere."""
    if owned := [key for key in settings.tags if key.startswith(OF_AWS)]:
        yield Todo(f"tags {', '.join(owned)}", "only AWS sets them: import the table into its stack, if it is to have one again")
    if settings.table.get("StreamSpecification", {}).get("StreamEnabled"):
        look = f"aws lambda list-event-source-mappings --event-source-arn {shlex.quote(names.stream)}" if names.stream else ""
        yield Todo("readers of the stream", "the new stream has a new ARN: give it to the functions that read the old one", look)
    if names.name != names.former:
        why = f"what names {names.former} from outside is not in the catalog"
        yield Todo("CloudWatch alarms, IAM policies, backup plans", why)
