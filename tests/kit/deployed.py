"""A deployment as a scripted account tells of it: sound until a test says otherwise."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from backstream.errors import MissingBucket, NotFound
from backstream.operations.doctor import DoctorContext
from backstream.operations.doctor.context import VaultPlace
from backstream.ports import Clock, Described, ObjectStore

VAULT = "s3://backups/prod"
FUNCTION = "keep-flights"
STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/flights/stream/2023-11-14T22:13:20.000"
METRICS = (
    "IteratorAge",
    "Errors",
    "Throttles",
    "DroppedEventCount",
    "OnFailureDestinationDeliveredEventCount",
    "DestinationDeliveryFailures",
)


class Deployed:
    """`ports.Account`: what it tells of is what these fields hold."""

    def __init__(self) -> None:
        self.caller = {"Account": "123456789012", "Arn": "arn:aws:iam::123456789012:role/operator"}
        self.found: dict[str, Any] | None = {
            "FunctionName": FUNCTION,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "Handler": "backstream.apps.aws_lambda.handler",
            "Runtime": "python3.13",
            "Timeout": 60,
            "MemorySize": 512,
            "Environment": {"Variables": {"BACKSTREAM_VAULT": VAULT}},
        }
        self.mapped: list[dict[str, Any]] = [
            {
                "UUID": "uuid-1",
                "EventSourceArn": STREAM,
                "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}",
                "State": "Enabled",
                "LastProcessingResult": "OK",
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": 100,
                "ParallelizationFactor": 1,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
                "BisectBatchOnFunctionError": True,
                "MaximumRetryAttempts": 10,
                "MaximumRecordAgeInSeconds": 43_200,
                "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::backups"}},
            }
        ]
        self.ringing: list[dict[str, Any]] = [alarm(metric) for metric in METRICS]
        self.reserved: int | None = None

    def identity(self) -> Described:
        return self.caller

    def function(self, name: str) -> Described:
        if self.found is None or name != self.found["FunctionName"]:
            raise NotFound(f"no function {name}")
        return copy.deepcopy(self.found)

    def reserved_concurrency(self, name: str) -> int | None:
        assert name == FUNCTION
        return self.reserved

    def mappings(self, *, stream: str = "", function: str = "") -> Sequence[Described]:
        return [
            each
            for each in self.mapped
            if stream in ("", each["EventSourceArn"]) and (not function or each["FunctionArn"].endswith(f":function:{function}"))
        ]

    def alarms(self) -> Sequence[Described]:
        return self.ringing


def alarm(metric: str, **more: Any) -> dict[str, Any]:
    """One that watches the function, or its mapping."""
    of_mapping = metric in ("DroppedEventCount", "OnFailureDestinationDeliveredEventCount")
    subject = {"Name": "EventSourceMappingUUID", "Value": "uuid-1"} if of_mapping else {"Name": "FunctionName", "Value": FUNCTION}
    return {
        "AlarmName": f"flights-{metric}",
        "MetricName": metric,
        "Dimensions": [subject],
        "StateValue": "OK",
        "AlarmActions": ["arn:aws:sns:us-east-1:123456789012:pager"],
        **more,
    }


class Bucket:
    """`ports.BucketSettings` of a sound bucket, the only one that there is being `backups`."""

    def __init__(self, bucket: str = "backups") -> None:
        self.bucket = bucket
        self.owner = "123456789012"
        self.rules: list[Described] = []
        self.document: Described = {}
        self.lock: Described = {}
        self.now = 0.0
        self.region = "us-east-1"

    def find(self) -> str:
        if self.bucket != "backups":
            raise MissingBucket(f"no bucket {self.bucket}")
        return self.region

    def is_of(self, account: str) -> bool:
        return account == self.owner

    def server_time(self) -> float:
        return self.now

    def versioning(self) -> str:
        return "Enabled"

    def encryption(self) -> str | None:
        return "aws:kms"

    def public_access_block(self) -> Described:
        return dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)

    def policy(self) -> Described:
        return self.document

    def object_lock(self) -> Described:
        return self.lock

    def lifecycle(self) -> Sequence[Described]:
        return self.rules


def patient(account: Deployed, clock: Clock, store: ObjectStore, bucket: Bucket | None = None, **more: Any) -> DoctorContext:
    """Whom these are handed to; what else it asks for is not there."""

    def missing(name: str) -> Any:
        raise NotFound(f"no {name}")

    parts: dict[str, Any] = {
        "place": VaultPlace(VAULT, store, bucket or Bucket(), "prod/"),
        "account": account,
        "clock": clock,
        "region": lambda: "us-east-1",
        "endpoints": lambda: {"S3": "https://s3.amazonaws.com"},
        "table_of": missing,
        "stream_of": missing,
        "vault_of": missing,
        "bucket_of": Bucket,
        **more,
    }
    return DoctorContext(**parts)
