"""The contract of `ports.VersionRemover`, on each implementation: what is named goes for good, what is locked stays."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.ports import ObjectStore, ObjectVersion, VersionLock, VersionRemover
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.stores.s3.boto import client_config
from backstream.stores.s3.remover import S3Remover
from kit.aws import Aws
from kit.names import ODD_NAMES
from kit.transports import s3_store

LOCKED_FOR = 3_600
KEY = 1_024  # bytes of an object's key, at most


class Removing(msgspec.Struct):
    """A store, who may remove from it, and how a version is locked until a second (None: held)."""

    store: ObjectStore
    remover: VersionRemover
    lock: Callable[[ObjectVersion, float | None], None] | None = None


def on_s3(aws: Aws) -> Removing:
    s3, bucket = aws.client("s3", config=client_config()), f"backstream-test-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)

    def lock(each: ObjectVersion, until: float | None) -> None:
        where = {"Bucket": bucket, "Key": f"some/prefix/{each.name}", "VersionId": each.version}
        if until is None:
            s3.put_object_legal_hold(**where, LegalHold={"Status": "ON"})  # type: ignore[arg-type]
        else:
            retention = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.fromtimestamp(until, UTC)}
            s3.put_object_retention(**where, Retention=retention)  # type: ignore[arg-type]

    store = s3_store(aws, bucket, "some/prefix")
    return Removing(store, S3Remover(s3, bucket, "some/prefix", time.time), lock)


@pytest.fixture(params=["memory", "directory", "s3"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Removing:
    """A new, empty store, and the right to remove from it."""
    if request.param == "memory":
        memory = MemoryStore(SystemClock())
        return Removing(memory, memory, lambda each, until: memory.locks.update({(each.name, each.version): VersionLock(until)}))
    if request.param == "directory":
        folder = DirectoryStore(tmp_path, SystemClock())
        return Removing(folder, folder)
    return on_s3(request.getfixturevalue("aws"))


def rows(made: Removing) -> list[tuple[str, str]]:
    return [(row.name, row.version) for row in made.store.versions("")]


def test_named_versions_and_markers_go_and_the_others_stay(made: Removing) -> None:
    old, new = made.store.put("a", b"1"), made.store.put("a", b"2", {"k": "v"})
    made.store.put("b", b"3")
    marker = made.store.delete("b")
    asked = [each for each in made.store.versions("") if (each.name, each.version) in (("a", old), ("b", marker))]
    assert sorted((each.version.version, each.lock) for each in made.remover.remove_each(asked)) == sorted(
        (version, None) for version in (old, marker)
    )
    assert [row[1] for row in rows(made) if row[0] == "a"] == [new]
    assert made.store.head("a").metadata == {"k": "v"}
    assert made.store.get("b").body == b"3"
    assert all(each.lock is None for each in made.remover.remove_each(asked))  # again: gone is gone
    assert made.store.get("b").body == b"3"


def test_many_at_once_by_their_odd_names(made: Removing) -> None:
    names = [name for name in ODD_NAMES if len(f"some/prefix/{name}".encode()) <= KEY]
    for number, name in enumerate(names):
        made.store.put(name, b"%d" % number)
    kept = made.store.put("kept", b"")
    everything = [each for each in made.store.versions("") if each.name != "kept"]
    assert len(list(made.remover.remove_each(everything))) == len(names)
    assert rows(made) == [("kept", kept)]


def test_a_version_number_is_never_used_again(made: Removing) -> None:
    made.store.put("a", b"1")
    before = list(made.store.versions(""))
    list(made.remover.remove_each(before))
    assert made.store.put("a", b"2", if_absent=True) != before[0].version
    list(made.remover.remove_each(before))
    assert made.store.get("a").body == b"2"


def test_what_is_locked_stays_and_says_until_when(made: Removing) -> None:
    if made.lock is None:
        pytest.skip("a folder has no locks")
    until = float(int(time.time()) + LOCKED_FOR)
    names = ["free", "locked", "held"]
    versions = {name: ObjectVersion(name, made.store.put(name, b"x"), 1, 0.0, latest=True, marker=False) for name in names}
    made.lock(versions["locked"], until)
    made.lock(versions["held"], None)
    found = {each.version.name: each.lock for each in made.remover.remove_each(versions.values())}
    assert found == {"free": None, "locked": VersionLock(until), "held": VersionLock()}
    assert [name for name, _ in rows(made)] == ["held", "locked"]
    assert {name: made.remover.lock_of(versions[name]) for name in names} == found
