"""A table's settings over HTTP: every part, every page, and what is made of refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from backstream.clock import SystemClock
from backstream.errors import AccessDenied, Failed, Unavailable
from backstream.model.tables.creation import on_demand
from backstream.model.tables.settings import PARTS, PointInTimeRecovery, TableSettings
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from backstream.tables.settings import RESOURCES_PER_CALL, AutoScalingClient, autoscaling_config
from kit import images
from kit.aws import Aws
from kit.proxy import FaultProxy, Request, Response, answer, respond, rewrite

QUICK = recommended_config().merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
DENIED = answer(400, json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not for you"}))


@pytest.fixture
def proxy(aws: Aws) -> Iterator[FaultProxy]:
    """Between us and DynamoDB."""
    with FaultProxy(aws.endpoint("dynamodb")) as made:
        yield made


@pytest.fixture
def scaling(aws: Aws) -> Iterator[FaultProxy]:
    """Where Application Auto Scaling answers what a test scripts."""
    with FaultProxy(aws.endpoint("dynamodb")) as made:
        yield made


@pytest.fixture
def table(aws: Aws, proxy: FaultProxy, scaling: FaultProxy, table_name: str) -> DynamoTable:
    """A new table of `images.SCHEMA` behind both."""
    made = DynamoTable(
        BotoRaw(aws.client("dynamodb", url=proxy.url, config=QUICK)), table_name, SystemClock(), scaler(aws, scaling.url)
    )
    made.create(on_demand(images.SCHEMA))
    return made


def scaler(aws: Aws, url: str) -> AutoScalingClient:
    """Makes Auto Scaling's client."""
    return lambda: aws.client("application-autoscaling", url=url, config=autoscaling_config())


def scripted(scaling: FaultProxy, operation: str, **said: Any) -> None:
    """Let Auto Scaling answer this."""
    scaling.on(answer(200, json.dumps(said)), operation=operation)


def no_scaling(scaling: FaultProxy) -> None:
    """A table without auto scaling."""
    scripted(scaling, "DescribeScalableTargets", ScalableTargets=[])


# --- parts ------------------------------------------------------------------------------------------------------------------------


def test_tags_of_many_pages(table: DynamoTable, proxy: FaultProxy, scaling: FaultProxy) -> None:
    no_scaling(scaling)

    def page(request: Request) -> Response:
        number = int(request.json().get("NextToken", "0"))
        said: dict[str, object] = {"Tags": [{"Key": f"k{9 - number}", "Value": str(number)}]}
        return Response(200, json.dumps({**said, "NextToken": str(number + 1)} if number < 3 else said).encode())

    asked = proxy.on(respond(page), operation="ListTagsOfResource")
    settings = table.settings()
    assert list(settings.tags.items()) == [("k6", "3"), ("k7", "2"), ("k8", "1"), ("k9", "0")]
    assert asked.matched == 4
    assert settings.unknown == {}


def test_point_in_time_recovery_without_its_moving_moments(table: DynamoTable, proxy: FaultProxy, scaling: FaultProxy) -> None:
    no_scaling(scaling)
    moments = iter(range(1_795_406_400, 1_795_406_500))

    def enabled(_: Request, response: Response) -> Response:
        latest = {"LatestRestorableDateTime": next(moments), "EarliestRestorableDateTime": next(moments)}
        said = {"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 7, **latest}
        return response.with_json({"ContinuousBackupsDescription": {"PointInTimeRecoveryDescription": said}})

    proxy.on(rewrite(enabled), operation="DescribeContinuousBackups")
    first, second = table.settings(), table.settings()
    assert first == second
    assert first.point_in_time_recovery == PointInTimeRecovery(enabled=True, recovery_period_in_days=7)


def test_auto_scaling_of_a_table_and_its_indexes(table: DynamoTable, proxy: FaultProxy, scaling: FaultProxy) -> None:
    names = [f"index-{number:03}" for number in range(RESOURCES_PER_CALL + 10)]

    def with_indexes(_: Request, response: Response) -> Response:
        said = response.json()
        said["Table"]["GlobalSecondaryIndexes"] = [{"IndexName": name} for name in names]
        return response.with_json(said)

    def targets(request: Request) -> Response:
        asked = request.json()
        assert asked["ServiceNamespace"] == "dynamodb"
        assert len(asked["ResourceIds"]) <= RESOURCES_PER_CALL
        lines = [{"ResourceId": each, "ScalableDimension": "d", "CreationTime": 1.0} for each in asked["ResourceIds"]]
        half = len(lines) // 2
        first = {"ScalableTargets": lines[:half], "NextToken": "more"}
        return Response(200, json.dumps({"ScalableTargets": lines[half:]} if "NextToken" in asked else first).encode())

    def policies(request: Request) -> Response:
        lines = [{"ResourceId": request.json()["ResourceId"], "PolicyName": "p", "PolicyARN": "a", "Alarms": []}]
        return Response(200, json.dumps({"ScalingPolicies": lines}).encode())

    proxy.on(rewrite(with_indexes), operation="DescribeTable")
    scaling.on(respond(targets), operation="DescribeScalableTargets")
    scaling.on(respond(policies), operation="DescribeScalingPolicies")
    scripted(scaling, "DescribeScheduledActions", ScheduledActions=[])
    found = table.settings().autoscaling
    resources = [f"table/{table.name}", *(f"table/{table.name}/index/{name}" for name in names)]
    assert found.targets == [{"ResourceId": each, "ScalableDimension": "d"} for each in resources]
    assert found.policies == [{"ResourceId": each, "PolicyName": "p"} for each in resources]


# --- what may not be seen ---------------------------------------------------------------------------------------------------------

OPERATIONS = {
    "time_to_live": "DescribeTimeToLive",
    "tags": "ListTagsOfResource",
    "point_in_time_recovery": "DescribeContinuousBackups",
    "resource_policy": "GetResourcePolicy",
    "kinesis_destinations": "DescribeKinesisStreamingDestination",
    "contributor_insights": "ListContributorInsights",
    "autoscaling": "DescribeScalableTargets",
}
UNKNOWN_OPERATION = answer(400, json.dumps({"__type": "UnknownOperationException", "message": ""}))
ODD = answer(200, json.dumps({"TimeToLiveDescription": 7, "Tags": [7], "ScalableTargets": [7], "Policy": "{}"}))


def test_every_part_has_an_operation() -> None:
    assert OPERATIONS.keys() == PARTS.keys()


@pytest.mark.parametrize("action", [DENIED, UNKNOWN_OPERATION], ids=["denied", "unknown operation"])
@pytest.mark.parametrize("part", OPERATIONS)
def test_a_part_that_is_refused_is_named_and_all_else_is_read(
    table: DynamoTable, proxy: FaultProxy, scaling: FaultProxy, part: str, action: Any
) -> None:
    where = scaling if part == "autoscaling" else proxy
    where.on(action, operation=OPERATIONS[part])
    no_scaling(scaling)
    settings = table.settings()
    assert set(settings.unknown) == {part}
    assert OPERATIONS[part] in settings.unknown[part]
    assert settings.table["TableName"] == table.name


@pytest.mark.parametrize("part", ["time_to_live", "tags", "autoscaling"])
def test_an_answer_of_another_shape_is_no_setting(table: DynamoTable, proxy: FaultProxy, scaling: FaultProxy, part: str) -> None:
    (scaling if part == "autoscaling" else proxy).on(ODD, operation=OPERATIONS[part])
    no_scaling(scaling)
    assert set(table.settings().unknown) == {part}


def test_a_table_that_may_not_be_described(table: DynamoTable, proxy: FaultProxy) -> None:
    proxy.on(DENIED, operation="DescribeTable")
    with pytest.raises(AccessDenied, match=table.name):
        table.settings()


def test_a_busy_dynamodb_is_no_unknown_part(table: DynamoTable, proxy: FaultProxy) -> None:
    proxy.on(answer(400, json.dumps({"__type": "ThrottlingException", "message": "slow"})), operation="DescribeTimeToLive")
    with pytest.raises(Unavailable, match="DescribeTimeToLive"):
        table.settings()


@pytest.mark.parametrize("part", ["kinesis_destinations", "contributor_insights", "tags"])
def test_a_server_that_fails_over_a_call_that_may_be_missing(
    table: DynamoTable, proxy: FaultProxy, scaling: FaultProxy, part: str
) -> None:
    proxy.on(answer(500, json.dumps({"__type": "InternalServerError", "message": "no such call"})), operation=OPERATIONS[part])
    no_scaling(scaling)
    unknown = table.settings().unknown
    assert set(unknown) == {part}
    assert "no such call" in unknown[part]


def test_a_network_without_a_way_to_auto_scaling(aws: Aws, table: DynamoTable) -> None:
    closed = "http://127.0.0.1:9"  # nobody listens on the discard port
    alone = DynamoTable(BotoRaw(aws.client("dynamodb", config=QUICK)), table.name, SystemClock(), scaler(aws, closed))
    assert set(alone.settings().unknown) == {"autoscaling"}


def test_no_client_of_auto_scaling(aws: Aws, table: DynamoTable) -> None:
    def fails() -> Any:
        raise Failed("not asked for")

    def settings(make: AutoScalingClient | None) -> TableSettings:
        return DynamoTable(BotoRaw(aws.client("dynamodb", config=QUICK)), table.name, SystemClock(), make).settings()

    assert settings(fails).unknown == {"autoscaling": "not asked for"}
    assert set(settings(None).unknown) == {"autoscaling"}
