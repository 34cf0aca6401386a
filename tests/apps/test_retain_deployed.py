"""The retention as `template --retain` deploys it: its function removes what it should, by the rule in the catalog."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.aws import Aws
from kit.images import image, key
from kit.scene import Scene
from kit.stacks import Stack
from kit.stage import wait_for


@pytest.fixture
def stack(aws: Aws, bucket: str, table_name: str, tmp_path: Path, lambda_zip: Path) -> Iterator[Stack]:
    found = Stack(Scene(aws, bucket, table_name, tmp_path), lambda_zip, choices=["--retain", "--keep-at-least", "1s"])
    yield found
    aws.client("cloudformation").delete_stack(StackName=found.name)


def test_the_deployed_function_removes_what_the_rule_gives_up(stack: Stack) -> None:
    stack.init("--keep", "1s")
    scene = stack.scene
    resource = scene.aws.client("cloudformation").describe_stack_resource
    role = resource(StackName=stack.name, LogicalResourceId="RetainRole")["StackResourceDetail"]["PhysicalResourceId"]
    configuration = stack.functions().get_function_configuration(FunctionName=stack.retaining)
    assert configuration["Role"].endswith(f"/{role}"), "it has a role of its own"
    for value in ("oldest", "old", "kept"):
        scene.put(image("row", 1, v={"S": value}))

    def rows() -> int:
        return sum(1 for each in scene.store().versions(f"{scene.table}/") if not each.marker)

    def proven() -> int:
        stack.witness()
        return scene.vault().window(time.time()).until or 0

    wait_for(lambda: rows() == 3, "the function has not kept the changes")
    past = time.time()
    wait_for(lambda: proven() > past + 2, "the proof does not go on")
    report = stack.retain()[scene.table]
    assert rows() == 1
    assert report["removed_versions"] > 2
    assert scene.vault().catalog.horizon is not None
    shown = scene.call("show", scene.table, key("row", 1).decode(), "--at", report["horizon"], "--json")
    assert (shown.code, "kept" in shown.out) == (0, True)
    assert scene.call("check", scene.table, "--read-data").code == 0
