"""`verify`: what differs is found and named, what is on its way never counts as a difference."""

from __future__ import annotations

import itertools
import json
import random
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backstream.clock import SystemClock
from backstream.engine.local.memory import Memory
from backstream.errors import Refused, UsageError
from backstream.model.tables.naming import Naming
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.compare.verify import Verified, verify
from backstream.operations.restore import RestoreContext
from backstream.ports import ObjectStore, Put, StoredObject, Table
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import SCHEMA, hard_images, image, key
from kit.scene import Scene
from kit.stage import QUICK, Stage, wait_for

BEGAN = 1_700_000_000
ROWS = 400
KINDS = ("missing", "extra", "different", "in_flight")


@pytest.fixture(params=list(Layout))
def layout(request: pytest.FixtureRequest) -> Layout:
    return Layout(request.param)


def surroundings(table: Table, clock: Any) -> RestoreContext:
    return RestoreContext(table_of=lambda _: table, clock=clock, folder=Path("/nowhere"), memory=Memory(64 << 20))


class Sides:
    """A vault and a live table that a test fills each on its own, by a clock set by hand."""

    def __init__(self, layout: Layout, *, store: ObjectStore | None = None, empty: bool = True) -> None:
        self.clock = ManualClock(BEGAN + 600)
        self.feed = Feed(store or MemoryStore(self.clock), "flights", began=BEGAN, layout=layout, empty=empty)
        self.table = MemoryTable("flights", self.clock, SCHEMA)

    def both(self, *images: bytes) -> None:
        self.kept(*images)
        self.live(*images)

    def kept(self, *images: bytes) -> None:
        self.feed.put(BEGAN + 60, *images)
        self.feed.deliver()

    def live(self, *images: bytes) -> None:
        for each in images:
            self.table.write([Put(each)])

    def verify(self, table: Table | None = None, **words: Any) -> Verified:
        return verify(self.feed.vault, surroundings(table or self.table, self.clock), **words)


def named(report: Verified, kind: str) -> list[bytes]:
    return [bytes(each) for each in report.keys[kind]]


def counts(report: Verified) -> dict[str, int]:
    return {kind: getattr(report, kind) for kind in ("same", *KINDS, "failed")}


def only(**found: int) -> dict[str, int]:
    return {**dict.fromkeys(("same", *KINDS, "failed"), 0), **found}


# --- standing still ---------------------------------------------------------------------------------------------------------------


def test_two_equal_sides_are_equal_at_first_sight(layout: Layout) -> None:
    sides = Sides(layout)
    sides.both(*hard_images().values(), image("deleted", 1))
    sides.feed.delete(BEGAN + 70, key("deleted", 1))
    sides.feed.deliver()
    sides.table.expire([key("deleted", 1)])
    report = sides.verify()
    assert counts(report) == only(same=len(hard_images()))
    assert report.keys == {kind: [] for kind in KINDS}
    assert sides.clock.slept == [], "nobody waits where nothing differs"


def test_values_are_compared_not_their_spelling(layout: Layout) -> None:
    sides = Sides(layout)
    sides.kept(image("a", "1.0", n={"N": "1.50"}, s={"NS": ["1", "2e0"]}, m={"M": {"x": {"S": "x"}, "y": {"N": "100"}}}))
    sides.live(image("a", "1", m={"M": {"y": {"N": "1E+2"}, "x": {"S": "x"}}}, s={"NS": ["2", "1.0"]}, n={"N": "1.5"}))
    assert counts(sides.verify()) == only(same=1)


def test_each_kind_of_difference_is_named_by_its_key(layout: Layout) -> None:
    sides = Sides(layout)
    sides.both(*(image("same", number) for number in range(50)))
    sides.live(image("missing", 1), image("was deleted", 1), image("other", 1, v={"N": "1"}), image("more", 1, v={"S": ""}))
    sides.kept(image("extra", 1), image("other", 1, v={"N": "1.1"}), image("more", 1), image("was deleted", 1))
    sides.feed.delete(BEGAN + 70, key("was deleted", 1))
    sides.feed.deliver()
    report = sides.verify()
    assert counts(report) == only(same=50, missing=2, extra=1, different=2)
    canonical = sides.feed.vault.key_of
    assert named(report, "missing") == [canonical(key("missing", 1)), canonical(key("was deleted", 1))]
    assert named(report, "extra") == [canonical(key("extra", 1))]
    assert named(report, "different") == [canonical(key("more", 1)), canonical(key("other", 1))]
    assert sum(sides.clock.slept) == 30, "it waited to be sure"


def test_many_differences_are_all_named(layout: Layout) -> None:
    sides = Sides(layout)
    sides.both(*(image("same", number) for number in range(300)))
    sides.live(*(image("missing", number) for number in range(250)))
    sides.kept(*(image("extra", number) for number in range(150)))
    report = sides.verify()
    assert counts(report) == only(same=300, missing=250, extra=150)
    assert [len(report.keys[kind]) for kind in KINDS] == [250, 150, 0, 0]


def test_a_vault_that_began_with_a_table_that_was_not_empty_says_why_rows_are_missing(layout: Layout) -> None:
    sides = Sides(layout, empty=False)
    sides.live(image("there before", 0))
    sides.both(image("a", 1))
    report = sides.verify()
    assert counts(report) == only(same=1, missing=1)
    assert any("not empty at `init`" in warning and "backfill" in warning for warning in report.warnings)


def test_a_sample_is_a_share_of_the_keys_and_always_the_same(layout: Layout) -> None:
    sides = Sides(layout)
    sides.both(*(image("same", number) for number in range(800)))
    sides.live(*(image("missing", number) for number in range(200)))
    some = sides.verify(sample=10)
    assert 50 < some.same + some.missing < 150
    assert some.missing > 0
    assert sides.verify(sample=10).keys == some.keys
    more = sides.verify(sample=30)
    assert set(named(some, "missing")) < set(named(more, "missing")), "a greater sample holds the smaller one"
    assert any("10 % of the keys" in warning for warning in some.warnings)
    assert counts(sides.verify(sample=100)) == only(same=800, missing=200)


def test_the_log_is_read_once_and_then_only_what_may_have_come(layout: Layout) -> None:
    store = CountingStore()
    sides = Sides(layout, store=store)
    sides.both(image("a", 1))
    sides.live(image("missing", 1))
    sides.feed.reached(BEGAN + 7_200)  # two hours after all that was captured
    store.got.clear()
    assert counts(sides.verify()) == only(same=1, missing=1)
    (segment,) = (each for each in sides.feed.vault.log.listing() if each.segment is not None and each.segment.count)
    assert store.got[segment.name] == 1


class CountingStore(MemoryStore):
    """`got`: how often each object was read."""

    def __init__(self) -> None:
        super().__init__(ManualClock(BEGAN))
        self.got: Counter[str] = Counter()

    def get(self, name: str, version: str | None = None) -> StoredObject:
        self.got[name] += 1
        return super().get(name, version)


@pytest.mark.parametrize("sample", [0, -1, 101, float("nan")])
def test_a_sample_that_is_none_is_refused(sample: float) -> None:
    with pytest.raises(UsageError, match="not a share"):
        Sides(Layout.LOG).verify(sample=sample)


def test_a_table_of_other_keys_is_not_this_table() -> None:
    sides = Sides(Layout.ROWS)
    other = MemoryTable("flights", sides.clock, KeySchema(KeyAttribute("id", "S")))
    with pytest.raises(Refused, match="another key schema"):
        sides.verify(other)


# --- in flight --------------------------------------------------------------------------------------------------------------------


class Waking(ManualClock):
    """A clock that does something each time somebody sleeps by it."""

    def __init__(self, deeds: Iterator[None]) -> None:
        super().__init__(BEGAN + 600)
        self._deeds = deeds

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        next(self._deeds, None)


@pytest.mark.parametrize("proven", [None, BEGAN + 59])
def test_what_comes_late_is_the_same_and_what_keeps_moving_is_in_flight(layout: Layout, proven: int | None) -> None:
    sides = Sides(layout)
    sides.both(image("late", 1), image("late delete", 1), image("restless", 1), image("busy vault", 1), image("stuck", 1))
    sides.live(*(image(zone, 1, v={"N": "0"}) for zone in ("late", "restless", "busy vault", "stuck")), image("short life", 1))
    sides.table.expire([key("late delete", 1)])
    if proven is not None:
        sides.feed.reached(proven)

    def deeds() -> Iterator[None]:
        sides.feed.delete(BEGAN + 80, key("late delete", 1))
        sides.kept(image("late", 1, v={"N": "0.0"}), image("busy vault", 1, v={"N": "1"}))
        sides.table.expire([key("short life", 1)])
        yield
        for turn in itertools.count(1):
            sides.live(image("restless", 1, v={"N": str(turn)}))
            yield

    sides.clock = Waking(deeds())
    report = sides.verify()
    assert counts(report) == only(same=1, different=1, in_flight=2)
    canonical = sides.feed.vault.key_of
    assert named(report, "different") == [canonical(key("stuck", 1))]
    assert named(report, "in_flight") == [canonical(key("busy vault", 1)), canonical(key("restless", 1))]
    assert any(warning.startswith("rows in flight") for warning in report.warnings)


@pytest.mark.soak  # in real time: how long a copy lags behind is a matter of the machine, too
def test_a_writer_beside_a_running_tail_is_never_a_difference(layout: Layout) -> None:
    stage = Stage(SystemClock(), layout=layout)
    stage.put(range(ROWS + 1))
    around = surroundings(stage.table, stage.clock)
    with stage.running(settings=msgspec.structs.replace(QUICK, segment_age=0.5)):  # each change is late by half a second
        wait_for(lambda: stage.captured() == stage.expected())
        with writing(stage):
            for _ in range(2):
                report = verify(stage.vault(), around, patience=4.0)
                assert (report.missing, report.extra, report.different, report.failed) == (0, 0, 0, 0), report
                assert report.same > ROWS / 4
        wait_for(lambda: stage.captured() == stage.expected())
        assert counts(verify(stage.vault(), around)) == only(same=len(stage.expected()))

    stage.put([ROWS, ROWS + 1])  # nobody captures these any more
    left_behind = verify(stage.vault(), around, patience=0.2)
    assert counts(left_behind) == only(same=len(stage.expected()) - 2, missing=1, different=1)


@contextmanager
def writing(stage: Stage) -> Iterator[None]:
    """Puts and deletes at random, hundreds a second, in a thread of its own."""
    stop = threading.Event()

    def write_on() -> None:
        source, alive = random.Random(1), set(range(ROWS))
        while not stop.wait(0.001):
            number = source.randrange(ROWS)
            if number in alive and source.random() < 0.3:
                stage.delete([number])
                alive.remove(number)
            else:
                stage.put([number])
                alive.add(number)

    thread = threading.Thread(target=write_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- what cannot be read ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b'{"zone":{"S":"half a r', image("another", 1)], ids=["empty", "cut", "another item's"])
def test_a_damaged_version_is_named_and_the_rest_is_compared(tmp_path: Path, body: bytes) -> None:
    sides = Sides(Layout.ROWS, store=DirectoryStore(tmp_path, SystemClock()))
    sides.both(image("whole", 1), image("damaged", 1))
    sides.live(image("missing", 1))
    canonical = sides.feed.vault.key_of
    (entry,) = sides.feed.vault.history(canonical(key("damaged", 1)))
    assert entry.place is not None
    spoil(tmp_path, entry.place.name, body)
    report = sides.verify()
    assert counts(report) == only(same=1, missing=1, failed=len(report.failures))
    assert canonical(key("damaged", 1)).decode() in {failure.what for failure in report.failures}
    assert any(entry.place.name in failure.why for failure in report.failures)


def spoil(vault: Path, name: str, body: bytes) -> None:
    """Overwrite the only version of an object."""
    (path,) = (vault / f"{name}@").glob("*/body")
    path.chmod(0o644)
    path.write_bytes(body)


def test_a_damaged_segment_is_named(tmp_path: Path, layout: Layout) -> None:
    sides = Sides(layout, store=DirectoryStore(tmp_path, SystemClock()))
    sides.both(image("a", 1))
    (segment,) = sides.feed.vault.log.listing()
    spoil(tmp_path, segment.name, b"no segment")
    report = sides.verify()
    assert [failure.what for failure in report.failures] == [segment.name]
    assert counts(report) == only(missing=1, failed=1)


# --- memory -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.soak  # each allocation is traced: half a minute; tests/operations/test_diff.py has the same of two tables
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    sides = Sides(Layout.LOG, store=DirectoryStore(tmp_path, SystemClock()))
    large = {"text": {"S": "x" * 20_000}}
    for start in range(0, 1_000, 50):
        sides.both(*(image("same", start + number, **large) for number in range(50)))
        sides.kept(*(image("extra", start + number, **large) for number in range(25)))
        sides.live(*(image("missing", start + number, **large) for number in range(25)))
    tracemalloc.start()
    try:
        report = sides.verify()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts(report) == only(same=1_000, missing=500, extra=500)
    assert peak < 20 << 20, "of 30 MB on each side"


# --- the command ------------------------------------------------------------------------------------------------------------------


def test_the_command_on_real_servers(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.put(*(image("row", number, v={"N": f"{number}.50"}) for number in range(30)))
    scene.tail()
    clean = scene.call("verify", scene.table, "--json")
    assert clean.code == 0, clean.err
    assert {name: clean.json()[name] for name in ("same", *KINDS)} == {**dict.fromkeys(KINDS, 0), "same": 30}
    assert clean.json()["keys"] == {kind: [] for kind in KINDS}

    scene.put(*(image("new", number) for number in range(25)), image("row", 1, v={"N": "0"}))
    scene.delete(key("row", 2))
    ran = scene.call("verify", scene.table, "--patience", "0.5", "--json")
    assert (ran.code, "27 rows" in ran.err) == (3, True), ran.err
    report = ran.json()
    assert {name: report[name] for name in ("same", *KINDS)} == {
        "same": 28,
        "missing": 25,
        "extra": 1,
        "different": 1,
        "in_flight": 0,
    }
    assert report["keys"]["extra"] == [{"zone": {"S": "row"}, "number": {"N": "2"}}]
    assert report["keys"]["different"] == [{"zone": {"S": "row"}, "number": {"N": "1"}}]
    assert len(report["keys"]["missing"]) == 25

    ran = scene.call("verify", scene.table, "--patience", "0")
    assert ran.code == 3
    assert ran.out.count("missing    {") == 20
    assert "5 more missing" in ran.out
    scene.tail()
    assert scene.call("verify", scene.table).code == 0


def test_what_cannot_be_read_is_exit_1_even_where_rows_differ_too(scene: Scene) -> None:
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    scene.create()
    scene.init(naming=Naming.PLAIN)
    scene.put(image("row", 1), image("row", 2))
    scene.tail()
    spoil(scene.folder / "vault", f"{scene.table}/row | 1", b"{}")
    scene.put(image("row", 3))
    ran = scene.call("verify", scene.table, "--patience", "0", "--json")
    assert ran.code == 1
    assert (ran.json()["same"], ran.json()["missing"], ran.json()["failed"]) == (1, 1, 1)
    assert ran.json()["failures"][0]["what"] == json.dumps({"zone": {"S": "row"}, "number": {"N": "1"}}, separators=(",", ":"))
    assert "NOT READ" in ran.err
    assert "1 row of" in ran.err


def test_words_that_are_wrong_and_tables_that_are_not_there(scene: Scene) -> None:
    scene.create()
    assert scene.call("verify", scene.table).code == 1, "before init"
    scene.init()
    assert scene.call("verify", scene.table, "--sample", "0").code == 2
    assert scene.call("verify", scene.table, "--sample", "much").code == 2
