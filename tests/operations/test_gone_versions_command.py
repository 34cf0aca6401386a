"""A tenant's or a partition's row whose version is gone from the bucket: named, and not brought back as an older image."""

from __future__ import annotations

import time

import pytest

from backstream.model import moment
from backstream.model.values import wire
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import SCHEMA, image
from kit.losing import lose
from kit.scene import Scene, file_items


@pytest.mark.parametrize("selection", [["--tenant", "z"], ["--partition", "z"], []])
def test_a_version_that_is_gone_is_not_restored(scene: Scene, selection: list[str]) -> None:
    began = int(time.time()) - 4_000
    feed = Feed(scene.store(), scene.table, began=began, schema=SCHEMA, layout=Layout.ROWS, tenant_attribute="zone")
    for step in range(3):
        feed.put(began + 60 + step * 600, *(image("z", number, v={"N": str(step)}) for number in range(3)), image("y", 1))
    feed.deliver()
    feed.reached(int(time.time()) - 60)
    at = began + 60 + 600 + 30
    key = wire.key_of(SCHEMA, image("z", 1))
    (gone,) = [each for each in feed.vault.history(key) if each.seconds == began + 660]
    assert gone.place is not None
    lose(feed.store, gone.place.name, gone.place.version, aws=scene.aws)
    ran = scene.call("restore", scene.table, "--at", moment.iso(at), "--to-file", "then.ndjson", *selection)
    assert (ran.code, "NOT RESTORED" in ran.err, key.decode() in ran.err) == (1, True, True), ran.err
    there = file_items(scene.folder / "then.ndjson")
    assert key not in there, "no older image in its place"
    assert {wire.key_of(SCHEMA, image("z", number)) for number in (0, 2)} <= there.keys()
