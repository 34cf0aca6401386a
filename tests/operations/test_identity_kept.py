"""What tells whose changes these are outlives the lifecycle rule that removes the catalog's superseded versions."""

from __future__ import annotations

from pathlib import Path
from typing import Never

import msgspec
import pytest

from backstream.errors import AccessDenied, Refused
from backstream.model.changes.change import stream_label
from backstream.model.tables.creation import on_demand
from backstream.model.tables.naming import Naming
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.operations.setup.identity import RECREATED, Lookup, recognise
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore, Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog, Former, Layout
from kit import images
from kit.clock import ManualClock
from kit.lived import histories, state
from kit.redriving import FailingStage
from kit.stage import Stage

NOON = 1_795_406_400.0
CATALOG = "_backstream/flights/catalog.json"


def denied(*_: object) -> Never:
    raise AccessDenied("not allowed")


NOBODY = Lookup(denied, denied)


def expire(store: ObjectStore) -> None:
    """As a lifecycle rule does: all noncurrent versions of the catalog are gone."""
    assert isinstance(store, MemoryStore)
    del store._versions[CATALOG][:-1]
    assert len(list(store.versions_of(CATALOG))) == 1


def replace_stream(stage: Stage) -> str:
    """Another stream, which a tail then follows; the ARN of the one before."""
    old = stage.table.stream.arn
    stage.table.disable_stream()
    stage.clock.sleep(60)
    stage.table.enable_stream()
    stage.clock.sleep(5)
    stage.follow()
    return old


# --- labels ---


def test_the_labels_of_former_streams_are_in_the_catalog_itself() -> None:
    stage = Stage(ManualClock(NOON), shards=1)
    old = [replace_stream(stage) for _ in range(3)]
    expire(stage.store)
    for arn in old:
        done, label = recognise(stage.vault(), arn, NOBODY, stage.clock.now())
        assert (label, done.gap) == (stream_label(arn), None)
    with pytest.raises(Refused, match="does not know the stream"):
        recognise(stage.vault(), old[0].rpartition("/")[0] + "/2020-01-01T00:00:00.000", NOBODY, stage.clock.now())


def as_older_tools(catalog: Catalog) -> bytes:
    """The catalog as a version wrote it that knew neither former streams nor ways."""
    return catalogs.encode(msgspec.structs.replace(catalog, former=(), ways=None))


def test_the_labels_that_an_older_tools_catalogs_tell_are_taken_over_before_they_expire() -> None:
    stage = Stage(ManualClock(NOON), shards=1)
    first = stage.vault().catalog
    arns = [f"{first.table_arn}/stream/2026-0{month}-01T00:00:00.000" for month in (1, 2, 3)]
    for arn in arns:
        stage.store.put(
            CATALOG, as_older_tools(msgspec.structs.replace(first, stream_arn=arn, stream=stream_label(arn))), {"format": "1"}
        )
    for arn in arns[:2]:
        assert recognise(stage.vault(), arn, NOBODY, stage.clock.now())[1] == stream_label(arn), "by its old versions"
    catalogs.change(stage.store, "flights", lambda each: msgspec.structs.replace(each, tenant_attribute="zone"))
    expire(stage.store)
    known = [each.stream_arn for each in stage.vault().catalog.former]
    assert known == [*arns[:2], first.stream_arn]
    for arn in arns:
        assert recognise(stage.vault(), arn, NOBODY, stage.clock.now())[1] == stream_label(arn)


def test_a_change_that_nobody_needs_old_versions_for_reads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(ManualClock(NOON), shards=1)
    old = replace_stream(stage)
    monkeypatch.setattr(catalogs, "every_version", denied)
    assert recognise(stage.vault(), old, NOBODY, stage.clock.now())[1] == stream_label(old)
    catalogs.change(stage.store, "flights", lambda each: msgspec.structs.replace(each, tenant_attribute="zone"))
    assert [each.stream_arn for each in stage.vault().catalog.former] == [old]


def test_two_who_change_the_catalog_lose_no_former_stream() -> None:
    stage = Stage(ManualClock(NOON), shards=1)
    old = replace_stream(stage)
    stale = catalogs.current(stage.store, "flights")
    catalogs.save(stage.store, msgspec.structs.replace(stale.catalog, former=()), stale)
    assert stage.vault().catalog.former == (Former(old, stage.vault().catalog.table_id),)


# --- ways ---


@pytest.mark.parametrize("expired", [False, True])
def test_what_was_kept_in_other_ways_is_found_after_the_old_catalogs_are_gone(tmp_path: Path, *, expired: bool) -> None:
    """Past namings, layouts and tenants: a whole table, histories, and a tenant whose rows were kept under another attribute."""
    stage = Stage(ManualClock(NOON), shards=1, layout=Layout.ROWS)
    ways = [
        InitOptions(naming=Naming.PLAIN),
        InitOptions(naming=Naming.MD5, tenant_attribute="team"),
        InitOptions(layout=Layout.LOG),
        InitOptions(layout=Layout.ROWS, naming=Naming.SHA256, tenant_attribute="zone"),
    ]
    seconds = []
    for step, words in enumerate(ways):
        init(stage.store, stage.table, words)
        stage.clock.sleep(10)
        stage.table.write([Put(images.image("z", number, team={"S": "red"})) for number in (1, step + 10)])
        stage.put([2, step + 20])
        stage.clock.sleep(10)
        stage.follow()
        seconds.append(int(stage.clock.now()) - 5)
    before = [state(stage.vault(), at) for at in seconds], histories(stage.vault())
    if expired:
        expire(stage.store)
    assert ([state(stage.vault(), at) for at in seconds], histories(stage.vault())) == before
    assert all(found for found in before[0])
    for at, found in zip(seconds, before[0], strict=True):
        target = MemoryTable(f"there-{at}", stage.clock)
        request = RestoreRequest(at=at, target=NewTable(target.name), tenant="z")
        done = restore(stage.vault(), request, RestoreContext(lambda _, target=target: target, stage.clock, tmp_path))  # type: ignore[misc]
        assert (done.failed, done.put) == (0, len(found)), "every row is the tenant's"


# --- a table that was made again, without a word of it ---


def test_redrive_of_a_stream_that_nobody_knows_writes_nothing() -> None:
    stage = FailingStage(layout=Layout.LOG)
    stage.keep(stage.write(1))
    stage.clock.sleep(3 * 86_400)
    changes = stage.write(1)
    label = stream_label(stage.table.stream.arn)
    theirs = [
        {**each, "eventSourceARN": str(each["eventSourceARN"]).replace(label, "2099-01-01T00:00:00.000")}
        for each in stage.records(changes)
    ]
    stage.give_up(theirs, arn=str(theirs[0]["eventSourceARN"]))
    before = sorted(each.name for each in stage.store.versions("") if "/log/" in each.name)
    report = stage.redrive()
    assert (report.captured, report.redriven, len(report.left)) == (0, 0, 1)
    assert "does not know the stream 2099" in report.left[0].why
    assert sorted(each.name for each in stage.store.versions("") if "/log/" in each.name) == before
    assert not [gap for gap in stage.vault().gaps.all() if gap.batch is None]


def test_init_after_a_table_was_made_again_says_whether_a_base_backup_is_needed() -> None:
    stage = Stage(ManualClock(NOON), shards=1)
    stage.put([1])
    stage.clock.sleep(10)
    stage.follow()
    assert not init(stage.store, stage.table, InitOptions()).needs_backfill
    stage.table.delete()
    stage.clock.sleep(60)
    stage.table.create(on_demand(images.SCHEMA))
    stage.clock.sleep(60)
    stage.table.enable_stream()
    report = init(stage.store, stage.table, InitOptions())
    assert any(RECREATED in each for each in report.changes)
    assert report.needs_backfill
    assert init(stage.store, stage.table, InitOptions()).needs_backfill, "as long as nobody has made one"
