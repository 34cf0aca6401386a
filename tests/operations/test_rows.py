"""The rows layout: one versioned object per item, right for plain S3 tools after any order of deliveries, and enough by itself."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.model import moment
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.operations.base.rebuild import rebuild
from backstream.operations.inspect.history import history
from backstream.stores.memory import MemoryStore
from backstream.vault import vault_tables
from backstream.vault.rows.row_versions import row_versions
from backstream.vault.table_vault import TableVault
from kit.rows import SCHEMA, Rows, item, key, same, scripted, state

# --- names and versions -----------------------------------------------------------------------------------------------------------


def test_names() -> None:
    canonical = wire.key_of(SCHEMA, key(7))
    expected = {
        Naming.SHA256: hashlib.sha256(canonical).hexdigest(),
        Naming.MD5: hashlib.md5(canonical, usedforsecurity=False).hexdigest(),
        Naming.PLAIN: "a%2Fb | 7",
    }
    for naming, name in expected.items():
        rows = Rows(naming=naming)
        rows.put(7, "x")
        rows.deliver()
        assert list(rows.listed()) == [f"users/{name}"]


def test_a_version_says_which_change_it_is_and_its_body_is_the_item() -> None:
    rows = Rows()
    rows.put(1, "first")
    rows.deliver()
    (change,) = rows.changes()
    ((name, body),) = rows.listed().items()
    assert wire.same_image(body, item(1, "first"))
    assert dict(rows.store.head(name).metadata) == {
        "format": "1",
        "stream": change.stream,
        "sequence": change.sequence,
        "time": moment.iso_micros(change.micros),
        "event": "INSERT",
        "event-id": change.event_id,
        "keys": '["zone", "number"]',
    }


def test_a_delete_is_a_tombstone_and_then_a_marker() -> None:
    rows = Rows()
    rows.put(1, "first")
    rows.table.expire([key(1)])
    rows.deliver()
    assert rows.listed() == {}
    marker, tombstone, version = rows.store.versions("users/")
    assert (marker.marker, marker.latest) == (True, True)
    assert not tombstone.marker
    assert rows.store.head(tombstone.name, tombstone.version).metadata["event"] == "REMOVE"
    assert wire.same_image(rows.store.get(tombstone.name, tombstone.version).body, item(1, "first")), "the old image"
    assert rows.store.head(version.name, version.version).metadata["event"] == "INSERT"


def test_an_item_that_moves_to_another_tenant_and_back() -> None:
    rows = Rows(tenant_attribute="tenant")
    folders: list[list[str]] = []
    for tenant in ("acme", "globex", None, "acme"):
        rows.put(1, "x", tenant)
        rows.clock.move(10)
        rows.deliver(rows.changes()[-1:])
        folders.append([name.split("/")[1] for name in rows.listed()])
    assert folders == [["acme"], ["globex"], ["%none"], ["acme"]], "in one folder at a time"
    assert [version.event for version in history(rows.vault, wire.key_of(SCHEMA, key(1)))] == ["INSERT", *["MODIFY"] * 3]
    for second, _, _ in rows.model:
        assert same(state(rows.vault, second), rows.expected(second))


def test_tables_whose_names_begin_alike() -> None:
    users = Rows("users")
    archive = Rows("users-archive", users.store)
    for number in range(3):
        users.put(number, "user")
        archive.put(number + 10, "archived")
    users.deliver()
    archive.deliver()
    assert len(users.listed()) == len(archive.listed()) == 3
    for rows in (users, archive):
        assert same(state(rows.vault, 10**11), rows.expected(10**11))
        assert rebuild(rows.store, rows.table.name, writer="r").changes == 3
    assert sorted(vault_tables.tables(users.store)) == ["users", "users-archive"]


# --- any order, any number of times -----------------------------------------------------------------------------------------------


def deliver_anyhow(rows: Rows, source: random.Random) -> None:
    """In batches of the stream's order that come shuffled, cut and repeated; every change at least once."""
    changes = list(rows.changes())
    batches = []
    while changes:
        count = source.randrange(1, 6)
        batches.append(changes[:count])
        changes = changes[count:]
    batches += [batch[source.randrange(len(batch)) :] for batch in source.choices(batches, k=6)]
    source.shuffle(batches)
    for batch in batches:
        rows.deliver(batch)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_plain_tools_see_the_live_table_after_any_order_of_deliveries(seed: int) -> None:
    rows, source = scripted(seed, {})
    deliver_anyhow(rows, source)
    live = rows.expected(10**11)
    assert same({wire.key_of(SCHEMA, body): body for body in rows.listed().values()}, live)
    assert len(rows.listed()) == len(live)
    for second in {second for second, _, _ in rows.model}:
        assert same(state(rows.vault, second), rows.expected(second))
    for name in {each.name for each in rows.store.versions("users/")}:
        sequences = [version.entry.sequence for version in row_versions(rows.store, name)]
        assert len(set(sequences)) <= len(sequences) <= 3 * len(set(sequences)), "put back on top, not piled up"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_tenants_in_the_order_of_the_stream_with_repeats(seed: int) -> None:
    rows, source = scripted(seed, {"tenant_attribute": "tenant", "naming": Naming.PLAIN})
    changes = list(rows.changes())
    at = 0
    while at < len(changes):
        count = source.randrange(1, 6)
        rows.deliver(changes[at : at + count])
        at += source.randrange(1, count + 1)  # the rest comes again, as after a failure
    live = rows.expected(10**11)
    assert same({wire.key_of(SCHEMA, body): body for body in rows.listed().values()}, live)
    assert len(rows.listed()) == len(live), "one current object an item"
    for second in {second for second, _, _ in rows.model}:
        assert same(state(rows.vault, second), rows.expected(second))


# --- enough by itself -------------------------------------------------------------------------------------------------------------


def without_the_vaults_own_folder(rows: Rows) -> MemoryStore:
    """The row objects alone, every version in its order, in another store."""
    copy = MemoryStore(rows.clock)
    for version in reversed(list(rows.store.versions("users/"))):
        if version.marker:
            copy.delete(version.name)
        else:
            found = rows.store.get(version.name, version.version)
            copy.put(version.name, found.body, found.info.metadata)
    return copy


@pytest.mark.parametrize("words", [{}, {"naming": Naming.PLAIN}, {"tenant_attribute": "tenant"}])
@pytest.mark.parametrize("seed", range(5))
def test_the_log_made_again_from_the_row_objects_alone(seed: int, words: Mapping[str, Any]) -> None:
    rows, source = scripted(seed, words)
    if "tenant_attribute" in words:
        rows.deliver()
    else:
        deliver_anyhow(rows, source)
    copy = without_the_vaults_own_folder(rows)
    report = rebuild(copy, "users", writer="r")
    assert (report.foreign, report.damaged) == (0, [])
    rebuilt = TableVault(copy, rows.vault.catalog, engines=LocalEngine)
    for second in {second for second, _, _ in rows.model}:
        assert same(state(rebuilt, second), rows.expected(second)), f"at {second}"
    told = {(entry.order, entry.place): entry for listed in rebuilt.log.listing() for entry in rebuilt.log.read(listed)}
    for listed in rows.vault.log.listing():
        for entry in rows.vault.log.read(listed):
            again = next(each for (order, _), each in told.items() if order == entry.order)
            assert (again.after, again.before) == (entry.after, entry.before if entry.event == "INSERT" else None)
    before = [each.name for each in copy.versions("_backstream/")]
    assert rebuild(copy, "users", writer="r") == report
    assert [each.name for each in copy.versions("_backstream/")] == before, "again: nothing new"
