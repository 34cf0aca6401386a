"""`init` of a table that the vault knows tells how things are: from when it is complete, and whether anybody captures."""

from __future__ import annotations

from kit.images import image
from kit.scene import Scene


def test_init_after_a_backfill_and_after_a_tail(scene: Scene) -> None:
    scene.create()
    scene.put(image("EU", 1))
    first = scene.call("init", scene.table, "--enable-stream")
    assert "what `backfill` brings" in first.out
    backfilled = scene.call("backfill", scene.table, "--json").json()
    again = scene.call("init", scene.table)
    exact = backfilled["exact_from"]
    assert (again.code, f"complete from  from {exact}, once the stream has been read" in again.out) == (0, True), again.out
    assert ("backstream tail" in again.out, "backstream backfill" in again.out) == (True, False), again.out
    report = scene.call("init", scene.table, "--json").json()
    assert (report["captured"], report["needs_backfill"], exact in report["window"]) == (False, False, True)

    scene.tail()
    proven = scene.call("init", scene.table, "--json").json()
    assert (proven["captured"], exact in proven["window"]) == (True, True), proven["window"]
    assert f"backstream status {scene.table}" in scene.call("init", scene.table).out


def test_rebuild_of_a_table_that_is_not_there(scene: Scene) -> None:
    ran = scene.call("rebuild", scene.table, "--json")
    assert (ran.code, ran.out, "does not know the table" in ran.err) == (1, "", True)
