"""`compact`: whatever it is interrupted by, what the vault tells is the same before it, in the middle of it, and after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backstream.engine.local.memory import Memory
from backstream.errors import Failed
from backstream.operations.base.compact import Compaction, compact, plan
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import parse_path
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.lived import COMPACTED, GENERATIONS, LOG, SMALL, all_changes, changes, deliver, hidden, live, lived, names, state, told
from kit.stage import Stage
from kit.stepping import copy_of
from kit.watched import WatchedStore

MOST_WRITES = 200


@pytest.fixture(params=["memory", "folder"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], ObjectStore]:
    if request.param == "memory":
        return lambda: MemoryStore(ManualClock())
    return lambda: DirectoryStore(tmp_path, ManualClock())


def run(stage: Stage, store: ObjectStore | None = None, *, until: int | None = None, memory: Memory = SMALL) -> Compaction:
    return compact(stage.vault(store), stage.clock, until=until, memory=memory)


# --- before and after ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", Layout)
def test_the_vault_tells_the_same_before_and_after(new_store: Callable[[], ObjectStore], layout: Layout) -> None:
    stage, seconds = lived(layout=layout, store=new_store())
    before = told(stage, seconds)
    report = run(stage)
    assert told(stage, seconds) == before
    assert before.states[seconds[-1]] == stage.expected()
    assert before.changes == len(stage.model) == report.lines
    assert (report.sets, report.objects, report.parts, list(report.left)) == (1, 1, 0, [])
    assert report.hidden > 0


@pytest.mark.parametrize("layout", Layout)
def test_nothing_but_signs_is_left_of_what_was_compacted(layout: Layout) -> None:
    """And those count no more; their changes are in the set."""
    stage, _ = lived(layout=layout)
    report = run(stage)
    left = [each for each in stage.vault().log.listing() if not each.markers]
    assert [each.name for each in left] == sorted(stage.vault().compacted.current().kept)
    assert report.segments > len(left)
    assert stage.vault().inventory().segments == []


def test_running_again_writes_nothing() -> None:
    stage, seconds = lived()
    run(stage)
    before = told(stage, seconds)
    watched = WatchedStore(stage.store)
    report = run(stage, watched)
    assert watched.writes == []
    assert (report.segments, report.lines, report.hidden, report.sets) == (0, 0, 0, 1)
    assert told(stage, seconds) == before


def test_where_there_is_nothing_nothing_is_done() -> None:
    stage = Stage(ManualClock())
    watched = WatchedStore(stage.store)
    assert run(stage, watched).sets == 0
    assert watched.writes == []
    assert stage.vault().compacted.current().number == 0


def test_only_what_is_older_is_taken() -> None:
    stage, seconds = lived()
    before = told(stage, seconds)
    report = run(stage, until=seconds[0])
    assert 0 < report.lines < before.changes
    assert told(stage, seconds) == before
    small = [each.segment for each in stage.vault().inventory().segments]
    assert all(each is not None and each.max_time > seconds[0] for each in small)
    assert sum(each.count for each in small if each is not None) == before.changes - report.lines
    run(stage)
    assert told(stage, seconds) == before


# --- late, and again -------------------------------------------------------------------------------------------------------------


def test_late_changes_of_hours_that_are_compacted() -> None:
    stage, seconds = lived()
    run(stage)
    late = all_changes(stage)
    stage.put([1, 2])
    stage.clock.sleep(7_200)
    deliver(stage, [each for each in all_changes(stage) if each not in late])
    assert state(stage.vault(), int(stage.clock.now())) == stage.expected()
    before = told(stage, seconds)
    run(stage)
    assert told(stage, seconds) == before
    assert before.changes == len(stage.model)


def test_what_was_delivered_again_is_there_once() -> None:
    stage, seconds = lived()
    once = told(stage, seconds)
    every = all_changes(stage)
    for batch in (every, every[:5], every[2:9]):
        deliver(stage, batch)
    assert changes(stage.vault()) > once.changes
    run(stage)
    assert told(stage, seconds).changes == once.changes
    deliver(stage, every[3:7])
    run(stage)
    again = told(stage, seconds)
    assert (again.changes, again.states, again.histories) == (once.changes, once.states, once.histories)


def test_a_segment_that_is_written_again_after_it_was_hidden_is_there_once() -> None:
    stage, seconds = lived()
    every = all_changes(stage)
    deliver(stage, every)
    run(stage)
    once = told(stage, seconds)
    deliver(stage, every)
    assert changes(stage.vault()) > once.changes
    run(stage)
    assert told(stage, seconds) == once


# --- many rounds -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part_bytes", [plan.PART_BYTES, 400])
def test_however_many_rounds_there_are_few_sets(monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    """With sets of one object, and with sets of more and more of them, which are merged with those of fewer."""
    monkeypatch.setattr(plan, "PART_BYTES", part_bytes)
    stage, seconds, partitions = Stage(ManualClock()), list[int](), set[int]()
    for number in range(12):
        seconds += live(stage, 1, first=number)
        if number == 5:
            live(stage, 3)
        run(stage)
        found = stage.vault().compacted.current()
        partitions |= {each.partitions for each in found.sets}
        assert len(found.sets) <= plan.MOST_SETS
        assert changes(stage.vault()) == len(stage.model)
    assert {at: state(stage.vault(), at) for at in seconds} == {at: stage.expected(at) for at in seconds}
    assert max(partitions) > 8 if part_bytes == 400 else partitions == {1}
    assert len(names(stage.store, GENERATIONS)) == 1
    ids = {name.removeprefix(COMPACTED).partition("/")[0] for name in names(stage.store, COMPACTED)}
    assert ids == {"generations", *(each.id for each in found.sets)}, "what was merged is hidden"


def test_large_sets_are_left_alone_by_small_additions(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, _ = lived(rounds=8)
    run(stage)
    (large,) = stage.vault().compacted.current().sets
    stage.put([1])
    stage.follow()
    run(stage)
    assert large in stage.vault().compacted.current().sets
    monkeypatch.setattr(plan, "GROWTH", 1_000_000)
    stage.put([1])
    stage.follow()
    run(stage)
    (merged,) = stage.vault().compacted.current().sets
    assert merged.lines == len(stage.model)


def test_with_little_memory_the_same_objects_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "PART_BYTES", 400)

    stage, _ = lived()

    def objects(memory: Memory) -> dict[str, bytes]:
        assert isinstance(stage.store, MemoryStore)
        copied = copy_of(stage.store, stage.clock)
        run(stage, copied, memory=memory)
        return {name: copied.get(name).body for name in names(copied, COMPACTED)}

    assert objects(Memory(24 * 500)) == objects(SMALL), "every few lines are written to disk, or none before the end"


# --- layouts that change ---------------------------------------------------------------------------------------------------------


def test_a_vault_of_both_layouts() -> None:
    stage, seconds = lived(layout=Layout.ROWS)
    init(stage.store, stage.table, InitOptions(layout=Layout.LOG))
    seconds += live(stage)
    run(stage, until=seconds[2])
    init(stage.store, stage.table, InitOptions(layout=Layout.ROWS))
    seconds += live(stage)
    before = told(stage, seconds)
    run(stage)
    assert told(stage, seconds) == before
    assert before.states == {at: stage.expected(at) for at in seconds}


# --- interrupted at every write --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("earlier", [0, 2])
def test_killed_at_every_write(earlier: int, *, after: bool) -> None:
    """Of the first compaction, and of later ones, which merge sets and hide those that are over."""
    finished = 0
    for write in range(1, MOST_WRITES):
        stage, seconds = lived_and_compacted(earlier)
        before = told(stage, seconds)
        try:
            run(stage, CrashingStore(stage.store, write, after=after))
            finished = write
        except Failed:
            assert_nothing_hidden_too_soon(stage)
        assert told(stage, seconds) == before, f"write {write}"
        run(stage)
        assert told(stage, seconds) == before, f"after write {write}"
        assert stage.vault().inventory().segments == [], "the next one completes it"
        if finished:
            break
    assert finished > 10


def lived_and_compacted(earlier: int) -> tuple[Stage, list[int]]:
    """As many rounds compacted, each by itself, and more that are not."""
    stage, seconds = lived(2)
    for number in range(earlier):
        run(stage)
        seconds += live(stage, 1, first=number)
    return stage, seconds


def assert_nothing_hidden_too_soon(stage: Stage) -> None:
    """The sets that count hold at least as many changes as the names of hidden segments say."""
    paths = [parse_path(name.removeprefix(LOG)) for name in hidden(stage.store)]
    gone = sum(each.count for each in paths if each is not None)
    assert gone <= sum(each.lines for each in stage.vault().compacted.current().changes)


def test_nothing_is_hidden_before_what_stands_for_it_is_in_force(new_store: Callable[[], ObjectStore]) -> None:
    stage, _ = lived(store=new_store())
    watched = WatchedStore(stage.store)
    run(stage, watched)
    in_force = watched.writes.index(("put", f"{GENERATIONS}00000001.json"))
    assert [name for what, name in watched.writes[:in_force] if what == "delete"] == []
    written = {name for what, name in watched.writes[:in_force] if what == "put"}
    assert {name.rpartition("/")[2] for name in written} == {"sources.ndjson.zst", "00000-of-00001.ndjson.zst"}
    gone = {name for what, name in watched.writes if what == "delete" and name.startswith(LOG)}
    assert gone == hidden(stage.store)


# --- two at once -----------------------------------------------------------------------------------------------------------------


def test_of_two_at_once_one_fails_and_nothing_is_lost() -> None:
    """The slower one is about to put its set in force when the other has gone through, whole."""
    stage, seconds = lived()
    before = told(stage, seconds)

    def other(name: str) -> None:
        if name == f"{GENERATIONS}00000001.json":
            live(stage, 1)  # so that it makes another set
            run(stage)

    with pytest.raises(Failed, match="another compaction"):
        run(stage, WatchedStore(stage.store, before_write=other))
    assert told(stage, seconds).states == before.states
    assert changes(stage.vault()) == len(stage.model)
    orphans = {name for name in names(stage.store, COMPACTED) if "/generations/" not in name}
    live(stage, 1)
    run(stage)
    kept = {each.id for each in stage.vault().compacted.current().sets}
    assert {name for name in orphans if not any(each in name for each in kept)} <= hidden(stage.store, COMPACTED)
    assert {name.split("/")[3] for name in names(stage.store, COMPACTED)} == {"generations", *kept}
    assert changes(stage.vault()) == len(stage.model)


def test_of_two_that_do_the_same_one_fails_and_its_objects_stay() -> None:
    """Both wrote the same set: it is one of those that count, whoever was faster."""
    stage, seconds = lived()
    before = told(stage, seconds)

    def other(name: str) -> None:
        if name == f"{GENERATIONS}00000001.json":
            run(stage)

    with pytest.raises(Failed, match="another compaction"):
        run(stage, WatchedStore(stage.store, before_write=other))
    assert told(stage, seconds) == before
    assert len(stage.vault().compacted.current().sets) == 1


def test_many_at_once_and_again_and_again() -> None:
    stage, seconds = lived()
    for number in range(6):
        seconds += live(stage, 1, first=number)
        before = told(stage, seconds)
        with ThreadPoolExecutor(3) as pool:
            outcomes = list(pool.map(lambda _: attempt(stage), range(3)))
        assert any(outcomes)
        assert told(stage, seconds) == before
        assert changes(stage.vault()) == len(stage.model)
    run(stage)
    assert stage.vault().inventory().segments == []


def attempt(stage: Stage) -> bool:
    try:
        run(stage)
    except Failed as error:
        assert "another compaction" in error.message  # noqa: PT017 - one of three may fail, but only so
        return False
    return True


def test_one_that_dies_while_another_waits() -> None:
    """What was put in force and not yet hidden is hidden by whoever comes next."""
    stage, seconds = lived()
    before = told(stage, seconds)
    dying = CrashingStore(stage.store, 3, after=True)
    with pytest.raises(Failed):
        run(stage, dying)
    assert stage.vault().compacted.current().unsettled
    assert hidden(stage.store) == set()
    barrier = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: (barrier.wait(), attempt(stage))[1], range(2)))
    assert any(outcomes)
    assert told(stage, seconds) == before
    assert hidden(stage.store)
