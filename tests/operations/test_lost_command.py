"""A change that was lost in the middle of a vault: `check`, `drill` and a whole restore name its item and the seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from backstream.model import moment
from backstream.model.changes.change import Change
from backstream.model.values import wire
from backstream.operations.capture.shards import OLDEST
from backstream.operations.capture.sink import VaultKeeper
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import pack
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.losing import lose
from kit.scene import Ran, Scene

HOUR = 3_600
ITEMS = range(6)
SHARDS = {0: "shardId-a", 1: "shardId-b"}


@cache
def began() -> int:
    """The beginning of an hour, some hours ago; the same one all along, though an hour ends meanwhile."""
    return (int(time.time()) // HOUR - 5) * HOUR


def changes_of(feed: Feed, hour: int) -> list[Change]:
    """Each item changes once in that hour, a second after the one before."""
    for number in ITEMS:
        feed.put(began() + hour * HOUR + 60 + number, image("z", number, v={"N": str(hour)}))
    return feed.take()


def by_a_tail(feed: Feed, hours: Sequence[list[Change]]) -> None:
    """Two shards, a segment of each in every hour."""
    with ThreadPoolExecutor(4) as pool:
        keeper = VaultKeeper(feed.vault, feed.label, pool, ManualClock(time.time()), writer="tail", notice=print)
        after = dict.fromkeys(SHARDS.values(), OLDEST)
        for changes in hours:
            for place, shard in SHARDS.items():
                mine = changes[place::2]
                assert keeper.keep(mine, shard, after=after[shard]).count == len(mine)
                after[shard] = mine[-1].sequence


def lose_line(feed: Feed, scene: Scene, hours: Sequence[list[Change]]) -> list[Change]:
    """One line of a segment in the middle, whose name is made to fit: nothing but the chain tells."""
    by_a_tail(feed, hours)
    log, gone = feed.vault.log, hours[1][2]
    (listed,) = [
        each
        for each in log.listing()
        if each.segment is not None and each.segment.count and any(entry.sequence == gone.sequence for entry in log.read(each))
    ]
    assert listed.segment is not None
    left = [entry for entry in log.read(listed) if entry.sequence != gone.sequence]
    name = listed.name.replace(f"_{listed.segment.count}_", f"_{len(left)}_")
    feed.store.put(name, pack(left, listed.segment.codec), dict(log.metadata(listed)))
    lose(feed.store, listed.name, aws=scene.aws)
    return [gone]


def lose_batch(feed: Feed, scene: Scene, hours: Sequence[list[Change]]) -> list[Change]:
    """A function's batch that never came: nobody knows that it was ever to come."""
    del scene
    feed.deliver(hours[0])
    feed.deliver(hours[1][:2] + hours[1][4:])
    feed.deliver(hours[2])
    return hours[1][2:4]


def lose_shards_hour(feed: Feed, scene: Scene, hours: Sequence[list[Change]]) -> list[Change]:
    """All segments of one shard in one hour."""
    by_a_tail(feed, hours)
    since = began() + HOUR
    for listed in list(feed.vault.log.listing(since=since, until=since + HOUR - 1)):
        if listed.segment is not None and listed.segment.shard == SHARDS[1]:
            lose(feed.store, listed.name, aws=scene.aws)
    return hours[1][1::2]


LOSSES: dict[str, Callable[[Feed, Scene, Sequence[list[Change]]], list[Change]]] = {
    "one line of a segment": lose_line,
    "one batch of a function": lose_batch,
    "one hour of a shard": lose_shards_hour,
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layout", list(Layout))
def test_check_drill_and_a_whole_restore_name_it(scene: Scene, layout: Layout, loss: str) -> None:
    """A restore of a moment after the item's next change sees it as it reads; one before that, once `check` has recorded it."""
    feed = Feed(scene.store(), scene.table, began=began(), schema=SCHEMA, layout=layout)
    gone = LOSSES[loss](feed, scene, [changes_of(feed, hour) for hour in range(3)])
    feed.reached(int(time.time()) - 120)
    before, after = began() + HOUR + 30 * 60, began() + 2 * HOUR + 30 * 60

    def restore(at: int, path: str, *words: str) -> Ran:
        return scene.call("restore", scene.table, "--at", str(at), "--to-file", path, *words)

    first = restore(after, "after.ndjson")
    checked = scene.call("check", scene.table)
    second = restore(before, "before.ndjson")
    drilled = scene.call("drill", scene.table, "--at", str(before), "--patience", "0.5")
    assert (first.code, checked.code, second.code, drilled.code) == (4, 3, 4, 3)
    for change in gone:
        key = change.keys.decode()
        since, until = moment.iso(change.seconds - HOUR), moment.iso(change.seconds + HOUR)  # of the changes around it
        for ran in (first, second):
            assert f"{key}: a change made between {since} and {until} is missing" in ran.err
        assert f" of {key}: a change of this item is missing: " in checked.err
        assert f"it affects {since} to {until}" in checked.err
        assert f"{key} between {since} and {until}" in drilled.err
    assert not (scene.folder / "after.ndjson").exists()
    assert not (scene.folder / "before.ndjson").exists()
    known = restore(after, "known.ndjson", "--allow-gap")
    assert known.code == (0 if loss == "one batch of a function" else 1), "a segment that is missing, or was replaced, is named"


@pytest.mark.parametrize("who", ["restore", "compact"])
@pytest.mark.parametrize("layout", list(Layout))
def test_a_whole_restore_and_compact_record_it(scene: Scene, layout: Layout, who: str) -> None:
    """A restore of a moment before the item's next change does not see the loss as it reads. From then on it is told."""
    feed = Feed(scene.store(), scene.table, began=began(), schema=SCHEMA, layout=layout)
    gone = lose_batch(feed, scene, [changes_of(feed, hour) for hour in range(3)])
    feed.reached(int(time.time()) - 120)
    before, after = began() + HOUR + 30 * 60, began() + 2 * HOUR + 30 * 60

    def restored(at: int, path: str) -> Ran:
        return scene.call("restore", scene.table, "--at", str(at), "--to-file", path)

    assert restored(before, "unaware.ndjson").code == 0, "docs/window.md: nobody has seen the change that shows it"
    ran = restored(after, "after.ndjson") if who == "restore" else scene.call("compact", scene.table)
    told = restored(before, "before.ndjson")
    assert (ran.code, told.code) == (4 if who == "restore" else 3, 4), ran.err
    for change in gone:
        since, until = moment.iso(change.seconds - HOUR), moment.iso(change.seconds + HOUR)
        for each in (ran, told):
            assert f"{change.keys.decode()}: a change made between {since} and {until}" in each.err
    assert {gap.key for gap in feed.vault.gaps.of_items()} == {change.keys.decode() for change in gone}
    shown = [scene.call("show", scene.table, gone[0].keys.decode(), "--at", str(before), *more) for more in ((), ("--allow-gap",))]
    assert [each.code for each in shown] == [4, 0]
    assert all("a change made between" in each.err and "is missing" in each.err for each in shown), shown
    assert '"v"' in shown[1].out


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("whole", [True, False])
def test_in_place_the_next_change_is_looked_at_before_a_row_is_reverted(scene: Scene, layout: Layout, *, whole: bool) -> None:
    """Nobody has recorded the loss. The rows of which it is are left and named, the others are as they were then."""
    feed = Feed(scene.store(), scene.table, began=began(), schema=SCHEMA, layout=layout)
    gone = lose_batch(feed, scene, [changes_of(feed, hour) for hour in range(3)])
    feed.reached(int(time.time()) - 120)
    scene.create()
    scene.put(*(image("z", number, v={"N": "2"}) for number in ITEMS))
    words = [] if whole else [word for number in ITEMS for word in ("--key", key_of(number))]
    restore = ["restore", scene.table, "--at", str(began() + HOUR + 30 * 60), "--in-place", "--yes", *words]
    ran = scene.call(*restore, "--json")
    assert (ran.code, ran.json()["put"], ran.json()["failed"], ran.json()["spared"]) == (1, 4, 2, 2), ran.err
    lost = {wire.key_of(SCHEMA, change.keys) for change in gone}
    assert {key for key, each in scene.items().items() if b'"2"' in each.replace(b" ", b"").partition(b'"v"')[2][:12]} == lost
    for change in gone:
        since, until = moment.iso(change.seconds - HOUR), moment.iso(change.seconds + HOUR)
        assert (
            f"{change.keys.decode()}: left alone, nothing tells how it was then: a change made between {since} and {until}"
            in ran.err
        )
    assert {gap.key for gap in feed.vault.gaps.of_items()} == {change.keys.decode() for change in gone}
    assert scene.call(*restore).code == 4, "by now it is recorded"
    assert scene.call(*restore, "--allow-gap").code == 0


def key_of(number: int) -> str:
    return key("z", number).decode()


def test_history_and_show_tell_of_it(scene: Scene) -> None:
    feed = Feed(scene.store(), scene.table, began=began(), schema=SCHEMA)
    gone, *_ = lose_batch(feed, scene, [changes_of(feed, hour) for hour in range(3)])
    feed.reached(int(time.time()) - 120)
    key = gone.keys.decode()
    since, until = moment.iso(gone.seconds - HOUR), moment.iso(gone.seconds + HOUR)
    told = scene.call("history", scene.table, key)
    assert (told.code, f"note: GAP: {key}: a change made between {since} and {until} is missing" in told.err) == (0, True), told.err
    other = scene.call("history", scene.table, image("z", 0).decode())
    assert "GAP: " not in other.err
    assert scene.call("check", scene.table).code == 3
    words = ["--at", moment.iso(gone.seconds + 60)]
    for ran in (
        scene.call("show", scene.table, key, *words),
        scene.call("restore", scene.table, *words, "--key", key, "--to-file", "x"),
    ):
        assert (ran.code, f"a change made between {since} and {until} is missing" in ran.err) == (4, True), ran.err
    assert scene.call("show", scene.table, key, *words, "--allow-gap").code == 0
