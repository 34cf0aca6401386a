"""The rows layout: one versioned object per item, right for plain S3 tools after any order of deliveries, and enough by itself."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.model import moment
from backstream.model.changes.change import Change, stream_label
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.base.rebuild import rebuild
from backstream.operations.capture.batch import keep_batch
from backstream.operations.inspect.history import history
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Delete, ObjectStore, Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault import vault_tables
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.rows.row_versions import row_versions
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock

SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "N"))
TENANTS = ("acme", "globex", None)


def item(number: int, text: str, tenant: str | None = None) -> bytes:
    fields = {"number": {"N": str(number)}, "zone": {"S": "a/b"}, "text": {"S": text}}
    return json.dumps(fields | ({} if tenant is None else {"tenant": {"S": tenant}})).encode()


def key(number: int) -> bytes:
    return json.dumps({"zone": {"S": "a/b"}, "number": {"N": str(number)}}).encode()


class Rows:
    """A table and its vault of rows; changes are delivered in batches, each by a writer that remembers nothing."""

    def __init__(self, name: str = "users", store: ObjectStore | None = None, **words: Any) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryStore(self.clock)
        self.table = MemoryTable(name, self.clock, SCHEMA, shards=1)
        self.table.enable_stream()
        init(self.store, self.table, InitOptions(layout=Layout.ROWS, **words))
        self.model: list[tuple[int, bytes, bytes | None]] = []

    @property
    def vault(self) -> TableVault:
        return TableVault.open(self.store, self.table.name, engines=LocalEngine)

    def put(self, number: int, text: str, tenant: str | None = None) -> None:
        image = item(number, text, tenant)
        self.table.write([Put(image)])
        self.model.append((int(self.clock.now()), wire.key_of(SCHEMA, image), image))

    def delete(self, number: int) -> None:
        self.table.write([Delete(key(number))])
        self.model.append((int(self.clock.now()), wire.key_of(SCHEMA, key(number)), None))

    def changes(self) -> Sequence[Change]:
        stream = self.table.stream
        return stream.read("", stream.iterator(stream.facts().shards[0].id, None)).changes

    def deliver(self, changes: Sequence[Change] | None = None) -> None:
        from_stream = [botocore_record(change) for change in (self.changes() if changes is None else changes)]
        with ThreadPoolExecutor(2) as pool:
            report = keep_batch(
                self.vault,
                from_stream,
                stream_label(self.table.stream.arn),
                pool,
                writer="f",
                kind=SegmentKind.PARALLEL,
                now=self.clock.now,
            )
        assert report.failures == {}

    def expected(self, at: int) -> Mapping[bytes, bytes]:
        state = {key: image for second, key, image in self.model if second <= at}
        return {key: image for key, image in state.items() if image is not None}

    def listed(self) -> dict[str, bytes]:
        """What plain S3 tools see: current objects."""
        names = [each.name for each in self.store.list(f"{self.table.name}/")]
        return {name: self.store.get(name).body for name in names}


def botocore_record(change: Change) -> dict[str, object]:
    """The change as a record whose images keep the order of their attributes."""
    images = {"Keys": change.keys, "OldImage": change.old, "NewImage": change.new}
    return {
        "eventName": change.event,
        "eventID": change.event_id,
        "dynamodb": {
            "ApproximateCreationDateTime": change.seconds,
            "SequenceNumber": change.sequence,
            **{name: json.loads(image) for name, image in images.items() if image is not None},
        },
    }


def same(found: Mapping[bytes, bytes], expected: Mapping[bytes, bytes]) -> bool:
    return found.keys() == expected.keys() and all(wire.same_image(found[each], expected[each]) for each in expected)


def state(vault: TableVault, at: int) -> Mapping[bytes, bytes]:
    """Folded from the log, the slow way; images from their objects."""
    found = sorted((entry for listed in vault.log.listing() for entry in vault.log.read(listed)), key=lambda entry: entry.order)
    newest = {vault.key(entry): entry for entry in found if entry.seconds <= at}
    return {each: vault.image(entry) for each, entry in newest.items() if not entry.removed}


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


def scripted(seed: int, words: Mapping[str, Any]) -> tuple[Rows, random.Random]:
    """A table of four items with a life of thirty changes."""
    source, rows = random.Random(seed), Rows(**words)
    alive: set[int] = set()
    for turn in range(30):
        number = source.randrange(4)
        if number in alive and source.random() < 0.35:
            rows.delete(number)
            alive.remove(number)
        else:
            rows.put(number, f"turn {turn}", source.choice(TENANTS) if "tenant_attribute" in words else None)
            alive.add(number)
        rows.clock.move(source.choice([0, 1, 1800]))
    return rows, source


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


@settings(max_examples=40, deadline=None)
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


@settings(max_examples=25, deadline=None)
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
