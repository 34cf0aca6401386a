"""A change that is delivered again is looked for in few places, however many versions its item has. The counts are exact."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import MissingObject
from backstream.model.changes.change import Change
from backstream.stores.memory import MemoryStore
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.rows.row_versions import row_versions
from backstream.vault.rows.rows import RowStore
from backstream.vault.rows.version_search import NEWEST
from kit.clock import ManualClock
from kit.counted import CountedStore
from kit.lived import all_changes
from kit.stage import Stage

VERSIONS = 900


class HotItems:
    """Items with many versions each, kept by a writer in the order of their changes."""

    def __init__(self, items: int, versions: int, *, every: float = 1.0) -> None:
        self.stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
        for _ in range(versions):
            self.stage.put(range(items))
            self.stage.clock.sleep(every)
        self.changes = list[Change](all_changes(self.stage))
        writer = self.writer()
        for each in self.changes:
            writer.keep(each)

    def writer(self, store: CountedStore | None = None) -> RowStore:
        """One that remembers nothing."""
        return RowStore(store or self.stage.store, catalogs.load(self.stage.store, "flights"))

    def versions(self) -> int:
        """How many there are of all items."""
        return sum(1 for each in self.stage.store.versions("flights/") if not each.marker)

    def requests(self, *changes: Change) -> Counter[str]:
        """What a writer that remembers nothing sends to keep these."""
        store = CountedStore(self.stage.store)
        writer = self.writer(store)
        with store.counting() as sent:
            for each in changes:
                writer.keep(each)
        return sent


@pytest.fixture(scope="module")
def hot() -> HotItems:
    return HotItems(1, VERSIONS)


def test_a_change_that_comes_again_costs_a_few_requests(hot: HotItems) -> None:
    """One HEAD shows what is on top, one listing where it may lie, and ten more find it: it was a HEAD for each version."""
    before = hot.versions()
    assert hot.requests(hot.changes[VERSIONS // 2]) == Counter(HEAD=11, LIST=2, GET=1)
    assert hot.requests(hot.changes[0]) == Counter(HEAD=11, LIST=2, GET=1)
    assert hot.requests(hot.changes[-1]) == Counter(HEAD=2 + 9, LIST=2, GET=1)
    assert hot.versions() == before, "nothing was kept twice"


def test_a_batch_that_comes_again_costs_a_request_for_each_change(hot: HotItems) -> None:
    before = hot.versions()
    sent = hot.requests(*hot.changes[400:500])
    assert sent == Counter(HEAD=110, LIST=101, GET=100)
    assert hot.versions() == before


def test_twenty_five_hot_items_cost_some_hundred_requests() -> None:
    """They cost 25,025 with a thousand versions each."""
    hot = HotItems(25, 60)
    again = hot.changes[25 * 30 : 25 * 31]
    sent = hot.requests(*again)
    assert sent == Counter(HEAD=25 * 7, LIST=25 * 2, GET=25)


def test_a_late_change_that_was_never_kept_costs_as_little() -> None:
    hot = HotItems(1, 200)
    late, store = hot.changes[100], hot.stage.store
    assert isinstance(store, MemoryStore)
    (row,) = (each for each in row_versions(store, names(store)[0]) if each.entry.order == late.order)
    (version,) = (each for each in store.versions_of(row.place.name) if each.version == row.place.version)
    list(store.remove_each([version]))
    sent = hot.requests(late)
    assert sent["PUT"] == 2, "the change, and what was on top of it again"
    assert sent["HEAD"] <= 1 + 8 + NEWEST + 1
    assert sent["LIST"] == 3
    assert hot.requests(late)["PUT"] == 0, "it lies near the top now, and is found there"


def test_a_version_that_was_removed_since_it_was_found_is_kept_again() -> None:
    """The writer remembers what it has found; a lifecycle rule does not ask it."""
    hot = HotItems(1, 5)
    late, store, writer = hot.changes[1], hot.stage.store, hot.writer()
    assert isinstance(store, MemoryStore)
    first = writer.keep(late).place
    assert first is not None
    list(store.remove_each([each for each in store.versions_of(first.name) if each.version == first.version]))
    again = writer.keep(late).place
    assert again is not None
    assert store.get(again.name, again.version).body == late.new
    assert store.get(again.name).body == hot.changes[-1].new


def names(store: MemoryStore) -> list[str]:
    return sorted({each.name for each in store.versions("flights/")})


@given(st.integers(0, 2**32), st.integers(2, 40))
def test_the_newest_stays_on_top_whatever_comes_again(seed: int, count: int) -> None:
    """Changes of one item, some of them deletes, come in any order and several times: to one writer, or each to a writer that
    remembers nothing. In the end the object's top is the newest change, and each change is there."""
    noise = random.Random(seed)
    stage = Stage(ManualClock(), layout=Layout.ROWS, shards=1)
    there = False
    for _ in range(count):
        there = not there or noise.random() < 0.7
        if there:
            stage.put([1])
        elif stage.model and stage.model[-1][2] is not None:
            stage.delete([1])
        stage.clock.sleep(noise.choice([0, 1, 100]))
    changes = list(all_changes(stage))
    catalog = catalogs.load(stage.store, "flights")
    one = RowStore(stage.store, catalog) if noise.random() < 0.5 else None
    deliveries = changes + noise.choices(changes, k=count)
    if noise.random() < 0.5:
        noise.shuffle(deliveries)
    for each in deliveries:
        entry = (one or RowStore(stage.store, catalog)).keep(each)
        assert entry.place is not None
        body = stage.store.get(entry.place.name, entry.place.version).body
        assert body == (each.old if each.event == "REMOVE" else each.new)
    assert isinstance(stage.store, MemoryStore)
    (name,) = names(stage.store)
    rows = list(row_versions(stage.store, name))
    assert {each.entry.order for each in rows} == {each.order for each in changes}
    assert rows[0].entry.order == max(each.order for each in changes)
    try:
        assert stage.store.get(name).body == stage.model[-1][2]
    except MissingObject:
        assert stage.model[-1][2] is None
