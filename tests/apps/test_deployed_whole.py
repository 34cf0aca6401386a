"""The whole of it: deployed by the AWS CLI, fed by the mapping under a writer, restored; the stack deleted, restored again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backstream.model import moment
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.capture.shards import SETTLING
from kit.aws import Aws, serving
from kit.scene import Scene
from kit.seconds_writer import SecondsWriter, State
from kit.stacks import Stack
from kit.stage import wait_for

SCHEMA = KeySchema(KeyAttribute("id", "S"))


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """Servers of this file's own: ministack's alarms count the errors of every function that ran there within a quarter of an hour,
    whatever function they are of, and other tests make functions fail.
    """
    with serving() as servers:
        yield servers


@pytest.fixture
def stack(aws: Aws, bucket: str, table_name: str, tmp_path: Path, lambda_zip: Path) -> Iterator[Stack]:
    made = Stack(Scene(aws, bucket, table_name, tmp_path, SCHEMA), lambda_zip)
    yield made
    aws.client("cloudformation").delete_stack(StackName=made.name)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (4, ()),
        pytest.param(15, (), marks=pytest.mark.soak),
        pytest.param(15, ("--layout", "log"), marks=pytest.mark.soak),
    ],
    ids=["rows", "rows for longer", "log for longer"],
)
def test_from_a_template_to_a_restore_without_the_stack(stack: Stack, seconds: int, words: tuple[str, ...]) -> None:
    scene = stack.scene
    stack.init(*words)
    with SecondsWriter(scene.aws.client("dynamodb"), scene.table, pause=0.02) as writer:
        time.sleep(seconds)
    wait_for(lambda: status(scene)["changes"] >= writer.changes, "the function has not kept all changes")
    told = status(scene)
    assert (told["changes"], told["captured_by"], told["gaps"]) == (writer.changes, ["lambda"], [])
    unproven = scene.call("doctor", scene.table, "--json").json()["checks"]
    assert [each["name"] for each in unproven if each["verdict"] == "wrong"] == ["witness"], "a function alone proves nothing"
    compared = writer.sure_seconds()
    assert len(compared) >= 2
    wait_for(lambda: time.time() >= compared[-1] + 1 + SETTLING, "the writer's last second is not over")
    proven = stack.witness()
    assert (proven["missing"], proven["gaps"], proven["caught_up"]) == (0, 0, True)
    assert proven["proven_to"] >= moment.iso(compared[-1])
    check_doctor(scene)
    for second in compared:
        assert restored(scene, second) == writer.at(second)
    assert scene.call("restore", scene.table, "--at", moment.iso(compared[0]), "--to", f"{scene.table}-again").code == 0
    assert live(scene, f"{scene.table}-again") == writer.at(compared[0])
    assert scene.call("verify", scene.table).code == 0

    stack.delete()
    s3 = scene.aws.client("s3")
    for each in (stack.vault, stack.failures):
        assert s3.get_bucket_versioning(Bucket=each)["Status"] == "Enabled"
    for second in compared:
        assert restored(scene, second) == writer.at(second), "the vault is enough"


def check_doctor(scene: Scene) -> None:
    """Of the template's own there is nothing to mend; what it warns of is the table's, a drill, and that no topic was given."""
    report = scene.call("doctor", scene.table, "--json").json()
    assert [(each["name"], each["found"]) for each in report["checks"] if each["verdict"] == "wrong"] == []
    warned = {each["name"]: each["found"] for each in report["checks"] if each["verdict"] == "warning"}
    assert warned.keys() == {"point-in-time recovery", "deletion protection", "last drill", "alarms"}
    assert "tell nobody" in warned["alarms"]


def status(scene: Scene) -> Any:
    return scene.call("status", scene.table, "--json").json()


def restored(scene: Scene, second: int) -> State:
    """By `restore --to-file`."""
    path = scene.folder / "restored.json"
    path.unlink(missing_ok=True)
    ran = scene.call("restore", scene.table, "--at", moment.iso(second), "--to-file", str(path))
    assert ran.code == 0, ran.err
    items = [json.loads(line)["Item"] for line in path.read_text().splitlines()]
    return {item["id"]["S"]: item for item in items}


def live(scene: Scene, table: str) -> State:
    return {item["id"]["S"]: dict(item) for item in scene.aws.client("dynamodb").scan(TableName=table)["Items"]}
