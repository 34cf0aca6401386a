"""A migration: what it writes and what not, somebody else's changes, lost answers, any interruption, and the way back."""

from __future__ import annotations

import fcntl
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.apps.verbs import scripts
from backstream.errors import Failed, OutsideWindow, Refused, ScriptFailed, Unavailable, UsageError
from backstream.model.values import wire
from backstream.operations.base.backfill.scan import TableScan
from backstream.operations.bulk.writer import BulkWriter
from backstream.operations.migrate import (
    ItemSource,
    LiveTable,
    Migrated,
    MigrationContext,
    MigrationJournal,
    MigrationRequest,
    MigrationRun,
    Undone,
    migrate,
    of_export,
    of_moment,
    resume,
    undo,
)
from backstream.operations.migrate.applying import PendingRewrite
from backstream.operations.restore import RestoreContext
from backstream.operations.restore.snapshot import snapshot
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Delete, Put, Write
from backstream.stores.folder import FolderFiles
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.aws_export import Export
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import Codec
from kit.clock import ManualClock
from kit.images import SCHEMA, image, key
from kit.scene import same
from kit.stage import Stage

ROWS = 30
COUNTER = "def migrate(item):\n    item['n'] = item.get('n', 0) + 1\n    return item\n"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def stage(clock: ManualClock) -> Stage:
    return staged(clock)


def staged(clock: ManualClock, layout: Layout = Layout.ROWS, rows: int = ROWS) -> Stage:
    """So many rows, each with `n`, all of it in the vault."""
    stage = Stage(clock, layout=layout, shards=1, store=MemoryStore(clock))
    write(stage, *(Put(image("z", number, n={"N": "0"}, s={"S": "x"})) for number in range(rows)))
    clock.move(100)
    stage.follow()
    return stage


def write(stage: Stage, *writes: Write) -> None:
    for each in writes:
        stage.table.write([each])


class Beside:
    """The live table, with somebody or something in the way of our requests: `on` is told of each, by its number from 1 on."""

    def __init__(self, table: MemoryTable, on: Callable[[int, Callable[[], bool]], bool]) -> None:
        self._table = table
        self._on = on
        self._calls = itertools.count(1)

    def change_if(self, after: bytes, before: bytes) -> bool:
        return self._on(next(self._calls), lambda: self._table.change_if(after, before))

    def write_if(self, write: Write, before: bytes | None) -> bool:
        return self._on(next(self._calls), lambda: self._table.write_if(write, before))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


class Bench:
    """Runs migrations of a stage's table. `folder`: where their files go."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.folder = folder
        self.table: Any = stage.table
        self.said: list[str] = []

    def run(self, text: str = COUNTER, source: Callable[[], ItemSource] | None = None, **words: Any) -> Migrated:
        work = MigrationRun(self.script(text), (source or self.live)(), SCHEMA)
        return migrate(work, MigrationRequest(**{"live": True, "concurrency": 1, **words}), self.around())

    def go_on(self, text: str = COUNTER, source: Callable[[], ItemSource] | None = None) -> Migrated:
        return resume(
            self.file, MigrationRun(self.script(text), (source or self.live)(), SCHEMA), MigrationRequest(live=True), self.around()
        )

    def undo(self, *, live: bool = True) -> Undone:
        return undo(self.file, MigrationRequest(live=live, concurrency=1), self.around())

    @property
    def file(self) -> Path:
        (path,) = self.folder.glob("backstream-migrate-*")
        return path

    def script(self, text: str) -> scripts.LoadedScript:
        path = self.folder / "script.py"
        path.write_text(text)
        return scripts.load(path)

    def live(self) -> ItemSource:
        return LiveTable(TableScan(self.table, SCHEMA, self.stage.clock, segments=2), self.table)

    def at(self, second: int) -> ItemSource:
        around = RestoreContext(lambda _: self.table, self.stage.clock, self.folder)
        return of_moment(self.stage.vault(), second, self.table, around, allow_gap=False)

    def around(self) -> MigrationContext:
        return MigrationContext(self.table, self.stage.clock, self.folder, self.stage.vault(), notice=self.said.append)

    def items(self) -> Mapping[bytes, bytes]:
        return {wire.key_of(SCHEMA, found): found for page in self.stage.table.scan() for found in page}

    def numbers(self) -> dict[int, int]:
        found = [wire.decode(each) for each in self.items().values()]
        return {int(each["number"]["N"]): int(each["n"]["N"]) for each in found}


@pytest.fixture
def bench(stage: Stage, tmp_path: Path) -> Bench:
    return Bench(stage, tmp_path)


# --- what is written --------------------------------------------------------------------------------------------------------------


def test_a_dry_run_writes_nothing_and_shows_what_it_would(bench: Bench) -> None:
    before = bench.items()
    report = bench.run(live=False, shown=3)
    assert (report.changed, report.scanned, report.live, report.undo, report.file) == (ROWS, ROWS, False, None, None)
    assert report.plan is not None
    assert (report.plan.write_units, len(report.changes)) == (ROWS, 3)
    assert bytes(report.changes[0].after) != bytes(report.changes[0].before)
    assert bench.items() == before
    assert list(bench.folder.glob("backstream-*")) == []


def test_items_are_changed_deleted_or_left_alone(bench: Bench) -> None:
    before = bench.items()
    text = """
import backstream
def migrate(item):
    if item["number"] < 10:
        return backstream.DELETE
    if item["number"] < 20:
        return None
    if item["number"] < 25:
        return dict(item)
    del item["s"]
    return {**item, "new": {1, 2}}
"""
    report = bench.run(text)
    assert (report.deleted, report.unchanged, report.changed, report.failed) == (10, 15, 5, 0)
    now = bench.items()
    assert {wire.decode(each)["number"]["N"] for each in now.values()} == {str(number) for number in range(10, ROWS)}
    for number in range(10, 25):
        assert now[place(number)] is before[place(number)], "not even written"
    assert wire.same_image(now[place(27)], image("z", 27, n={"N": "0"}, new={"NS": ["1", "2"]}))
    assert [bench.said[0].startswith("backstream migrate flights")] == [True]


def place(number: int) -> bytes:
    return wire.key_of(SCHEMA, key("z", number))


def test_native_functions_get_dynamodb_json(bench: Bench) -> None:
    named = "def migrate(dynamodb_json):\n    dynamodb_json['n'] = {'N': '7.0'}\n    return dynamodb_json\n"
    annotated = (
        "from backstream import DynamoDBJson\ndef migrate(it: DynamoDBJson):\n    it['n'] = {'B': b'\\x00'}\n    return it\n"
    )
    assert bench.run(named, limit=5).changed == 5
    bench.file.unlink()
    assert bench.run(annotated).changed == ROWS
    assert {wire.decode(each)["n"]["B"] for each in bench.items().values()} == {"AA=="}


def test_arithmetic_keeps_thirty_eight_digits(bench: Bench) -> None:
    write(bench.stage, Put(image("z", 0, n={"N": "12345678901234567890123456789012345677"})))
    bench.run()
    assert wire.attribute(bench.items()[place(0)], "n") == {"N": "12345678901234567890123456789012345678"}


def test_the_hook_is_told_the_counts(bench: Bench) -> None:
    hook = (
        "import pathlib\ndef finish(counts):\n"
        "    pathlib.Path(__file__).with_name('told').write_text(repr(sorted(counts.items())))\n"
    )
    told = bench.folder / "told"
    bench.run(COUNTER + hook, live=False)
    assert "('changed', 30)" in told.read_text()
    assert "('live', False)" in told.read_text()
    bench.run(COUNTER + hook)
    assert "('live', True)" in told.read_text()


def test_a_hook_that_raises_fails_once_all_is_done(bench: Bench) -> None:
    with pytest.raises(ScriptFailed, match="finish: ZeroDivisionError"):
        bench.run(COUNTER + "def finish():\n    1 / 0\n")
    assert set(bench.numbers().values()) == {1}
    assert bench.go_on().already == ROWS
    assert set(bench.numbers().values()) == {1}


def test_a_limited_run_is_gone_on_with(bench: Bench) -> None:
    report = bench.run(limit=7)
    assert (report.scanned, report.changed) == (7, 7)
    assert report.resume is not None
    rest = bench.go_on()
    assert (rest.changed, rest.already, rest.resume) == (ROWS - 7, 7, None)
    assert set(bench.numbers().values()) == {1}
    with pytest.raises(UsageError, match="has ended"):
        bench.go_on()


# --- what is refused --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("raise ValueError('boo')", "ValueError: boo .*line 3"),
        ("return 'x'", "a str: return the item"),
        ("item['number'] += 1", "it changed the key"),
        ("item['zone'] = 5", "it changed the key"),
        ("del item['zone']", "it changed the key"),
        ("item['n'] = 0.5", "n is a float"),
    ],
)
def test_an_error_stops_it_with_the_item_named(bench: Bench, line: str, why: str) -> None:
    text = f"def migrate(item):\n    if item['number'] == 17:\n        {line}\n    item['n'] += 1\n    return item\n"
    with pytest.raises(ScriptFailed, match=r'"number":\{"N":"17"\}.*' + why) as stopped:
        bench.run(text)
    done = sum(bench.numbers().values())
    assert f"{done} items were changed before" in stopped.value.hint
    assert bench.numbers()[17] == 0
    assert bench.go_on().already == done
    assert set(bench.numbers().values()) == {1}


def test_a_rehearsal_finds_the_error_before_anything_is_written(bench: Bench) -> None:
    before = bench.items()
    text = "def migrate(item):\n    item['n'] += 1 // (17 - item['number']) + 1\n    return item\n"
    work, again = (MigrationRun(bench.script(text), bench.live(), SCHEMA) for _ in range(2))
    with pytest.raises(ScriptFailed, match="DivisionByZero") as stopped:
        migrate(work, MigrationRequest(live=True), bench.around(), again)
    assert "Nothing was written" in stopped.value.hint
    assert bench.items() == before
    assert list(bench.folder.glob("backstream-*")) == []


def test_without_a_way_back_it_is_refused(bench: Bench, clock: ManualClock) -> None:
    before = bench.items()
    around = MigrationContext(bench.table, clock, bench.folder)
    work = MigrationRun(bench.script(COUNTER), bench.live(), SCHEMA)
    with pytest.raises(Refused, match="no vault"):
        migrate(work, MigrationRequest(live=True), around)
    assert bench.items() == before
    assert migrate(work, MigrationRequest(live=True, undoable=False), around).undo is None
    assert set(bench.numbers().values()) == {1}


def test_outside_the_window_it_is_refused(clock: ManualClock, tmp_path: Path) -> None:
    stage = Stage(clock, shards=1)
    stage.table.write([Put(image("z", 1))])
    stage.store = MemoryStore(clock)
    init(stage.store, stage.table, InitOptions(layout=Layout.LOG))
    with pytest.raises(OutsideWindow, match="could not be taken back"):
        Bench(stage, tmp_path).run()


def test_two_at_one_migration_are_refused(bench: Bench) -> None:
    bench.run(limit=3)
    with bench.file.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another process"):
            bench.go_on()


# --- somebody else ----------------------------------------------------------------------------------------------------------------


def test_a_change_in_between_is_read_again_and_migrated(bench: Bench) -> None:
    theirs: Iterator[Write] = iter(
        [
            Put(image("z", 4, n={"N": "40"})),
            Delete(key("z", 5)),
            Put(image("z", 6, n={"N": "0"}, s={"S": "x"}, w={"S": "w"})),
        ]
    )

    def on(number: int, call: Callable[[], bool]) -> bool:
        if number in (1, 2, 3):
            write(bench.stage, next(theirs))
        return call()

    bench.table = Beside(bench.stage.table, on)
    report = bench.run()
    numbers = bench.numbers()
    assert report.failed == 0
    assert numbers.pop(4) in (41, 40 + 1)
    assert 5 not in numbers or numbers.pop(5)
    assert set(numbers.values()) == {1}
    assert wire.attribute(bench.items()[place(6)], "w") == {"S": "w"}, "what somebody added stays"


def test_an_item_that_never_stands_still_is_named(bench: Bench) -> None:
    turns = itertools.count(1)

    def on(number: int, call: Callable[[], bool]) -> bool:
        del number
        write(bench.stage, Put(image("z", 9, n={"N": str(100 * next(turns))})))
        return call()

    bench.table = Beside(bench.stage.table, on)
    report = bench.run("def migrate(item):\n    if item['number'] == 9:\n        item['n'] += 1\n        return item\n")
    assert (report.changed, report.failed, report.conflicts) == (0, 1, 1)
    assert report.failures[0].what == place(9).decode()
    assert bench.numbers()[9] % 100 == 0


def test_lost_answers_migrate_nothing_twice(bench: Bench) -> None:
    source = random.Random(1)

    def on(number: int, call: Callable[[], bool]) -> bool:
        del number
        if source.random() < 0.3:
            raise Unavailable("not even sent")
        done = call()
        if source.random() < 0.3:
            raise Unavailable("the answer was lost")
        return done

    bench.table = Beside(bench.stage.table, on)
    assert bench.run().changed == ROWS
    assert set(bench.numbers().values()) == {1}


def test_a_lost_answer_and_a_change_since_is_named_not_migrated_again(bench: Bench) -> None:
    def on(number: int, call: Callable[[], bool]) -> bool:
        done = call()
        if number == 1:
            (changed,) = (n for n, value in bench.numbers().items() if value)
            write(bench.stage, Put(image("z", changed, n={"N": "50"})))
            raise Unavailable("the answer was lost")
        return done

    bench.table = Beside(bench.stage.table, on)
    report = bench.run()
    assert (report.changed, report.failed, report.conflicts) == (ROWS - 1, 1, 1)
    assert sorted(bench.numbers().values()) == [1] * (ROWS - 1) + [50]


def test_a_table_that_takes_nothing_is_given_up(bench: Bench) -> None:
    def on(number: int, call: Callable[[], bool]) -> bool:
        if number > 3:
            raise Unavailable("throttled")
        return call()

    bench.table = Beside(bench.stage.table, on)
    report = bench.run(patience=5.0)
    assert (report.changed, report.conflicts, report.failed > 0) == (3, 0, True), "whether or not all rows had been looked at"
    assert {each.why for each in report.failures} == {"throttled"}
    assert report.resume is not None
    bench.table = bench.stage.table
    assert bench.go_on().already == 3
    assert set(bench.numbers().values()) == {1}


def test_a_table_that_takes_nothing_any_more_ends_the_reading_and_is_reported(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class GivesUp(BulkWriter[PendingRewrite]):
        def add(self, write: PendingRewrite) -> None:
            super().add(write)
            self.gave_up_reason = "throttled"

    with monkeypatch.context() as patched:
        patched.setattr("backstream.operations.migrate.run.BulkWriter", GivesUp)
        report = bench.run()
    assert (report.scanned, report.changed, report.failed) == (1, 0, 1)
    assert report.warnings[-1] == "stopped before all items were looked at: throttled"
    assert report.file is None, "nothing was written, so there is nothing to go on with"
    assert bench.run().failed == 0
    assert set(bench.numbers().values()) == {1}


class Picky(Beside):
    """A table that refuses one item, whatever it is asked."""

    def change_if(self, after: bytes, before: bytes) -> bool:
        if wire.key_of(SCHEMA, after) == place(7):
            raise Failed("ValidationException: too odd")
        return super().change_if(after, before)


def test_what_dynamodb_refuses_is_named_the_rest_goes_on(bench: Bench) -> None:
    bench.table = Picky(bench.stage.table, lambda _, call: call())
    report = bench.run()
    assert (report.changed, report.failed, report.conflicts) == (ROWS - 1, 1, 0)
    assert (report.failures[0].what, report.failures[0].why) == (place(7).decode(), "ValidationException: too odd")
    bench.table = bench.stage.table
    assert bench.go_on().changed == 1
    assert set(bench.numbers().values()) == {1}


# --- interrupted ------------------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process dies here."""


@given(st.integers(0, 2**32), st.sampled_from(list(Layout)))
@settings(max_examples=15, deadline=None)
def test_killed_anywhere_each_item_once_and_taken_back(seed: int, layout: Layout) -> None:
    source = random.Random(seed)
    clock = ManualClock()
    stage = staged(clock, layout, rows=12)
    theirs: dict[int, int] = {}
    one: Bench

    def on(number: int, call: Callable[[], bool]) -> bool:
        del number
        if source.random() < 0.2:
            other = source.randrange(12)
            theirs[other] = theirs.get(other, 0) + 1000
            now = one.numbers()[other]
            write(stage, Put(image("z", other, n={"N": str(now + 1000)}, s={"S": "x"})))
        if source.random() < 0.15:
            raise Killed
        done = call()
        if source.random() < 0.15:
            raise Killed
        return done

    with tempfile.TemporaryDirectory() as folder:
        one = Bench(stage, Path(folder))
        one.table = Beside(stage.table, on)
        report: Migrated | None = None
        begun = False
        for _ in range(40):
            try:
                report = one.go_on() if begun else one.run()
                break
            except Killed:
                begun = True
        assert report is not None
        unsure = {int(msgspec.json.decode(each.what)["number"]["N"]) for each in report.failures}
        for number, value in one.numbers().items():
            migrated = value - theirs.get(number, 0)
            assert migrated in ((0, 1) if number in unsure else (1,)), (number, value, theirs)
        _taken_back(one, stage, clock, theirs)


def _taken_back(bench: Bench, stage: Stage, clock: ManualClock, theirs: Mapping[int, int]) -> None:
    bench.table = stage.table
    clock.move(10)
    stage.follow()
    report = bench.undo()
    kept = {int(msgspec.json.decode(each.what)["number"]["N"]) for each in report.failures}
    for number, value in bench.numbers().items():
        assert value - theirs.get(number, 0) in ((0, 1) if number in kept else (0,))
    assert kept <= theirs.keys(), "only what somebody has changed is left"


def test_one_that_was_taken_back_is_not_gone_on_with(bench: Bench, clock: ManualClock) -> None:
    bench.run(limit=5)
    clock.move(10)
    bench.stage.follow()
    with bench.file.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="another process"):
            bench.undo()
    assert bench.undo().put == 5
    with pytest.raises(UsageError, match="was taken back"):
        bench.go_on()
    assert set(bench.numbers().values()) == {0}


def test_a_line_cut_short_is_no_line(bench: Bench) -> None:
    bench.run(limit=5)
    whole = bench.file.read_bytes()
    bench.file.write_bytes(whole + b'["i",99,{"zo')
    assert MigrationJournal(bench.file).done == 5
    assert bench.go_on().already == 5
    assert set(bench.numbers().values()) == {1}


@pytest.mark.parametrize("text", [b"", b"{}\n", b"not json\n", b'["i"]\n'])
def test_what_is_no_file_of_a_migration(bench: Bench, text: bytes) -> None:
    (bench.folder / "backstream-migrate-x.ndjson").write_bytes(text)
    with pytest.raises(UsageError, match="not the file of a migration"):
        bench.go_on()


# --- the way back -----------------------------------------------------------------------------------------------------------------


def test_taken_back_but_for_what_somebody_changed_since(bench: Bench, clock: ManualClock) -> None:
    before = bench.items()
    text = (
        "import backstream\ndef migrate(item):\n    item['n'] += 1\n    return item if item['number'] < 20 else backstream.DELETE\n"
    )
    report = bench.run(text)
    assert report.undo is not None
    assert report.undo.startswith("backstream migrate flights --undo")
    write(bench.stage, Put(image("z", 3, n={"N": "33"})), Put(image("z", 25, n={"N": "55"})), Put(image("z", 99, n={"N": "99"})))
    theirs = {number: bench.items()[place(number)] for number in (3, 25, 99)}
    clock.move(10)
    bench.stage.follow()
    dry = bench.undo(live=False)
    assert (dry.put, dry.deleted, dry.failed, dry.live) == (ROWS - 2, 0, 2, False)
    done = bench.undo()
    assert (done.put, done.deleted, done.failed, done.conflicts) == (ROWS - 2, 0, 2, 2)
    now = dict(bench.items())
    assert {number: now.pop(place(number)) for number in theirs} == theirs
    assert same(now, {each: found for each, found in before.items() if each in now})
    again = bench.undo()
    assert (again.put, again.unchanged, again.failed) == (0, ROWS - 2, 2)


def test_what_somebody_changed_before_the_migration_came_to_it_is_kept(bench: Bench, clock: ManualClock) -> None:
    def on(number: int, call: Callable[[], bool]) -> bool:
        if number == 1:
            clock.move(10)
            write(bench.stage, *(Put(image("z", each, n={"N": "500"}, s={"S": "x"})) for each in range(ROWS)))
        return call()

    bench.table = Beside(bench.stage.table, on)
    bench.run()
    assert set(bench.numbers().values()) == {501}
    clock.move(10)
    bench.stage.follow()
    done = bench.undo()
    assert (done.put, done.failed) == (ROWS, 0)
    assert set(bench.numbers().values()) == {500}, "not as it was when the migration began"


def test_what_the_vault_does_not_hold_is_named(bench: Bench) -> None:
    write(bench.stage, Put(image("z", 3, n={"N": "7"})))
    bench.run()
    report = bench.undo()
    assert (report.put, report.failed, report.conflicts) == (ROWS - 1, 1, 0)
    assert "tail" in report.failures[0].why
    assert bench.numbers()[3] == 8


# --- an earlier state -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def changed(bench: Bench, clock: ManualClock) -> int:
    """The moment before three rows changed: one has another value, one is gone, one is new."""
    then = int(clock.now())
    clock.move(20)
    write(bench.stage, Put(image("z", 1, n={"N": "70"})), Delete(key("z", 2)), Put(image("z", 50, n={"N": "5"})))
    clock.move(20)
    bench.stage.follow()
    return then


def sources(bench: Bench, at: int) -> list[Callable[[], ItemSource]]:
    files = FolderFiles(bench.folder)
    around = RestoreContext(lambda _: bench.stage.table, bench.stage.clock, bench.folder)
    made = snapshot(bench.stage.vault(), at, files, around, compress=Codec.GZIP)
    export = Export.open(files, made.id)
    return [lambda: bench.at(at), lambda: of_export(export, made.url, bench.table, SCHEMA)]


@pytest.mark.parametrize("which", [0, 1])
def test_over_an_earlier_state_only_what_is_still_so_is_written(bench: Bench, changed: int, which: int) -> None:
    report = bench.run(source=sources(bench, changed)[which])
    assert (report.scanned, report.changed, report.failed, report.conflicts) == (ROWS, ROWS - 2, 2, 2)
    numbers = bench.numbers()
    assert (numbers.pop(1), numbers.pop(50)) == (70, 5)
    assert set(numbers.values()) == {1}
    assert 2 not in numbers


@pytest.mark.parametrize("which", [0, 1])
def test_a_function_of_two_items_brings_one_attribute_back(bench: Bench, changed: int, which: int) -> None:
    text = "def migrate(then, live):\n    return then if live is None else {**live, 'n': then['n'], 'was': live['n']}\n"
    report = bench.run(text, source=sources(bench, changed)[which])
    assert (report.changed, report.failed) == (ROWS, 0)
    assert wire.same_image(bench.items()[place(1)], image("z", 1, n={"N": "0"}, was={"N": "70"}))
    assert wire.same_image(bench.items()[place(2)], image("z", 2, n={"N": "0"}, s={"S": "x"}))
    bench.stage.clock.sleep(10)
    bench.stage.follow()
    undone = bench.undo()
    assert (undone.put, undone.deleted, undone.failed) == (ROWS - 1, 1, 0)
    assert place(2) not in bench.items()
    assert bench.numbers()[1] == 70


def test_a_function_of_two_items_needs_an_earlier_state(bench: Bench) -> None:
    with pytest.raises(UsageError, match="two items"):
        bench.run("def migrate(then, live):\n    return live\n")


def test_a_snapshot_of_another_table_is_refused(bench: Bench, changed: int, clock: ManualClock) -> None:
    (_, from_export) = sources(bench, changed)
    bench.table = MemoryTable("others", clock, SCHEMA)
    with pytest.raises(Refused, match="not of others"):
        from_export()
