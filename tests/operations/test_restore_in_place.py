"""A restore in place: the plan before it, the way back after it, what others write meanwhile, going on after any interruption."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.errors import AccessDenied, Refused, UsageError
from backstream.model.clocks import CLOCKS_APART
from backstream.operations import restore as restoring
from backstream.operations.migrate import MigrationContext, MigrationRequest
from backstream.operations.restore import Again, InPlace, NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.operations.restore.targets.kept import UndoJournal
from backstream.operations.undo import undo_restore
from backstream.ports import Delete, Put, Write
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit import images
from kit.clock import ManualClock
from kit.images import image, key
from kit.kill_amid_writes import kill_amid_writes
from kit.one_at_a_time import OneAtATime
from kit.proxy import FaultProxy, Hold, after
from kit.scene import Scene, next_second, same
from kit.stage import Stage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=[Layout.ROWS, Layout.LOG])
def stage(request: pytest.FixtureRequest, clock: ManualClock) -> Stage:
    """Eight rows, then a bad deploy: one is wrong, one is gone, one is new. All of it is in the vault."""
    stage = Stage(clock, layout=request.param, shards=1, store=MemoryStore(clock))
    stage.put(range(8))
    clock.move(100)
    stage.follow()
    stage.put([1])
    stage.delete([2])
    stage.put([9])
    clock.move(100)
    stage.follow()
    return stage


class Meddling(OneAtATime):
    """The live table, on which somebody else writes just before one of our writes is carried out; or whose process dies there."""

    def __init__(self, table: MemoryTable, turn: int, meddle: Sequence[Write] = (), *, dies: bool = False) -> None:
        self._table = table
        self._left = turn
        self._meddle = meddle
        self._dies = dies

    def write_if(self, write: Write, before: bytes | None) -> bool:
        self._take_turn()
        return self._table.write_if(write, before)

    def write(self, writes: Sequence[Write]) -> Sequence[Write]:
        self._take_turn()
        return self._table.write(writes)

    def _take_turn(self) -> None:
        self._left -= 1
        if self._left == 0 and self._dies:
            raise KeyboardInterrupt
        if self._left == 0:
            self._table.write(self._meddle)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def then(stage: Stage) -> int:
    """The moment before the bad deploy."""
    return int(stage.clock.now()) - 150


def run(stage: Stage, folder: Path, table: object = None, **words: Any) -> Restored:
    request = RestoreRequest(at=then(stage), target=InPlace(), **words)
    return restore(stage.vault(), request, around(stage, folder, table))


def around(stage: Stage, folder: Path, table: object = None) -> RestoreContext:
    chosen: Any = table or stage.table
    return RestoreContext(lambda _: chosen, stage.clock, folder)


def live(stage: Stage) -> Mapping[bytes, bytes]:
    return {stage.vault().key_of(found): found for page in stage.table.scan() for found in page}


def go_on(stage: Stage, folder: Path, *, force: bool = False, table: object = None) -> Restored:
    """`--resume` of the one restore whose file is there."""
    (path,) = folder.glob("backstream-restore-*")
    return restoring.resume(stage.vault(), path, around(stage, folder, table), Again(force=force))


# --- the plan, and the way back ---------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_would_take_and_shows_rows(stage: Stage, tmp_path: Path) -> None:
    before = live(stage)
    report = run(stage, tmp_path, dry_run=True)
    assert (report.put, report.deleted, report.unchanged, report.dry_run) == (2, 1, 6, True)
    plan = report.plan
    assert plan is not None
    assert plan.write_units == 3, "three small rows"
    assert plan.dollars == pytest.approx(3 * 0.625e-6, abs=1e-6)
    assert plan.estimated_seconds >= 0
    shown = {bytes(each.key): (each.action, bytes(each.before), bytes(each.after)) for each in plan.sample}
    vault, expected = stage.vault(), stage.expected(then(stage))
    one, two, nine = (vault.key_of(key("z", number)) for number in (1, 2, 9))
    assert shown == {
        one: ("put", before[one], expected[one]),
        two: ("put", b"null", expected[two]),
        nine: ("delete", before[nine], b"null"),
    }
    assert (live(stage), list(tmp_path.iterdir())) == (before, [])
    assert report.undo is None


def test_the_way_back_goes_back(stage: Stage, tmp_path: Path) -> None:
    """Without the vault, and whoever else has written since keeps what they wrote."""
    ruined = live(stage)
    report = run(stage, tmp_path)
    assert live(stage) == stage.expected(then(stage))
    assert report.undo is not None
    words = report.undo.split()
    assert words[:4] == ["backstream", "restore", "flights", "--undo"]
    theirs = image("theirs", 1)
    stage.table.write([Put(theirs)])
    for _ in range(2):
        undo_restore(Path(words[-1]), MigrationRequest(live=True), MigrationContext(stage.table, stage.clock, tmp_path))
        assert live(stage) == {**ruined, stage.vault().key_of(theirs): theirs}


def test_a_restore_that_changes_nothing_needs_no_way_back(stage: Stage, tmp_path: Path) -> None:
    run(stage, tmp_path)
    stage.clock.sleep(5)
    again = run(stage, tmp_path, keys=[stage.vault().key_of(key("z", 3))])
    assert (again.put, again.deleted, again.undo) == (0, 0, None)
    assert len(list(tmp_path.iterdir())) == 1, "the file of the first one stays until the user deletes it"


# --- somebody writes meanwhile ----------------------------------------------------------------------------------------------------

OURS = image("z", 1, v={"N": "777"})


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("meddle", [Put(OURS), Delete(key("z", 1)), Put(image("z", 1, v={"N": "9"}, more={"S": "added"}))])
def test_what_somebody_changes_meanwhile_is_a_conflict(stage: Stage, tmp_path: Path, turn: int, meddle: Write) -> None:
    """Before any of the three writes: if ours came first, theirs stands anyway; else it is left to them, and named."""
    report = run(stage, tmp_path, Meddling(stage.table, turn, [meddle]))
    one = stage.vault().key_of(key("z", 1))
    expected = dict(stage.expected(then(stage)))
    theirs = meddle.image if isinstance(meddle, Put) else None
    found = live(stage)
    assert found.get(one) in (theirs, expected[one])
    assert found.get(one) == theirs or report.conflicts == 0
    assert {each: found[each] for each in found if each != one} == {each: expected[each] for each in expected if each != one}
    if report.conflicts:
        assert (report.failed, [each.what for each in report.failures]) == (1, [one.decode()])
        assert "changed" in report.failures[0].why
        with pytest.raises(Refused, match="somebody changed"):
            go_on(stage, tmp_path)
        assert live(stage) == found
        forced = go_on(stage, tmp_path, force=True)
        assert (forced.failed, live(stage), list(tmp_path.glob("backstream-restore-*"))) == (0, expected, [])


def test_at_least_one_order_makes_a_conflict(stage: Stage, tmp_path: Path) -> None:
    report = run(stage, tmp_path, Meddling(stage.table, 1, [Put(OURS), Put(image("z", 2)), Put(image("z", 9, v={"N": "1"}))]))
    assert report.conflicts >= 2, "all but, perhaps, the row that was about to be written"


def test_force_wins(stage: Stage, tmp_path: Path) -> None:
    report = run(stage, tmp_path, Meddling(stage.table, 1, [Put(OURS)]), force=True)
    assert (report.conflicts, report.failed, live(stage)) == (0, 0, stage.expected(then(stage)))


def test_work_that_was_done_already_is_no_conflict(stage: Stage, tmp_path: Path) -> None:
    """As when the answer to a write was lost: what is found is what was to be written."""
    expected = stage.expected(then(stage))
    one = stage.vault().key_of(key("z", 1))
    report = run(stage, tmp_path, Meddling(stage.table, 1, [Put(expected[one]), Delete(key("z", 9))]))
    assert (report.conflicts, live(stage)) == (0, expected)


# --- interrupted ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_an_interrupted_one_is_gone_on_with(stage: Stage, tmp_path: Path, turn: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(stage, tmp_path, Meddling(stage.table, turn, dies=True))
    report = go_on(stage, tmp_path)
    assert live(stage) == stage.expected(then(stage))
    assert report.failed == 0
    assert report.put + report.deleted == 3 - (turn - 1), "what was done is not done again"
    assert not list(tmp_path.glob("backstream-restore-*"))
    with pytest.raises(ValueError, match="not enough values"):
        go_on(stage, tmp_path)


def test_what_somebody_changed_between_is_a_conflict(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(stage, tmp_path, Meddling(stage.table, 1, dies=True))
    clock.move(10)
    stage.table.write([Put(OURS)])
    stage.follow()
    report = go_on(stage, tmp_path)
    one = stage.vault().key_of(key("z", 1))
    expected = {**stage.expected(then(stage) - 10), one: OURS}
    assert (report.conflicts, live(stage)) == (1, expected)
    assert go_on(stage, tmp_path, force=True).failed == 0
    assert live(stage) == stage.expected(then(stage) - 10)


def test_a_new_table_is_filled_on(stage: Stage, tmp_path: Path) -> None:
    target = MemoryTable("new", stage.clock)
    request = RestoreRequest(at=then(stage), target=NewTable("new"))
    with pytest.raises(KeyboardInterrupt):
        restore(stage.vault(), request, around(stage, tmp_path, Meddling(target, 1, dies=True)))
    report = go_on(stage, tmp_path, table=target)
    assert {stage.vault().key_of(found): found for page in target.scan() for found in page} == stage.expected(then(stage))
    assert report.failed == 0


class Denied(MemoryTable):
    """May be read, not written."""

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        raise AccessDenied(f"{len(writes)} writes denied, as told ({took})")

    def write_if(self, write: Write, before: bytes | None) -> bool:
        raise AccessDenied(f"denied, as told: {write} ({before!r})")


def test_going_on_that_fails_at_once_forgets_nothing(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(stage, tmp_path, Meddling(stage.table, 2, dies=True))
    denied = Denied(stage.table.name, stage.clock, images.SCHEMA)
    for page in stage.table.scan():
        MemoryTable.write(denied, [Put(found) for found in page])
    with pytest.raises(AccessDenied):
        go_on(stage, tmp_path, table=denied)
    assert go_on(stage, tmp_path).failed == 0
    assert live(stage) == stage.expected(then(stage))


class Watched(Denied):
    """Denies writes, and notes what lies in a folder when it is asked for the first."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        super().__init__("x", clock, images.SCHEMA)
        self._folder = folder
        self.there: list[str] = []

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        self.there = self.there or [each.name for each in self._folder.iterdir()]
        return super().write(writes, took)


def test_nothing_stays_behind_of_one_that_touched_nothing(stage: Stage, clock: ManualClock, tmp_path: Path) -> None:
    target = Watched(tmp_path, clock)
    with pytest.raises(AccessDenied):
        restore(stage.vault(), RestoreRequest(at=then(stage), target=NewTable("x")), around(stage, tmp_path, target))
    (there,) = target.there
    assert there.startswith("backstream-restore-"), "before the first write it could have been gone on with"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("captured", [False, True])
def test_a_row_created_before_it_is_gone_on_with_is_somebody_elses(
    stage: Stage, clock: ManualClock, tmp_path: Path, *, captured: bool
) -> None:
    """It was not there at the moment, nor when the restore began: to delete it would lose what nobody asked to be undone."""
    with pytest.raises(KeyboardInterrupt):
        run(stage, tmp_path, Meddling(stage.table, 1, dies=True))
    expected = dict(stage.expected(then(stage)))
    at = then(stage)
    clock.move(10)
    created = image("z", 77, v={"N": "1"})
    stage.table.write([Put(created)])
    if captured:
        stage.follow()
    report = go_on(stage, tmp_path)
    seventy_seven = stage.vault().key_of(created)
    assert report.conflicts == 1
    assert [each.what for each in report.failures] == [seventy_seven.decode()]
    assert live(stage) == {**expected, seventy_seven: created}
    assert go_on(stage, tmp_path, force=True).failed == 0
    assert live(stage) == stage.expected(at)


class Dated(Meddling):
    """Notes the second by the service's clock at which each write is carried out."""

    def __init__(self, table: MemoryTable) -> None:
        super().__init__(table, 0)
        self.seconds: list[int] = []

    def _take_turn(self) -> None:
        self.seconds.append(int(self._table.server_time()))


@pytest.mark.parametrize("part", [0.0, 0.4, 0.99])
def test_the_first_write_waits_until_the_moment_of_the_undo_is_over(
    stage: Stage, clock: ManualClock, tmp_path: Path, part: float
) -> None:
    """By more than clocks may be apart, or a change that the restore makes could be taken for one of that moment."""
    clock.move(part)
    dated = Dated(stage.table)
    report = run(stage, tmp_path, dated)
    assert report.undo is not None
    before = UndoJournal(Path(shlex.split(report.undo)[-1])).head.began
    assert len(dated.seconds) == 3
    assert min(dated.seconds) == before + CLOCKS_APART + 1, "and no longer than that"


def test_the_file_of_another_table_is_refused(stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "backstream-restore-00000000.ndjson"
    path.write_bytes(b'{"restore":"00000000","table":"other","at":1,"target":"other"}\n')
    with pytest.raises(UsageError, match="other"):
        go_on(stage, tmp_path)
    path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="not the file of a restore"):
        go_on(stage, tmp_path)


# --- the command ------------------------------------------------------------------------------------------------------------------

ROWS = 400


@pytest.fixture
def ruined(scene: Scene) -> Scene:
    """Hundreds of rows, all of which a bad deploy has changed."""
    scene.create()
    scene.init()
    scene.put(*(image("row", number, v={"N": str(number)}) for number in range(ROWS)))
    return scene


def killed_and_gone_on_with(scene: Scene, proxy: FaultProxy, kills: int) -> None:
    """A restore in place of all rows, killed so many times while it writes, and gone on with each time."""
    expected, at = scene.items(), next_second()
    scene.put(*(image("row", number, v={"S": "ruined"}) for number in range(ROWS)))
    scene.tail()
    words = ["restore", scene.table, "--at", str(at), "--in-place", "--yes"]
    right = [0]
    for turn in range(kills):
        kill_amid_writes(lambda words=words: scene.start(*words), proxy, turn % 2, unheard=turn % 4 == 1)  # type: ignore[misc]
        (path,) = scene.folder.glob("backstream-restore-*")
        words = ["restore", scene.table, "--resume", str(path)]
        right.append(rows_as(scene, expected))
    assert right == sorted(right), "what was done stays done"
    assert 0 < right[-1] < ROWS, "the kills came while it wrote"
    ran = scene.call(*words, "--json")
    assert (ran.code, ran.json()["put"], ran.json()["unchanged"]) == (0, ROWS - right[-1], right[-1]), ran.err
    assert same(scene.items(), expected)
    assert list(scene.folder.glob("backstream-restore-*")) == []


def rows_as(scene: Scene, expected: dict[bytes, bytes]) -> int:
    """How many rows are as they should be."""
    return sum(1 for key, found in scene.items().items() if same({key: found}, {key: expected[key]}))


def test_killed_and_gone_on_with(ruined: Scene, dynamodb: FaultProxy) -> None:
    killed_and_gone_on_with(ruined, dynamodb, kills=2)


@pytest.mark.soak
def test_killed_twenty_times_and_gone_on_with_each_time(ruined: Scene, dynamodb: FaultProxy) -> None:
    killed_and_gone_on_with(ruined, dynamodb, kills=20)


def test_ctrl_c_says_how_to_go_on(ruined: Scene, dynamodb: FaultProxy) -> None:
    expected, at = ruined.items(), next_second()
    ruined.put(*(image("row", number, v={"S": "ruined"}) for number in range(ROWS)))
    ruined.tail()
    hold = Hold()
    dynamodb.on(hold, operation="PutItem", when=after(1))
    process = ruined.start("restore", ruined.table, "--at", str(at), "--in-place", "--yes")
    with hold.caught():
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130, said
    assert "--resume" in said
    (path,) = ruined.folder.glob("backstream-restore-*")
    assert path.name.removeprefix("backstream-restore-").removesuffix(".ndjson") in said
    ran = ruined.call("restore", ruined.table, "--resume", path.stem.rpartition("-")[2], "--json")
    assert ran.code == 0, ran.err
    assert same(ruined.items(), expected)


def test_the_command_shows_its_plan_and_the_way_back(ruined: Scene) -> None:
    at = next_second()
    ruined.put(image("row", 1, v={"S": "ruined"}))
    ruined.tail()
    dry = ruined.call("restore", ruined.table, "--at", str(at), "--in-place", "--dry-run")
    assert (dry.code, "would be put" in dry.out, "1 write unit," in dry.out, "ruined" in dry.out) == (0, True, True, True), dry.out
    refused = ruined.call("restore", ruined.table, "--at", str(at), "--in-place")
    assert (refused.code, "--dry-run" in refused.err) == (4, True)
    done = ruined.call("restore", ruined.table, "--at", str(at), "--in-place", "--yes", "--json")
    assert (done.code, done.json()["put"]) == (0, 1)
    assert done.json()["undo"] in done.err
    assert json.loads(done.out)["plan"]["write_units"] == 1
    assert ruined.schema == images.SCHEMA
