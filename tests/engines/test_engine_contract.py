"""What every engine does, whatever computes: the states of a table that has lived, and what is said of what cannot be read."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.engine.local.memory import Memory
from backstream.errors import Damaged
from backstream.model.window import AFTER_ALL
from backstream.operations.base.compact import compact
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.ports import Engine, TableState
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import Engines, TableVault
from kit.clock import ManualClock
from kit.lived import ITEMS, SMALL, key, lived
from kit.losing import lose
from kit.plain_engine import PlainEngine
from kit.spoil import spoil
from kit.stage import Stage

ENGINES: dict[str, Engines] = {"local": lambda: LocalEngine(Memory(64 << 20)), "plain": PlainEngine}


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest) -> Engine[TableVault]:
    """`tests/spark/test_contract.py` has the third one."""
    return ENGINES[request.param]()


def images(vault: TableVault, found: TableState) -> dict[bytes, bytes]:
    return {name: vault.image(entry) for part in found for name, entry in part.items() if not entry.removed}


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("layout", Layout)
def test_the_state_of_each_moment(engine: Engine[TableVault], layout: Layout, *, compacted: bool) -> None:
    stage, seconds = lived(layout=layout)
    if compacted:
        compact(stage.vault(), stage.clock, memory=SMALL)
    for at in seconds:
        with engine.state(stage.vault(), at) as found:
            assert images(stage.vault(), found) == stage.expected(at)
            assert not found.unreadable
            assert not list(found.broken(stage.vault().window(stage.clock.now()), stage.clock.now()))


def test_a_key_is_in_the_partition_of_its_hash_alone(engine: Engine[TableVault]) -> None:
    stage, seconds = lived()
    with engine.state(stage.vault(), seconds[-1], rows=100_000) as found:
        assert found.partitions > 1
        places = [(number, name) for number in range(found.partitions) for name in found.partition(number)]
    assert len(places) == len({name for _, name in places}) > 0
    assert all(zlib.crc32(name) % found.partitions == number for number, name in places)


def test_deletes_are_in_it_and_do_not_exist(engine: Engine[TableVault]) -> None:
    stage, seconds = lived()
    with engine.state(stage.vault(), seconds[-1]) as found:
        told = {
            name: (part.exists(name), entry.removed, part.known(name).newest(found.floor))
            for part in found
            for name, entry in part.items()
        }
        assert all(not part.exists(b"another") and part.known(b"another").newest() is None for part in found)
    expected = stage.expected(seconds[-1])
    assert {name for name, (exists, _, _) in told.items() if exists} == set(expected)
    assert any(removed for _, removed, _ in told.values())
    assert all(newest is not None and newest.removed == removed for _, removed, newest in told.values())


def test_only_some_items(engine: Engine[TableVault]) -> None:
    stage, seconds = lived()
    wanted = {key(number) for number in list(ITEMS)[:3]}
    with engine.state(stage.vault(), seconds[-1], keys=wanted) as found:
        assert images(stage.vault(), found) == {
            name: image for name, image in stage.expected(seconds[-1]).items() if name in wanted
        }
        assert {name for part in found for name in part} <= wanted


def test_only_what_has_changed_since(engine: Engine[TableVault]) -> None:
    stage, _ = lived()
    since = int(stage.clock.now())
    stage.clock.sleep(60)
    stage.put([1])
    stage.clock.sleep(60)
    stage.follow()
    with engine.state(stage.vault(), AFTER_ALL, since=since) as found:
        assert images(stage.vault(), found) == {key(1): stage.expected()[key(1)]}


def test_what_cannot_be_read_is_named_with_its_seconds(engine: Engine[TableVault]) -> None:
    stage, seconds = lived()
    listed = runs(stage)[0]
    assert listed.segment is not None
    told = stage.vault().log.metadata(listed)
    spoil(stage.store, listed.name, b"no", told)
    with engine.state(stage.vault(), seconds[-1]) as found:
        (each,) = [each for each in found.unreadable if each.name == listed.name]
    assert each.lost == (listed.segment.min_time, listed.segment.max_time)
    unread: list[str] = []
    list(engine.broken_chains(stage.vault(), stage.clock.now(), unread=lambda one: unread.append(one.name)))
    assert listed.name in unread
    with pytest.raises(Damaged, match=listed.name):
        engine.changes(stage.vault(), {key(1)}, listed.segment.min_time, listed.segment.max_time)


def test_a_missing_change_breaks_its_items_chain(engine: Engine[TableVault]) -> None:
    stage = lost()
    now = stage.clock.now()
    with engine.state(stage.vault(), int(now)) as found:
        assert {each.key for each in found.broken(stage.vault().window(now), now)} == {key(1)}
    assert {each.key for each in engine.broken_chains(stage.vault(), now)} == {key(1)}
    assert not list(engine.broken_chains(stage.vault(), now, keys={key(2)}))


def test_the_changes_between_two_seconds(engine: Engine[TableVault]) -> None:
    stage = Stage(ManualClock(), shards=1)
    seconds = []
    for _ in range(3):
        stage.put([1, 2])
        seconds.append(int(stage.clock.now()))
        stage.clock.sleep(7_200)
        stage.follow()
    found = engine.changes(stage.vault(), {key(1)}, seconds[1], seconds[1])
    assert [each.seconds for each in found[key(1)]] == [seconds[1]]
    assert set(found) == {key(1)}


def test_the_names_of_rows_that_the_log_speaks_of(engine: Engine[TableVault]) -> None:
    stage, _ = lived(layout=Layout.ROWS)
    at = int(stage.clock.now())
    stage.clock.sleep(7_200)
    stage.put([977])
    stage.clock.sleep(60)
    stage.follow()
    rows = {each.name for each in stage.store.versions(f"{stage.table.name}/")}
    with engine.state(stage.vault(), at) as found:
        before = set(names(found))
        found.read_on()
        assert set(names(found)) == rows > before
        assert all(float(value) > 0 for _, value in found.names.read(0))


@pytest.mark.parametrize("layout", Layout)
def test_a_restore_takes_the_engine_that_its_vault_was_given(layout: Layout) -> None:
    plain = PlainEngine()
    stage, seconds = lived(layout=layout)
    vault = TableVault.open(stage.store, stage.table.name, engines=lambda: plain)
    target = MemoryTable("restored", stage.clock)
    around = RestoreContext(lambda _: target, stage.clock, Path("/nowhere"))
    report = restore(vault, RestoreRequest(seconds[1], NewTable("restored"), resumable=False), around)
    assert (report.failed, plain.asked) == (0, 1)
    assert {vault.key_of(image): image for page in target.scan() for image in page} == stage.expected(seconds[1])


def names(found: TableState) -> Iterator[str]:
    return (name.decode() for number in range(found.names.partitions) for name, _ in found.names.read(number))


def runs(stage: Stage) -> list[LogListing]:
    written = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    return sorted(written, key=lambda each: int(each.segment.first) if each.segment else 0)


def lost() -> Stage:
    """Item 1 has changed four times; the line of the third is not in the log, of which a whole segment stands there without it."""
    stage = Stage(ManualClock(), shards=1)
    for turn in range(4):
        stage.put([turn + 2, 1, turn + 9])
        stage.clock.sleep(30)
        stage.follow()
    vault, listed = stage.vault(), runs(stage)[2]
    kept = [entry for entry in vault.log.read(listed) if vault.key(entry) != key(1)]
    told = vault.log.metadata(listed)
    lose(stage.store, listed.name)
    assert listed.segment is not None
    vault.log.write_run(kept, listed.segment.shard, after=told["after"], writer=told["writer"])
    return stage
