"""A table's settings: everything that is needed to set up a table like it, without parts that change by themselves. Pure.

AWS's answers are normalized so that equal settings are equal bytes. Parts that move (sizes, counts, dates, transitional states) and
parts that only name this incarnation (ids, ARNs of the table itself) are dropped. Lists without a meaningful order are sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec


class PointInTimeRecovery(msgspec.Struct, frozen=True):
    """DynamoDB's own point-in-time recovery. `recovery_period_in_days` is None if it is off, or was not stated."""

    enabled: bool = False
    recovery_period_in_days: int | None = None


class KinesisDestination(msgspec.Struct, frozen=True):
    """A Kinesis stream that receives the table's changes. `precision`: of their times, MILLISECOND or MICROSECOND."""

    stream_arn: str
    precision: str | None = None


class ContributorInsights(msgspec.Struct, frozen=True):
    """CloudWatch Contributor Insights of the table (`index` is None) or of one index, if they are on."""

    index: str | None = None
    mode: str | None = None


class AutoScaling(msgspec.Struct, frozen=True):
    """Application Auto Scaling of the table and its indexes, each part in the shape in which the service registers it."""

    targets: Sequence[Mapping[str, Any]] = []
    policies: Sequence[Mapping[str, Any]] = []
    scheduled_actions: Sequence[Mapping[str, Any]] = []


class TableSettings(msgspec.Struct, frozen=True):
    """A table's settings.

    `table`: DescribeTable's answer, stripped; `time_to_live`: the attribute, None while it is off; `resource_policy`: the policy's
    text. `unknown`: part -> reason, for each part that could not be read; such a part has its last known value, or is empty.
    """

    table: Mapping[str, Any]
    time_to_live: str | None = None
    tags: Mapping[str, str] = {}
    point_in_time_recovery: PointInTimeRecovery = PointInTimeRecovery()
    resource_policy: str | None = None
    kinesis_destinations: Sequence[KinesisDestination] = []
    contributor_insights: Sequence[ContributorInsights] = []
    autoscaling: AutoScaling = AutoScaling()
    unknown: Mapping[str, str] = {}


# --- what of a description is worked with, so that anything else is named where it is read ----------------------------------------

_Number = int | float


class _Named(msgspec.Struct):
    AttributeName: str


class _Definition(_Named):
    AttributeType: str


class _Capacity(msgspec.Struct, frozen=True):
    ReadCapacityUnits: _Number | None = None
    WriteCapacityUnits: _Number | None = None


class _Warm(msgspec.Struct):
    ReadUnitsPerSecond: _Number = 0
    WriteUnitsPerSecond: _Number = 0


class _Index(msgspec.Struct):
    IndexName: str
    KeySchema: list[_Named]
    ProvisionedThroughput: _Capacity | None = None
    OnDemandThroughput: dict[str, _Number] | None = None
    WarmThroughput: _Warm | None = None


class _Stream(msgspec.Struct, frozen=True):
    StreamEnabled: bool = False


class _Encryption(msgspec.Struct):
    SSEType: str = ""
    KMSMasterKeyArn: str = ""


class _Searched(msgspec.Struct):
    AttributeName: str = ""


class _VectorIndex(msgspec.Struct):
    SearchSchema: list[_Searched] | None = None


class _Replica(msgspec.Struct):
    GlobalSecondaryIndexes: list[dict[str, Any]] | None = None
    ReplicaTableClassSummary: dict[str, Any] | None = None


class _TableDescription(msgspec.Struct):
    AttributeDefinitions: list[_Definition] = []
    GlobalSecondaryIndexes: list[_Index] = []
    LocalSecondaryIndexes: list[_Index] | None = None
    VectorIndexes: list[_VectorIndex] | None = None
    Replicas: list[_Replica] = []
    GlobalTableWitnesses: list[dict[str, Any]] | None = None
    ProvisionedThroughput: _Capacity = _Capacity()
    OnDemandThroughput: dict[str, _Number] | None = None
    WarmThroughput: _Warm | None = None
    SSEDescription: _Encryption | None = None
    StreamSpecification: _Stream = _Stream()
    TableClassSummary: dict[str, Any] = {}
    BillingModeSummary: dict[str, Any] | None = None


def check_shape(settings: TableSettings) -> None:
    """Raises msgspec.ValidationError if the table's description does not have DynamoDB's shape: anybody may have written it."""
    msgspec.convert(settings.table, _TableDescription)


# The parts that may be unknown, and their names for people. The table's own description is never unknown: without it there are no
# settings.
PARTS = {
    "time_to_live": "time to live",
    "tags": "tags",
    "point_in_time_recovery": "point-in-time recovery",
    "resource_policy": "resource policy",
    "kinesis_destinations": "Kinesis destinations",
    "contributor_insights": "contributor insights",
    "autoscaling": "auto scaling",
}


def from_description(description: Mapping[str, Any]) -> TableSettings:
    """Returns the settings of a catalog of the first version, which held only DescribeTable's answer."""
    return TableSettings(table_of(description), unknown=dict.fromkeys(PARTS, "not yet asked for when this was written"))


def carried(known: TableSettings, seen: TableSettings) -> TableSettings:
    """Returns `seen` with each unknown part taken from `known`, so that losing a permission does not lose the settings."""
    return msgspec.structs.replace(seen, **{part: getattr(known, part) for part in PARTS if part in seen.unknown})


# --- from AWS's answers -----------------------------------------------------------------------------------------------------------

# Removed by name, anywhere: in the table, its indexes, its replicas. Also by ending, so that fields that AWS adds one day are
# covered.
_MOVING_ENDINGS = ("DateTime", "Status", "SizeBytes")
_LEFT_OUT = frozenset(
    {
        "ArchivalSummary",
        "Backfilling",
        "IndexArn",
        "ItemCount",
        "LatestStreamArn",
        "LatestStreamLabel",
        "NumberOfDecreasesToday",
        "ReplicaArn",
        "ReplicaStatusDescription",
        "ReplicaStatusPercentProgress",
        "RestoreSummary",
        "TableArn",
        "TableId",
    }
)
# AWS promises no order for these, so they are sorted by the name of their lines.
_NAMES_OF_LINES = {
    "AttributeDefinitions": "AttributeName",
    "GlobalSecondaryIndexes": "IndexName",
    "GlobalTableWitnesses": "RegionName",
    "LocalSecondaryIndexes": "IndexName",
    "Replicas": "RegionName",
}
_ON = ("ACTIVE", "ENABLED", "ENABLING", "UPDATING")
_LEFT_OUT_OF_SCALING = frozenset(
    {"Alarms", "CreationTime", "PolicyARN", "PredictedCapacity", "ScalableTargetARN", "ScheduledActionARN"}
)


def table_of(description: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings in DescribeTable's decoded answer (`Table`)."""
    stripped = {name: _stripped(name, value) for name, value in description.items() if not _is_left_out(name)}
    # A description of encryption stays for a while after encryption was turned off.
    if (description.get("SSEDescription") or {}).get("Status", "ENABLED") not in _ON:
        del stripped["SSEDescription"]
    return stripped


def _is_left_out(name: str) -> bool:
    return name in _LEFT_OUT or name.endswith(_MOVING_ENDINGS)


def _stripped(name: str, value: object) -> Any:
    if isinstance(value, Mapping):
        return {inner: _stripped(inner, each) for inner, each in value.items() if not _is_left_out(inner)}
    if not isinstance(value, list):
        return value
    lines = [_stripped("", each) for each in value]
    if name in _NAMES_OF_LINES:
        return sorted(lines, key=lambda line: str(line.get(_NAMES_OF_LINES[name])))
    return sorted(lines) if name == "NonKeyAttributes" else lines


def time_to_live_of(description: Mapping[str, Any]) -> str | None:
    """Returns the attribute in DescribeTimeToLive's TimeToLiveDescription, if it is on."""
    return description.get("AttributeName") if description.get("TimeToLiveStatus") in _ON else None


def tags_of(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Returns ListTagsOfResource's Tags, from all pages, by key."""
    return dict(sorted((tag["Key"], tag.get("Value", "")) for tag in tags))


def point_in_time_recovery_of(description: Mapping[str, Any]) -> PointInTimeRecovery:
    """Returns DescribeContinuousBackups' ContinuousBackupsDescription, without the moments that move."""
    said = description.get("PointInTimeRecoveryDescription", {})
    if said.get("PointInTimeRecoveryStatus") not in _ON:
        return PointInTimeRecovery()
    return PointInTimeRecovery(enabled=True, recovery_period_in_days=said.get("RecoveryPeriodInDays"))


def kinesis_destinations_of(destinations: Iterable[Mapping[str, Any]]) -> list[KinesisDestination]:
    """Returns DescribeKinesisStreamingDestination's destinations that are on; others stay listed for a day."""
    found = [
        KinesisDestination(each["StreamArn"], each.get("ApproximateCreationDateTimePrecision"))
        for each in destinations
        if each.get("DestinationStatus") in _ON
    ]
    return sorted(found, key=lambda each: each.stream_arn)


def contributor_insights_of(summaries: Iterable[Mapping[str, Any]]) -> list[ContributorInsights]:
    """Returns ListContributorInsights' summaries of one table, from all pages, if they are on."""
    found = [
        ContributorInsights(each.get("IndexName"), each.get("ContributorInsightsMode"))
        for each in summaries
        if each.get("ContributorInsightsStatus") in _ON
    ]
    return sorted(found, key=lambda each: each.index or "")


def autoscaling_of(
    targets: Iterable[Mapping[str, Any]], policies: Iterable[Mapping[str, Any]], actions: Iterable[Mapping[str, Any]]
) -> AutoScaling:
    """Returns the answers of DescribeScalableTargets, DescribeScalingPolicies and DescribeScheduledActions, from all pages."""
    return AutoScaling(_scaling_lines(targets), _scaling_lines(policies), _scaling_lines(actions))


def _scaling_lines(lines: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    kept = [{name: value for name, value in line.items() if name not in _LEFT_OUT_OF_SCALING} for line in lines]
    identity = ("ResourceId", "ScalableDimension", "PolicyName", "ScheduledActionName")
    return sorted(kept, key=lambda line: [str(line.get(name, "")) for name in identity])
