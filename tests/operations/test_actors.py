"""Who made a change: the stream's word, the item's own attribute, and how a reader tells the two apart."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from backstream.errors import Damaged, UsageError
from backstream.operations.inspect.actors import ActorClaim, Actors, ActorSource, AttributedEntry
from backstream.operations.setup.init import NOWHERE, InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import TTL_ACTOR, MemoryTable
from backstream.vault import catalog as catalogs
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.scene import Scene

T = int(time.time()) - 3_600
ROW = key("row", 1).decode()


def change(new: Mapping[str, Any] | None, actor: str | None = None) -> AttributedEntry:
    """A change that leaves this item."""
    return AttributedEntry("s", "1", T * 1_000_000, actor, None if new is None else msgspec.json.encode(new))


@pytest.mark.parametrize(
    ("path", "item", "actor"),
    [
        ("updatedBy", {"updatedBy": {"S": "alice"}}, "alice"),
        ("updatedBy", {"updatedBy": {"N": "42"}}, "42"),
        ("meta.by", {"meta": {"M": {"by": {"S": "bob"}}}}, "bob"),
        ('meta."by.whom"', {"meta": {"M": {"by.whom": {"S": "bob"}}}}, "bob"),
        ("updatedBy", {"other": {"S": "alice"}}, None),
        ("updatedBy", {"updatedBy": {"S": ""}}, None),
        ("updatedBy", {"updatedBy": {"NULL": True}}, None),
        ("updatedBy", {"updatedBy": {"SS": ["alice", "bob"]}}, None),
        ("meta.by", {"meta": {"S": "alice"}}, None),
        (None, {"updatedBy": {"S": "alice"}}, None),
    ],
)
def test_an_item_names_its_writer(path: str | None, item: Mapping[str, Any], actor: str | None) -> None:
    assert Actors(path).of(change(item)) == actor


def test_a_delete_is_never_said_to_be_the_former_writers() -> None:
    assert Actors("updatedBy").of(change(None)) is None
    assert Actors("updatedBy").of(change(None, TTL_ACTOR)) == TTL_ACTOR


def test_the_stream_goes_before_the_attribute_and_both_select() -> None:
    both = change({"by": {"S": "alice"}}, "dynamodb.amazonaws.com")
    actors = Actors("by")
    assert actors.claims(both) == [
        ActorClaim("dynamodb.amazonaws.com", ActorSource.STREAM),
        ActorClaim("alice", ActorSource.ATTRIBUTE),
    ]
    assert actors.is_by(both, {"alice"})
    assert actors.is_by(both, {"dynamodb.amazonaws.com"})
    assert not actors.is_by(both, {"bob"})


# --- init -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def table() -> MemoryTable:
    table = MemoryTable("flights", ManualClock(T), SCHEMA)
    table.enable_stream()
    return table


def test_the_attribute_is_kept_in_the_catalog_until_it_is_changed(table: MemoryTable) -> None:
    store = MemoryStore(ManualClock(T))
    assert init(store, table, InitOptions(actor_attribute="updatedBy")).catalog.actor_attribute == "updatedBy"
    assert init(store, table, InitOptions()).changes == [], "nobody asked for another one"
    assert init(store, table, InitOptions(actor_attribute="updatedBy")).changes == []
    again = init(store, table, InitOptions(actor_attribute="meta.by"))
    assert again.changes == ["actor attribute: meta.by (was: updatedBy); history reads it in all changes, earlier ones too"]
    assert catalogs.load(store, "flights").actor_attribute == "meta.by"
    assert init(store, table, InitOptions(actor_attribute=NOWHERE)).catalog.actor_attribute is None
    assert b"actor_attribute" not in store.get("_backstream/flights/catalog.json").body


@pytest.mark.parametrize("path", ["", ".", "a.", "a b", "meta.", "a[0]", "and", '"open'])
def test_no_path_is_refused_and_nothing_is_written(table: MemoryTable, path: str) -> None:
    store = MemoryStore(ManualClock(T))
    with pytest.raises(UsageError, match="not a path to an attribute") as refused:
        init(store, table, InitOptions(actor_attribute=path))
    assert "meta.by" in refused.value.hint
    assert list(store.list("")) == []


def test_a_catalog_whose_path_is_none_is_damaged(table: MemoryTable) -> None:
    store = MemoryStore(ManualClock(T))
    init(store, table, InitOptions(actor_attribute="updatedBy"))
    body = store.get("_backstream/flights/catalog.json").body
    with pytest.raises(Damaged, match="says what none does"):
        catalogs.decode(body.replace(b'"updatedBy"', b'"up dated"'), "catalog")


# --- the command line -------------------------------------------------------------------------------------------------------------


def test_history_says_who_and_by_which_source(scene: Scene) -> None:
    feed = Feed(scene.store(), scene.table, began=T - 600)
    feed.put(T, image("row", 1, meta={"M": {"by": {"S": "alice"}}}))
    feed.put(T + 10, image("row", 1, meta={"M": {"by": {"S": "bob [bold]"}}}))
    feed.delete(T + 20, key("row", 1))
    feed.deliver()
    scene.create()

    before = scene.call("history", scene.table, ROW, "--json").json()
    assert [(each["actor"], "actor_source" in each) for each in before] == [(None, False)] * 3

    assert scene.call("init", scene.table, "--actor-attribute", "meta..by").code == 2
    ran = scene.call("init", scene.table, "--actor-attribute", "meta.by", "--enable-stream")
    assert ran.code == 0, ran.err
    assert "actor attribute: meta.by (was: none)" in ran.out
    assert "nothing to change" in scene.call("init", scene.table, "--actor-attribute", "meta.by").out

    after = scene.call("history", scene.table, ROW, "--json").json()
    assert [(each["actor"], each.get("actor_source")) for each in after] == [
        ("alice", "attribute"),
        ("bob [bold]", "attribute"),
        (None, None),
    ], "who deleted it is not in the item"
    assert after[1]["actors"] == [{"actor": "bob [bold]", "source": "attribute"}]
    text = scene.call("history", scene.table, ROW).out
    assert "INSERT    alice (attribute)" in text
    assert "MODIFY    bob [bold] (attribute)" in text
    assert "REMOVE    -  " in text
    assert json.loads(scene.call("init", scene.table, "--json").out)["catalog"]["actor_attribute"] == "meta.by"
