"""A page of an item's history: what `tell` says of the same versions, at the cost of a page."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import msgspec
import pytest

from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import Scanned, of_change, of_scanned
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.inspect.history import tell
from backstream.operations.inspect.history_page import HistoryPage, PageAsked, page
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.counted import CountedStore
from kit.stage import Stage

SIZE = 5
SHARD = "shardId-00000001700000000000-0a1b2c3d"
SEQUENCE = 5 * 10**20
ITEM = images.key("z", 1)
LARGE = 4_000  # bytes of an image


def asked(stage: Stage, wanted: PageAsked = PageAsked(), size: int = SIZE) -> HistoryPage:  # noqa: B008 - frozen
    vault = stage.vault()
    return page(vault, vault.key_of(ITEM), wanted, size, now=stage.clock.now(), allow_gap=True)


def base_backup(stage: Stage) -> None:
    """A backfill of the table."""
    vault = stage.vault()
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=1, max_units=None), BackfillContext(stage.clock))


def lived(layout: Layout, seed: int) -> Stage:
    """One item that comes, changes and goes beside another one, with base backups and compactions in between."""
    chance, stage, alive = random.Random(seed), Stage(ManualClock(), layout=layout, shards=1), False
    for _ in range(30):
        if alive and chance.random() < 0.2:
            stage.delete([1])
            alive = False
        else:
            stage.put([1, 2])
            alive = True
        stage.clock.sleep(chance.choice([1, 5, 4_000]))
        if chance.random() < 0.6:
            stage.follow()
        if chance.random() < 0.2:
            base_backup(stage)
        if chance.random() < 0.15:
            compact(stage.vault(), stage.clock)
    stage.follow()
    return stage


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("seed", range(3))
def test_the_pages_are_the_history_and_have_its_notes(layout: Layout, seed: int) -> None:
    stage = lived(layout, seed)
    vault = stage.vault()
    whole = tell(vault, vault.key_of(ITEM), now=stage.clock.now(), allow_gap=True)
    found = asked(stage)
    backwards, newest = list(reversed(found.versions)), found
    while found.versions[0].number > 1:
        assert found.before == bytes(whole.versions[found.versions[0].number - 2].image)
        found = asked(stage, PageAsked(upto=found.versions[0].number - 1, mark=found.mark_before))
        backwards += reversed(found.versions)
    assert [each.version for each in reversed(backwards)] == whole.versions
    assert [each.number for each in backwards] == list(range(len(whole.versions), 0, -1))
    assert (found.before, found.mark_before, found.total) == (b"null", "", len(whole.versions))
    assert newest.told == msgspec.structs.replace(whole, versions=[])
    forwards = list(found.versions)
    while forwards[-1].number < found.total:
        later = asked(stage, PageAsked(after=forwards[-1].number, mark=forwards[-1].mark))
        assert len(later.versions) == SIZE
        forwards += [each for each in later.versions if each.number > forwards[-1].number]
    assert [each.version for each in forwards] == whole.versions


@pytest.mark.parametrize(
    ("upto", "after", "numbers"),
    [
        (0, 0, [3, 4, 5, 6, 7]),
        (7, 0, [3, 4, 5, 6, 7]),
        (5, 0, [1, 2, 3, 4, 5]),
        (3, 0, [1, 2, 3]),
        (1, 0, [1]),
        (99, 0, [3, 4, 5, 6, 7]),
        (0, 1, [2, 3, 4, 5, 6]),
        (0, 2, [3, 4, 5, 6, 7]),
        (0, 6, [3, 4, 5, 6, 7]),
        (0, 99, [3, 4, 5, 6, 7]),
    ],
)
def test_the_borders_of_pages(upto: int, after: int, numbers: list[int]) -> None:
    stage = Stage(ManualClock(), shards=1)
    for _ in range(7):
        stage.put([1])
    stage.follow()
    assert [each.number for each in asked(stage, PageAsked(upto, after)).versions] == numbers
    assert [each.number for each in asked(stage, PageAsked(upto, after, "forgotten")).versions] == numbers


def test_an_item_that_never_was_has_no_page() -> None:
    stage = Stage(ManualClock(), shards=1)
    found = asked(stage)
    assert (found.versions, found.total, found.mark_before) == ([], 0, "")


@pytest.mark.parametrize("compacted", [False, True])
def test_only_the_images_of_the_page_are_asked_for(*, compacted: bool) -> None:
    stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
    for _ in range(60):
        stage.put([1, 2])
        stage.clock.sleep(1)
    stage.follow()
    base_backup(stage)
    if compacted:
        compact(stage.vault(), stage.clock)

    def images_read(work: Callable[[TableVault], object]) -> int:
        store = CountedStore(stage.store)
        work(stage.vault(store))
        return sum(count for (kind, name), count in store.names.items() if kind == "GET" and name.startswith("flights/"))

    now = stage.clock.now()

    def of_page(wanted: PageAsked) -> int:
        return images_read(lambda vault: page(vault, vault.key_of(ITEM), wanted, 12, now=now))

    assert of_page(PageAsked()) == 13
    assert of_page(PageAsked(upto=30)) == 13
    assert of_page(PageAsked(upto=12)) == 12
    assert images_read(lambda vault: tell(vault, vault.key_of(ITEM), now=now)) == 61, "each version, and the base backup's"


def log_of(stage: Stage, numbers: range, *, size: int = 1) -> None:
    """Write an item's changes of these numbers, a second each, into the log."""
    label, began = stage.vault().catalog.stream, 1_790_000_000
    chance, entries = random.Random(7), []
    bodies = {each: images.image("z", 1, v={"S": f"{each}{chance.randbytes(size // 2).hex()}"}) for each in numbers}
    for number in numbers:
        old = bodies.get(number - numbers.step)
        change = Change(
            stream=label,
            sequence=str(SEQUENCE + number),
            micros=(began + number) * MICROS,
            event="INSERT" if old is None else "MODIFY",
            event_id=f"{number:032x}",
            actor=None,
            keys=ITEM,
            old=old,
            new=bodies[number],
        )
        entries.append(of_change(change, None))
    stage.vault().log.write_run(entries, SHARD, after="start", writer="tail")


def test_the_images_beside_the_page_are_not_held_in_memory() -> None:
    stage = Stage(ManualClock(1_790_010_000.0), shards=1)
    log_of(stage, range(1_500), size=LARGE)
    compact(stage.vault(), stage.clock)

    def most(work: Callable[[TableVault, bytes], object]) -> int:
        vault = stage.vault()
        tracemalloc.start()
        try:
            work(vault, vault.key_of(ITEM))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    now, every = stage.clock.now(), 1_500 * LARGE
    whole = most(lambda vault, key: tell(vault, key, now=now, allow_gap=True))
    of_page = most(lambda vault, key: page(vault, key, PageAsked(), 12, now=now, allow_gap=True))
    assert whole > 2 * every, "each version is read with its old image"
    assert of_page < whole - 1.5 * every, (of_page, whole)


def test_a_version_that_arrives_between_two_pages_hides_none() -> None:
    stage = Stage(ManualClock(1_790_010_000.0), shards=1)
    log_of(stage, range(0, 40, 2))
    first = asked(stage)
    older = PageAsked(upto=first.versions[0].number - 1, mark=first.mark_before)
    newer = PageAsked(after=5, mark=asked(stage, PageAsked(upto=5)).versions[-1].mark)
    log_of(stage, range(1, 5, 2))  # two late ones, before all others but one
    follows = asked(stage, older)
    assert follows.total == first.total + 2
    assert [each.mark for each in follows.versions][-1] == first.mark_before
    assert int(follows.versions[-1].version.sequence or 0) + 2 == int(first.versions[0].version.sequence or 0)
    assert asked(stage, newer).versions[0].version.sequence == str(SEQUENCE + 10)


def test_a_line_that_states_another_digest_than_its_images_hides_no_version() -> None:
    """Whoever can write a line writes its digest, too. The history compares the images themselves."""
    stage = Stage(ManualClock(1_790_010_000.0), shards=1)
    log_of(stage, range(3))
    vault, second = stage.vault(), 1_790_000_100
    other = of_scanned(Scanned(ITEM, images.image("z", 1, v={"S": "another"}), second, second * MICROS), None)
    (newest,) = vault.history(vault.key_of(ITEM))[-1:]
    vault.log.write_batch([msgspec.structs.replace(other, after=newest.after)], SegmentKind.REPAIR, writer="test")
    whole = tell(vault, vault.key_of(ITEM), now=stage.clock.now(), allow_gap=True).versions
    assert len(whole) == 4
    assert [each.version for each in asked(stage).versions] == whole


def test_a_version_whose_image_is_gone_keeps_its_place() -> None:
    stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
    for _ in range(9):
        stage.put([1])
        stage.clock.sleep(1)
    stage.follow()
    assert isinstance(stage.store, MemoryStore)
    (name,) = {each.name for each in stage.store.versions("flights/")}
    there = stage.store._versions[name]
    kept = asked(stage)
    del there[1:4], there[4]  # the second to the fourth, and the eighth
    found = asked(stage)
    assert [each.number for each in found.versions] == [5, 6, 7, 8, 9]
    assert [bool(each.lost) for each in found.versions] == [False, False, False, True, False]
    assert "is gone from the bucket" in found.versions[3].lost
    assert found.versions[3].version.time == kept.versions[3].version.time
    first = asked(stage, PageAsked(upto=1)).versions[0].version
    assert found.before == bytes(first.image), "the last one before the page that can be read"
    assert found.told.unread == []
    del there[0]
    assert asked(stage).before is None
