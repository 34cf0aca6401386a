"""What lies right below a prefix is found whatever lies beside it: a stray object hides no folder."""

from __future__ import annotations

import pytest

from backstream.stores.memory import MemoryStore
from backstream.vault import table_folders
from backstream.vault.bases import BaseKind, BasePlan, Bases
from backstream.vault.one_level import folders_in, one_level
from kit.clock import ManualClock

ID = "20261123T040000Z-0a1b2c"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(ManualClock(1_795_406_400))


def names(store: MemoryStore, prefix: str) -> list[str]:
    return [name for name, _ in one_level(store, prefix)]


def test_each_folder_and_each_object_comes_once_in_order(store: MemoryStore) -> None:
    for name in ("p/a", "p/a-1/x", "p/a/x", "p/a/y/z", "p/a0", "p/a0/x", "p/b", "q/x"):
        store.put(name, b"")
    assert names(store, "p/") == ["a", "a-1/", "a/", "a0", "a0/", "b"]
    assert [name for name, _ in folders_in(store, "p/")] == ["a-1", "a", "a0"]


def test_names_that_begin_with_the_last_character_hide_nothing(store: MemoryStore) -> None:
    for name in ("p/a/x", "p/a/\U0010ffff", "p/a/\U0010ffff\U0010ffff", "p/a0", "p/\U0010ffff", "p/\U0010ffff/x"):
        store.put(name, b"")
    assert names(store, "p/") == ["a/", "a0", "\U0010ffff", "\U0010ffff/"]


def test_a_row_is_the_first_of_its_folder(store: MemoryStore) -> None:
    store.put("p/a/x", b"")
    store.delete("p/a/x")
    ((name, row),) = one_level(store, "p/")
    assert (name, row.name, row.marker) == ("a/", "p/a/x", True)


@pytest.mark.parametrize("stray", ["flights", "flights0", "fl"])
def test_a_stray_object_hides_no_table_and_is_none(store: MemoryStore, stray: str) -> None:
    for table in ("flights", "flights-2", "flights.old", "flights0"):
        store.put(f"_backstream/{table}/catalog.json", b"")
    store.put(f"_backstream/{stray}", b"")
    assert sorted(table_folders.folders(store)) == ["flights", "flights-2", "flights.old", "flights0"]


@pytest.mark.parametrize("stray", [ID, f"{ID}0", ID[:8]])
def test_a_stray_object_hides_no_base_backup_and_is_none(store: MemoryStore, stray: str) -> None:
    bases = Bases(store, "flights")
    begun = [ID, f"{ID}-1"]
    for each in begun:
        bases.begin(BasePlan(1, each, BaseKind.SCAN, "table-id", 2, 1_795_406_400))
    store.put(f"_backstream/flights/base/{stray}", b"")
    assert sorted(bases.ids()) == begun, "an erasure goes through these, or items stay in one"
