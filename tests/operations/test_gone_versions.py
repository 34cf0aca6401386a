"""Versions that are gone from the bucket, or that only a crash has left: the log tells, not the listing of an item's versions."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from backstream.errors import MissingObject, PartlyDone
from backstream.operations.base.compact import compact
from backstream.operations.inspect import history as histories
from backstream.operations.restore import InPlace, RestoreContext, Restored, RestoreRequest, restore
from backstream.ports import ObjectVersion
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest_each
from backstream.vault.rows.row_versions import metadata_of
from kit import images
from kit.clock import ManualClock
from kit.lived import SMALL, key
from kit.scene import Scene, next_second
from kit.stage import Stage

KEYS = [key(number) for number in range(3)]


def written(stage: Stage) -> list[ObjectVersion]:
    """The versions of all rows, without the delete markers."""
    return [each for each in stage.store.versions(f"{stage.table.name}/") if not each.marker]


def remove(stage: Stage, version: ObjectVersion) -> None:
    """As a lifecycle rule does, or anybody with s3:DeleteObjectVersion."""
    assert isinstance(stage.store, MemoryStore)
    there = stage.store._versions[version.name]
    there[:] = [
        each for each in there if (each.version if isinstance(each, ObjectVersion) else each.info.version) != version.version
    ]


def lived(chance: random.Random) -> tuple[Stage, list[int]]:
    """A few items that come, change and go, a second apart, compacted at times."""
    stage, seconds = Stage(ManualClock(), layout=Layout.ROWS, shards=1), list[int]()
    alive: set[int] = set()
    for _ in range(chance.randint(3, 12)):
        number = chance.randrange(len(KEYS))
        if number in alive and chance.random() < 0.3:
            stage.delete([number])
            alive.remove(number)
        else:
            stage.put([number])
            alive.add(number)
        seconds.append(int(stage.clock.now()))
        stage.clock.sleep(chance.choice([1, 5, 4_000, 200_000]))
        if chance.random() < 0.6:
            stage.follow()
        if chance.random() < 0.2:
            compact(stage.vault(), stage.clock, memory=SMALL)
    stage.follow()
    return stage, seconds


@pytest.mark.parametrize("seed", range(12))
def test_an_answer_is_right_or_none_is_given(seed: int) -> None:
    answered, refused = 0, 0
    for more in range(4):
        chance = random.Random(seed * 1_000 + more)
        stage, seconds = lived(chance)
        for version in written(stage):
            if chance.random() < 0.3:
                remove(stage, version)
        vault = stage.vault()
        for at in chance.sample(seconds, 3):
            found = newest_each(vault, KEYS, at, vault.basis(at))
            for each, entry in found.items():
                expected = stage.expected(at).get(each)
                try:
                    image = None if entry is None or entry.removed else vault.image(entry)
                except MissingObject as error:
                    assert "the change log names it" in error.message  # noqa: PT017 - or it is right
                    assert expected is not None
                    refused += 1
                    continue
                assert image == expected, (more, at)
                answered += 1
    assert answered
    assert refused or seed


@pytest.mark.parametrize("seed", range(4))
def test_a_history_is_whole_or_names_what_is_gone(seed: int) -> None:
    chance = random.Random(seed)
    stage, _ = lived(chance)
    gone = {each.version for each in written(stage) if chance.random() < 0.4}
    for version in written(stage):
        if version.version in gone:
            remove(stage, version)
    for each in KEYS:
        made = [image for _, changed, image in stage.model if changed == each]
        missing: list[str] = []
        told = histories.history(stage.vault(), each, None, missing.append)
        assert len(told) + len(missing) == len(made)
        kept = iter(made)
        assert all(any(bytes(one.image) == (image or b"null") for image in kept) for one in told), (
            "in order, and none that never was"
        )
        if missing:
            with pytest.raises(PartlyDone):
                histories.history(stage.vault(), each)


@pytest.mark.parametrize("compacted", [False, True])
def test_in_place_a_row_is_left_alone_where_its_version_is_gone(tmp_path: Path, *, compacted: bool) -> None:
    stage, seconds = Stage(ManualClock(), layout=Layout.ROWS, shards=1), list[int]()
    for _ in range(3):
        stage.put([0])
        seconds.append(int(stage.clock.now()))
        stage.clock.sleep(4_000)
        stage.follow()
    if compacted:
        compact(stage.vault(), stage.clock, memory=SMALL)
    remove(stage, sorted(written(stage), key=lambda each: each.version)[1])
    before = rows(stage)
    report = bring_back(stage, seconds[1], tmp_path)
    assert (report.put, report.deleted, report.failed) == (0, 0, 1)
    assert "gone from the bucket" in report.failures[0].why
    assert rows(stage) == before
    assert bring_back(stage, seconds[0], tmp_path).put == 1
    assert rows(stage) == [stage.model[0][2]]


def bring_back(stage: Stage, at: int, folder: Path) -> Restored:
    around = RestoreContext(lambda _: stage.table, stage.clock, folder, memory=SMALL)
    return restore(stage.vault(), RestoreRequest(at, InPlace(), keys=[KEYS[0]]), around)


def rows(stage: Stage) -> list[bytes | None]:
    return [image for page in stage.table.scan() for image in page]


def test_a_version_that_no_segment_names_never_wins() -> None:
    stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
    stage.put([0])
    stage.clock.sleep(60)
    stage.follow()
    vault, at = stage.vault(), int(stage.clock.now())
    entry = newest_each(vault, KEYS[:1], at, vault.basis(at))[KEYS[0]]
    assert entry is not None
    assert entry.place is not None
    image = vault.image(entry)
    later = msgspec.structs.replace(entry, sequence=str(int(entry.sequence) + 1), micros=entry.micros + 1_000_000)
    stage.store.put(entry.place.name, image.replace(b'"1"', b'"666"'), metadata_of(later, images.SCHEMA.names))
    shown = histories.show(vault, KEYS[0], at, now=stage.clock.now())
    assert shown.image == image
    assert len(histories.history(vault, KEYS[0])) == 1


# --- through the command line ----------------------------------------------------------------------------------------------------


KEY = images.key("z", 1).decode()


def test_through_the_command_line(scene: Scene) -> None:
    """The template's own rule removes superseded versions; a middle one may be removed by anybody who may."""
    scene.create()
    scene.init()
    moments = []
    for number in range(3):
        scene.put(images.image("z", 1, v={"N": str(number)}))
        moments.append(str(next_second()))
    scene.tail()
    live = scene.items()
    superseded = [each for each in scene.store().versions(f"{scene.table}/") if not each.latest]
    s3 = scene.aws.client("s3")
    for each in superseded[:1]:  # the middle one
        s3.delete_object(Bucket=scene.bucket, Key=f"backups/{each.name}", VersionId=each.version)

    told = scene.call("history", scene.table, KEY, "--json")
    assert told.code == 1
    assert [each["image"]["v"]["N"] for each in told.json()] == ["0", "2"]
    assert "NOT READ: " in told.err
    assert "is gone from the bucket: the change log names it" in told.err
    assert "note: the vault is sure to hold" in told.err, "how fresh it is"
    shown = scene.call("show", scene.table, KEY, "--at", moments[1])
    assert (shown.code, shown.out) == (1, "")
    assert "is gone from the bucket" in shown.err
    back = scene.call("restore", scene.table, "--at", moments[1], "--in-place", "--key", KEY, "--yes")
    assert back.code == 1
    assert "NOT RESTORED" in back.err
    assert "is gone from the bucket" in back.err
    assert scene.items() == live

    for each in superseded[1:]:  # and now all
        s3.delete_object(Bucket=scene.bucket, Key=f"backups/{each.name}", VersionId=each.version)
    back = scene.call("restore", scene.table, "--at", moments[0], "--in-place", "--key", KEY, "--yes")
    assert back.code == 1
    assert "NOT RESTORED" in back.err
    assert scene.items() == live, "the live row is not deleted"
