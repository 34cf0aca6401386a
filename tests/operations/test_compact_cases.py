"""Compaction of base backups, of the rows layout with its strangers, of tenants, and of what cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.engine.local.state import State
from backstream.errors import Damaged, Failed
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import Compaction, compact, plan
from backstream.operations.restore import NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ObjectInfo, ObjectStore, Put
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind, mark
from kit import images
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.lived import LOG, SMALL, changes, hidden, histories, key, live, lived, names, state, told
from kit.losing import lose
from kit.spoil import spoil
from kit.stage import Stage
from kit.watched import WatchedStore

BASE = "_backstream/flights/base/"


def run(stage: Stage, store: ObjectStore | None = None) -> Compaction:
    return compact(stage.vault(store), stage.clock, memory=SMALL)


def restored(stage: Stage, at: int, **more: object) -> tuple[Restored, dict[bytes, bytes]]:
    target = MemoryTable("restored", stage.clock)
    around = RestoreContext(lambda _: target, stage.clock, Path(), memory=SMALL)
    report = restore(stage.vault(), RestoreRequest(at=at, target=NewTable(target.name), **more), around)  # type: ignore[arg-type] # of Request
    return report, {stage.vault().key_of(image): image for page in target.scan() for image in page}


# --- base backups ----------------------------------------------------------------------------------------------------------------


def back_up(stage: Stage, store: ObjectStore | None = None, *, fresh: bool = False) -> None:
    vault = stage.vault(store)
    backfill(vault, scan_of(vault, stage.table, stage.clock, segments=2, max_units=None), BackfillContext(stage.clock), fresh=fresh)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few rows a part."""
    monkeypatch.setattr("backstream.operations.base.backfill.segment.PART_ROWS", 2)


@pytest.fixture
def stage() -> Stage:
    """Rows before a base backup, changes since, a second base backup, more changes."""
    stage, _ = lived(1)
    back_up(stage)
    stage.clock.sleep(600)
    live(stage, 1, first=1)
    back_up(stage)
    stage.clock.sleep(600)
    live(stage, 1, first=2)
    return stage


def moments(stage: Stage) -> list[int]:
    return sorted({second for second, _, _ in stage.model})


def of_bases(stage: Stage) -> list[str]:
    return sorted(base for each in stage.vault().compacted.current().bases for base in each.bases)


def test_complete_base_backups_become_a_set_and_their_parts_stay(stage: Stage) -> None:
    """A history reads the set, a restore the parts."""
    before, parts = told(stage, moments(stage)), names(stage.store, BASE)
    report = run(stage)
    bases = stage.vault().bases
    assert of_bases(stage) == sorted(each.id for each in bases.complete())
    assert report.parts == sum(len(bases.parts(each.id)) for each in bases.complete()) > 4
    assert told(stage, moments(stage)) == before
    assert names(stage.store, BASE) == parts
    rows = sum(bases.account(each).rows for each in bases.complete())
    assert sum(each.lines for each in stage.vault().compacted.current().bases) == rows
    assert report.lines == rows + before.changes


def test_a_history_does_not_read_the_parts_any_more(stage: Stage) -> None:
    before = histories(stage.vault())
    run(stage)
    for base in stage.vault().bases.complete():
        for part in stage.vault().bases.parts(base.id):
            spoil(stage.store, part.name, b"damaged since")
    assert histories(stage.vault()) == before
    with State(stage.vault(), moments(stage)[-1], memory=SMALL) as found:
        assert found.passed_over, "but a restore does"


def test_base_backups_are_compacted_once(stage: Stage) -> None:
    run(stage)
    watched = WatchedStore(stage.store)
    assert (run(stage, watched).parts, watched.writes) == (0, [])
    back_up(stage, fresh=True)
    before = told(stage, moments(stage))
    assert run(stage).parts > 0
    assert len(of_bases(stage)) == 3
    assert told(stage, moments(stage)) == before


def test_of_many_base_backups_there_are_few_sets(stage: Stage) -> None:
    for number in range(5):
        stage.clock.sleep(600)
        back_up(stage, fresh=True)
        run(stage)
        assert len(of_bases(stage)) == number + 3
        assert len(stage.vault().compacted.current().bases) <= plan.MOST_SETS
    assert told(stage, moments(stage)).states == {at: stage.expected(at) for at in moments(stage)}


def test_an_incomplete_base_backup_is_left_to_be_gone_on_with() -> None:
    stage, seconds = lived(1)
    with pytest.raises(Failed):
        back_up(stage, CrashingStore(stage.store, 4, after=True))
    begun, parts = stage.vault().bases.plans(), names(stage.store, BASE)
    assert begun
    before = told(stage, seconds)
    report = run(stage)
    assert (report.parts, of_bases(stage)) == (0, [])
    assert told(stage, seconds) == before
    assert names(stage.store, BASE) == parts
    back_up(stage)
    assert [each.id for each in stage.vault().bases.complete()] == [each.id for each in begun]
    run(stage)
    assert told(stage, seconds).states == before.states


@pytest.mark.parametrize("broken", [0, 1])
def test_a_damaged_part_leaves_its_base_backup_out(stage: Stage, broken: int) -> None:
    bases = stage.vault().bases
    complete = bases.complete()
    part = next(each for each in bases.parts(complete[broken].id) if each.count)
    spoil(stage.store, part.name, stage.store.get(part.name).body[:-5])
    before = {at: state_with_damage(stage, at) for at in moments(stage)}
    report = run(stage)
    (left,) = report.left
    assert left.name == part.name
    assert of_bases(stage) == [complete[1 - broken].id]
    assert report.parts == len(bases.parts(complete[1 - broken].id))
    assert report.lines == bases.account(complete[1 - broken]).rows + len(stage.model)
    assert {at: state_with_damage(stage, at) for at in moments(stage)} == before
    again = run(stage)
    assert [each.name for each in again.left] == [part.name]
    assert (again.parts, again.lines, again.segments) == (0, 0, 0)


def test_a_missing_part_leaves_its_base_backup_out_until_it_is_brought_back(stage: Stage) -> None:
    """Else what it holds would never be in an item's history again."""
    whole = told(stage, moments(stage))
    bases = stage.vault().bases
    base = bases.complete()[0]
    part = next(each for each in bases.parts(base.id) if each.count)
    body = stage.store.get(part.name).body
    lose(stage.store, part.name)
    (left,) = run(stage).left
    assert base.id in left.name
    assert base.id not in of_bases(stage)
    spoil(stage.store, part.name, body)
    assert list(run(stage).left) == []
    assert base.id in of_bases(stage)
    assert told(stage, moments(stage)) == whole


def test_where_every_base_backup_is_damaged_none_is_taken(stage: Stage) -> None:
    bases = stage.vault().bases
    for each in bases.complete():
        part = next(part for part in bases.parts(each.id) if part.count)
        spoil(stage.store, part.name, b"")
    report = run(stage)
    assert (report.parts, report.lines, of_bases(stage)) == (0, len(stage.model), [])
    assert len(report.left) == 2
    assert changes(stage.vault()) == len(stage.model)
    watched = WatchedStore(stage.store)
    run(stage, watched)
    assert watched.writes == [], "nor is it tried again and again"


def state_with_damage(stage: Stage, at: int) -> tuple[dict[bytes, bytes], list[str]]:
    vault = stage.vault()
    with State(vault, at, memory=SMALL) as found:
        items = {key: vault.image(entry) for part in found for key, entry in part.items() if not entry.removed}
        return items, sorted(each.name for each in (*found.unreadable, *found.passed_over))


# --- the rows layout -------------------------------------------------------------------------------------------------------------


def rows_and_strangers() -> tuple[Stage, set[str]]:
    """A vault of rows with a foreign object over a row, one beside them, and an empty one: their names."""
    stage, _ = lived(layout=Layout.ROWS)
    rows = names(stage.store, "flights/")
    stage.clock.sleep(10)
    strangers = {rows[1]: b"not a row", "flights/notes.txt": b"of a person", rows[2]: b""}
    for name, body in strangers.items():
        stage.store.put(name, body)
    return stage, set(strangers)


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_strangers_are_found_as_before(rounds: int) -> None:
    """Which object over a row is that row is known by when the segment that names it came; sets keep that for each line."""
    stage, strangers = rows_and_strangers()
    now = int(stage.clock.now())
    for number in range(rounds):
        run(stage)
        stage.put([20 + number])
        stage.follow()
        stage.clock.sleep(3_600 * (number + 1))
    report, items = restored(stage, now)
    assert {each.what for each in report.failures} == strangers
    assert items == stage.expected(now)


def test_where_there_are_no_strangers_none_is_looked_at() -> None:
    """A HEAD of each row would be all that is slow in a restore: the sets account for every one."""
    stage, seconds = lived(layout=Layout.ROWS)
    run(stage)
    live(stage, 1)
    run(stage)
    asked: list[str] = []

    class Asking(WatchedStore):
        def head(self, name: str, version: str | None = None) -> ObjectInfo:
            asked.append(name)
            return super().head(name, version)

    stage.store = Asking(stage.store)
    for at in seconds[1:]:
        report, items = restored(stage, at)
        assert report.failures == []
        assert items == stage.expected(at)
    assert [name for name in asked if name.startswith("flights/")] == []


def test_tenants_come_back_alone() -> None:
    clock = ManualClock()
    stage = Stage(clock, layout=Layout.ROWS)
    init(stage.store, stage.table, InitOptions(tenant_attribute="tenant"))
    for number in range(9):
        image = images.image("z", number, tenant={"S": "acme" if number % 3 else "globex"})
        stage.table.write([Put(image)])
        clock.sleep(60)
    stage.follow()
    at = int(clock.now())
    clock.sleep(3_600)
    stage.follow()
    before = restored(stage, at - 1, tenant="acme")[1]
    run(stage)
    assert restored(stage, at - 1, tenant="acme")[1] == before
    assert len(before) == 6
    assert {each for each in before if b'"globex"' in before[each]} == set()


# --- single rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part_bytes", [plan.PART_BYTES, 300])
def test_single_rows_come_back_from_the_frames_that_hold_them(monkeypatch: pytest.MonkeyPatch, part_bytes: int) -> None:
    monkeypatch.setattr(plan, "PART_BYTES", part_bytes)
    stage, seconds = lived()
    run(stage)
    live(stage, 1)
    run(stage)
    for wanted in ([key(2)], [key(number) for number in (1, 3, 5, 99)]):
        for at in seconds[1:]:
            _, items = restored(stage, at, keys=wanted)
            assert items == {each: image for each, image in stage.expected(at).items() if each in wanted}


# --- what cannot be read ---------------------------------------------------------------------------------------------------------


def damaged(stage: Stage) -> list[str]:
    """A cut segment, one of other lines than its name says, and two foreign objects in the log; their names."""
    segments = [each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count]
    cut, other, whole = segments[0].name, segments[2].name, segments[3].name
    spoil(stage.store, cut, stage.store.get(cut).body[:-3])
    spoil(stage.store, other, stage.store.get(whole).body)
    foreign = [f"{LOG}readme.txt", f"{LOG}dt=2023-11-14/hour=22/backup.tar"]
    for name in foreign:
        stage.store.put(name, b"of a person")
    return sorted([cut, other, *foreign])


def test_what_cannot_be_read_is_left_and_named_and_all_else_is_taken() -> None:
    stage, seconds = lived()
    left = damaged(stage)
    before = {at: state_with_damage(stage, at) for at in seconds}
    made = changes(stage.vault())
    report = run(stage)
    assert sorted(each.name for each in report.left) == left
    assert {each.why for each in report.left if each.name.endswith(("txt", "tar"))} == {"a foreign object in the change log"}
    assert not any(each.why.startswith(each.name) for each in report.left)
    assert {at: state_with_damage(stage, at) for at in seconds} == before
    assert changes(stage.vault()) == made
    assert sorted(each.name for each in stage.vault().inventory().segments) == left
    assert not hidden(stage.store) & set(left)
    again = WatchedStore(stage.store)
    assert sorted(each.name for each in run(stage, again).left) == left
    assert again.writes == []


def test_what_is_mended_later_is_taken_then() -> None:
    stage, seconds = lived()
    whole = told(stage, seconds)
    segment = next(each for each in stage.vault().log.listing() if each.segment is not None and each.segment.count)
    good = stage.store.get(segment.name)
    spoil(stage.store, segment.name, b"", good.info.metadata)
    assert [each.name for each in run(stage).left] == [segment.name]
    spoil(stage.store, segment.name, good.body, good.info.metadata)
    assert list(run(stage).left) == []
    assert told(stage, seconds) == whole


def test_a_damaged_set_stops_the_compaction_that_would_merge_it() -> None:
    """Nothing is put in force that would stand for what cannot be read."""
    stage, _ = lived()
    run(stage)
    name = next(each for each in names(stage.store, "_backstream/flights/compacted/") if each.endswith("-of-00001.ndjson.zst"))
    body = stage.store.get(name).body
    for damage in (body[:-1], body[:20] + bytes([body[20] ^ 1]) + body[21:], b""):
        spoil(stage.store, name, damage)
        live(stage, 1)
        with pytest.raises(Damaged, match="00000-of-00001"):
            run(stage)
        with State(stage.vault(), int(stage.clock.now()), memory=SMALL) as found:
            assert [each.name for each in found.unreadable] == [name]
    spoil(stage.store, name, body)
    run(stage)
    assert changes(stage.vault()) == len(stage.model)
    assert state(stage.vault(), int(stage.clock.now())) == stage.expected()


# --- which segments stay ---------------------------------------------------------------------------------------------------------


def test_checkpoints_stay_as_long_as_a_tail_may_ask_for_them() -> None:
    stage, _ = lived()
    run(stage)
    newest = {each.shard: each.last for each in stage.segments()}
    assert len(newest) == 3
    stage.clock.sleep(2 * 86_400)
    stage.vault().log.write_mark(mark("s", 1).stream, int(stage.clock.now()), writer="x")
    run(stage)
    assert {each.shard: each.last for each in stage.segments()} == newest
    stage.clock.sleep(2 * 86_400)
    stage.vault().log.write_mark(mark("s", 1).stream, int(stage.clock.now()), writer="x")
    run(stage)
    assert len(stage.segments()) < len(newest)
    assert changes(stage.vault()) == len(stage.model)


def test_signs_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many segments there were."""
    monkeypatch.setattr(plan, "CHECKPOINT_DAYS", 0)
    stage, _ = lived(10)
    run(stage)
    assert len(stage.log()) <= 2 * 3, "the one that reaches farthest and the last one, of each kind"
    assert {each.kind for each in stage.log()} == {SegmentKind.TAIL, SegmentKind.MARK}
