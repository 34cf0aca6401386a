"""Failure drills on the deployed stack: what breaks, what is seen of it, and that `redrive` and `verify` are clean afterwards.

The embedded server's own mapping knows nothing of what follows a failure, so it is disabled: the kit's documented one delivers,
with the settings that the template deployed, to the function that it deployed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.config import Config

from kit.aws import Aws
from kit.mapping import MappingSettings, Record, over_http
from kit.outage import Outage
from kit.proxy import FaultProxy, answer
from kit.scene import Scene
from kit.stacks import Stack
from kit.stage import wait_for

DENIED = answer(403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
# Fewer attempts than the template's own, which are hours of them; less age, for the same reason.
PARAMETERS = {"MaximumRetryAttempts": "2", "MaximumRecordAgeSeconds": "3600", "BatchSize": "7"}

Drill = Callable[[], tuple[Stack, Outage]]


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Iterator[FaultProxy]:
    """What stands between the deployed function and S3."""
    with FaultProxy(aws.url) as proxy:
        yield proxy


@pytest.fixture
def drill(aws: Aws, bucket: str, table_name: str, tmp_path: Path, lambda_zip: Path, s3: FaultProxy) -> Iterator[Drill]:
    """A stack with its function and mapping as they were deployed, and the outage to come."""
    made: list[Stack] = []

    def make() -> tuple[Stack, Outage]:
        stack = Stack(Scene(aws, bucket, table_name, tmp_path), lambda_zip, PARAMETERS, {"AWS_ENDPOINT_URL_S3": s3.url})
        made.append(stack)
        stack.init()
        mapping = stack.mapping()
        aws.client("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        wait_for(lambda: stack.mapping()["State"] == "Disabled")
        settings = MappingSettings.of(mapping)
        assert (settings.retries, settings.max_age, settings.batch_size) == (2, 3600, 7)
        assert (settings.partial, settings.bisect, settings.bucket) == (True, True, stack.failures)
        once = aws.client("lambda", config=Config(retries={"total_max_attempts": 1}))  # to try again is the mapping's
        return stack, Outage(stack.scene, s3, settings, over_http(once, stack.function))

    yield make
    s3.clear()
    for each in made:
        aws.client("cloudformation").delete_stack(StackName=each.name)


def check_redriven(outage: Outage, why: str) -> None:
    """The gap is shown and in the way (exit 4); after `redrive` and `verify` (exit 0) nothing is missing."""
    assert why in outage.check_gap()
    assert f"redrive {outage.scene.table}" in outage.run("status").out.partition("GAP")[2]
    path = str(outage.scene.folder / f"{uuid.uuid4().hex}.json")
    refused = outage.run("restore", "--at", "now", "--to-file", path)
    assert (refused.code, "changes may be missing" in refused.err) == (4, True)
    ran = outage.run("redrive", "--json")
    assert (ran.code, ran.json()["left"]) == (0, [])
    assert ran.json()["redriven"] == ran.json()["batches"] == len(outage.mapping.given_up)
    assert outage.run("verify").code == 0
    assert outage.run("restore", "--at", "now", "--to-file", path).code == 0
    outage.check_clean()


def test_the_buckets_permission_is_withdrawn_for_longer_than_lambda_tries(drill: Drill) -> None:
    _, outage = drill()
    outage.write(1, range(4))
    outage.deliver()
    outage.write(2)
    with outage.withdrawn(DENIED, 3600):
        outage.deliver()
    outage.write(3, range(2))
    outage.deliver()
    check_redriven(outage, "RetryAttemptsExhausted")


@pytest.mark.soak
def test_the_buckets_permission_is_withdrawn_for_a_few_seconds(drill: Drill) -> None:
    """Within what Lambda tries: nothing ends in the destination."""
    _, outage = drill()
    outage.write(1)
    with outage.withdrawn(DENIED, 5):
        outage.deliver()
    assert outage.mapping.given_up == []
    outage.check_clean()


@contextmanager
def throttled(stack: Stack) -> Iterator[None]:
    """Not let run at all: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html."""
    functions = stack.functions()
    functions.put_function_concurrency(FunctionName=stack.function, ReservedConcurrentExecutions=0)
    yield
    doctor = stack.scene.call("doctor", stack.scene.table, "--json").json()
    assert [each["verdict"] for each in doctor["checks"] if each["name"] == "concurrency"] == ["wrong"]
    functions.delete_function_concurrency(FunctionName=stack.function)


@pytest.mark.soak
def test_the_function_is_throttled_past_the_records_age(drill: Drill) -> None:
    stack, outage = drill()
    outage.write(1)
    outage.deliver()
    outage.write(2)
    with throttled(stack):
        outage.deliver()
    assert outage.mapping.given_up
    outage.write(3, range(2))
    outage.deliver()
    check_redriven(outage, "RecordAgeExceeded")


@pytest.mark.soak
def test_a_poison_record(drill: Drill) -> None:
    """One record that cannot be kept ends in the destination, alone; declared lost, it is made up for by a base backup."""

    def spoilt(record: Record) -> Record:
        body = record["dynamodb"]
        return {**record, "dynamodb": {**body, "NewImage": None}} if body["Keys"]["number"]["N"] == "5" else record

    _, outage = drill()
    outage.poison = spoilt
    outage.write(1)
    outage.deliver()
    outage.check_gap()
    ran = outage.run("redrive", "--json")
    (left,) = ran.json()["left"]
    assert (ran.code, left["sequence"] in ran.err) == (1, True)
    assert outage.run("redrive", "--give-up", left["sequence"]).code == 0
    assert outage.run("status", "--json").json()["gaps"], "it is missing for good"
    assert outage.run("backfill").code == 0
    outage.scene.tail()  # what proves the base backup's end
    outage.check_clean()
