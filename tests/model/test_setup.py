"""How a table is set up like another one: every setting is in the plan, and every request is one that AWS's own model allows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import ParamValidator

from backstream.clock import SystemClock
from backstream.model.tables.creation import creation_of, on_demand
from backstream.model.tables.settings import PARTS, AutoScaling, PointInTimeRecovery, TableSettings, from_description, table_of
from backstream.model.tables.setup import Setup, SetupStep, TableNames, Todo, plan, policy_for
from backstream.tables.memory import MemoryTable
from kit.furnished import (
    ACCOUNT,
    ARN,
    CAPACITY,
    INDEX_READS,
    KEY,
    OTHER,
    READS,
    SAME,
    SCHEMA,
    STREAM,
    index,
    policy,
    settings,
    table,
)

SESSION = botocore.session.get_session()


def input_of(service: str, operation: str) -> Any:
    return SESSION.get_service_model(service).operation_model(operation).input_shape


def check(service: str, operation: str, request: Mapping[str, Any]) -> None:
    """Whether AWS's model of the operation allows this request."""
    found = ParamValidator().validate(request, input_of(service, operation))
    assert not found.has_errors(), f"{operation}: {found.generate_report()}"


def whats(lines: Sequence[SetupStep] | Sequence[Todo]) -> list[str]:
    return [each.what for each in lines]


def every_step(found: Setup) -> list[SetupStep]:
    return [*([] if found.time_to_live is None else [found.time_to_live]), *found.steps]


# --- creation ---------------------------------------------------------------------------------------------------------------------


def test_create_table_is_asked_for_everything_it_can_set() -> None:
    request = creation_of(SCHEMA, settings()).request
    assert request == {
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": CAPACITY,
        "KeySchema": table()["KeySchema"],
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in (("zone", "S"), ("number", "N"), ("gate", "B"), ("carrier", "S"), ("pilot", "S"))
        ],
        "LocalSecondaryIndexes": [index("local", "gate", local=True)],
        "GlobalSecondaryIndexes": [index("by-carrier", "carrier"), index("by-pilot", "pilot")],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "Tags": [{"Key": "stage", "Value": "test"}, {"Key": "team", "Value": "tower's"}],
    }
    check("dynamodb", "CreateTable", {"TableName": "flights", **request})


def test_without_indexes_their_attributes_are_not_named() -> None:
    request = creation_of(SCHEMA, settings(), indexes=False).request
    assert request["AttributeDefinitions"] == [
        {"AttributeName": "zone", "AttributeType": "S"},
        {"AttributeName": "number", "AttributeType": "N"},
    ]
    assert not any("Index" in name for name in request)


def test_an_on_demand_table_has_maximums_and_no_capacity() -> None:
    none = {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    limited = {**index("by-carrier", "carrier"), "ProvisionedThroughput": none, "OnDemandThroughput": {"MaxReadRequestUnits": 9}}
    described = table(
        BillingModeSummary={"BillingMode": "PAY_PER_REQUEST"},
        ProvisionedThroughput=none,
        OnDemandThroughput={"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1},
        GlobalSecondaryIndexes=[limited],
    )
    request = creation_of(SCHEMA, TableSettings(described)).request
    assert request["BillingMode"] == "PAY_PER_REQUEST"
    assert request["OnDemandThroughput"] == {"MaxReadRequestUnits": 100}
    assert "ProvisionedThroughput" not in request
    (found,) = request["GlobalSecondaryIndexes"]
    assert found["OnDemandThroughput"] == {"MaxReadRequestUnits": 9}
    assert "ProvisionedThroughput" not in found
    check("dynamodb", "CreateTable", {"TableName": "flights", **request})


def test_defaults_are_not_asked_for() -> None:
    plain = {"SSEDescription": {"SSEType": "AES256"}, "StreamSpecification": {"StreamEnabled": False}}
    assert creation_of(SCHEMA, TableSettings(plain)) == on_demand(SCHEMA)
    assert on_demand(SCHEMA).request.keys() == {"BillingMode", "AttributeDefinitions", "KeySchema"}


def test_tags_that_only_aws_sets_are_left_to_it() -> None:
    owned = settings(tags={"aws:cloudformation:stack-name": "air", "team": "tower"})
    assert creation_of(SCHEMA, owned).request["Tags"] == [{"Key": "team", "Value": "tower"}]
    (todo,) = [each for each in plan(owned, SCHEMA, SAME).todo if each.what.startswith("tags")]
    assert "aws:cloudformation:stack-name" in todo.what


# --- steps ------------------------------------------------------------------------------------------------------------------------


def test_steps_come_in_the_order_in_which_they_may_be_done() -> None:
    found = plan(settings(), SCHEMA, SAME)
    assert [each.operation for each in every_step(found)] == [
        "UpdateTimeToLive",
        "UpdateContinuousBackups",
        "UpdateContributorInsights",
        "UpdateContributorInsights",
        "EnableKinesisStreamingDestination",
        "RegisterScalableTarget",
        "RegisterScalableTarget",
        "PutScalingPolicy",
        "PutScalingPolicy",
        "PutScheduledAction",
        "PutResourcePolicy",
        "UpdateTable",
    ]
    assert found.steps[-1].request == {"TableName": "flights", "DeletionProtectionEnabled": True}
    assert whats(found.todo) == ["readers of the stream"]
    assert STREAM in found.todo[0].command


@pytest.mark.parametrize("names", [SAME, OTHER], ids=["same name", "another name"])
def test_every_request_is_one_of_aws_and_every_command_says_the_same(names: Any) -> None:
    for step in every_step(plan(settings(), SCHEMA, names)):
        check(step.service, step.operation, step.request)
        said, service, words, option, body = shlex.split(step.command)
        assert (said, service, option) == ("aws", step.service, "--cli-input-json")
        assert words == xform_name(step.operation, "-")
        assert json.loads(body) == step.request


@pytest.mark.parametrize("names", [SAME, OTHER], ids=["same name", "another name"])
def test_the_plan_carried_out_gives_the_same_settings(names: Any) -> None:
    wanted = settings(autoscaling=AutoScaling()) if names is OTHER else settings()
    made = MemoryTable(names.name, SystemClock())
    found = plan(wanted, SCHEMA, names)
    made.create(found.creation)
    for step in every_step(found):
        made.apply(step)
    new = made.settings()
    assert {**new.table, "TableName": "flights"} == table_of(table())
    assert (new.time_to_live, new.tags, new.autoscaling) == (wanted.time_to_live, wanted.tags, wanted.autoscaling)
    assert (new.point_in_time_recovery, new.kinesis_destinations) == (wanted.point_in_time_recovery, wanted.kinesis_destinations)
    assert new.contributor_insights == wanted.contributor_insights
    assert new.resource_policy == policy(names.arn, f"{names.arn}/index/*")


def test_what_is_off_takes_no_step() -> None:
    found = plan(TableSettings({}, point_in_time_recovery=PointInTimeRecovery()), SCHEMA, SAME)
    assert (every_step(found), found.todo) == ([], [])


def test_another_name_is_in_all_that_names_the_table() -> None:
    steps = every_step(plan(settings(), SCHEMA, OTHER))
    text = json.dumps([each.request for each in steps])
    assert '"flights"' not in text
    assert '"table/flights"' not in text
    assert {each.request["ResourceId"] for each in steps if each.service == "application-autoscaling"} == {
        "table/flights-then",
        "table/flights-then/index/by-carrier",
    }


def test_a_role_is_named_only_if_it_is_ones_own() -> None:
    def role(arn: str) -> Any:
        target = {"ResourceId": "table/flights", "ScalableDimension": READS, "RoleARN": arn}
        (step,) = plan(TableSettings({}, autoscaling=AutoScaling([target])), SCHEMA, SAME).steps
        return step.request.get("RoleARN")

    assert role("arn:aws:iam::1:role/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/X") is None
    assert role("arn:aws:iam::1:role/ours") == "arn:aws:iam::1:role/ours"


# --- the resource policy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resource", [ARN, f"{ARN}/index/by-carrier", f"{ARN}/*", "*"])
def test_a_policy_of_the_table_is_rewritten(resource: str) -> None:
    assert policy_for(policy(resource), OTHER) == policy(resource.replace(ARN, OTHER.arn))
    single = json.dumps({"Statement": {"Effect": "Deny", "Resource": resource}}, separators=(",", ":"))
    assert json.loads(policy_for(single, OTHER) or "")["Statement"] == [
        {"Effect": "Deny", "Resource": resource.replace(ARN, OTHER.arn)}
    ]


@pytest.mark.parametrize(
    "text",
    [
        policy(f"{ACCOUNT}/flight*"),
        policy(STREAM),
        policy(f"{ACCOUNT}/gates"),
        policy(ARN, NotResource=[ARN]),
        policy(ARN, Condition={"ArnEquals": {"aws:SourceArn": ARN}}),
        "no JSON",
        '{"Statement":[7]}',
    ],
)
def test_a_policy_that_may_come_to_mean_something_else_is_a_todo(text: str) -> None:
    assert policy_for(text, OTHER) is None
    assert policy_for(text, SAME) == text
    found = plan(settings(resource_policy=text), SCHEMA, OTHER)
    assert "resource policy" not in whats(found.steps)
    (todo,) = [each for each in found.todo if each.what == "resource policy"]
    assert json.loads(shlex.split(todo.command)[-1]) == {"ResourceArn": OTHER.arn, "Policy": text}


def test_a_policy_of_another_account_or_region_is_a_todo() -> None:
    for place in ("eu-central-1:999922223333", "us-east-1:111122223333"):
        there = type(SAME)(ARN, f"arn:aws:dynamodb:{place}:table/flights", STREAM)
        assert policy_for(policy(ARN), there) is None


# --- what is left to people -------------------------------------------------------------------------------------------------------


def test_indexes_left_out_are_named_with_what_belongs_to_them() -> None:
    found = plan(settings(), SCHEMA, OTHER, indexes=False)
    assert not any("index" in json.dumps(each.request).lower() and "resource policy" not in each.what for each in found.steps)
    todo = {each.what: each for each in found.todo}
    for name, attribute in (("by-carrier", "carrier"), ("by-pilot", "pilot")):
        request = json.loads(shlex.split(todo[f"global index {name}"].command)[-1])
        check("dynamodb", "UpdateTable", request)
        assert request["GlobalSecondaryIndexUpdates"] == [{"Create": index(name, attribute)}]
        assert {each["AttributeName"] for each in request["AttributeDefinitions"]} == {"zone", "number", attribute}
    assert "only be created with the table" in todo["local index local"].why
    assert not todo["local index local"].command
    assert todo.keys() >= {
        "contributor insights of by-carrier",
        "auto scaling of index by-carrier, ReadCapacityUnits",
        "scaling policy reads of index by-carrier, ReadCapacityUnits",
    }


def test_parts_that_could_not_be_seen_are_named() -> None:
    found = plan(settings(unknown={"tags": "denied"}), SCHEMA, SAME)
    (todo,) = [each for each in found.todo if each.what == "tags"]
    assert "denied" in todo.why
    assert "as it was last seen" in todo.why
    never = plan(TableSettings({}, unknown={"autoscaling": "denied"}), SCHEMA, SAME)
    assert "not set" in never.todo[0].why


def test_a_catalog_of_the_first_version_gives_what_it_knows() -> None:
    found = plan(from_description({**table(), "TableArn": ARN, "ItemCount": 7}), SCHEMA, SAME)
    assert found.creation.request["GlobalSecondaryIndexes"] == [index("by-carrier", "carrier"), index("by-pilot", "pilot")]
    assert whats(found.steps) == ["deletion protection"]
    assert whats(found.todo)[: len(PARTS)] == list(PARTS.values())


def test_replicas_are_a_persons_to_add() -> None:
    replicas = [{"RegionName": "eu-central-1"}, {"RegionName": "us-east-1", "KMSMasterKeyId": KEY}]
    (todo,) = [each for each in plan(settings(table=table(Replicas=replicas)), SCHEMA, SAME).todo if "replica" in each.what]
    request = json.loads(shlex.split(todo.command)[-1])
    check("dynamodb", "UpdateTable", request)
    assert request["ReplicaUpdates"] == [{"Create": {"RegionName": "us-east-1", "KMSMasterKeyId": KEY}}]


def test_strong_replicas_need_an_empty_table() -> None:
    described = table(
        Replicas=[{"RegionName": "us-east-1"}], GlobalTableWitnesses=[{"RegionName": "us-west-2"}], MultiRegionConsistency="STRONG"
    )
    todo = [each for each in plan(settings(table=described), SCHEMA, SAME).todo if "in us-" in each.what]
    assert whats(todo) == ["replica in us-east-1", "witness in us-west-2"]
    assert all("--settings-only" in each.why for each in todo)
    check("dynamodb", "UpdateTable", json.loads(shlex.split(todo[0].command)[-1]))


def test_warm_throughput_that_has_grown_is_named() -> None:
    warm = {"ReadUnitsPerSecond": 12_001, "WriteUnitsPerSecond": 4_000}
    new = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000}
    described = table(WarmThroughput=new, GlobalSecondaryIndexes=[{**index("by-carrier", "carrier"), "WarmThroughput": warm}])
    (todo,) = [each for each in plan(settings(table=described), SCHEMA, SAME).todo if "warm" in each.what]
    request = json.loads(shlex.split(todo.command)[-1])
    check("dynamodb", "UpdateTable", request)
    assert request["GlobalSecondaryIndexUpdates"] == [{"Update": {"IndexName": "by-carrier", "WarmThroughput": warm}}]
    grown = settings(table=table(WarmThroughput=warm))
    assert "warm throughput" in whats(plan(grown, SCHEMA, SAME).todo)


def test_alarms_of_step_scaling_are_a_persons() -> None:
    line = {"ResourceId": "table/flights", "ScalableDimension": READS, "PolicyName": "steps", "PolicyType": "StepScaling"}
    found = plan(TableSettings({}, autoscaling=AutoScaling(policies=[line])), SCHEMA, SAME)
    assert whats(found.steps) == whats(found.todo)
    assert "alarms" in found.todo[0].why


def test_what_names_the_old_table_from_outside_is_told() -> None:
    assert any("CloudWatch alarms" in each for each in whats(plan(settings(), SCHEMA, OTHER).todo))
    assert not any("CloudWatch alarms" in each for each in whats(plan(settings(), SCHEMA, SAME).todo))


@pytest.mark.parametrize(
    "of",
    [
        {"ResourceId": "table/payments", "ScalableDimension": READS},
        {"ResourceId": "table/flights/../payments", "ScalableDimension": READS},
        {"ResourceId": "table/flights/index/a/b", "ScalableDimension": INDEX_READS},
        {"ResourceId": "table/flights", "ScalableDimension": INDEX_READS},
        {"ResourceId": "service/prod/web", "ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"},
        {"ResourceId": "table/flights", "ServiceNamespace": "cassandra", "ScalableDimension": "cassandra:table:ReadCapacityUnits"},
        {"ResourceId": "table/flights", "ScalableDimension": "ecs:service:DesiredCount"},
        {"ScalableDimension": READS},
    ],
)
@pytest.mark.parametrize("names", [SAME, OTHER])
def test_auto_scaling_of_something_else_is_a_persons(of: dict[str, Any], names: TableNames) -> None:
    """A catalog is data: who may write it could scale another service of this account down to nothing."""
    scaling = AutoScaling(
        targets=[{**of, "MinCapacity": 0, "MaxCapacity": 0}],
        policies=[{**of, "PolicyName": "x", "PolicyType": "TargetTrackingScaling"}],
        scheduled_actions=[{**of, "ScheduledActionName": "x", "Schedule": "rate(1 minute)"}],
    )
    found = plan(TableSettings({}, autoscaling=scaling), SCHEMA, names)
    assert whats(found.steps) == []
    assert [each.why for each in found.todo if "scal" in each.what or "scheduled" in each.what] == [
        "left off: it is not of this table"
    ] * 3
