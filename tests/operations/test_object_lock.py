"""A vault whose bucket locks each new version, on a server that has Object Lock: what nobody can remove before its time."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from backstream.stores.s3.boto import client_config
from kit import images
from kit.aws import Aws
from kit.canary import CANARY, found_in
from kit.scene import Ran, Scene, next_second

KEY = f'{{"zone":"{CANARY}","number":1}}'


@pytest.fixture
def scene(aws: Aws, table_name: str, tmp_path: Path) -> Scene:
    """A table, and a vault that `init` makes in a new bucket with Object Lock."""
    return Scene(aws, f"backstream-test-{uuid.uuid4().hex[:12]}", table_name, tmp_path, images.SCHEMA)


def s3_of(scene: Scene) -> Any:
    return scene.aws.client("s3", config=client_config())


def locked(scene: Scene, mode: str = "compliance") -> None:
    scene.create()
    made = scene.call("init", scene.table, "--enable-stream", "--create-bucket", "--object-lock", mode, "--lock-days", "1")
    assert (made.code, made.err) == (0, "")


def flaws(scene: Scene) -> list[str]:
    """What `check` finds of the server's lock itself: moto lets everybody shorten one."""
    s3, key = s3_of(scene), "own/object"
    version = s3.put_object(Bucket=scene.bucket, Key=key, Body=b"x")["VersionId"]
    soon = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)}
    try:
        s3.put_object_retention(Bucket=scene.bucket, Key=key, VersionId=version, Retention=soon)
    except s3.exceptions.ClientError:
        return []
    return ["unlocked"]


def kinds(ran: Ran) -> list[str]:
    return [each["kind"] for each in ran.json()["findings"]]


def attack(scene: Scene) -> int:
    """What a script with an admin's key does: it hides every object, and removes every version. How many removals were refused."""
    s3, refused = s3_of(scene), 0
    rows = s3.list_object_versions(Bucket=scene.bucket).get("Versions", [])
    for each in rows:
        s3.delete_object(Bucket=scene.bucket, Key=each["Key"])
        try:
            s3.delete_object(Bucket=scene.bucket, Key=each["Key"], VersionId=each["VersionId"])
        except s3.exceptions.ClientError:
            refused += 1
    return refused - len(rows)


def test_locked_versions_survive_an_attacker_and_erase_and_check_brings_the_vault_back(scene: Scene) -> None:
    locked(scene)
    scene.put(images.image(CANARY, 1, said={"S": CANARY}), images.image("z", 1, v={"N": "1"}))
    scene.tail()
    second = next_second()
    known = flaws(scene)
    assert kinds(scene.call("check", scene.table, "--json")) == known
    canaries = found_in(scene.store())

    assert attack(scene) == 0
    assert scene.call("status", scene.table).code == 3
    repaired = scene.call("check", scene.table, "--repair", "--json")
    assert "hidden" in kinds(repaired)
    assert all(each["repaired"] for each in repaired.json()["findings"] if each["kind"] == "hidden")
    assert kinds(scene.call("check", scene.table, "--read-data", "--json")) == known

    erased = scene.call("erase", scene.table, "--key", KEY, "--reason", "asked", "--json")
    assert erased.code == 1
    report = erased.json()
    assert report["blocked_until"] > "2026"
    assert set(found_in(scene.store())) >= set(canaries)  # locked, and so still there
    assert f"before {report['blocked_until']}" in erased.err
    restored = scene.call("restore", scene.table, "--at", str(second), "--to-file", "all.json", "--json")
    assert (restored.code, restored.json()["put"], restored.json()["erased"]) == (0, 1, 1)
    assert CANARY not in (scene.folder / "all.json").read_text()


def test_the_lock_is_tried_and_shown(scene: Scene) -> None:
    locked(scene)
    scene.put(images.image("z", 1, v={"N": "1"}))
    scene.tail()
    known, checked = flaws(scene), scene.call("check", scene.table, "--json").json()
    tried = [each for each in checked["checked"] if "removing a version and shortening its lock were refused" in each]
    assert bool(tried) is not bool(known)
    doctor = scene.call("doctor", "--write", "--json")
    verdicts = [each["verdict"] for each in doctor.json()["checks"] if each["name"] == "Object Lock, tried"]
    assert verdicts == (["wrong"] if known else ["ok"])
    weaker = scene.call("init", scene.table, "--create-bucket", "--object-lock", "governance", "--lock-days", "1")
    assert (weaker.code, "more strongly" in weaker.err) == (4, True)
    below = scene.call("retain", scene.table, "--keep", "12h")
    assert (below.code, "compliance for 1 days" in below.err) == (4, True)
    shown = scene.call("status", scene.table, "--json").json()["locks"]
    assert {each["part"] for each in shown} >= {"catalog", "change log", "rows"}
    assert all(each["until"] > "2026" for each in shown)


def test_a_bucket_whose_new_versions_are_not_locked_is_a_finding(scene: Scene) -> None:
    """Somebody has made the bucket with Object Lock, and has left out a retention."""
    scene.create()
    s3_of(scene).create_bucket(Bucket=scene.bucket, ObjectLockEnabledForBucket=True)
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    checked = scene.call("check", scene.table, "--json")
    assert checked.code == 3
    assert [each["kind"] for each in checked.json()["findings"]] == ["unlocked"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--object-lock", "governance", "--lock-days", "3"], "go with --create-bucket"),
        (["--create-bucket", "--object-lock", "governance"], "go together"),
        (["--create-bucket", "--lock-days", "3"], "go together"),
    ],
)
def test_half_of_a_lock_is_a_usage_error(scene: Scene, words: list[str], said: str) -> None:
    ran = scene.call("init", scene.table, *words)
    assert (ran.code, said in ran.err) == (2, True)
