"""`init --adopt` by the command line, on real servers: two older tools' buckets at several moments, and from there on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_key
from backstream.operations.inspect.safety import LIMITS
from kit.aws import Aws
from kit.older_tools import Fork, Replicator
from kit.scene import Scene, file_items, next_second

SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("at", "N"))


class S3Bucket:
    """An older tool's way into a bucket: boto3, and no word of ours."""

    def __init__(self, aws: Aws, bucket: str, prefix: str) -> None:
        self._s3 = aws.client("s3")
        self._bucket = bucket
        self._prefix = prefix

    def put(self, name: str, body: bytes) -> str:
        """PutObject."""
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}", Body=body)
        return ""

    def delete(self, name: str) -> str:
        """DeleteObject."""
        self._s3.delete_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")
        return ""


def item(zone: str, at: int, version: int) -> dict[str, Any]:
    """An item, its binary value as an event has it."""
    return {"at": {"N": str(at)}, "b": {"B": "AAEC/w=="}, "v": {"N": str(version)}, "zone": {"S": zone}}


@pytest.mark.parametrize("kind", ["dynamodb-replicator", pytest.param("PageUp, plain, by tenant", marks=pytest.mark.soak)])
def test_an_older_bucket(aws: Aws, bucket: str, table_name: str, tmp_path: Path, kind: str) -> None:
    scene = Scene(aws, bucket, table_name, tmp_path, SCHEMA)
    s3 = S3Bucket(aws, bucket, "backups")
    keys = ("at", "zone")
    tool = Replicator(s3, table_name, keys) if kind[0] == "d" else Fork(s3, table_name, keys, plain=True, tenant="zone")
    now = {canonical_key(SCHEMA, each): each for each in (item("eu", number, 1) for number in range(4))}
    past: list[tuple[int, dict[bytes, dict[str, Any]]]] = []
    for each in now.values():
        tool.put(each)
    past.append((next_second(), dict(now)))
    gone = item("eu", 0, 1)
    tool.delete(gone)
    del now[canonical_key(SCHEMA, gone)]
    changed = item("eu", 1, 2)
    tool.put(changed)
    now[canonical_key(SCHEMA, changed)] = changed
    past.append((next_second(), dict(now)))
    scene.create()
    scene.put(*(msgspec.json.encode(each) for each in now.values()))

    ran = scene.call("init", table_name, "--adopt", "--enable-stream", "--json")
    assert ran.code == 0, ran.err
    assert ran.err.count(LIMITS) == 1
    assert (ran.json()["adopted"]["versions"], ran.json()["adopted"]["deletes"]) == (6, 1)
    past.append((int(time.time()), now))
    for second, expected in past:
        path = tmp_path / f"at-{second}"
        ran = scene.call("restore", table_name, "--at", str(second), "--to-file", str(path), "--json")
        assert (ran.code, ran.json()["put"]) == (0, len(expected)), ran.err
        assert ran.err.count(LIMITS) == 1
        found = file_items(path, SCHEMA)
        assert all(wire.same_image(found[key], msgspec.json.encode(each)) for key, each in expected.items())
    history = scene.call("history", table_name, '{"zone":"eu","at":0}', "--json")
    assert [each["event"] for each in history.json()] == ["INSERT", "REMOVE"]
    assert history.err.count(LIMITS) == 1
    shown = scene.call("show", table_name, '{"zone":"eu","at":1}', "--at", str(past[0][0]), "--json")
    assert shown.json()["v"] == {"N": "1"}
    verified = scene.call("verify", table_name, "--json")
    assert (verified.code, verified.json()["same"]) == (0, len(now)), verified.err
    status = scene.call("status", table_name, "--json")
    assert status.json()["adopted"]["limits"] == LIMITS
    assert status.err.count(LIMITS) == 1
    snapshot = scene.call("snapshot", table_name, "--at", str(past[0][0]), "--to", (tmp_path / "out").as_uri(), "--json")
    assert (snapshot.code, snapshot.json()["items"]) == (0, 4), snapshot.err
    new = f"{table_name}-new"
    assert scene.call("restore", table_name, "--at", str(past[0][0]), "--to", new).code == 0
    assert len(scene.items(new)) == 4

    scene.put(msgspec.json.encode(item("eu", 2, 9)))
    scene.tail()
    shown = scene.call("show", table_name, '{"zone":"eu","at":2}', "--at", "now", "--json")
    assert shown.json()["v"] == {"N": "9"}
    assert aws.client("s3").get_object(Bucket=bucket, Key=f"backups/{tool.name(item('eu', 2, 9))}")["Body"].read() != b""


def test_a_bucket_with_nothing_in_it(scene: Scene) -> None:
    scene.create()
    ran = scene.call("init", scene.table, "--adopt", "--enable-stream")
    assert ran.code == 4
    assert "nothing lies in" in ran.err
    assert scene.call("init", scene.table, "--key-schema", "id:S").code == 2
    assert list(scene.store().versions("")) == []


def test_of_a_table_that_is_gone(scene: Scene) -> None:
    """Only the bucket is left: the keys are said by hand, and the table is made anew from it."""
    s3 = S3Bucket(scene.aws, scene.bucket, "backups")
    tool = Replicator(s3, scene.table, ("at", "zone"))
    for number in range(3):
        tool.put(item("eu", number, 1))
    second = next_second()
    assert scene.call("init", scene.table, "--adopt").code == 1
    assert scene.call("init", scene.table, "--adopt", "--key-schema", "zone:S,at").code == 2
    ran = scene.call("init", scene.table, "--adopt", "--key-schema", "zone:S,at:N", "--json")
    assert ran.code == 0, ran.err
    scene.schema = SCHEMA
    ran = scene.call("restore", scene.table, "--at", str(second), "--to", scene.table, "--json")
    assert (ran.code, ran.json()["put"]) == (0, 3), ran.err
    assert len(scene.items()) == 3
    status = scene.call("status", scene.table)
    assert "older tool's" in status.out, status.err
