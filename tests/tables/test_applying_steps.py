"""Steps of a setup over HTTP: what is still changing is waited for, and auto scaling is another service."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from botocore.config import Config

from backstream.errors import Failed, StillChanging, Unavailable
from backstream.model.tables.setup import DYNAMODB, SCALING, SetupStep
from backstream.tables.dynamodb import STEP_SECONDS, DynamoTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from kit.aws import Aws
from kit.clock import ManualClock
from kit.proxy import FaultProxy, answer

QUICK = recommended_config().merge(Config(retries={"mode": "standard", "total_max_attempts": 1}))
CALLER = Aws({"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
PROTECTION = SetupStep("deletion protection", DYNAMODB, "UpdateTable", {"TableName": "orders", "DeletionProtectionEnabled": True})
TARGET = SetupStep("auto scaling", SCALING, "RegisterScalableTarget", {"ResourceId": "table/orders"})


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A server that only says what the test has it say: behind it there is nothing."""
    with FaultProxy("http://127.0.0.1:9") as made:
        yield made


def refused(code: str) -> str:
    return json.dumps({"__type": code, "message": "no"})


def table(proxy: FaultProxy, clock: ManualClock, *, scaling: bool = True) -> DynamoTable:
    make = (lambda: CALLER.client("application-autoscaling", url=proxy.url, config=QUICK)) if scaling else None
    return DynamoTable(BotoRaw(CALLER.client("dynamodb", url=proxy.url, config=QUICK)), "orders", clock, make)


@pytest.mark.parametrize(
    ("step", "code"), [(PROTECTION, "ResourceInUseException"), (TARGET, "ConcurrentUpdateException")], ids=["table", "scaling"]
)
def test_what_never_ends_to_change_is_given_up(proxy: FaultProxy, step: SetupStep, code: str) -> None:
    clock = ManualClock()
    proxy.on(answer(400, refused(code)), operation=step.operation)
    with pytest.raises(StillChanging, match=step.operation):
        table(proxy, clock).apply(step)
    assert STEP_SECONDS <= sum(clock.slept) <= STEP_SECONDS + 1


@pytest.mark.parametrize(
    ("code", "error"), [("ThrottlingException", Unavailable), ("ValidationException", Failed), ("LimitExceededException", Failed)]
)
def test_other_refusals_are_not_waited_for(proxy: FaultProxy, code: str, error: type[Exception]) -> None:
    clock = ManualClock()
    proxy.on(answer(400, refused(code)), operation="UpdateTable")
    with pytest.raises(error, match=code):
        table(proxy, clock).apply(PROTECTION)
    assert clock.slept == []


def test_without_a_client_of_auto_scaling(proxy: FaultProxy) -> None:
    with pytest.raises(Failed, match="no client"):
        table(proxy, ManualClock(), scaling=False).apply(TARGET)


def test_an_operation_that_botocore_does_not_know(proxy: FaultProxy) -> None:
    with pytest.raises(Failed, match="MakeTea"):
        table(proxy, ManualClock()).apply(SetupStep("tea", DYNAMODB, "MakeTea", {}))
