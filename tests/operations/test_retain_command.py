"""`retain` end to end, on a bucket with Object Lock: what is locked is waited for."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit.aws import Aws
from kit.images import image, key
from kit.scene import Scene
from kit.stage import wait_for

LONG = timedelta(days=30)


@pytest.fixture
def lived(aws: Aws, table_name: str, tmp_path: Path) -> Scene:
    """Rows with a past, in a bucket that can lock versions; the last of them is a second old."""
    bucket = f"backstream-test-{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    scene = Scene(aws, bucket, table_name, tmp_path)
    scene.create()
    scene.init()
    for value in ("old", "older", "kept"):
        scene.put(image("row", 1, v={"S": value}), image("row", 2, v={"S": value}))
    scene.put(image("row", 3))
    scene.delete(key("row", 3))
    wait_for(lambda: caught_up(scene) is not None, "no second can be restored exactly")
    past = caught_up(scene) or 0
    wait_for(lambda: time.time() > past + 3, "the clock stands")
    scene.tail()
    scene.put(image("row", 2, v={"S": "new"}))
    scene.tail()
    return scene


def caught_up(scene: Scene) -> int | None:
    """Reads the stream; returns the last second that can be restored exactly, if there is one."""
    scene.tail()
    return scene.vault().window(time.time()).until


def versions(scene: Scene) -> list[tuple[str, str]]:
    return [(each.name, each.version) for each in scene.store().versions("") if not each.marker]


def lock(scene: Scene, name: str, version: str) -> None:
    until = datetime.now(UTC) + LONG
    scene.aws.client("s3").put_object_retention(
        Bucket=scene.bucket,
        Key=f"backups/{name}",
        VersionId=version,
        Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until},
    )


def test_a_bucket_with_locks(lived: Scene) -> None:
    scene = lived
    rows = [each for each in versions(scene) if each[0].startswith(f"{scene.table}/")]
    locked = list(dict(rows).items())  # the oldest version of each object: a listing has the newest first
    for each in locked:
        lock(scene, *each)
    told = scene.call("retain", scene.table, "--keep", "1s", "--dry-run", "--json")
    assert told.code == 0
    assert told.json()["dry_run"] is True
    assert told.json()["removed_versions"] > 0
    assert (told.json()["locked_versions"], told.json()["locked_bytes"] > 0) == (3, True)
    assert f"LOCKED: 3 versions until {told.json()['locked_until']}" in told.err
    assert [each for each in versions(scene) if each[0].startswith(f"{scene.table}/")] == rows
    done = scene.call("retain", scene.table, "--keep", "1s", "--json")
    report = done.json()
    assert done.code == 0
    assert set(report) >= {"table", "horizon", "removed_versions", "removed_bytes", "kept_bytes", "dry_run"}
    left = [each for each in versions(scene) if each[0].startswith(f"{scene.table}/")]
    assert len(left) < len(rows)
    assert set(locked) <= set(left), "a locked version has gone"
    assert report["locked_versions"] == len(locked) == 3
    assert [report[each] for each in ("locked_until", "locked_bytes")] == [
        told.json()[each] for each in ("locked_until", "locked_bytes")
    ]
    assert f"LOCKED: 3 versions until {report['locked_until']}" in done.err
    refused = scene.call("show", scene.table, key("row", 1).decode(), "--at", "2026-01-01T00:00:00Z")
    assert refused.code == 4
    assert f"is before the horizon: history is kept from {report['horizon']}" in refused.err
    shown = scene.call("show", scene.table, key("row", 1).decode(), "--at", report["horizon"], "--json")
    assert (shown.code, '"kept"' in shown.out) == (0, True)
    assert scene.call("status", scene.table, "--json").json()["horizon"] == report["horizon"]
    checked = scene.call("check", scene.table, "--read-data", "--json")
    kinds = [each["kind"] for each in checked.json()["findings"]]
    assert (checked.code, kinds) == (3, ["unlocked"]), "the bucket has no default retention; nothing else is wrong"
    restored = scene.call("restore", scene.table, "--at", report["horizon"], "--to", f"{scene.table}-then", "--json")
    assert (restored.code, restored.json()["put"]) == (0, 2)
    again = scene.call("retain", scene.table, "--keep", "400d", "--json").json()
    assert (again["horizon"], again["removed_versions"]) == (report["horizon"], 0)


def test_words_that_are_none(lived: Scene) -> None:
    assert lived.call("retain", lived.table, "--keep", "0s").code == 2
    assert lived.call("retain", lived.table, "--keep", "long").code == 2
    assert lived.call("retain", lived.table).code == 2
    assert lived.call("retain", "never-heard-of", "--keep", "1d").code == 1
    told = lived.call("retain", lived.table, "--keep", "1y")
    assert told.code == 0
    assert "nothing to remove" in told.err
