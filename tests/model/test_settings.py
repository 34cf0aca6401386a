"""A table's settings: what is kept of AWS's answers, when two settings differ, and how that is said."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from backstream.model.tables import settings
from backstream.model.tables.settings import (
    AutoScaling,
    ContributorInsights,
    KinesisDestination,
    PointInTimeRecovery,
    TableSettings,
    carried,
    from_description,
    table_of,
)
from backstream.model.tables.settings_changes import differences, lost

ARN = "arn:aws:dynamodb:eu-central-1:111122223333:table/flights"


def index(name: str, **more: Any) -> dict[str, Any]:
    """A global index as DescribeTable shows it."""
    return {
        "IndexName": name,
        "IndexArn": f"{ARN}/index/{name}",
        "IndexStatus": "ACTIVE",
        "Backfilling": False,
        "IndexSizeBytes": 7,
        "ItemCount": 1,
        "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
        "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b", "a"]},
        "ProvisionedThroughput": {
            "ReadCapacityUnits": 5,
            "WriteCapacityUnits": 6,
            "NumberOfDecreasesToday": 2,
            "LastIncreaseDateTime": 1.5,
        },
        "WarmThroughput": {"ReadUnitsPerSecond": 12, "WriteUnitsPerSecond": 4, "Status": "UPDATING"},
        **more,
    }


# All that DescribeTable's documentation names and that says more than one table's name.
DESCRIPTION: dict[str, Any] = {
    "TableName": "flights",
    "TableArn": ARN,
    "TableId": "d6764c49-5d19-4ae5-8049-79ca7c784d14",
    "TableStatus": "UPDATING",
    "CreationDateTime": 1795406400.123,
    "ItemCount": 10,
    "TableSizeBytes": 1000,
    "AttributeDefinitions": [{"AttributeName": "zone", "AttributeType": "S"}, {"AttributeName": "at", "AttributeType": "N"}],
    "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}],
    "BillingModeSummary": {"BillingMode": "PROVISIONED", "LastUpdateToPayPerRequestDateTime": 1.0},
    "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 20, "LastDecreaseDateTime": 3.25},
    "OnDemandThroughput": {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1},
    "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    "GlobalSecondaryIndexes": [index("by-zone"), index("by-at")],
    "LocalSecondaryIndexes": [{"IndexName": "local", "Projection": {"ProjectionType": "ALL"}, "ItemCount": 3, "IndexSizeBytes": 9}],
    "LatestStreamArn": f"{ARN}/stream/2026-11-23T04:15:33.123",
    "LatestStreamLabel": "2026-11-23T04:15:33.123",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:eu-central-1:111122223333:key/k"},
    "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS", "LastUpdateDateTime": 5.0},
    "DeletionProtectionEnabled": True,
    "RestoreSummary": {"SourceTableArn": ARN, "RestoreInProgress": True, "RestoreDateTime": 6.0},
    "GlobalTableVersion": "2019.11.21",
    "Replicas": [
        {
            "RegionName": "us-east-1",
            "ReplicaStatus": "CREATING",
            "ReplicaStatusPercentProgress": "40",
            "KMSMasterKeyId": "k",
            "GlobalSecondaryIndexes": [{"IndexName": "by-zone", "WarmThroughput": {"ReadUnitsPerSecond": 1, "Status": "ACTIVE"}}],
            "ReplicaTableClassSummary": {"TableClass": "STANDARD", "LastUpdateDateTime": 7.0},
        },
        {"RegionName": "eu-west-1", "ReplicaStatus": "ACTIVE", "WarmThroughput": {"ReadUnitsPerSecond": 1}},
    ],
}


def described(**changed: Any) -> TableSettings:
    """Settings of the table above, with some of its description changed, and every other part known."""
    return TableSettings(table_of({**copy.deepcopy(DESCRIPTION), **changed}))


def names(value: object) -> set[str]:
    """Every name that stands anywhere in a JSON value."""
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in names(each)}
    return {name for each in value for name in names(each)} if isinstance(value, list) else set()


# --- what is kept -----------------------------------------------------------------------------------------------------------------


def test_nothing_that_moves_by_itself_is_kept() -> None:
    kept = names(table_of(DESCRIPTION))
    assert not {
        name for name in kept if name.endswith(("DateTime", "Status", "SizeBytes", "Label", "PercentProgress", "Summary"))
    } - {
        "BillingModeSummary",
        "TableClassSummary",
        "ReplicaTableClassSummary",
    }
    assert not kept & {"ItemCount", "Backfilling", "NumberOfDecreasesToday", "TableId", "TableArn", "IndexArn", "LatestStreamArn"}


def test_everything_that_sets_up_such_a_table_is_kept() -> None:
    table = table_of(DESCRIPTION)
    assert table["KeySchema"] == DESCRIPTION["KeySchema"]
    assert table["BillingModeSummary"] == {"BillingMode": "PROVISIONED"}
    assert table["ProvisionedThroughput"] == {"ReadCapacityUnits": 10, "WriteCapacityUnits": 20}
    assert table["OnDemandThroughput"] == DESCRIPTION["OnDemandThroughput"]
    assert table["StreamSpecification"] == DESCRIPTION["StreamSpecification"]
    assert table["SSEDescription"] == {"SSEType": "KMS", "KMSMasterKeyArn": "arn:aws:kms:eu-central-1:111122223333:key/k"}
    assert table["TableClassSummary"] == {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
    assert table["DeletionProtectionEnabled"] is True
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["by-at", "by-zone"]
    assert table["GlobalSecondaryIndexes"][0]["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]}
    assert table["GlobalSecondaryIndexes"][0]["KeySchema"] == index("x")["KeySchema"], "the order of a key schema means something"
    assert table["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"] == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    assert table["LocalSecondaryIndexes"] == [{"IndexName": "local", "Projection": {"ProjectionType": "ALL"}}]
    assert [each["RegionName"] for each in table["Replicas"]] == ["eu-west-1", "us-east-1"]
    assert table["Replicas"][1]["KMSMasterKeyId"] == "k"


@pytest.mark.parametrize(("status", "kept"), [("ENABLING", True), ("UPDATING", True), ("DISABLING", False), ("DISABLED", False)])
def test_encryption_that_was_turned_off_is_no_setting(status: str, kept: bool) -> None:  # noqa: FBT001 - a column of the table
    table = table_of({"TableName": "flights", "SSEDescription": {"Status": status, "SSEType": "KMS"}})
    assert ("SSEDescription" in table) == kept


def test_the_other_parts() -> None:
    assert settings.time_to_live_of({"TimeToLiveStatus": "ENABLING", "AttributeName": "expires"}) == "expires"
    assert settings.time_to_live_of({"TimeToLiveStatus": "DISABLING", "AttributeName": "expires"}) is None
    assert list(settings.tags_of([{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}]).items()) == [("a", ""), ("b", "2")]
    backups: dict[str, Any] = {"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 7, "LatestRestorableDateTime": 1.5}
    assert settings.point_in_time_recovery_of({"PointInTimeRecoveryDescription": backups}) == PointInTimeRecovery(
        enabled=True, recovery_period_in_days=7
    )
    assert settings.point_in_time_recovery_of({"ContinuousBackupsStatus": "ENABLED"}) == PointInTimeRecovery()
    streams = [
        {"StreamArn": "z", "DestinationStatus": "ACTIVE", "ApproximateCreationDateTimePrecision": "MICROSECOND"},
        {"StreamArn": "b", "DestinationStatus": "DISABLED"},
        {"StreamArn": "a", "DestinationStatus": "ENABLING"},
    ]
    assert settings.kinesis_destinations_of(streams) == [KinesisDestination("a"), KinesisDestination("z", "MICROSECOND")]
    insights = [{"IndexName": "by-at", "ContributorInsightsStatus": "ENABLED"}, {"ContributorInsightsStatus": "DISABLED"}]
    assert settings.contributor_insights_of(insights) == [ContributorInsights("by-at")]


def test_auto_scaling_in_one_order_and_without_what_the_service_adds() -> None:
    targets = [target("table/flights", "Write", CreationTime=1.5, ScalableTargetARN="arn"), target("table/flights", "Read")]
    policies = [{"PolicyName": "p", "PolicyARN": "arn", "Alarms": [{"AlarmName": "a"}], "CreationTime": 1.0, "PolicyType": "T"}]
    actions = [{"ScheduledActionName": "s", "ScheduledActionARN": "arn", "Schedule": "cron(0 7 * * ? *)", "StartTime": 5.0}]
    scaling = settings.autoscaling_of(targets, policies, actions)
    assert scaling.targets == [target("table/flights", "Read"), target("table/flights", "Write")]
    assert scaling.policies == [{"PolicyName": "p", "PolicyType": "T"}]
    assert scaling.scheduled_actions == [{"ScheduledActionName": "s", "Schedule": "cron(0 7 * * ? *)", "StartTime": 5.0}]


def target(resource: str, what: str, **more: Any) -> dict[str, Any]:
    """A scalable target."""
    kind = "index" if "/index/" in resource else "table"
    return {"ResourceId": resource, "ScalableDimension": f"dynamodb:{kind}:{what}CapacityUnits", "MaxCapacity": 40, **more}


def test_settings_survive_being_written() -> None:
    whole = TableSettings(
        table_of(DESCRIPTION),
        time_to_live="expires",
        tags={"team": "tower"},
        point_in_time_recovery=PointInTimeRecovery(enabled=True, recovery_period_in_days=35),
        resource_policy='{"Version":"2012-10-17"}',
        kinesis_destinations=[KinesisDestination("arn", "MILLISECOND")],
        contributor_insights=[ContributorInsights(None, "ACCESSED_AND_THROTTLED_KEYS")],
        autoscaling=AutoScaling([target("table/flights", "Read")], [], []),
        unknown={"tags": "denied"},
    )
    assert msgspec.json.decode(msgspec.json.encode(whole), type=TableSettings) == whole


# --- what differs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moved",
    [
        {"ItemCount": 11, "TableSizeBytes": 1, "TableStatus": "ACTIVE"},
        {"WarmThroughput": {"ReadUnitsPerSecond": 99000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}},
        {"GlobalSecondaryIndexes": [index("by-at", ItemCount=5), index("by-zone", WarmThroughput={"ReadUnitsPerSecond": 77})]},
        {"AttributeDefinitions": DESCRIPTION["AttributeDefinitions"][::-1], "Replicas": DESCRIPTION["Replicas"][::-1]},
    ],
    ids=["sizes", "warmth", "indexes", "order"],
)
def test_what_moves_by_itself_is_no_difference(moved: dict[str, Any]) -> None:
    assert differences(described(), described(**moved)) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"DeletionProtectionEnabled": False}, ["DeletionProtectionEnabled: true -> false"]),
        (
            {"StreamSpecification": None},
            ['StreamSpecification: {"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"} -> none'],
        ),
        (
            {"GlobalSecondaryIndexes": [index("by-at", Projection={"ProjectionType": "ALL"}), index("new")]},
            ["GlobalSecondaryIndexes: by-at changed, by-zone removed, new added"],
        ),
        ({"LocalSecondaryIndexes": []}, ["LocalSecondaryIndexes: local removed"]),
        ({"Replicas": DESCRIPTION["Replicas"][:1]}, ["Replicas: eu-west-1 removed"]),
        (
            {"OnDemandThroughput": {"MaxReadRequestUnits": 7}},
            ['OnDemandThroughput: {"MaxReadRequestUnits":100,"MaxWriteRequestUnits":-1} -> {"MaxReadRequestUnits":7}'],
        ),
    ],
)
def test_what_changed_in_the_table_is_said(changed: dict[str, Any], words: list[str]) -> None:
    assert differences(described(), described(**changed)) == words


def test_what_changed_in_the_other_parts_is_said() -> None:
    known = msgspec.structs.replace(described(), tags={"stage": "test", "team": "tower"}, resource_policy="{}")
    seen = msgspec.structs.replace(
        described(),
        tags={"stage": "prod", "cost": "7"},
        time_to_live="expires",
        point_in_time_recovery=PointInTimeRecovery(enabled=True, recovery_period_in_days=7),
        resource_policy="x" * 100,
        autoscaling=AutoScaling(policies=[{"PolicyName": "p"}]),
    )
    assert differences(known, seen) == [
        "time to live: none -> expires",
        "tags: cost added, stage changed, team removed",
        'point-in-time recovery: {"enabled":false,"recovery_period_in_days":null} -> {"enabled":true,"recovery_period_in_days":7}',
        f"resource policy: {{}} -> {'x' * 57}...",
        "auto scaling: policies changed",
    ]
    assert differences(seen, seen) == []


def test_capacity_that_auto_scaling_sets_is_no_difference_and_all_other_is() -> None:
    scaling = AutoScaling([target("table/flights", "Read"), target("table/flights/index/by-at", "Write")])

    def with_units(table: int, by_at: int, by_zone: int) -> TableSettings:
        units = {"ReadCapacityUnits": table, "WriteCapacityUnits": 20}
        indexes = [
            index(name, ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": count})
            for name, count in (("by-at", by_at), ("by-zone", by_zone))
        ]
        read = described(ProvisionedThroughput=units, GlobalSecondaryIndexes=indexes)
        return msgspec.structs.replace(read, autoscaling=scaling)

    assert differences(with_units(10, 6, 6), with_units(30, 9, 6)) == []
    assert differences(with_units(10, 6, 6), with_units(10, 6, 9)) == ["GlobalSecondaryIndexes: by-zone changed"]


# --- parts that cannot be seen ----------------------------------------------------------------------------------------------------


def test_a_part_that_cannot_be_seen_stays_as_it_was_and_is_no_difference() -> None:
    known = msgspec.structs.replace(described(), tags={"team": "tower"}, time_to_live="expires")
    blind = msgspec.structs.replace(described(), unknown={"tags": "denied", "time_to_live": "denied too"})
    now = carried(known, blind)
    assert (now.tags, now.time_to_live, now.unknown) == ({"team": "tower"}, "expires", blind.unknown)
    assert differences(known, now) == []
    assert lost(known, now) == ["time to live: denied too", "tags: denied"]
    assert lost(now, now) == []


def test_a_part_that_can_be_seen_again_is_news() -> None:
    known = msgspec.structs.replace(described(), tags={"team": "tower"}, unknown={"tags": "denied"})
    same, other = msgspec.structs.replace(known, unknown={}), msgspec.structs.replace(known, tags={}, unknown={})
    assert differences(known, same) == ["now known: tags"]
    assert differences(known, other) == ["tags: team removed", "now known: tags"]


def test_two_who_may_see_different_parts_do_not_take_turns() -> None:
    catalog = msgspec.structs.replace(described(), tags={"team": "tower"})
    one = msgspec.structs.replace(described(), unknown={"tags": "denied"})
    other = msgspec.structs.replace(described(), tags={"team": "tower"}, unknown={"time_to_live": "denied"})
    saved = 0
    for seen in [one, other] * 3:
        now = carried(catalog, seen)
        if differences(catalog, now):
            catalog, saved = now, saved + 1
    assert saved == 0


def test_what_the_first_version_kept() -> None:
    old = from_description(DESCRIPTION)
    assert old.table == table_of(DESCRIPTION)
    assert set(old.unknown) == set(settings.PARTS)
    seen = msgspec.structs.replace(described(), tags={"team": "tower"})
    assert differences(old, carried(old, seen)) == [
        "tags: team added",
        f"now known: {', '.join(settings.PARTS.values())}",
    ]
