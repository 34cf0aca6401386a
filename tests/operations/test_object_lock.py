"""A vault whose bucket locks each new version, on a server that has Object Lock: what nobody can remove before its time.

`make servers` runs this file on each server at hand, with that server's S3 and an embedded DynamoDB.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kit import images
from kit.attacker import Attacker
from kit.aws import Aws
from kit.canary import CANARY, found_in
from kit.scene import Ran, Scene, file_items, next_second, same

KEY = f'{{"zone":"{CANARY}","number":1}}'
MODES = ("governance", "compliance")


@pytest.fixture
def scene(aws: Aws, table_name: str, tmp_path: Path) -> Scene:
    """A table, and a vault that `init` makes in a new bucket with Object Lock."""
    return Scene(aws, f"backstream-test-{uuid.uuid4().hex[:12]}", table_name, tmp_path, images.SCHEMA)


def locked(scene: Scene, mode: str = "compliance") -> list[str]:
    """A vault whose bucket locks, also where `init` refuses the server: moto lets everybody shorten a lock.

    Returns what `check` has to find of the server's lock itself.
    """
    scene.create()
    words = ["init", scene.table, "--enable-stream"]
    made = scene.call(*words, "--create-bucket", "--object-lock", mode, "--lock-days", "1")
    if not shortens(scene):
        assert (made.code, made.err) == (0, "")
        return []
    assert (made.code, "says that it locks versions, and does not" in made.err) == (4, True), made.err
    assert scene.call(*words).code == 0
    return ["unlocked"]


def shortens(scene: Scene) -> bool:
    """True if the server shortens a lock in compliance mode."""
    attacker, key = Attacker(scene), "own/object"
    until = {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(hours=2)}
    put = attacker.s3.put_object(
        Bucket=scene.bucket,
        Key=key,
        Body=b"x",
        ObjectLockMode=until["Mode"],
        ObjectLockRetainUntilDate=until["RetainUntilDate"],
    )
    sooner = {**until, "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)}
    try:
        attacker.s3.put_object_retention(Bucket=scene.bucket, Key=key, VersionId=put["VersionId"], Retention=sooner)
    except attacker.s3.exceptions.ClientError:
        return False
    return True


def kinds(ran: Ran) -> list[str]:
    return [each["kind"] for each in ran.json()["findings"]]


def restored(scene: Scene, second: int, name: str, *more: str, code: int = 0) -> dict[bytes, bytes]:
    """The items of a restore into a file."""
    ran = scene.call("restore", scene.table, "--at", str(second), "--to-file", name, "--json", *more)
    assert ran.code == code, ran.err
    return file_items(scene.folder / name, scene.schema)


@pytest.mark.parametrize("mode", MODES)
def test_the_drill(scene: Scene, mode: str) -> None:
    """In governance mode the attacker may not bypass it; in compliance mode they have every right that there is."""
    known = locked(scene, mode)
    scene.put(images.image(CANARY, 1, said={"S": CANARY}), images.image("z", 1, v={"N": "1"}), images.image("z", 2))
    scene.put(images.image("z", 1, v={"N": "2"}))
    scene.delete(images.key("z", 2))
    scene.tail()
    items, second = scene.items(), next_second()
    assert kinds(scene.call("check", scene.table, "--json")) == known

    attacker = Attacker(scene, bypass=mode == "compliance")
    before = attacker.bodies()
    assert attacker.hide_all() >= len({key for key, _ in before})
    assert attacker.remove_each() == []
    assert attacker.remove_together() == []
    attacker.expire_all()
    assert not attacker.delete_bucket()
    assert attacker.bodies() == before, "each version, byte for byte"

    assert same(restored(scene, second, "hidden.json"), items), "everything is read below the markers"
    assert scene.call("status", scene.table).code == 3
    attacker.s3.delete_bucket_lifecycle(Bucket=scene.bucket)
    repaired = scene.call("check", scene.table, "--repair", "--json")
    assert "hidden" in kinds(repaired)
    assert all(each["repaired"] for each in repaired.json()["findings"] if each["kind"] == "hidden")
    assert kinds(scene.call("check", scene.table, "--read-data", "--json")) == known
    assert scene.call("status", scene.table).code == 0
    after = attacker.bodies()
    assert {each: after[each] for each in before} == before
    assert same(restored(scene, second, "repaired.json"), items)


@pytest.mark.parametrize("mode", MODES)
def test_nobody_shortens_a_lock(scene: Scene, mode: str) -> None:
    locked(scene, mode)
    scene.put(images.image("z", 1))
    scene.tail()
    attacker = Attacker(scene, bypass=mode == "compliance")
    before = attacker.bodies()
    assert attacker.shorten_each("governance") == []
    assert attacker.shorten_each("compliance") == []
    assert attacker.bodies() == before


def test_what_was_overwritten_is_below(scene: Scene) -> None:
    """An attacker who may write puts nothing on top of everything."""
    known = locked(scene)
    scene.put(images.image("z", 1, v={"N": "1"}))
    scene.tail()
    attacker, items, second = Attacker(scene), scene.items(), next_second()
    before = attacker.bodies()
    catalog = scene.store().get(f"_backstream/{scene.table}/catalog.json")
    assert attacker.overwrite_each() == len({key for key, _ in before})
    after = attacker.bodies()
    assert {each: after[each] for each in before} == before
    assert scene.call("status", scene.table).code != 0

    scene.store().put(f"_backstream/{scene.table}/catalog.json", catalog.body, catalog.info.metadata)
    refused = scene.call("restore", scene.table, "--at", str(second), "--to-file", "refused.json")
    assert (refused.code, "a second version of an object that is written only once" in refused.err) == (4, True), refused.err
    assert same(restored(scene, second, "below.json", "--allow-gap", code=1), items), "the first versions count"
    assert set(kinds(scene.call("check", scene.table, "--json"))) > set(known)


def test_erase_takes_what_no_lock_keeps_and_tells_when_the_rest_can_go(scene: Scene) -> None:
    scene.create()
    attacker = Attacker(scene)
    attacker.s3.create_bucket(Bucket=scene.bucket, ObjectLockEnabledForBucket=True)
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    scene.put(images.image(CANARY, 1, said={"S": "locked"}), images.image("z", 1, v={"N": "1"}))
    scene.tail()
    before, tomorrow = attacker.bodies(), {"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)}
    for key, version in before:
        attacker.s3.put_object_retention(Bucket=scene.bucket, Key=key, VersionId=version, Retention=tomorrow)
    scene.put(images.image(CANARY, 1, said={"S": "free"}))
    scene.tail()
    second, canaries = next_second(), set(found_in(scene.store()))
    keys = {f"backups/{each}".rpartition(" ")[0::2] for each in canaries}
    free = keys - set(before)
    assert free
    told = scene.call("erase", scene.table, "--key", KEY, "--dry-run", "--json").json()
    planned = {each["version"] for each in told["blocked"]}

    erased = scene.call("erase", scene.table, "--key", KEY, "--reason", "asked", "--json")
    report = erased.json()
    assert erased.code == 1
    assert report["versions_removed"] > 0
    assert {each["version"] for each in report["blocked"]} == planned
    assert datetime.fromisoformat(report["blocked_until"]) > datetime.now(UTC) + timedelta(hours=20)
    assert f"before {report['blocked_until']}" in erased.err
    after = attacker.bodies()
    assert {each: after[each] for each in before} == before, "locked, and so still there"
    assert not {*after} & free, "what no lock keeps is gone"
    assert {f"backups/{each}".rpartition(" ")[0::2] for each in found_in(scene.store())} <= set(before)

    assert len(restored(scene, second, "all.json")) == 1
    assert CANARY not in (scene.folder / "all.json").read_text()


def test_the_lock_is_tried_and_shown(scene: Scene) -> None:
    known = locked(scene)
    scene.put(images.image("z", 1, v={"N": "1"}))
    scene.tail()
    checked = scene.call("check", scene.table, "--json").json()
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
    """Somebody has made the bucket with Object Lock, and has left out a retention. `init` gives it one with one call."""
    scene.create()
    Attacker(scene).s3.create_bucket(Bucket=scene.bucket, ObjectLockEnabledForBucket=True)
    assert scene.call("init", scene.table, "--enable-stream").code == 0
    checked = scene.call("check", scene.table, "--json")
    assert checked.code == 3
    assert kinds(checked) == ["unlocked"]
    set_now = scene.call("init", scene.table, "--create-bucket", "--object-lock", "governance", "--lock-days", "1")
    if not shortens(scene):
        assert set_now.code == 0, set_now.err
        assert kinds(scene.call("check", scene.table, "--json")) == []


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
