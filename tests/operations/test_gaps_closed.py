"""A gap, and the base backup after it: moments before are exact, those within refused for good, those after exact again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from backstream.model import moment_arguments
from kit.images import image, key
from kit.scene import Scene, file_items, next_second, same


def switch_stream(scene: Scene, *, on: bool) -> None:
    client = scene.aws.client("dynamodb")
    if on:
        client.update_table(
            TableName=scene.table, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        )
    else:
        client.update_table(TableName=scene.table, StreamSpecification={"StreamEnabled": False})


def proven(scene: Scene) -> int:
    """The second that has just ended, once the vault is sure to hold all of it."""
    ended, deadline = next_second(), time.monotonic() + 240
    while time.monotonic() < deadline:
        scene.tail()
        if (scene.vault().window(time.time()).durable or 0) > ended:
            return ended
        time.sleep(0.5)
    raise AssertionError("the vault never became sure")


def lose_changes(scene: Scene) -> tuple[int, int]:
    """Rows before a gap, and in it one changed, one deleted, one new. A second before it, and one in it."""
    scene.create()
    scene.init()
    scene.put(*(image("row", number, v={"S": "before"}) for number in range(4)))
    before = proven(scene)
    switch_stream(scene, on=False)
    scene.put(image("row", 1, v={"S": "changed in the gap"}), image("new", 1))
    scene.delete(key("row", 2))
    within = next_second()
    next_second()  # a stream's label is when it was enabled: two in one second would be one
    switch_stream(scene, on=True)
    scene.tail()
    return before, within


def restored(scene: Scene, at: object, *words: str) -> tuple[int, dict[bytes, bytes], str]:
    file = Path(scene.folder) / f"{time.monotonic_ns()}.ndjson"
    ran = scene.call("restore", scene.table, "--at", str(at), "--to-file", str(file), *words)
    return ran.code, file_items(file) if ran.code == 0 else {}, ran.err


def test_a_base_backup_closes_a_gap(scene: Scene) -> None:
    before, within = lose_changes(scene)
    standing = scene.call("status", scene.table, "--json").json()
    (gap,) = standing["gaps"]
    assert "the stream was replaced" in gap["reason"]
    assert standing["closed_gaps"] == []
    code, _, said = restored(scene, "now")
    assert code == 4
    assert gap["since"] in said

    assert scene.call("backfill", scene.table).code == 0
    scene.put(image("after", 1))
    after = proven(scene)
    live = scene.items()
    code, items, _ = restored(scene, after)
    assert code == 0
    assert same(items, live)
    assert "row" in {image_zone(each) for each in items.values()}

    status = scene.call("status", scene.table, "--json").json()
    assert status["gaps"] == []
    assert status["closed_gaps"] == [gap]
    assert len(status["ranges"]) == 2
    assert status["ranges"][1]["since"] == status["window_from"] == status["base_backups"][0]["ended"]
    people = scene.call("status", scene.table).out
    assert people.count("exact restores") == 2
    assert "gap, closed" in people

    code, items, _ = restored(scene, before)
    assert code == 0
    assert {wire_value(each) for each in items.values()} == {"before"}
    code, _, said = restored(scene, within)
    assert code == 4
    assert gap["reason"] in said
    code, _, said = restored(scene, within, "--allow-gap")
    assert code == 0
    assert "changes may be missing" in said

    single_rows(scene, before, within)


def single_rows(scene: Scene, before: int, within: int) -> None:

    def show(number: int, at: object, zone: str = "row") -> tuple[int, str, str]:
        ran = scene.call("show", scene.table, key(zone, number).decode(), "--at", str(at), "--json")
        return ran.code, ran.out, ran.err

    assert "changed in the gap" in show(1, "now")[1]
    assert '"before"' in show(0, "now")[1]
    assert show(1, "now", "new")[0] == 0
    code, _, said = show(2, "now")
    assert code == 1
    assert "deleted in a gap" in said
    assert '"before"' in show(2, before)[1]
    assert show(2, within)[0] == 4
    brought_back = scene.call("restore", scene.table, "--at", str(before), "--in-place", "--yes", "--key", key("row", 2).decode())
    assert brought_back.code == 0
    assert key_of(scene, 2) in scene.items()


@pytest.mark.soak
def test_history_across_a_gap(scene: Scene) -> None:
    lose_changes(scene)
    report = scene.call("backfill", scene.table, "--json").json()
    assert (report["rows"], report["written"]) == (4, 2), "of four rows only the changed and the new one"
    versions = scene.call("history", scene.table, key("row", 1).decode(), "--json").json()
    assert [each["event"] for each in versions] == ["INSERT", "BACKFILL"]
    assert versions[1]["sequence"] is None
    assert versions[1]["time"] <= report["ended"]
    assert moment_arguments.parse(report["began"], 0) <= moment_arguments.parse(versions[1]["time"], 0)
    unchanged = scene.call("history", scene.table, key("row", 0).decode(), "--json").json()
    assert [each["event"] for each in unchanged] == ["INSERT"]


def image_zone(item: bytes) -> str:
    return "row" if b'"row"' in item else "other"


def wire_value(item: bytes) -> str:
    return "before" if b'"before"' in item else "other"


def key_of(scene: Scene, number: int) -> bytes:
    return scene.vault().key_of(image("row", number))
