"""A scanned image on top of a row object says what lies below it: who keeps the next change need not list the object's versions."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from backstream.errors import Damaged
from backstream.model.changes.change import MICROS, Change, Order
from backstream.model.changes.entry import Scanned
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectInfo, ObjectVersion
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.rows.row_versions import NewestVersion, parse_metadata
from backstream.vault.rows.rows import RowStore
from kit.clock import ManualClock

KEY = b'{"id":{"S":"a"}}'
STREAM = "2026-11-23T04:15:33.123"


class Listed(MemoryStore):
    """Counts what S3 bills as listings of versions."""

    listings = 0

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        self.listings += 1
        return super().versions_of(name)


def image(value: int) -> bytes:
    return KEY[:-1] + b',"v":{"N":"%d"}}' % value


def change(sequence: int, seconds: int, value: int) -> Change:
    return Change(STREAM, str(sequence), seconds * MICROS, "MODIFY", "", None, KEY, image(0), image(value))


def scanned(began: int, value: int) -> Scanned:
    return Scanned(KEY, image(value), began, (began + 4) * MICROS)


@pytest.fixture
def store() -> Listed:
    clock = ManualClock()
    store = Listed(clock)
    table = MemoryTable("items", clock, KeySchema(KeyAttribute("id", "S")))
    table.enable_stream()
    init(store, table, InitOptions(layout=Layout.ROWS))
    store.listings = 0  # `init` looks for a catalog below delete markers: only what the rows cost is counted here
    return store


def writer(store: Listed) -> RowStore:
    """One that remembers nothing."""
    return RowStore(store, catalogs.load(store, "items"))


def on_top(store: Listed) -> bytes:
    (listed,) = store.list("items/")
    return store.get(listed.name).body


def test_a_change_after_a_base_backup_costs_no_listing(store: Listed) -> None:
    assert writer(store).keep_scanned(scanned(100, 1))[1]
    writer(store).keep(change(7, 103, 2))
    assert store.listings == 0
    assert wire.same_image(on_top(store), image(2))


def test_changes_that_the_scanned_image_reflects_stay_below_it(store: Listed) -> None:
    writer(store).keep(change(5, 90, 1))
    writer(store).keep_scanned(scanned(100, 2))
    writer(store).keep(change(5, 90, 1))
    assert wire.same_image(on_top(store), image(2))


def test_what_it_was_put_upon_is_handed_on_from_scan_to_scan(store: Listed) -> None:
    writer(store).keep(change(5, 90, 1))
    writer(store).keep_scanned(scanned(100, 2))
    writer(store).keep_scanned(scanned(200, 3))
    (listed,) = store.list("items/")
    row = parse_metadata(store.head(listed.name))
    assert row is not None
    assert row.upon == NewestVersion(Order(STREAM, 5), 90)


def test_a_scanned_image_of_before_says_nothing_and_is_looked_below(store: Listed) -> None:
    """Vaults hold versions without that word: the change of the greatest order lies below, and an older one stays there."""
    writer(store).keep(change(9, 120, 1))
    (listed,) = store.list("items/")
    writer(store).keep_scanned(scanned(125, 5))
    there = store.get(listed.name)
    metadata = {name: value for name, value in there.info.metadata.items() if name != "upon"}
    store.put(listed.name, there.body, metadata)
    store.listings = 0
    writer(store).keep(change(8, 126, 2))  # older than what lies below, however late its second
    assert store.listings
    assert wire.same_image(on_top(store), image(1))


def test_a_word_that_cannot_be_read_is_damage(store: Listed) -> None:
    writer(store).keep_scanned(scanned(100, 1))
    (listed,) = store.list("items/")
    info = store.head(listed.name)
    for text in ("", "9", "2026 nine 90", "2026 9 late"):
        broken: ObjectInfo = msgspec.structs.replace(info, metadata={**info.metadata, "upon": text})
        with pytest.raises(Damaged):
            parse_metadata(broken)
