"""A table that has everything that can be set, as its settings say it."""

from __future__ import annotations

import json
from typing import Any

from backstream.model.tables.settings import (
    AutoScaling,
    ContributorInsights,
    KinesisDestination,
    PointInTimeRecovery,
    TableSettings,
)
from backstream.model.tables.setup import TableNames
from backstream.model.values.schema import KeyAttribute, KeySchema

ACCOUNT = "arn:aws:dynamodb:eu-central-1:111122223333:table"
ARN = f"{ACCOUNT}/flights"
STREAM = f"{ARN}/stream/2026-11-23T04:15:33.123"
KINESIS = "arn:aws:kinesis:eu-central-1:111122223333:stream/changes"
KEY = "arn:aws:kms:eu-central-1:111122223333:key/0000"
SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "N"))
SAME = TableNames(ARN, ARN, STREAM)
OTHER = TableNames(ARN, f"{ACCOUNT}/flights-then", STREAM)

CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
READS = "dynamodb:table:ReadCapacityUnits"
INDEX_READS = "dynamodb:index:ReadCapacityUnits"
METRIC = {"MetricName": "Reads", "Namespace": "Ours", "Dimensions": [{"Name": "TableName", "Value": "flights"}]}


def index(name: str, attribute: str, *, local: bool = False) -> dict[str, Any]:
    """An index as settings hold it."""
    hashed = ("zone", attribute) if local else (attribute,)
    keys = [{"AttributeName": each, "KeyType": role} for each, role in zip(hashed, ("HASH", "RANGE"), strict=False)]
    line: dict[str, Any] = {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}
    return line if local else {**line, "ProvisionedThroughput": CAPACITY}


def table(**more: Any) -> dict[str, Any]:
    """A provisioned table with two global indexes, a local one and a stream, as settings hold it."""
    return {
        "TableName": "flights",
        "AttributeDefinitions": [
            {"AttributeName": "carrier", "AttributeType": "S"},
            {"AttributeName": "gate", "AttributeType": "B"},
            {"AttributeName": "number", "AttributeType": "N"},
            {"AttributeName": "pilot", "AttributeType": "S"},
            {"AttributeName": "zone", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "zone", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        "ProvisionedThroughput": CAPACITY,
        "GlobalSecondaryIndexes": [index("by-carrier", "carrier"), index("by-pilot", "pilot")],
        "LocalSecondaryIndexes": [index("local", "gate", local=True)],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "SSEDescription": {"SSEType": "KMS", "KMSMasterKeyArn": KEY},
        "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
        "DeletionProtectionEnabled": True,
        **more,
    }


def policy(*resources: str, **more: Any) -> str:
    """A resource policy that allows reads of these."""
    statement = {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "Action": "dynamodb:Query", "Resource": [*resources]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | more]}, separators=(",", ":"))


def scaling() -> AutoScaling:
    """Of the table and of an index: a target, a policy with a metric of the table's, a scheduled action."""
    of_table = {"ServiceNamespace": "dynamodb", "ResourceId": "table/flights", "ScalableDimension": READS}
    of_index = {"ServiceNamespace": "dynamodb", "ResourceId": "table/flights/index/by-carrier", "ScalableDimension": INDEX_READS}
    limits = {"MinCapacity": 5, "MaxCapacity": 40}
    tracking = {"TargetValue": 70.0, "CustomizedMetricSpecification": METRIC}
    predefined = {
        "TargetValue": 70.0,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
    }
    kind = {"PolicyType": "TargetTrackingScaling"}
    action = {"ScheduledActionName": "morning", "Schedule": "cron(0 7 * * ? *)", "ScalableTargetAction": {"MinCapacity": 20}}
    return AutoScaling(
        targets=[of_table | limits, of_index | limits],
        policies=[
            {**of_table, "PolicyName": "reads", **kind, "TargetTrackingScalingPolicyConfiguration": tracking},
            {**of_index, "PolicyName": "reads", **kind, "TargetTrackingScalingPolicyConfiguration": predefined},
        ],
        scheduled_actions=[{**of_table, **action}],
    )


def settings(**more: Any) -> TableSettings:
    """All of it."""
    parts: dict[str, Any] = {
        "table": table(),
        "time_to_live": "expires",
        "tags": {"stage": "test", "team": "tower's"},
        "point_in_time_recovery": PointInTimeRecovery(enabled=True, recovery_period_in_days=7),
        "resource_policy": policy(ARN, f"{ARN}/index/*"),
        "kinesis_destinations": [KinesisDestination(KINESIS, "MICROSECOND")],
        "contributor_insights": [ContributorInsights(None), ContributorInsights("by-carrier", "THROTTLED_KEYS")],
        "autoscaling": scaling(),
    }
    return TableSettings(**{**parts, **more})
