"""`verify --repair`: the table's truth is written where the vault differs, as new versions, and nowhere else."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from backstream.clock import SystemClock
from backstream.errors import BackstreamError
from backstream.model.tables.naming import Naming
from backstream.model.values import wire
from backstream.operations.compare.verify import Verified, verify
from backstream.operations.restore import RestoreContext
from backstream.ports import Delete, ObjectStore, Put, Table
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore
from kit.feed import Feed
from kit.images import SCHEMA, image, key
from kit.scene import Ran, Scene, file_items, next_second, same
from kit.stage import Stage, wait_for

BEGAN = 1_700_000_000
KINDS = ("missing", "extra", "different", "in_flight")


@pytest.fixture(params=list(Layout))
def layout(request: pytest.FixtureRequest) -> Layout:
    return Layout(request.param)


def canonical(zone: str, number: int) -> bytes:
    return wire.key_of(SCHEMA, key(zone, number))


def versions(store: ObjectStore, prefix: str) -> dict[str, list[str]]:
    """Each name's versions, newest first."""
    found: dict[str, list[str]] = {}
    for each in store.versions(prefix):
        found.setdefault(each.name, []).append(each.version)
    return found


def on_top(store: ObjectStore, table: str) -> dict[bytes, bytes]:
    """What plain S3 tools see, by canonical key; each item must be there once."""
    bodies = [store.get(each.name).body for each in store.list(f"{table}/")]
    found = {wire.key_of(SCHEMA, body): body for body in bodies}
    assert len(found) == len(bodies)
    return found


# --- on real servers --------------------------------------------------------------------------------------------------------------


def repair(scene: Scene, *words: str, patience: str = "0.2") -> Ran:
    return scene.call("verify", scene.table, "--repair", "--patience", patience, "--json", *words)


def counts(ran: Ran) -> dict[str, int]:
    report = ran.json()
    return {name: report[name] for name in ("same", *KINDS, "failed", "repaired") if report[name]}


def restored(scene: Scene, at: int | str, *words: str) -> dict[bytes, bytes]:
    (scene.folder / "out").unlink(missing_ok=True)
    ran = scene.call("restore", scene.table, "--at", str(at), "--to-file", "out", *words)
    assert ran.code == 0, ran.err
    return file_items(scene.folder / "out")


def restored_over_the_gap(scene: Scene, at: int | str) -> dict[bytes, bytes]:
    """What is known of a moment since vault and table were last seen to agree: refused unless told otherwise, repaired or not."""
    refused = scene.call("restore", scene.table, "--at", str(at), "--to-file", "out")
    assert (refused.code, refused.out, (scene.folder / "out").exists()) == (4, "", False)
    assert "`verify` found rows that the vault did not hold as the table did" in refused.err
    return restored(scene, at, "--allow-gap")


def told(scene: Scene, which: bytes) -> list[tuple[str, bool]]:
    """Each event of a row's history, and whether a change of the stream brought it."""
    ran = scene.call("history", scene.table, which.decode(), "--json")
    assert ran.code == 0, ran.err
    return [(each["event"], each["sequence"] is not None) for each in ran.json()]


@pytest.mark.parametrize(
    ("layout", "tenants"),
    [
        pytest.param(Layout.ROWS, False, id="rows"),
        pytest.param(Layout.ROWS, True, id="tenants", marks=pytest.mark.soak),
        pytest.param(Layout.LOG, False, id="log", marks=pytest.mark.soak),
    ],
)
def test_what_nobody_followed_is_repaired(scene: Scene, layout: Layout, *, tenants: bool) -> None:
    more: dict[str, Any] = {"tenant": {"S": "acme"}} if tenants else {}
    scene.create()
    scene.init(layout=layout, naming=Naming.PLAIN, tenant_attribute="tenant" if tenants else None)
    scene.put(*(image("right", number, **more) for number in range(10)), *(image("wrong", number, **more) for number in range(4)))
    scene.tail()
    followed, known = next_second(), scene.items()
    right = {name: found for name, found in versions(scene.store(), f"{scene.table}/").items() if "right" in name}
    assert bool(right) == (layout is Layout.ROWS)
    scene.put(image("new", 1, **more), image("new", 2, **more), image("wrong", 0, v={"N": "1.50"}, **more))
    scene.delete(key("wrong", 1), key("wrong", 2))
    nobody_follows(scene)
    time.sleep(3)  # a change of the seconds in which the repair reads would be the newer one

    ran = repair(scene)
    assert ran.code == 3, ran.err
    assert counts(ran) == {"same": 11, "missing": 2, "extra": 2, "different": 1, "repaired": 5}
    keys = {kind: [(each["zone"]["S"], each["number"]["N"]) for each in ran.json()["keys"][kind]] for kind in KINDS}
    assert keys["missing"] == [("new", "1"), ("new", "2")]
    assert keys["extra"] == [("wrong", "1"), ("wrong", "2")]
    assert keys["different"] == [("wrong", "0")]
    assert "holds the table's truth" in ran.err
    after = scene.call("verify", scene.table, "--json")
    assert (after.code, counts(after)) == (0, {"same": 14}), after.err

    time.sleep(3)  # a repaired row is known to be so from two seconds after it was read: the clocks' sake
    assert same(restored_over_the_gap(scene, "now"), scene.items())
    (scene.folder / "out").unlink()
    assert same(restored_over_the_gap(scene, followed), known), "of before, the vault tells what it knew then"
    assert told(scene, key("new", 1)) == [("BACKFILL", False)]
    assert told(scene, key("wrong", 0)) == [("INSERT", True), ("BACKFILL", False)]
    assert told(scene, key("wrong", 1)) == [("INSERT", True), ("REMOVE", False)]
    assert told(scene, key("right", 1)) == [("INSERT", True)]
    store = scene.store()
    if layout is Layout.ROWS:
        assert same(on_top(store, scene.table), scene.items())
        gone = [each for each in store.versions(f"{scene.table}/") if each.name.endswith("wrong | 1") and each.latest]
        assert [each.marker for each in gone] == [True]
        assert {name: found for name, found in versions(store, f"{scene.table}/").items() if "right" in name} == right

    before = versions(store, "")
    again = repair(scene)
    assert (again.code, counts(again)) == (0, {"same": 14}), again.err
    after_all = versions(store, "")
    assert {name: after_all[name] for name in before} == before, "where nothing differs, no row is written"
    assert all(name.startswith(f"_backstream/{scene.table}/agreed/") for name in after_all.keys() - before.keys())


def nobody_follows(scene: Scene) -> None:
    """What was done so far never reaches the vault."""
    scene.aws.client("dynamodb").update_table(TableName=scene.table, StreamSpecification={"StreamEnabled": False})


@pytest.mark.soak
def test_a_version_that_was_deleted_from_the_bucket(scene: Scene) -> None:
    """The newest of several, and the only one."""
    scene.create()
    scene.init(naming=Naming.PLAIN)
    scene.put(*(image("row", number, v={"N": "1"}) for number in range(5)))
    scene.tail()
    scene.put(image("row", 1, v={"N": "2"}))
    time.sleep(3)  # a repair must be younger than the change: the clocks' sake
    scene.tail()
    s3 = scene.aws.client("s3")
    for number in (1, 2):
        name = f"backups/{scene.table}/row | {number}"
        newest = s3.list_object_versions(Bucket=scene.bucket, Prefix=name)["Versions"][0]
        s3.delete_object(Bucket=scene.bucket, Key=name, VersionId=newest["VersionId"])
    ran = repair(scene)
    assert (ran.code, counts(ran)) == (3, {"same": 3, "failed": 2, "repaired": 2}), ran.err
    assert sorted(each["what"] for each in ran.json()["failures"]) == [canonical("row", number).decode() for number in (1, 2)]
    after = scene.call("verify", scene.table, "--json")
    assert (after.code, counts(after)) == (0, {"same": 5}), after.err
    assert same(on_top(scene.store(), scene.table), scene.items())
    # No change is missing, so there is no gap: the log names what the bucket lost, and a moment that needs it says so.
    assert same(restored(scene, "now"), scene.items())


def overwrite(scene: Scene, name: str, body: bytes) -> None:
    scene.aws.client("s3").put_object(Bucket=scene.bucket, Key=f"backups/{scene.table}/{name}", Body=body)


@pytest.mark.soak
@pytest.mark.parametrize("body", [b"", image("row", 2)], ids=["of zero bytes", "another item's"])
def test_an_object_that_was_put_over_a_row(scene: Scene, body: bytes) -> None:
    scene.create()
    scene.init(naming=Naming.PLAIN)
    scene.put(*(image("row", number) for number in range(3)))
    scene.tail()
    time.sleep(2)  # the object must be younger than the log's segment
    overwrite(scene, "row | 1", body)
    ran = repair(scene)
    assert (ran.code, ran.json()["repaired"]) == (3, 1), ran.err
    assert same(on_top(scene.store(), scene.table), scene.items())
    assert scene.call("verify", scene.table).code == 0


@pytest.mark.parametrize(
    "body", [pytest.param(b"", id="of zero bytes", marks=pytest.mark.soak), pytest.param(image("row", 2), id="another item's")]
)
def test_an_object_that_was_put_over_a_row_that_differs_is_under_the_repaired_one(scene: Scene, body: bytes) -> None:
    scene.create()
    scene.init(naming=Naming.PLAIN)
    scene.put(*(image("row", number) for number in range(3)))
    scene.tail()
    scene.put(image("row", 1, v={"N": "2"}))
    nobody_follows(scene)
    time.sleep(2)
    overwrite(scene, "row | 1", body)
    ran = repair(scene)
    assert (ran.code, ran.json()["different"], ran.json()["repaired"]) == (1, 1, 1), ran.err
    assert same(on_top(scene.store(), scene.table), scene.items())
    assert scene.call("verify", scene.table).code == 0


def test_a_row_that_moved_to_another_tenant(scene: Scene) -> None:
    scene.create()
    scene.init(naming=Naming.PLAIN, tenant_attribute="tenant")
    scene.put(image("row", 1, tenant={"S": "acme"}))
    scene.tail()
    scene.put(image("row", 1, tenant={"S": "globex"}))
    nobody_follows(scene)
    assert repair(scene).code == 3
    assert same(on_top(scene.store(), scene.table), scene.items())


def test_restored_to_now_right_after_a_repair(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.put(image("row", 1))
    nobody_follows(scene)
    assert repair(scene, patience="0").code == 3
    assert same(restored_over_the_gap(scene, "now"), scene.items())


def test_a_sample_is_repaired_and_no_more(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.put(*(image("row", number) for number in range(60)))
    nobody_follows(scene)
    ran = repair(scene, "--sample", "40")
    report = ran.json()
    assert ran.code == 3
    assert 5 < report["missing"] == report["repaired"] < 55
    rest = scene.call("verify", scene.table, "--patience", "0", "--json")
    assert (rest.code, rest.json()["same"], rest.json()["missing"]) == (3, report["repaired"], 60 - report["repaired"])
    assert set(map(str, report["keys"]["missing"])).isdisjoint(map(str, rest.json()["keys"]["missing"]))


def test_without_the_word_nothing_is_written_but_the_gap(scene: Scene) -> None:
    scene.create()
    scene.init()
    scene.put(image("row", 1))
    before = versions(scene.store(), "")
    ran = scene.call("verify", scene.table, "--patience", "0", "--json")
    assert (ran.code, counts(ran)) == (3, {"missing": 1})
    after = versions(scene.store(), "")
    assert {name: after[name] for name in before} == before
    (gap,) = after.keys() - before.keys()
    assert gap.startswith(f"_backstream/{scene.table}/gaps/")


# --- by a clock set by hand -------------------------------------------------------------------------------------------------------


class Sides:
    """A vault and a live table that a test fills each on its own."""

    def __init__(self, layout: Layout, store: Callable[[ManualClock], ObjectStore] = MemoryStore) -> None:
        self.clock = ManualClock(BEGAN + 600)
        self.store = store(self.clock)
        self.feed = Feed(self.store, "flights", began=BEGAN, layout=layout, naming=Naming.PLAIN)
        self.table = MemoryTable("flights", self.clock, SCHEMA)

    def kept(self, *images: bytes, at: int = BEGAN + 60) -> None:
        self.feed.put(at, *images)
        self.feed.deliver()

    def live(self, *images: bytes) -> None:
        for each in images:
            self.table.write([Put(each)])

    def repair(self, table: Table | None = None, **words: float) -> Verified:
        around = RestoreContext(table_of=lambda _: table or self.table, clock=self.clock, folder=Path("/nowhere"))
        return verify(self.feed.vault, around, repair_as="test", **words)

    def wrong(self) -> int:
        around = RestoreContext(table_of=lambda _: self.table, clock=self.clock, folder=Path("/nowhere"))
        return verify(self.feed.vault, around).wrong


@pytest.mark.parametrize(
    ("body", "failed"),
    [
        pytest.param(b"", 2, id="of zero bytes"),  # by its row's key, and by its name
        pytest.param(b'{"zone":{"S":"half a r', 1, id="cut"),
        pytest.param(image("other", 1), 1, id="another item's"),
    ],
)
def test_a_version_whose_bytes_are_not_the_rows_any_more(tmp_path: Path, body: bytes, failed: int) -> None:
    sides = Sides(Layout.ROWS, lambda _: DirectoryStore(tmp_path, SystemClock()))
    sides.kept(image("row", 1), image("row", 2), image("gone", 1))
    sides.live(image("row", 1), image("row", 2))
    for name in ("row | 1", "gone | 1"):
        (path,) = (tmp_path / "flights" / f"{name}@").glob("*/body")
        path.chmod(0o644)
        path.write_bytes(body)
    report = sides.repair()
    assert (report.same, report.repaired, report.failed, report.differences) == (1, 2, 2 * failed, 0)
    assert {canonical("row", 1).decode(), canonical("gone", 1).decode()} <= {each.what for each in report.failures}
    assert on_top(sides.store, "flights") == {canonical("row", number): image("row", number) for number in (1, 2)}
    assert sides.wrong() == 0


def test_many_rows_are_repaired_in_batches(layout: Layout) -> None:
    sides = Sides(layout)
    sides.live(*(image("missing", number) for number in range(250)))
    sides.kept(*(image("extra", number) for number in range(120)))
    report = sides.repair()
    assert (report.missing, report.extra, report.repaired) == (250, 120, 370)
    assert sides.wrong() == 0
    repaired = [each.segment for each in sides.feed.vault.log.listing() if each.segment and each.segment.kind is SegmentKind.REPAIR]
    assert sum(segment.count for segment in repaired) == 370
    assert len(repaired) == 4
    if layout is Layout.ROWS:
        assert len(on_top(sides.store, "flights")) == 250


class Between:
    """A table that does something just before it is read for the repair: that is the last of its `fetch`es."""

    def __init__(self, table: MemoryTable, turn: int, deed: Callable[[], object], *, after: bool = False) -> None:
        self._table = table
        self._turn = turn
        self._deed = deed
        self._after = after
        self._count = 0

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        self._count += 1
        if self._count == self._turn and not self._after:
            self._deed()
        found = self._table.fetch(keys)
        if self._count == self._turn and self._after:
            self._deed()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


LAST = 9  # the eight looks', and then the repair's own


@pytest.mark.parametrize("deed", ["changed", "deleted"])
@pytest.mark.parametrize("after", [False, True], ids=["before its read", "after its read"])
@pytest.mark.parametrize("arrives", ["at once", "later", "never"])
def test_a_row_that_changes_between_the_last_look_and_the_repair(layout: Layout, deed: str, arrives: str, *, after: bool) -> None:
    """The newest change wins, whenever it arrives; and one that never does is what the repair has read, or differs next time."""
    sides = Sides(layout)
    sides.kept(image("row", 1, v={"N": "1"}))
    sides.live(image("row", 1, v={"N": "2"}))  # nobody followed this
    done = []

    def act() -> None:
        second = int(sides.clock.now())
        done.append(second)
        if deed == "changed":
            sides.live(image("row", 1, v={"N": "3"}))
            sides.feed.put(second, image("row", 1, v={"N": "3"}))
        else:
            sides.table.write([Delete(key("row", 1))])
            sides.feed.delete(second, key("row", 1))
        if arrives == "at once":
            sides.feed.deliver()

    between: Any = Between(sides.table, LAST, act, after=after)
    report = sides.repair(between)
    assert (len(done), report.different, report.repaired) == (1, 1, 1)
    sides.clock.move(60)
    if arrives == "later":
        sides.feed.deliver()
    missed = arrives == "never" and after
    assert sides.wrong() == missed
    if missed:
        assert sides.repair().repaired == 1
        assert sides.wrong() == 0
    if layout is Layout.ROWS:
        assert list(on_top(sides.store, "flights").values()) == list(sides.table.fetch([key("row", 1)]))


@pytest.mark.parametrize("part", ["flights/row | 7", "_backstream/flights/log"], ids=["an image", "the log"])
def test_a_vault_that_cannot_be_written_to(part: str) -> None:
    """It ends with an error; what was written until then counts or does not, and a second run mends the rest."""
    faulty: list[FaultyStore] = []

    def store(clock: ManualClock) -> ObjectStore:
        faulty.append(FaultyStore(MemoryStore(clock)))
        return faulty[0]

    sides = Sides(Layout.ROWS, store)
    sides.live(*(image("row", number) for number in range(150)))
    faulty[0].puts.clear()
    faulty[0].fails = lambda name: (
        name.startswith(part) and (not part.startswith("_") or any("log" in put for put in faulty[0].puts))
    )
    with pytest.raises(BackstreamError, match="failed as told"):
        sides.repair()
    assert 0 < sides.wrong() < 151
    faulty[0].fails = lambda _: False
    wrong = sides.wrong()
    assert sides.repair().repaired == wrong
    assert sides.wrong() == 0
    assert len(on_top(sides.store, "flights")) == 150


def test_a_vault_that_cannot_be_written_to_is_exit_1(scene: Scene) -> None:
    (scene.folder / "vault").mkdir()
    scene.url = f"file://{scene.folder}/vault"
    scene.create()
    scene.init(naming=Naming.PLAIN)
    scene.put(image("row", 1), image("row", 2))
    nobody_follows(scene)
    blocked = scene.folder / "vault" / scene.table
    blocked.write_text("a file where the rows' folder should be")
    ran = repair(scene)
    assert (ran.code, ran.out) == (1, ""), ran.err
    assert "Traceback" not in ran.err
    assert scene.table in ran.err
    blocked.unlink()
    again = repair(scene)
    assert (again.code, counts(again)) == (3, {"missing": 2, "repaired": 2}), again.err
    assert scene.call("verify", scene.table).code == 0


# --- beside a running tail --------------------------------------------------------------------------------------------------------


@pytest.mark.soak  # in real time: how long a copy lags behind is a matter of the machine, too
def test_beside_a_running_tail_nothing_that_moves_is_repaired(layout: Layout) -> None:
    stage = Stage(SystemClock(), layout=layout)
    stage.put(range(60))
    stage.table.disable_stream()
    lost = image("z", 1_000, v={"N": "1"})
    stage.table.write([Put(lost)])  # no stream tells of this one
    stage.table.enable_stream()
    around = RestoreContext(table_of=lambda _: stage.table, clock=stage.clock, folder=Path("/nowhere"))
    with stage.running():
        wait_for(lambda: stage.captured() == stage.expected())
        stop = threading.Event()
        writer = threading.Thread(target=write_on, args=(stage, stop), daemon=True)
        writer.start()
        report = verify(stage.vault(), around, patience=3.0, repair_as="test")
        stop.set()
        writer.join()
        assert (report.missing, report.extra, report.different, report.failed, report.repaired) == (1, 0, 0, 0, 1)
        assert [bytes(each) for each in report.keys["missing"]] == [wire.key_of(SCHEMA, lost)]
        expected = {**stage.expected(), wire.key_of(SCHEMA, lost): lost}
        wait_for(lambda: stage.captured() == expected)
    after = verify(stage.vault(), around)
    assert (after.same, after.wrong, after.in_flight) == (len(expected), 0, 0)
    if layout is Layout.ROWS:
        assert on_top(stage.store, "flights") == expected
    assert [segment.count for segment in stage.segments(SegmentKind.REPAIR)] == [1]


def write_on(stage: Stage, stop: threading.Event) -> None:
    numbers = itertools.cycle(range(60))
    while not stop.wait(0.002):
        number = next(numbers)
        stage.delete([number])
        stage.put([number])
