"""A small history that commands are asked about."""

from __future__ import annotations

from backstream.clock import SystemClock
from backstream.stores.directory import DirectoryStore
from kit.feed import Feed
from kit.images import image
from kit.scene import Scene


def two_tenants(scene: Scene, at: int, proven: int) -> Feed:
    """Four rows of two tenants, captured at that second, and all of it proven up to a later one; the vault in a folder."""
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    feed = Feed(DirectoryStore(scene.folder / "vault", SystemClock()), scene.table, began=at - 600, tenant_attribute="tenant")
    feed.put(at, *(image("row", number, status={"S": "paid"}, tenant={"S": f"acme-{number % 2}"}) for number in range(4)))
    feed.deliver()
    feed.reached(proven)
    return feed
