"""`drill`: one that must pass does, one that must fail does and names why, and nothing stays behind in any case."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.engine.local.memory import Memory
from backstream.errors import AccessDenied, GapInTheWay, OutsideWindow, TargetNotEmpty, Unavailable
from backstream.model import window
from backstream.model.changes.entry import Entry
from backstream.model.objectives import Objectives
from backstream.model.tables.creation import Creation
from backstream.operations.drill import Drill, DrillDifference, DrillPlan, Live, Pick, Side, drill, moments
from backstream.operations.restore import RestoreContext
from backstream.ports import ObjectStore, Put, Table, Write
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.item_states import newest_each
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore
from kit.feed import Feed, small_engine
from kit.images import SCHEMA, hard_images, image, key
from kit.losing import lose
from kit.stage import Stage, wait_for

BEGAN = 1_700_000_000
NOW = BEGAN + 600
PROVEN = NOW - 10
MakeTable = Callable[[str, ManualClock], MemoryTable]


@pytest.fixture(params=list(Layout))
def layout(request: pytest.FixtureRequest) -> Layout:
    return Layout(request.param)


class Range:
    """A vault, a live table and every other table of one account, by a clock set by hand."""

    def __init__(self, layout: Layout = Layout.ROWS, *, store: ObjectStore | None = None, make: MakeTable = MemoryTable) -> None:
        self.clock = ManualClock(NOW)
        self.feed = Feed(store or MemoryStore(self.clock), "flights", began=BEGAN, layout=layout)
        self.tables: dict[str, MemoryTable] = {"flights": MemoryTable("flights", self.clock, SCHEMA)}
        self._make = make

    def table(self, name: str) -> Table:
        return self.tables.setdefault(name, self._make(name, self.clock))

    def both(self, *images: bytes, second: int = BEGAN + 60) -> None:
        self.kept(*images, second=second)
        self.live(*images)

    def kept(self, *images: bytes, second: int = BEGAN + 60) -> None:
        self.feed.put(second, *images)
        self.feed.deliver(now=NOW)

    def live(self, *images: bytes) -> None:
        for each in images:
            self.tables["flights"].write([Put(each)])

    def drill(self, plan: DrillPlan | None = None, store: ObjectStore | None = None) -> Drill:
        vault = self.feed.vault if store is None else TableVault(store, self.feed.catalog, engines=small_engine)
        around = RestoreContext(self.table, self.clock, Path("/nowhere"), memory=Memory(64 << 20))
        return drill(vault, plan or DrillPlan(), around)

    def left_behind(self) -> list[str]:
        """Tables that are there and should not be."""
        return [name for name, table in self.tables.items() if name != "flights" and table._schema is not None]


def proven(layout: Layout = Layout.ROWS, **words: Any) -> Range:
    """With ten rows, and a vault that is proven up to ten seconds ago."""
    range_ = Range(layout, **words)
    range_.both(*(image("row", number) for number in range(10)))
    range_.feed.reached(PROVEN)
    return range_


def found(report: Drill) -> list[tuple[DrillDifference, Side, bytes]]:
    return [(each.kind, each.side, bytes(each.key)) for each in report.differing]


def canonical(zone: str, number: int) -> bytes:
    return b'{"zone":{"S":"%s"},"number":{"N":"%d"}}' % (zone.encode(), number)


# --- passing ----------------------------------------------------------------------------------------------------------------------


def test_a_sound_vault_passes(layout: Layout) -> None:
    range_ = Range(layout)
    range_.both(*hard_images().values(), image("deleted", 1))
    range_.feed.delete(BEGAN + 70, key("deleted", 1))
    range_.feed.deliver()
    range_.tables["flights"].expire([key("deleted", 1)])
    range_.feed.reached(PROVEN)
    report = range_.drill(DrillPlan(objectives=Objectives(10, 10)))
    rows = len(hard_images())
    assert (report.passed, report.reasons, report.warnings) == (True, [], [])
    assert (report.rows, report.matched, report.differences, report.failed) == (rows, rows, 0, 0)
    assert report.live == Live(rows=rows, same=rows, changed=0, different=0)
    assert (report.rpo_seconds, report.rto_seconds, report.sampled) == (10.0, 0.0, 20)
    assert report.at == "2023-11-14T22:23:10Z", "the newest second that is proven"
    assert (report.kept, report.error) == (False, None)
    assert range_.left_behind() == []
    assert range_.clock.slept == [], "nobody waits where nothing differs"


def test_an_older_moment_is_not_compared_with_the_live_table() -> None:
    range_ = Range()
    range_.kept(image("row", 1))
    range_.clock.move(3_600)
    range_.feed.reached(int(range_.clock.now()) - 5)
    report = range_.drill(DrillPlan(at=BEGAN + 60))
    assert (report.passed, report.rows, report.live) == (True, 1, None)
    assert any("not compared with the live table: the moment is 1 h 09 min old" in each for each in report.warnings)


def test_what_has_just_been_captured_is_tried_though_it_is_not_proven_yet(layout: Layout) -> None:
    range_ = Range(layout)
    range_.both(image("row", 1), second=NOW - 5)
    report = range_.drill()
    assert (report.at, report.rows, report.passed) == ("2023-11-14T22:23:15Z", 1, True)
    assert sum(range_.clock.slept) == 30.0, "its proof was waited for"
    range_.feed.vault.gaps.record(Gap("lost", NOW - 50, NOW - 40, range_.feed.label))
    range_.feed.reached(NOW)
    assert range_.drill().at == "2023-11-14T22:22:29Z", "the second before the gap"


def test_a_random_moment_is_one_of_all_that_are_proven() -> None:
    range_ = proven()
    picked = {range_.drill(DrillPlan(pick=Pick.RANDOM)).at for _ in range(4)}
    assert len(picked) > 1
    assert all("2023-11-14T22:13:20Z" <= each <= "2023-11-14T22:23:10Z" for each in picked)


def test_the_vault_is_checked_for_the_moment_that_is_restored() -> None:
    range_ = proven(Layout.ROWS)
    range_.both(image("row", 1, v={"N": "2"}), second=PROVEN - 1)
    first, *_ = range_.feed.vault.history(range_.feed.vault.key_of(image("row", 1)))
    assert first.place is not None
    lose(range_.feed.store, first.place.name, first.place.version)
    report = range_.drill(DrillPlan(at=PROVEN))
    assert (report.passed, report.found) == (True, 0), "a version that the moment does not need"
    assert any("row versions of" in each for each in report.checked)
    assert any("--read-data" in each for each in report.unchecked)
    assert report.table_arn == range_.feed.catalog.table_arn
    assert (report.region, report.account) == ("us-east-1", "000000000000")
    name = "_backstream/flights/catalog.json"
    range_.feed.store.delete(name)
    report = range_.drill(DrillPlan(at=PROVEN))
    assert (report.passed, report.matched, [each.object for each in report.findings]) == (False, 10, [name])
    assert f"the vault does not hold what it claims of this moment: 1 finding: {name}" in report.reasons[0]


@pytest.mark.parametrize("ranges", [[(10, 10)], [(10, 12), (20, 20)], [(0, 1), (5, 5), (90_000_000, 90_000_002)]])
def test_each_second_of_every_range_is_picked_as_often(ranges: list[tuple[int, int]]) -> None:
    every = [second for since, until in ranges for second in range(since, until + 1)]
    for number in range(len(every)):

        def random_below(below: int, number: int = number) -> int:
            assert below == len(every)
            return number

        assert moments.any_of([window.Range(*each) for each in ranges], random_below) == every[number]


def test_without_the_live_table_the_drill_is_the_same(layout: Layout) -> None:
    range_ = proven(layout)
    range_.tables["flights"].delete()
    report = range_.drill()
    assert (report.passed, report.rows, report.live) == (True, 10, None)
    assert any("there is no such table any more" in each for each in report.warnings)
    assert range_.left_behind() == []


def test_changes_since_the_moment_are_no_differences(layout: Layout) -> None:
    range_ = proven(layout)
    range_.both(image("row", 1, v={"N": "2"}), image("new", 1), second=PROVEN + 5)
    range_.feed.delete(PROVEN + 6, key("row", 2))
    range_.feed.deliver(now=NOW)
    range_.tables["flights"].expire([key("row", 2)])
    report = range_.drill(DrillPlan(at=PROVEN))
    assert (report.passed, report.rows, report.matched) == (True, 10, 10)
    assert report.live == Live(rows=10, same=8, changed=3, different=0)
    assert range_.clock.slept == [], "the vault tells at the first look"


def test_a_change_that_is_on_its_way_is_waited_for() -> None:
    range_ = proven()
    range_.live(image("row", 1, v={"N": "2"}))

    def arrive(seconds: float) -> None:
        ManualClock.sleep(range_.clock, seconds)
        if len(range_.clock.slept) == 3:
            range_.kept(image("row", 1, v={"N": "2"}), second=PROVEN + 5)

    range_.clock.sleep = arrive  # type: ignore[method-assign] # what happens while somebody waits
    report = range_.drill()
    assert (report.passed, report.live) == (True, Live(rows=10, same=9, changed=1, different=0))
    assert len(range_.clock.slept) == 3


def test_a_moment_that_is_not_proven_yet_is_waited_for() -> None:
    range_ = proven()

    def arrive(seconds: float) -> None:
        ManualClock.sleep(range_.clock, seconds)
        if len(range_.clock.slept) == 2:
            range_.both(image("late", 1), second=NOW - 1)
            range_.feed.reached(NOW)

    range_.clock.sleep = arrive  # type: ignore[method-assign] # what happens while somebody waits
    report = range_.drill(DrillPlan(at=NOW - 1))
    assert (report.passed, report.rows, report.warnings) == (True, 11, [])
    assert (report.rpo_seconds, report.rto_seconds) == (10.0, 0.0), "waiting is not restoring"
    assert len(range_.clock.slept) == 2


@pytest.mark.soak  # in real time: how long a tail lags behind is a matter of the machine, too
@pytest.mark.parametrize("at", [None, "now"])
def test_a_drill_beside_a_running_tail_and_a_busy_writer_passes(layout: Layout, at: str | None) -> None:
    stage = Stage(SystemClock(), layout=layout)
    stage.put(range(200))
    tables = {"flights": stage.table}
    around = RestoreContext(
        lambda name: tables.setdefault(name, MemoryTable(name, stage.clock)),
        stage.clock,
        Path("/nowhere"),
        memory=Memory(64 << 20),
    )
    with stage.running():
        wait_for(lambda: stage.captured() == stage.expected())
        with stage.writing(range(200)):
            for _ in range(2):
                time.sleep(1.5)
                second = None if at is None else int(time.time())
                report = drill(stage.vault(), DrillPlan(at=second, patience=6.0), around)
                assert report.passed, report
                assert report.live is not None
                assert report.live.changed > 0, "somebody has written all the while"


def test_a_live_row_that_keeps_moving_is_not_judged() -> None:
    range_ = proven()
    versions = itertools.count(2)
    range_.live(image("row", 1, v={"N": "1"}))

    def move(seconds: float) -> None:
        ManualClock.sleep(range_.clock, seconds)
        range_.live(image("row", 1, v={"N": str(next(versions))}))

    range_.clock.sleep = move  # type: ignore[method-assign] # what happens while somebody waits
    report = range_.drill()
    assert (report.passed, report.live) == (True, Live(rows=10, same=9, changed=1, different=0))


# --- failing ----------------------------------------------------------------------------------------------------------------------


def _body_of(vault: Path, feed: Feed, number: int) -> Path:
    """The file that holds the only version of a row."""
    (entry,) = feed.vault.history(canonical("row", number))
    assert entry.place is not None
    (path,) = (vault / f"{entry.place.name}@").glob("*/body")
    path.chmod(0o644)
    return path


@pytest.mark.parametrize("body", [b"", b'{"zone":{"S":"half a r', image("another", 1)], ids=["empty", "cut", "another item's"])
def test_a_damaged_version_is_caught_and_named(tmp_path: Path, body: bytes) -> None:
    range_ = proven(store=DirectoryStore(tmp_path, ManualClock(NOW)))
    path = _body_of(tmp_path, range_.feed, 3)
    path.write_bytes(body)
    report = range_.drill(DrillPlan(sample=0))
    assert not report.passed
    assert found(report) == [(DrillDifference.UNREADABLE, Side.SCRATCH, canonical("row", 3))]
    assert (report.rows, report.matched, report.differences) == (10, 9, 1)
    assert canonical("row", 3).decode() in report.reasons[0]
    assert range_.left_behind() == []


def test_a_removed_version_is_caught_and_named(tmp_path: Path) -> None:
    range_ = proven(store=DirectoryStore(tmp_path, ManualClock(NOW)))
    path = _body_of(tmp_path, range_.feed, 3)
    path.parent.chmod(0o755)
    for each in list(path.parent.iterdir()):
        each.unlink()
    path.parent.rmdir()
    report = range_.drill()
    assert not report.passed
    assert (DrillDifference.UNREADABLE, Side.SCRATCH, canonical("row", 3)) in found(report)
    assert report.differences == 1


def test_a_removed_segment_is_caught_by_what_it_held(tmp_path: Path, layout: Layout) -> None:
    range_ = proven(layout, store=DirectoryStore(tmp_path, ManualClock(NOW)))
    range_.both(image("lost", 1), second=BEGAN + 80)
    (segment,) = (each for each in range_.feed.vault.log.listing() if each.segment and each.segment.min_time == BEGAN + 80)
    lose(range_.feed.store, segment.name)
    report = range_.drill()
    assert not report.passed
    assert (DrillDifference.EXTRA, Side.LIVE, canonical("lost", 1)) in found(report)
    assert report.live is not None
    assert report.live.different == 1


def test_a_wrong_image_is_not_the_one_that_the_log_names(tmp_path: Path) -> None:
    range_ = proven(store=DirectoryStore(tmp_path, ManualClock(NOW)))
    _body_of(tmp_path, range_.feed, 3).write_bytes(image("row", 3, wrong={"BOOL": True}))
    report = range_.drill()
    assert not report.passed
    (difference,) = report.differing
    assert (difference.kind, bytes(difference.key)) == (DrillDifference.UNREADABLE, canonical("row", 3))
    assert "SHA-256" in difference.why


def test_a_wrong_image_is_caught_by_the_live_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the log does not say which bytes there should be, as in format 1."""
    monkeypatch.setattr("backstream.model.values.digests.of_body", lambda _: None)
    range_ = proven(store=DirectoryStore(tmp_path, ManualClock(NOW)))
    _body_of(tmp_path, range_.feed, 3).write_bytes(image("row", 3, wrong={"BOOL": True}))
    report = range_.drill()
    assert not report.passed
    (difference,) = report.differing
    assert (difference.kind, difference.side, bytes(difference.key)) == (DrillDifference.DIFFERENT, Side.LIVE, canonical("row", 3))
    assert b"wrong" in bytes(difference.expected)
    assert b"wrong" not in bytes(difference.found)
    assert report.reasons[0].startswith("not in the live table as they were restored")
    assert any("proven only up to" in each for each in report.warnings), "nobody has followed the stream since"


def test_an_object_that_is_no_row_is_named() -> None:
    range_ = proven()
    range_.feed.store.put("flights/notes.txt", b"remember the milk")
    report = range_.drill()
    assert not report.passed
    assert [each.what for each in report.failures] == ["flights/notes.txt"]
    (name,) = (each.name for each in range_.feed.store.list("_backstream/flights/drills/"))
    assert msgspec.json.decode(range_.feed.store.get(name).body, type=Drill) == report
    assert (report.differences, report.failed) == (0, 1)
    assert "flights/notes.txt" in report.reasons[0]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_removed_segment_of_a_tail_is_named_by_its_chain(layout: Layout, lost: int) -> None:
    clock = ManualClock(NOW)
    stage = Stage(clock, layout=layout, shards=1)
    for batch in (range(5), range(5, 10), range(10, 15)):
        stage.put(batch)
        clock.move(5)
        stage.follow()
    clock.move(60)
    stage.follow()
    written = [(each.segment.min_time, each.name) for each in stage.vault().log.listing() if each.segment and each.segment.count]
    lose(stage.store, sorted(written)[lost][1])
    tables = {"flights": stage.table}
    around = RestoreContext(lambda each: tables.setdefault(each, MemoryTable(each, clock)), clock, Path("/nowhere"))
    report = drill(stage.vault(), DrillPlan(), around)
    assert not report.passed
    assert [each.what for each in report.failures if each.what.startswith("the segment of")], report.failures
    assert report.live is not None
    assert report.live.different == 5
    assert report.differences == 5


class Lossy(MemoryTable):
    """Loses one row, changes another, and makes up a third."""

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        sound = [each for each in writes if each != Put(image("row", 1))]
        wrong = [Put(image("row", 2, v={"S": "wrong"})) if each == Put(image("row", 2)) else each for each in sound]
        super().write(wrong, took)
        super().write([Put(image("made up", 1))])
        return []


def test_a_restore_that_writes_something_else_is_caught(layout: Layout) -> None:
    report = proven(layout, make=Lossy).drill()
    assert not report.passed
    assert sorted(found(report)) == sorted(
        [
            (DrillDifference.MISSING, Side.SCRATCH, canonical("row", 1)),
            (DrillDifference.DIFFERENT, Side.SCRATCH, canonical("row", 2)),
            (DrillDifference.EXTRA, Side.SCRATCH, canonical("made up", 1)),
        ]
    )
    assert (report.rows, report.matched, report.differences) == (10, 8, 3)


def test_a_version_that_no_segment_names_is_not_believed() -> None:
    """A newer one of the row, as a crash leaves it or somebody puts it there: see docs/notes/0022."""
    range_ = proven()
    (entry,) = range_.feed.vault.history(canonical("row", 3))
    assert entry.place is not None
    kept = range_.feed.store.get(entry.place.name)
    metadata = {**kept.info.metadata, "sequence": str(int(entry.sequence) + 1)}
    range_.feed.store.put(entry.place.name, image("row", 3, wrong={"BOOL": True}), metadata)
    report = range_.drill()
    assert (found(report), report.differences, report.matched) == ([], 0, report.rows)


def test_an_item_whose_history_tells_another_image_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_another(*words: Any) -> dict[bytes, Entry | None]:
        states = newest_each(*words)
        return {**states, canonical("row", 3): states[canonical("row", 4)]}

    range_ = proven()
    monkeypatch.setattr("backstream.operations.drill.comparing.newest_each", of_another)
    report = range_.drill()
    assert found(report) == [(DrillDifference.DIFFERENT, Side.HISTORY, canonical("row", 3))]
    assert not report.passed


@pytest.mark.parametrize(("objective", "passed"), [(None, True), (3_700, True), (1_800, False)])
def test_a_tail_that_is_an_hour_late_is_caught(objective: int | None, *, passed: bool) -> None:
    range_ = proven()
    range_.clock.move(3_600)
    report = range_.drill(DrillPlan(objectives=Objectives(rpo_seconds=objective)))
    assert (report.passed, report.rpo_seconds, report.rows) == (passed, 3_610.0, 10)
    if not passed:
        assert report.reasons == ["RPO is 1 h, and the objective is 30 min"]
    if objective is None:
        assert any(each.startswith("RPO is 1 h") for each in report.warnings)


class Slow(MemoryTable):
    """Takes a minute to be created."""

    def create(self, creation: Creation) -> None:
        super().create(creation)
        self._clock.sleep(60)


def test_a_restore_that_takes_too_long_is_caught() -> None:
    report = proven(make=Slow).drill(DrillPlan(objectives=Objectives(rto_seconds=59)))
    assert (report.passed, report.rto_seconds) == (False, 60.0)
    assert report.reasons == ["RTO is 1 min, and the objective is 59 s"]
    assert proven(make=Slow).drill(DrillPlan(objectives=Objectives(rto_seconds=60))).passed


def test_a_vault_that_proves_nothing_misses_the_objective() -> None:
    range_ = Range()
    with pytest.raises(OutsideWindow, match="no second of flights can be restored exactly yet"):
        range_.drill()
    report = range_.drill(DrillPlan(at=BEGAN + 60, objectives=Objectives(rpo_seconds=86_400)))
    assert (report.rpo_seconds, report.rows, report.passed) == (None, 0, False)
    assert "RPO is unknown" in report.reasons[0]
    assert range_.drill(DrillPlan(at=BEGAN + 60)).passed


# --- bad input, and what stops a drill --------------------------------------------------------------------------------------------


def test_a_scratch_name_that_is_taken_is_never_touched() -> None:
    range_ = proven()
    range_.tables["mine"] = MemoryTable("mine", range_.clock, SCHEMA)
    with pytest.raises(TargetNotEmpty, match="there is a table mine already"):
        range_.drill(DrillPlan(scratch="mine"))
    assert range_.tables["mine"].is_empty()[0], "and it is still there"
    with pytest.raises(TargetNotEmpty):
        range_.drill(DrillPlan(scratch="flights"))
    assert range_.feed.vault.drills.newest(5) == []


def test_a_moment_in_a_gap_is_refused_before_anything_is_made() -> None:
    range_ = proven()
    range_.feed.vault.gaps.record(Gap("trimmed", BEGAN + 100, BEGAN + 200, range_.feed.label))
    with pytest.raises(GapInTheWay, match="trimmed"):
        range_.drill(DrillPlan(at=BEGAN + 150))
    with pytest.raises(OutsideWindow, match="in the future"):
        range_.drill(DrillPlan(at=NOW + 100))
    with pytest.raises(OutsideWindow, match="before the first backup"):
        range_.drill(DrillPlan(at=BEGAN - 100))
    assert list(range_.tables) == ["flights"] or range_.left_behind() == []
    report = range_.drill(DrillPlan(at=BEGAN + 150, allow_gap=True))
    assert report.rows == 10
    assert any("trimmed" in each for each in report.warnings)


class Forbidden(MemoryTable):
    """No permission to create tables."""

    def create(self, *_: Any) -> None:
        raise AccessDenied("CreateTable of table x failed", hint="Check the credentials.")


class TooMany(MemoryTable):
    """The account has as many tables as it may."""

    def create(self, *_: Any) -> None:
        raise Unavailable("CreateTable of table x failed: LimitExceededException")


class Interrupted(MemoryTable):
    """Ctrl-C while the table is being created."""

    def create(self, creation: Creation) -> None:
        super().create(creation)
        raise KeyboardInterrupt


class InterruptedLater(MemoryTable):
    """Ctrl-C while rows are compared."""

    def scan(self, *_: Any) -> Iterator[Sequence[bytes]]:
        raise KeyboardInterrupt


class Broken(MemoryTable):
    """Cannot be read."""

    def scan(self, *_: Any) -> Iterator[Sequence[bytes]]:
        raise Unavailable("Scan failed")


@pytest.mark.parametrize("make", [Forbidden, TooMany, Broken])
def test_what_stops_a_drill_is_a_drill_that_failed_and_is_in_the_history(make: MakeTable) -> None:
    range_ = proven(make=make)
    report = range_.drill(DrillPlan(objectives=Objectives(rto_seconds=60), keep=True))
    assert (report.passed, report.kept) == (False, False)
    assert report.error is not None
    assert report.reasons[0] == f"it was stopped: {report.error}"
    assert range_.left_behind() == []
    (held,) = range_.feed.vault.drills.newest(5)
    assert (held.id, held.passed, held.error) == (report.id, False, report.error)


@pytest.mark.parametrize("make", [Interrupted, InterruptedLater])
def test_stopped_by_the_user_nothing_stays_behind(make: MakeTable) -> None:
    range_ = proven(make=make)
    with pytest.raises(KeyboardInterrupt):
        range_.drill()
    assert len(range_.tables) == 2
    assert range_.left_behind() == []


class Stubborn(MemoryTable):
    """Cannot be deleted."""

    def delete(self) -> None:
        raise AccessDenied("DeleteTable failed", hint="Check the credentials.")


class StubbornAndInterrupted(Stubborn, InterruptedLater):
    """Both."""


def test_a_scratch_table_that_cannot_be_deleted_is_told_loudly() -> None:
    report = proven(make=Stubborn).drill()
    assert report.error == f"THE SCRATCH TABLE {report.scratch} IS STILL THERE: DeleteTable failed"
    assert report.hint == f"Delete it: aws dynamodb delete-table --table-name {report.scratch}"
    assert not report.passed
    report = proven(make=StubbornAndInterrupted).drill()
    assert report.error is not None
    assert report.error.endswith("IS STILL THERE: DeleteTable failed; before that: KeyboardInterrupt")


def test_a_scratch_table_is_kept_where_that_is_asked_for() -> None:
    range_ = proven()
    report = range_.drill(DrillPlan(scratch="to-look-at", keep=True))
    assert (report.passed, report.kept, report.scratch) == (True, True, "to-look-at")
    assert range_.left_behind() == ["to-look-at"]
    assert {bytes(each) for page in range_.table("to-look-at").scan() for each in page} == {image("row", n) for n in range(10)}


def test_a_long_table_name_leaves_room_for_the_scratch_tables() -> None:
    clock = ManualClock(NOW)
    feed = Feed(MemoryStore(clock), "t" * 255, began=BEGAN)
    feed.reached(PROVEN)
    tables: dict[str, MemoryTable] = {}
    around = RestoreContext(lambda name: tables.setdefault(name, MemoryTable(name, clock)), clock, Path("/nowhere"))
    report = drill(feed.vault, DrillPlan(), around)
    assert len(report.scratch) == 255
    assert report.passed


# --- the history ------------------------------------------------------------------------------------------------------------------


def test_drills_are_kept_in_the_vault_in_their_order() -> None:
    range_ = proven()
    reports = []
    for _ in range(4):
        reports.append(range_.drill())
        range_.clock.move(61)
    range_.feed.store.put("_backstream/flights/drills/20231114T224000Z_zzz.json", b"no json")
    held = range_.feed.vault.drills.newest(3)
    assert [each.id for each in held] == [reports[2].id, reports[3].id, "zzz"]
    assert range_.feed.vault.drills.newest(0) == []
    assert [each.rpo_seconds for each in held] == [132.0, 193.0, None]
    assert (held[2].passed, "cannot be read" in (held[2].error or "")) == (False, True)
    names = [each.name for each in range_.feed.store.list("_backstream/flights/drills/")]
    record = msgspec.json.decode(range_.feed.store.get(names[0]).body, type=Drill)
    assert record == reports[0]


def test_a_record_that_cannot_be_kept_is_told() -> None:
    range_ = proven()
    store = FaultyStore(range_.feed.store, lambda name: "/drills/" in name)
    report = range_.drill(store=store)
    assert report.error is not None
    assert "record cannot be kept" in report.error
    assert range_.left_behind() == []
