"""Every member of AWS's requests and descriptions is decided: kept, set again, left to people, or not used, with the reason.

A newer botocore that adds a member fails here, until somebody has decided about it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from backstream.apps.deploy import Choices, template
from backstream.model.tables import leftovers
from backstream.model.tables.settings import TableSettings, table_of
from backstream.model.tables.setup import Setup, plan
from kit import templates
from kit.furnished import OTHER, SAME, SCHEMA, settings, table

SESSION = botocore.session.get_session()
SET = "set again"  # by the creation of a table like it, or by a step after it
TODO = "left to people"  # a line of the report, with a command where there is one
MOVES = "not a setting: it moves, or names this table alone"

TABLE = {
    "AttributeDefinitions": SET,
    "TableName": SET,
    "KeySchema": SET,
    "TableStatus": MOVES,
    "CreationDateTime": MOVES,
    "ProvisionedThroughput": SET,
    "TableSizeBytes": MOVES,
    "ItemCount": MOVES,
    "TableArn": MOVES,
    "TableId": MOVES,
    "BillingModeSummary": SET,
    "LocalSecondaryIndexes": SET,
    "GlobalSecondaryIndexes": SET,
    "StreamSpecification": SET,
    "LatestStreamLabel": MOVES,
    "LatestStreamArn": MOVES,
    "GlobalTableVersion": "follows from how replicas are made: today always the newest",
    "Replicas": TODO,
    "GlobalTableWitnesses": TODO,
    "GlobalTableSettingsReplicationMode": TODO,
    "RestoreSummary": MOVES,
    "SSEDescription": SET,
    "ArchivalSummary": MOVES,
    "TableClassSummary": SET,
    "DeletionProtectionEnabled": SET,
    "OnDemandThroughput": SET,
    "WarmThroughput": TODO,
    "MultiRegionConsistency": TODO,
    "VectorIndexes": TODO,
}
INDEX = {
    "IndexName": SET,
    "KeySchema": SET,
    "Projection": SET,
    "IndexStatus": MOVES,
    "Backfilling": MOVES,
    "ProvisionedThroughput": SET,
    "IndexSizeBytes": MOVES,
    "ItemCount": MOVES,
    "IndexArn": MOVES,
    "OnDemandThroughput": SET,
    "WarmThroughput": TODO,
}
VECTOR_INDEX = {
    **dict.fromkeys(leftovers.OF_VECTOR_INDEX, TODO),
    **dict.fromkeys(("IndexStatus", "Backfilling", "IndexSizeBytes", "ItemCount", "IndexArn"), MOVES),
}
REPLICA = {
    "RegionName": TODO,
    "ReplicaStatus": MOVES,
    "ReplicaArn": MOVES,
    "ReplicaStatusDescription": MOVES,
    "ReplicaStatusPercentProgress": MOVES,
    "KMSMasterKeyId": TODO,
    "ProvisionedThroughputOverride": TODO,
    "OnDemandThroughputOverride": TODO,
    "WarmThroughput": "it grows with use, in each region by itself, and no replica is created with it",
    "GlobalSecondaryIndexes": TODO,
    "ReplicaInaccessibleDateTime": MOVES,
    "ReplicaTableClassSummary": TODO,
    "GlobalTableSettingsReplicationMode": "the table says it for all its replicas",
}
OF_LOCAL = ("IndexName", "KeySchema", "Projection", "IndexSizeBytes", "ItemCount", "IndexArn")
NOT_KEPT = "says how an export was made; its manifest says it, too"
# Requests that are made: what each member is given, or why it is not.
GIVEN = "given"
OF_OTHER_SOURCES = "of Kafka, SQS, MQ or DocumentDB: never of a DynamoDB or Kinesis stream"

DECIDED: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("dynamodb", "TableDescription"): TABLE,
    ("dynamodb", "GlobalSecondaryIndexDescription"): INDEX,
    ("dynamodb", "LocalSecondaryIndexDescription"): {name: INDEX[name] for name in OF_LOCAL},
    ("dynamodb", "VectorIndexDescription"): VECTOR_INDEX,
    ("dynamodb", "ReplicaDescription"): REPLICA,
    ("dynamodb", "ReplicaGlobalSecondaryIndexDescription"): {
        "IndexName": TODO,
        "ProvisionedThroughputOverride": TODO,
        "OnDemandThroughputOverride": TODO,
        "WarmThroughput": REPLICA["WarmThroughput"],
    },
    ("dynamodb", "GlobalTableWitnessDescription"): {"RegionName": TODO, "WitnessStatus": MOVES},
    ("dynamodb", "CreateTableInput"): {
        **dict.fromkeys(
            (
                "AttributeDefinitions",
                "TableName",
                "KeySchema",
                "LocalSecondaryIndexes",
                "GlobalSecondaryIndexes",
                "BillingMode",
                "ProvisionedThroughput",
                "StreamSpecification",
                "SSESpecification",
                "Tags",
                "TableClass",
                "OnDemandThroughput",
            ),
            GIVEN,
        ),
        "DeletionProtectionEnabled": "set last, by UpdateTable: a restore that fails must be able to begin anew",
        "WarmThroughput": "billed at once: a person decides",
        "ResourcePolicy": "set after the items are in, rewritten for the new table's name",
        "GlobalTableSourceArn": "joins the global table of another account: a restored table is its own",
        "GlobalTableSettingsReplicationMode": "goes with the replicas, which a person adds",
        "VectorIndexes": "left to people: built from the items, and billed",
    },
    ("dynamodb", "UpdateTableInput"): {
        **dict.fromkeys(
            (
                "AttributeDefinitions",
                "TableName",
                "GlobalSecondaryIndexUpdates",
                "StreamSpecification",
                "ReplicaUpdates",
                "TableClass",
                "DeletionProtectionEnabled",
                "MultiRegionConsistency",
                "GlobalTableWitnessUpdates",
                "WarmThroughput",
                "GlobalTableSettingsReplicationMode",
                "VectorIndexUpdates",
            ),
            GIVEN,
        ),
        **dict.fromkeys(("BillingMode", "ProvisionedThroughput", "SSESpecification", "OnDemandThroughput"), "set at creation"),
    },
    ("dynamodb", "TableCreationParameters"): {
        **dict.fromkeys(
            (
                "TableName",
                "AttributeDefinitions",
                "KeySchema",
                "BillingMode",
                "ProvisionedThroughput",
                "OnDemandThroughput",
                "SSESpecification",
                "GlobalSecondaryIndexes",
            ),
            GIVEN,
        ),
        "VectorIndexes": "left to people: built from the items, and billed",
    },
    ("dynamodb", "ExportDescription"): {
        **dict.fromkeys(("ExportManifest", "TableArn", "TableId", "ExportTime", "S3Bucket", "S3Prefix"), NOT_KEPT),
        **dict.fromkeys(("ExportArn", "ExportStatus", "StartTime", "EndTime", "ClientToken", "S3BucketOwner"), NOT_KEPT),
        **dict.fromkeys(("S3SseAlgorithm", "S3SseKmsKeyId", "FailureCode", "FailureMessage", "ExportFormat"), NOT_KEPT),
        **dict.fromkeys(("BilledSizeBytes", "ItemCount", "ExportType", "IncrementalExportSpecification"), NOT_KEPT),
        "FilterSpecification": "an export with one is refused as a base backup: ManifestSummary.filtered",
    },
    ("lambda", "EventSourceMappingConfiguration"): {
        **dict.fromkeys(
            (
                "UUID",
                "StartingPosition",
                "BatchSize",
                "MaximumBatchingWindowInSeconds",
                "ParallelizationFactor",
                "EventSourceArn",
                "FilterCriteria",
                "FunctionArn",
                "LastProcessingResult",
                "State",
                "DestinationConfig",
                "MaximumRecordAgeInSeconds",
                "BisectBatchOnFunctionError",
                "MaximumRetryAttempts",
                "TumblingWindowInSeconds",
                "FunctionResponseTypes",
            ),
            "doctor judges it, or finds the mapping by it",
        ),
        "StartingPositionTimestamp": "only with AT_TIMESTAMP, which doctor warns about as a StartingPosition",
        "FilterCriteriaError": "a filter is a finding, whether it can be read or not",
        "KMSKeyArn": "encrypts a filter, and a filter is a finding",
        "MetricsConfig": "more numbers in CloudWatch: nothing is lost without",
        "LoggingConfig": "how much Lambda logs about a mapping: nothing is lost without",
        "LastModified": MOVES,
        "StateTransitionReason": "State and LastProcessingResult say what is wrong",
        "EventSourceMappingArn": MOVES,
        **dict.fromkeys(
            (
                "ScalingConfig",
                "Topics",
                "Queues",
                "SourceAccessConfigurations",
                "SelfManagedEventSource",
                "AmazonManagedKafkaEventSourceConfig",
                "SelfManagedKafkaEventSourceConfig",
                "DocumentDBEventSourceConfig",
                "ProvisionedPollerConfig",
            ),
            OF_OTHER_SOURCES,
        ),
    },
    ("s3", "PutObjectRequest"): {
        **dict.fromkeys(("Body", "Bucket", "Key", "Metadata", "IfMatch", "IfNoneMatch", "ExpectedBucketOwner"), GIVEN),
        **dict.fromkeys(("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled", "StorageClass", "RequestPayer"), GIVEN),
        **dict.fromkeys(("ChecksumAlgorithm", "ChecksumCRC32"), GIVEN),
        **dict.fromkeys(
            (
                "ChecksumCRC32C",
                "ChecksumCRC64NVME",
                "ChecksumSHA1",
                "ChecksumSHA256",
                "ChecksumSHA512",
                "ChecksumMD5",
                "ChecksumXXHASH64",
                "ChecksumXXHASH3",
                "ChecksumXXHASH128",
                "ContentMD5",
                "ContentLength",
            ),
            "one checksum is enough",
        ),
        **dict.fromkeys(
            (
                "ACL",
                "GrantFullControl",
                "GrantRead",
                "GrantReadACP",
                "GrantWriteACP",
                "CacheControl",
                "ContentDisposition",
                "ContentEncoding",
                "ContentLanguage",
                "ContentType",
                "Expires",
                "WebsiteRedirectLocation",
                "Tagging",
            ),
            "for objects on the web; the vault's are closed",
        ),
        **dict.fromkeys(
            ("SSECustomerAlgorithm", "SSECustomerKey", "SSECustomerKeyMD5", "SSEKMSEncryptionContext"),
            "the vault must be readable by hand, with the bucket's own keys alone",
        ),
        **dict.fromkeys(
            (
                "ObjectLockMode",
                "ObjectLockRetainUntilDate",
                "ObjectLockLegalHoldStatus",
                "ObjectLockEventHold",
                "ObjectLockEventHoldDurationDays",
                "ObjectLockEventHoldDurationYears",
            ),
            "the bucket's default retention locks every version, those of other tools too",
        ),
        "WriteOffsetBytes": "of directory buckets, which keep no versions",
    },
    ("s3", "DeleteObjectRequest"): {
        **dict.fromkeys(("Bucket", "Key", "VersionId", "ExpectedBucketOwner", "RequestPayer", "BypassGovernanceRetention"), GIVEN),
        "MFA": "a person's token: with MFA delete, versions are removed by that person and not by this tool",
        **dict.fromkeys(("IfMatch", "IfMatchLastModifiedTime", "IfMatchSize"), "of directory buckets, or of an unversioned delete"),
    },
    ("s3", "ListObjectVersionsRequest"): {
        **dict.fromkeys(
            ("Bucket", "Prefix", "KeyMarker", "VersionIdMarker", "EncodingType", "ExpectedBucketOwner", "RequestPayer"), GIVEN
        ),
        "Delimiter": "names are listed whole",
        "MaxKeys": "a page is as large as S3 makes it",
        "OptionalObjectAttributes": "tells which archived objects are back: archived ones are no part of a vault",
    },
}


def members_of(service: str, shape: str) -> Mapping[str, Any]:
    described: Any = SESSION.get_service_model(service).shape_for(shape)
    found: Mapping[str, Any] = described.members
    return found


@pytest.mark.parametrize(("service", "shape"), DECIDED)
def test_every_member_of_aws_is_decided(service: str, shape: str) -> None:
    undecided = members_of(service, shape).keys() - DECIDED[service, shape].keys()
    assert not undecided, f"decide about these members of {shape}: kept, set again, left to people, or not used, with the reason"


def test_the_code_knows_what_is_decided() -> None:
    kinds = (
        (TABLE, leftovers.OF_TABLE),
        (INDEX, leftovers.OF_INDEX),
        (DECIDED["dynamodb", "LocalSecondaryIndexDescription"], leftovers.OF_LOCAL_INDEX),
        (REPLICA, leftovers.OF_REPLICA),
        (DECIDED["dynamodb", "ReplicaGlobalSecondaryIndexDescription"], leftovers.OF_INDEX_OF_REPLICA),
    )
    for decided, known in kinds:
        assert {name for name, decision in decided.items() if decision != MOVES} == known
        moving = {name: 1 for name, decision in decided.items() if decision == MOVES and name != "SSEDescription"}
        assert not table_of(moving)


VECTOR = {
    "IndexName": "by-meaning",
    "VectorAttribute": {"AttributeName": "embedding"},
    "SearchSchema": [{"AttributeName": "carrier", "SearchSchemaElementType": "FILTER"}],
    "Projection": {"ProjectionType": "ALL"},
    "Dimensions": 384,
    "DistanceFunction": "COSINE",
}
WARM = {"ReadUnitsPerSecond": 30_000, "WriteUnitsPerSecond": 9_000}
OVERRIDE = {"ReadCapacityUnits": 77}
EVERYTHING = table(
    BillingModeSummary={"BillingMode": "PROVISIONED"},
    Replicas=[
        {
            "RegionName": "us-east-1",
            "KMSMasterKeyId": "key",
            "ProvisionedThroughputOverride": OVERRIDE,
            "OnDemandThroughputOverride": {"MaxReadRequestUnits": 5},
            "GlobalSecondaryIndexes": [{"IndexName": "by-carrier", "ProvisionedThroughputOverride": OVERRIDE}],
            "ReplicaTableClassSummary": {"TableClass": "STANDARD"},
        }
    ],
    GlobalTableWitnesses=[{"RegionName": "us-west-2"}],
    GlobalTableSettingsReplicationMode="ENABLED",
    WarmThroughput=WARM,
    MultiRegionConsistency="STRONG",
    VectorIndexes=[VECTOR],
)


def planned(described: Mapping[str, Any], **options: bool) -> Setup:
    return plan(TableSettings(described), SCHEMA, OTHER, **options)


@pytest.mark.parametrize("member", sorted(name for name, decision in TABLE.items() if decision in (SET, TODO)))
def test_a_member_that_is_decided_makes_a_difference(member: str) -> None:
    """Nothing is only said to be set: without it the plan is another one. Two members are known from elsewhere."""
    if member in ("TableName", "KeySchema"):
        return  # the call names the table, and the catalog its keys
    described = {**EVERYTHING, "OnDemandThroughput": {"MaxReadRequestUnits": 9}}
    if member == "OnDemandThroughput":
        described["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
    if member == "BillingModeSummary":
        described["BillingModeSummary"] = {"BillingMode": "PAY_PER_REQUEST"}
    without = {name: value for name, value in described.items() if name != member}
    assert planned(described) != planned(without)


def request_of(found: Setup, what: str) -> dict[str, Any]:
    (todo,) = [each for each in found.todo if each.what == what]
    request: dict[str, Any] = json.loads(shlex.split(todo.command)[-1])
    shape: Any = SESSION.get_service_model("dynamodb").operation_model("UpdateTable").input_shape
    errors = ParamValidator().validate(request, shape)
    assert not errors.has_errors(), errors.generate_report()
    return request


@pytest.mark.parametrize("indexes", [True, False])
def test_a_vector_index_is_a_line_with_its_command(indexes: bool) -> None:  # noqa: FBT001
    request = request_of(planned(EVERYTHING, indexes=indexes), "vector index by-meaning")
    assert request["VectorIndexUpdates"] == [{"Create": VECTOR}]
    assert {each["AttributeName"] for each in request["AttributeDefinitions"]} == {"zone", "number", "carrier"}


def test_a_replica_keeps_its_own_settings() -> None:
    request = request_of(planned(EVERYTHING), "replica in us-east-1")
    assert request["ReplicaUpdates"] == [
        {
            "Create": {
                "RegionName": "us-east-1",
                "KMSMasterKeyId": "key",
                "ProvisionedThroughputOverride": OVERRIDE,
                "OnDemandThroughputOverride": {"MaxReadRequestUnits": 5},
                "TableClassOverride": "STANDARD",
                "GlobalSecondaryIndexes": [{"IndexName": "by-carrier", "ProvisionedThroughputOverride": OVERRIDE}],
            }
        }
    ]
    assert request["GlobalTableWitnessUpdates"] == [{"Create": {"RegionName": "us-west-2"}}], "one request makes both"
    assert (request["MultiRegionConsistency"], request["GlobalTableSettingsReplicationMode"]) == ("STRONG", "ENABLED")


def test_what_nobody_knows_yet_is_a_line_wherever_it_is() -> None:
    invented = {"Invented": {"Deep": [1, "x"]}}
    parts = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes", "VectorIndexes", "Replicas", "GlobalTableWitnesses")
    described = {**EVERYTHING, **invented, **{name: [{**EVERYTHING[name][0], **invented}] for name in parts}}
    told = [each for each in planned(table_of(described)).todo if each.what.startswith("Invented")]
    assert len(told) == 1 + len(parts)
    assert all('It was: {"Deep":[1,"x"]}' in each.why for each in told)


def test_an_index_without_capacity_gets_the_tables() -> None:
    bare = [
        {name: value for name, value in each.items() if name != "ProvisionedThroughput"}
        for each in table()["GlobalSecondaryIndexes"]
    ]
    request = plan(settings(table=table(GlobalSecondaryIndexes=bare)), SCHEMA, SAME).creation.request
    assert [each["ProvisionedThroughput"] for each in request["GlobalSecondaryIndexes"]] == [table()["ProvisionedThroughput"]] * 2


def test_a_mapping_of_the_template_uses_only_members_of_aws() -> None:
    parsed = templates.parse(template(Choices(tables=["flights"])))
    (mapping,) = [each for each in parsed["Resources"].values() if each["Type"] == "AWS::Lambda::EventSourceMapping"]
    assert mapping["Properties"].keys() <= members_of("lambda", "CreateEventSourceMappingRequest").keys()
