"""The settings of a table in memory: from its creation, and from later steps, of every kind that plans name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.errors import Failed
from backstream.model.tables import settings
from backstream.model.tables.creation import ON_DEMAND, Creation
from backstream.model.tables.settings import ContributorInsights, KinesisDestination, PointInTimeRecovery, TableSettings
from backstream.model.tables.setup import SetupStep

_AS_ASKED = (
    "AttributeDefinitions",
    "KeySchema",
    "LocalSecondaryIndexes",
    "GlobalSecondaryIndexes",
    "OnDemandThroughput",
    "DeletionProtectionEnabled",
)
_NO_CAPACITY = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}


def described(request: Mapping[str, Any]) -> dict[str, Any]:
    """Returns DescribeTable's answer for a table created by this CreateTable request."""
    said = {name: request[name] for name in _AS_ASKED if name in request}
    said["ProvisionedThroughput"] = request.get("ProvisionedThroughput", _NO_CAPACITY)
    if request.get("BillingMode") == ON_DEMAND:
        said["BillingModeSummary"] = {"BillingMode": ON_DEMAND}
    if "TableClass" in request:
        said["TableClassSummary"] = {"TableClass": request["TableClass"]}
    if encryption := request.get("SSESpecification"):
        key = {"KMSMasterKeyArn": encryption["KMSMasterKeyId"]} if "KMSMasterKeyId" in encryption else {}
        said["SSEDescription"] = {"Status": "ENABLED", "SSEType": encryption["SSEType"], **key}
    return said


class MemorySettings:
    """The settings of one table.

    `description`: DescribeTable's part that `creation` asked for; `others`: the rest, its `table` empty.
    """

    def __init__(self, creation: Creation) -> None:
        self.description = described(creation.request)
        self.others = TableSettings({}, tags=settings.tags_of(creation.request.get("Tags", ())))

    def apply(self, step: SetupStep) -> None:
        """Sets what the step states. Raises Failed for an operation that no plan names."""
        if step.operation == "UpdateTable":
            self.description |= {name: value for name, value in step.request.items() if name != "TableName"}
            return
        self.others = msgspec.structs.replace(self.others, **self._changed(step.operation, step.request))

    def _changed(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        others, scaling = self.others, self.others.autoscaling
        match operation:
            case "UpdateTimeToLive":
                wanted = request["TimeToLiveSpecification"]
                return {"time_to_live": wanted["AttributeName"] if wanted["Enabled"] else None}
            case "UpdateContinuousBackups":
                wanted = request["PointInTimeRecoverySpecification"]
                days = wanted.get("RecoveryPeriodInDays")
                recovery = PointInTimeRecovery(wanted["PointInTimeRecoveryEnabled"], days)
                return {"point_in_time_recovery": recovery}
            case "PutResourcePolicy":
                return {"resource_policy": request["Policy"]}
            case "EnableKinesisStreamingDestination":
                precision = request.get("EnableKinesisStreamingConfiguration", {}).get("ApproximateCreationDateTimePrecision")
                return {"kinesis_destinations": [*others.kinesis_destinations, KinesisDestination(request["StreamArn"], precision)]}
            case "UpdateContributorInsights":
                insights = ContributorInsights(request.get("IndexName"), request.get("ContributorInsightsMode"))
                return {"contributor_insights": [*others.contributor_insights, insights]}
            case "RegisterScalableTarget":
                return {"autoscaling": msgspec.structs.replace(scaling, targets=[*scaling.targets, request])}
            case "PutScalingPolicy":
                return {"autoscaling": msgspec.structs.replace(scaling, policies=[*scaling.policies, request])}
            case "PutScheduledAction":
                return {"autoscaling": msgspec.structs.replace(scaling, scheduled_actions=[*scaling.scheduled_actions, request])}
        raise Failed(f"a table in memory knows no {operation}")
