"""`erase` of what no line of the log tells of: in snapshots, in records, as row objects alone, and of changes that just arrive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from backstream.errors import NotFound
from backstream.model.changes.entry import ImagePlace
from backstream.model.values import wire
from backstream.operations.erase import EraseContext, EraseRequest, erase, survey, verify_erasure
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.retain import RetainContext, retain
from backstream.ports import Delete, VersionLock
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Adopted, Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault
from kit import images
from kit.canary import CANARY, found_in
from kit.clock import ManualClock
from kit.feed import Feed
from kit.lived import ITEMS, SMALL, state
from kit.stage import Stage
from operations.test_erase import REQUEST, SUBJECT, around, no_findings, put, run, with_subject
from operations.test_retain_beside_erase import RemovingStore

DAY = 86_400
SNAPSHOT = "_backstream/flights/snapshots/s/AWSDynamoDB/1/data/a.json"
ITEM = json.loads(images.image(CANARY, 1, said={"S": CANARY}, tenant={"S": "acme"}))


def passes(stage: Stage, days: int) -> None:
    """Time passes, and a tail comes each day. Other rows change, so no checkpoint holds the subject any more."""
    for _ in range(days):
        stage.clock.sleep(DAY - 600)
        stage.put(ITEMS)
        stage.follow()
    stage.clock.sleep(600)
    stage.follow()


def retained(stage: Stage) -> None:
    remover: Any = stage.store
    retain(stage.vault(), 60, RetainContext(stage.clock, remover, SMALL))


@pytest.mark.parametrize("partition", [None, CANARY])
def test_an_item_that_only_a_snapshot_holds(partition: str | None) -> None:
    """It was deleted, and `retain` has removed its history: the vault once was said to hold nothing of it."""
    stage, _ = with_subject(Layout.LOG)
    stage.store.put(SNAPSHOT, json.dumps({"Item": ITEM}).encode() + b"\n")
    stage.table.write([images_delete()])
    stage.follow()
    passes(stage, 5)
    retained(stage)
    assert [each.partition(" ")[0] for each in found_in(stage.store)] == [SNAPSHOT]
    request = REQUEST if partition is None else EraseRequest(reason="asked for it", by="test", partition=partition)
    report = run(stage, request=request)
    assert (report.keys, list(report.left), found_in(stage.store)) == (1, [], [])
    verified = verify_erasure(stage.vault(), report.id, around(stage))
    assert (list(verified.found), list(verified.unread)) == ([], [])
    with pytest.raises(NotFound):
        run(stage, request=request)


def images_delete() -> Delete:
    return Delete(images.key(CANARY, 1))


def test_an_item_that_only_a_gap_names() -> None:
    stage, second = with_subject(Layout.LOG)[0], 1_700_000_500
    other = wire.key_of(images.SCHEMA, images.key(CANARY, 2))
    stage.vault().gaps.record(Gap("lost", second, second, stage.vault().catalog.stream, key=other.decode()))
    report = run(stage, request=EraseRequest(reason="asked for it", by="test", keys=(other,)))
    assert (report.keys, list(report.left)) == (1, [])
    assert list(stage.vault().gaps.all()) == []


def test_a_row_object_that_no_line_names() -> None:
    """A writer died between the row and its segment, and nobody has brought the change since."""
    stage, _ = with_subject(Layout.ROWS)
    row = next(each for each in stage.store.versions("flights/") if f"{each.name} {each.version}" in found_in(stage.store))
    kept = stage.store.get(row.name, row.version)
    run(stage)
    stage.store.put(row.name, kept.body, kept.info.metadata)
    assert found_in(stage.store)
    report = run(stage)
    assert (report.keys, found_in(stage.store), list(report.left)) == (1, [], [])


def test_a_deleted_row_that_a_lock_has_kept_goes_once_the_lock_has_ended() -> None:
    """Its lines were removed with the rest, so nothing names it any more."""
    stage, _ = with_subject(Layout.ROWS)
    stage.table.write([images_delete()])
    stage.follow()
    passes(stage, 5)
    assert isinstance(stage.store, MemoryStore)
    until = stage.clock.now() + DAY
    canaries = set(found_in(stage.store))
    rows = [each for each in stage.store.versions("flights/") if f"{each.name} {each.version}" in canaries]
    stage.store.locks = {(each.name, each.version): VersionLock(until) for each in rows}
    stage.store.put("flights/of-others", b"x")
    stage.store.delete("flights/of-others")
    retained(stage)
    assert len([each for each in stage.store.versions("flights/") if f"{each.name} {each.version}" in canaries]) == len(rows)
    passes(stage, 2)
    retained(stage)
    assert found_in(stage.store) == []
    assert len(list(stage.store.versions("flights/of-others"))) == 2
    assert check(stage.vault(), CheckContext(stage.clock, SMALL)).findings == []


def test_a_change_that_arrives_while_its_item_is_erased_is_new_and_whole() -> None:
    """It was made before the erasure, and a tail brought it after the search: its row once went, and its line stayed."""
    stage, seconds = with_subject(Layout.ROWS)
    put(stage, "late")
    arrived = list[str]()

    def arrives(prefix: str) -> None:
        if prefix == "_backstream/flights/" and searched() and not arrived:
            arrived.append(prefix)
            stage.follow()

    def searched() -> bool:
        return any(
            "/pass-" not in each.name and "/begun" in each.name for each in stage.store.versions("_backstream/flights/erasures/")
        )

    store: Any = RemovingStore(stage.store, after_list=arrives)
    run(stage, store)
    assert arrived
    no_findings(stage)
    assert SUBJECT not in state(stage.vault(), seconds[-1])
    stage.clock.sleep(60)
    stage.follow()
    assert not run(stage).left
    assert found_in(stage.store) == []
    no_findings(stage)


def test_a_tenants_item_in_a_snapshot_and_not_anothers() -> None:
    clock = ManualClock()
    store = MemoryStore(clock)
    feed = Feed(store, "flights", began=int(clock.now()), tenant_attribute="tenant")
    feed.put(int(clock.now()) + 1, images.image("row", 1, tenant={"S": "acme"}), images.image("row", 2, tenant={"S": "acme-2"}))
    feed.deliver(now=clock.now() + 2)
    feed.reached(int(clock.now()) + 5)
    clock.sleep(10)
    other = {**ITEM, "zone": {"S": "another"}, "said": {"S": "x"}, "tenant": {"S": "acme-2"}}
    store.put(SNAPSHOT, b"".join(json.dumps({"Item": each}).encode() + b"\n" for each in (ITEM, other)))
    request = EraseRequest(reason="asked for it", by="test", tenant="acme")
    report = erase(lambda: feed.vault, request, EraseContext(clock, store, SMALL))
    assert (report.keys, list(report.left), found_in(store)) == (2, [], [])
    assert json.loads(store.get(SNAPSHOT).body)["Item"] == other
    assert [each.name.split("/")[1] for each in store.list("flights/")] == ["acme-2"]


def test_the_folder_of_an_adopted_bucket_is_no_tenant() -> None:
    """All of its rows once were the tenant's of that name, and no row was its own tenant's."""
    clock = ManualClock()
    store = MemoryStore(clock)
    feed = Feed(store, "flights", began=int(clock.now()), tenant_attribute="tenant")
    image = images.image("row", 1, tenant={"S": "globex"})
    feed.put(int(clock.now()) + 1, image)
    feed.deliver(now=clock.now() + 2)
    request = EraseRequest(reason="x", by="x", keys=(wire.key_of(images.SCHEMA, image),))
    ((entry,),) = survey.select(feed.vault, request, SMALL, lambda _name, _why: None).entries.values()
    moved = replace(entry, place=ImagePlace("old/acme/row", store.put("old/acme/row", image)))
    adopted = Adopted("2020", "2021", 1, "old/acme/")
    vault = TableVault(store, replace(feed.catalog, adopted=adopted))
    assert [survey._TenantRule(vault, "tenant", each)(moved) for each in ("acme", "globex")] == [False, True]
