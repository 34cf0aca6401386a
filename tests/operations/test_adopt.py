"""`init --adopt`: buckets as the older tools write them, restored at several moments and compared with what was written.

The objects are made by `kit.older_tools`, which knows nothing of Backstream's names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.errors import NotFound, OutsideWindow, Refused, UsageError
from backstream.model import moment
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema, canonical_key
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.bulk.progress import Silent
from backstream.operations.capture.follow import Following, follow
from backstream.operations.compare.verify import verify
from backstream.operations.inspect import history as histories
from backstream.operations.inspect.check import CheckContext, check
from backstream.operations.inspect.check.run import CHAINS, SILENT
from backstream.operations.inspect.safety import LIMITS
from backstream.operations.inspect.status import status
from backstream.operations.legacy.adopt_legacy import Adopting, adopt
from backstream.operations.restore import InPlace, NewTable, RestoreContext, Restored, RestoreRequest, ToFile, restore
from backstream.operations.restore.snapshot import snapshot
from backstream.operations.setup.init import InitOptions, InitReport, init
from backstream.ports import Put
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.losing import lose
from kit.older_tools import DynamoDbBackUp, Fork, Replicator, as_arrays
from kit.scene import file_items
from kit.stage import QUICK

SCHEMA = KeySchema(KeyAttribute("zone", "S"), KeyAttribute("at", "N"))  # not in alphabetical order
EVENTS = ("at", "zone")  # as an event has them
ONE = KeySchema(KeyAttribute("id", "B"))
Items = dict[bytes, dict[str, Any]]


def item(zone: str, at: int, **more: Any) -> dict[str, Any]:
    """An item of SCHEMA."""
    return {"at": {"N": str(at)}, "zone": {"S": zone}, **more}


class Life:
    """A bucket that an older tool writes, and what the table was at the end of every second by what was written."""

    folder = Path()  # where a restore into a table keeps how to go on

    def __init__(self, schema: KeySchema = SCHEMA) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(self.clock)
        self.schema = schema
        self.table = MemoryTable("flights", self.clock, schema)
        self.table.enable_stream()
        self.now: Items = {}
        self.past: list[tuple[int, Items]] = []

    def put(self, tool: Replicator, *items: dict[str, Any]) -> None:
        """The tool keeps these."""
        for each in items:
            tool.put(each)
            self.now[canonical_key(self.schema, each)] = each

    def delete(self, tool: Replicator, *items: dict[str, Any]) -> None:
        """And these deletes."""
        for each in items:
            tool.delete(each)
            del self.now[canonical_key(self.schema, each)]

    def tick(self, seconds: float = 60) -> int:
        """A second has ended: what the table was, is remembered."""
        second = int(self.clock.now())
        self.past.append((second, dict(self.now)))
        self.clock.move(seconds)
        return second

    def adopt(self, words: InitOptions = InitOptions(), **asked: Any) -> InitReport:  # noqa: B008 - frozen
        """`init --adopt`."""
        return adopt(self.store, self.table, words, Adopting(**asked), self.clock, writer="test")

    def follow(self) -> None:
        """Backstream's own capture, until it has caught up."""
        following = Following(
            table=self.table,
            streams=lambda arn: next(each for each in self.table.streams if each.arn == arn),
            clock=self.clock,
            writer="test",
            notice=lambda _: None,
            stop=threading.Event(),
            settings=QUICK,
        )
        follow(self.vault(), following, until_caught_up=True)

    def vault(self) -> TableVault:
        """As it is now."""
        return TableVault.open(self.store, "flights", engines=LocalEngine)

    def around(self, **tables: MemoryTable) -> RestoreContext:
        """What a restore needs."""
        return RestoreContext(lambda name: tables.get(name, self.table), self.clock, self.folder)

    def restored(self, at: int, path: Path, **words: Any) -> Mapping[bytes, bytes]:
        """The state at a second, restored to a file."""
        path.unlink(missing_ok=True)
        report = restore(self.vault(), RestoreRequest(at=at, target=ToFile(path), **words), self.around())
        assert report.failed == 0
        assert LIMITS in report.warnings
        return file_items(path, self.schema)

    def check_all(self, path: Path) -> None:
        """Every moment that was remembered, and just before each, is restored as it was."""
        before: Items = {}
        for second, expected in self.past:
            for at, wanted in ((second - 1, before), (second, expected)):
                if at >= self.past[0][0]:
                    assert_same(self.restored(at, path), wanted)
            before = expected


def assert_same(found: Mapping[bytes, bytes], expected: Items) -> None:
    """The same items, numbers by value."""
    assert found.keys() == expected.keys()
    for key, each in expected.items():
        assert wire.same_image(found[key], msgspec.json.encode(each)), key


@dataclass(frozen=True)
class Tool:
    """One of the older tools, and what its bucket has to be found to be."""

    make: Callable[[MemoryStore], Replicator]
    naming: Naming
    order: KeyOrder = KeyOrder.SORTED
    tenant: str | None = None


TOOLS = {
    "dynamodb-replicator": Tool(lambda store: Replicator(store, "flights", EVENTS), Naming.SHA256),
    "dynamodb-replicator, old": Tool(lambda store: Replicator(store, "flights", EVENTS, "md5"), Naming.MD5),
    "the schema's order": Tool(lambda store: Replicator(store, "flights", SCHEMA.names), Naming.SHA256, KeyOrder.SCHEMA),
    "PageUp": Tool(lambda store: Fork(store, "flights", EVENTS), Naming.MD5),
    "PageUp, plain": Tool(lambda store: Fork(store, "flights", EVENTS, plain=True), Naming.PLAIN),
    "PageUp, tenants": Tool(lambda store: Fork(store, "flights", EVENTS, tenant="who"), Naming.MD5, tenant="who"),
    "PageUp, both": Tool(lambda store: Fork(store, "flights", EVENTS, plain=True, tenant="who"), Naming.PLAIN, tenant="who"),
    "DynamoDbBackUp": Tool(lambda store: DynamoDbBackUp(store, "flights", EVENTS), Naming.MD5),
}


def lived(tool: Tool) -> tuple[Life, Replicator]:
    """A few minutes of a table: items come, change, go and come again, some twice within a second."""
    life = Life()
    writer = tool.make(life.store)
    life.put(writer, *(item("eu", at, who={"S": f"t{at % 3}"}, v={"N": "1"}) for at in range(6)))
    life.tick()
    life.put(writer, item("eu", 1, who={"S": "t1"}, v={"N": "2"}), item("eu", 1, who={"S": "t1"}, v={"N": "3.50"}))
    life.delete(writer, item("eu", 2, who={"S": "t2"}))
    life.tick()
    life.put(writer, item('a/b "c" é\n😀', -7, who={"S": "t0"}, set={"BS": ["AAA=", "////"]}))
    life.delete(writer, item("eu", 0, who={"S": "t0"}))
    life.put(writer, item("eu", 0, who={"S": "t0"}, v={"N": "24"}))
    life.tick()
    life.put(writer, item("eu", 2, who={"S": "t2"}, v={"N": "9"}))
    life.tick()
    return life, writer


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a restore leaves, it leaves here."""
    monkeypatch.setattr(Life, "folder", tmp_path)


@pytest.fixture(params=list(TOOLS.values()), ids=list(TOOLS))
def tool(request: pytest.FixtureRequest) -> Tool:
    """Each of them."""
    assert isinstance(request.param, Tool)
    return request.param


def test_every_moment_is_restored(tool: Tool, tmp_path: Path) -> None:
    life, _ = lived(tool)
    report = life.adopt()
    assert (report.catalog.naming, report.catalog.tenant_attribute) == (tool.naming, tool.tenant)
    assert report.catalog.key_order is tool.order
    assert report.adopted is not None
    assert (report.adopted.foreign, report.adopted.unreadable, report.adopted.items) == (0, 0, 7)
    life.check_all(tmp_path / "items")


def test_the_bucket_is_left_as_it_was_and_a_second_time_changes_nothing(tool: Tool) -> None:
    life, _ = lived(tool)
    before = list(life.store.versions("flights/"))
    life.adopt()
    assert list(life.store.versions("flights/")) == before
    after = list(life.store.versions(""))
    life.clock.move(100_000)
    again = life.adopt()
    assert list(life.store.versions("")) == after
    assert (again.created, again.changes) == (False, [])


def test_check_says_that_nothing_shows_what_is_missing_of_it(tool: Tool) -> None:
    """An older tool kept no state of before a change: its lines are no proof that none is missing between them."""
    life, _ = lived(tool)
    life.adopt()
    report = check(life.vault(), CheckContext(life.clock))
    assert (report.findings, CHAINS in report.checked) == ([], False)
    assert any(each.endswith(SILENT) for each in report.unchecked), report.unchecked


def test_all_commands_know_it(tool: Tool, tmp_path: Path) -> None:
    life, _ = lived(tool)
    life.adopt()
    vault, (second, _) = life.vault(), life.past[1]
    key = canonical_key(SCHEMA, item("eu", 2))
    versions = histories.history(vault, key)
    assert [(each.event, each.sequence) for each in versions] == [("INSERT", None), ("REMOVE", None), ("INSERT", None)]
    assert [each.time for each in versions] == [moment.iso(life.past[place][0]) for place in (0, 1, 3)]
    assert [bytes(each.image) == b"null" for each in versions] == [False, True, False]

    key = canonical_key(SCHEMA, item("eu", 1))
    shown = histories.show(vault, key, second, now=life.clock.now())
    assert wire.attribute(shown.image, "v") == {"N": "3.50"}
    assert shown.warnings == [LIMITS]
    with pytest.raises(NotFound, match="deleted at"):
        histories.show(vault, canonical_key(SCHEMA, item("eu", 2)), second, now=life.clock.now())

    life.table.write([Put(msgspec.json.encode(each)) for each in life.now.values()])
    found = verify(vault, life.around(), patience=1)
    assert (found.same, found.wrong, found.in_flight) == (len(life.now), 0, 0)
    assert LIMITS in found.warnings

    kept = status(vault, now=life.clock.now())
    assert kept.adopted is not None
    assert (kept.adopted.limits, kept.adopted.stale, kept.adopted.since) == (LIMITS, False, moment.iso(life.past[0][0]))
    assert (kept.window_from, kept.captured_by) == (None, ["older tool"])

    exported = snapshot(vault, second, MemoryStore(life.clock), life.around())
    assert (exported.items, exported.complete) == (len(life.past[1][1]), True)
    assert LIMITS in exported.warnings

    rows = life.restored(second, tmp_path / "rows", keys=[key])
    assert_same(rows, {key: life.past[1][1][key]})


def test_into_tables(tool: Tool) -> None:
    """A new table, and the table itself: what the tool had kept is brought back, and what it never wrote is left alone."""
    life, _ = lived(tool)
    life.adopt()
    second, expected = life.past[1]
    new = MemoryTable("new", life.clock)
    assert restore(life.vault(), RestoreRequest(at=second, target=NewTable("new")), life.around(new=new)).failed == 0
    assert_same(contents(new), expected)

    stranger = item("never kept", 1)
    late = item("eu", 2, v={"N": "9"})
    life.table.write([Put(msgspec.json.encode(each)) for each in (stranger, late)])
    report: Restored = restore(life.vault(), RestoreRequest(at=second, target=InPlace()), life.around())
    assert (report.failed, report.spared, report.deleted) == (1, 1, 1)  # deleted: the one of which a delete is known
    assert [each.what.encode() for each in report.failures] == [canonical_key(SCHEMA, stranger)]
    assert_same(contents(life.table), expected | {canonical_key(SCHEMA, stranger): stranger})


def contents(table: MemoryTable) -> dict[bytes, bytes]:
    """Every item of a table."""
    return {wire.key_of(SCHEMA, image): image for page in table.scan() for image in page}


def test_capture_goes_on_from_there(tool: Tool, tmp_path: Path) -> None:
    """Moments of both: the older tool's, those after that, and from the base backup on an exact window."""
    life, _ = lived(tool)
    life.table.write([Put(msgspec.json.encode(each)) for each in life.now.values()])
    adopted = life.adopt()
    life.clock.move(30)
    changed = item("eu", 3, who={"S": "t1"}, v={"N": "4"})
    life.table.write([Put(msgspec.json.encode(changed))])
    life.now[canonical_key(SCHEMA, changed)] = changed
    life.tick()
    life.follow()
    vault = life.vault()
    assert vault.catalog.adopted == adopted.catalog.adopted
    life.check_all(tmp_path / "items")  # without a base backup: still by the older tool's

    backfill(
        vault,
        scan_of(vault, life.table, life.clock, segments=1, max_units=None),
        BackfillContext(life.clock, Silent()),
        fresh=False,
    )
    life.clock.move(120)
    life.follow()
    window = vault.window(life.clock.now())
    assert window.since is not None
    path = tmp_path / "exact"
    report = restore(life.vault(), RestoreRequest(at=window.since, target=ToFile(path)), life.around())
    assert LIMITS not in report.warnings
    assert_same(file_items(path, SCHEMA), life.now)
    life.past = life.past[:4]
    life.check_all(tmp_path / "items")


def test_the_names_go_on_as_they_were(tool: Tool) -> None:
    """What is captured from then on lies in the same objects: the older tool reads on, and no item has two current objects."""
    life, writer = lived(tool)
    life.adopt()
    names = {each.name for each in life.store.list("flights/")}
    changed = item("eu", 3, who={"S": "t0"}, v={"N": "10"})
    life.table.write([Put(msgspec.json.encode(changed))])
    life.follow()
    assert {each.name for each in life.store.list("flights/")} == names
    assert wire.same_image(life.store.get(writer.name(changed)).body, msgspec.json.encode(changed))


def test_compacted_it_is_the_same(tool: Tool, tmp_path: Path) -> None:
    life, _ = lived(tool)
    life.adopt()
    life.clock.move(7200)
    assert compact(life.vault(), life.clock).lines == 13
    life.check_all(tmp_path / "items")
    assert life.adopt().changes == []
    assert life.vault().inventory().segments == []
    life.check_all(tmp_path / "items")


def test_a_lost_log_is_made_again(tmp_path: Path) -> None:
    """The bucket holds all that the log did: adopting again writes it anew."""
    life, _ = lived(TOOLS["PageUp"])
    life.adopt()
    for each in list(life.store.list("_backstream/flights/log/")):
        lose(life.store, each.name)
    life.adopt()
    life.check_all(tmp_path / "items")


class Step(NamedTuple):
    """What is done to one item: put, deleted, or written again by a backfill under the schema's name; then time may pass."""

    number: int
    what: str
    ticks: bool


STEPS = st.lists(
    st.builds(Step, st.integers(0, 3), st.sampled_from(["put", "put", "delete", "backfill"]), st.booleans()), max_size=25
)


@given(st.sampled_from(["dynamodb-replicator", "PageUp, tenants", "PageUp, plain", "DynamoDbBackUp"]), STEPS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_life_is_restored(tmp_path: Path, kind: str, steps: list[Step]) -> None:
    """Puts, deletes, backfills and moves between tenants, many within a second, against a plain dict at every second."""
    life = Life()
    tool = TOOLS[kind].make(life.store)
    life.put(tool, item("first", 0, who={"S": "t0"}))
    life.tick()
    for version, step in enumerate(steps):
        key = canonical_key(SCHEMA, item("eu", step.number))
        known = life.now.get(key)
        if step.what == "put":
            life.put(tool, item("eu", step.number, who={"S": f"t{version % 2}"}, v={"N": str(version)}))
            life.tick(1)  # or two folders would hold it in one instant, and nobody could tell
        elif step.what == "delete" and known is not None:
            life.delete(tool, known)
        elif step.what == "backfill" and known is not None and kind == "dynamodb-replicator":
            life.tick(1)
            tool.backfill(known, SCHEMA.names)
            life.tick(1)
        if step.ticks:
            life.tick(1)
    life.tick()
    life.adopt()
    life.check_all(tmp_path / "items")


# --- one item under two names --------------------------------------------------------------------------------------------------


def test_both_orders_of_one_item_are_one_history(tmp_path: Path) -> None:
    """The stream's function and the backfill name an item differently: its newest version counts, wherever it lies."""
    life = Life()
    tool = Replicator(life.store, "flights", EVENTS)
    life.put(tool, item("eu", 1, v={"N": "1"}), item("eu", 2, v={"N": "1"}))
    life.tick()
    for each in list(life.now.values()):
        tool.backfill(each, SCHEMA.names)  # the same, under its other name
    life.tick()
    life.put(tool, item("eu", 1, v={"N": "2"}))
    life.delete(tool, item("eu", 2))  # under the one name, and the other one stays
    life.tick()
    report = life.adopt()
    assert report.adopted is not None
    assert report.adopted.items == 2
    life.check_all(tmp_path / "items")
    events = [each.event for each in histories.history(life.vault(), canonical_key(SCHEMA, item("eu", 2)))]
    assert events == ["INSERT", "MODIFY", "REMOVE"]


def test_an_item_that_moves_to_another_tenant(tmp_path: Path) -> None:
    """The fork leaves the object in the old folder as it is."""
    life = Life()
    tool = Fork(life.store, "flights", EVENTS, tenant="who")
    life.put(tool, item("eu", 1, who={"S": "a"}), item("eu", 2, who={"S": "a"}))
    life.tick()
    life.put(tool, item("eu", 1, who={"S": "b"}))
    life.tick()
    life.delete(tool, item("eu", 1, who={"S": "b"}))
    life.tick()
    life.adopt()
    life.check_all(tmp_path / "items")
    assert life.restored(life.past[1][0], tmp_path / "items", tenant="a").keys() == {canonical_key(SCHEMA, item("eu", 2))}
    assert life.restored(life.past[1][0], tmp_path / "items", tenant="b").keys() == {canonical_key(SCHEMA, item("eu", 1))}


def test_two_attributes_may_have_made_the_folders() -> None:
    life = Life()
    tool = Fork(life.store, "flights", EVENTS, tenant="who")
    life.put(tool, item("eu", 1, who={"S": "a"}, owner={"S": "a"}), item("eu", 2, who={"S": "b"}, owner={"S": "b"}))
    life.tick()
    with pytest.raises(UsageError, match="who, owner"):
        life.adopt()
    assert list(life.store.versions("_backstream/")) == []
    assert life.adopt(InitOptions(tenant_attribute="owner")).catalog.tenant_attribute == "owner"


# --- what these tools do to values ----------------------------------------------------------------------------------------------


BINARY = {"id": {"B": "AQID/w=="}, "m": {"M": {"b": {"B": ""}, "l": {"L": [{"BS": ["AA==", "/w=="]}]}}}, "S": {"S": "B"}}


def test_binary_values_are_mended(tmp_path: Path) -> None:
    """As Buffers, as Uint8Arrays and as they should be: one item, its three states alike."""
    life = Life(ONE)
    tool = DynamoDbBackUp(life.store, "flights", ["id"])
    tool.full(BINARY)
    life.clock.move(60)
    life.put(tool, BINARY)
    life.clock.move(60)
    life.store.put(tool.name(as_arrays(BINARY)), msgspec.json.encode(as_arrays(BINARY)))
    life.tick()
    report = life.adopt()
    assert report.adopted is not None
    assert (report.adopted.mended, report.adopted.items, report.adopted.unreadable) == (2, 1, 0)
    for second in (life.past[0][0] - 120, life.past[0][0] - 60, life.past[0][0]):
        assert_same(life.restored(second, tmp_path / "items"), life.now)


def test_what_is_no_item_stands_for_nothing_older(tmp_path: Path) -> None:
    """A version that cannot be read is told of, and the item at that moment is named as not restored, not taken from before it."""
    life = Life()
    tool = Replicator(life.store, "flights", EVENTS)
    life.put(tool, item("eu", 1), item("eu", 2))
    first = life.tick()
    life.store.put(tool.name(item("eu", 1)), b'{"zone":{"S":"eu"')
    second = life.tick()
    report = life.adopt()
    assert report.adopted is not None
    assert report.adopted.unreadable == 1
    assert tool.name(item("eu", 1)) in report.adopted.named[0]
    assert len(life.restored(first, tmp_path / "items")) == 2
    request = RestoreRequest(at=second, target=ToFile(tmp_path / "other"))
    broken = restore(life.vault(), request, life.around())
    assert (broken.failed, broken.put) == (1, 1)
    assert tool.name(item("eu", 1)) in broken.failures[0].why


def test_an_empty_item_is_one_that_was_gone(tmp_path: Path) -> None:
    life = Life()
    tool = DynamoDbBackUp(life.store, "flights", EVENTS)
    life.put(tool, item("eu", 1), item("eu", 2))
    life.tick()
    tool.gone(item("eu", 1))
    del life.now[canonical_key(SCHEMA, item("eu", 1))]
    life.tick()
    life.adopt()
    life.check_all(tmp_path / "items")


# --- what is not adopted --------------------------------------------------------------------------------------------------------


def test_an_empty_bucket_is_refused() -> None:
    life = Life()
    with pytest.raises(Refused, match="nothing lies in"):
        life.adopt()
    assert list(life.store.versions("")) == []


def test_a_foreign_bucket_is_refused() -> None:
    """Other objects, and items of another table: nothing is written."""
    life = Life()
    life.store.put("flights/readme.txt", b"hello")
    life.store.put("flights/" + 64 * "a", msgspec.json.encode(item("eu", 1)))
    life.tick()
    with pytest.raises(Refused, match="none of the 2 objects"):
        life.adopt()
    assert list(life.store.versions("_backstream/")) == []


def test_strangers_among_the_objects_are_left_alone(tmp_path: Path) -> None:
    life, _ = lived(TOOLS["dynamodb-replicator"])
    life.store.put("flights/readme.txt", b"hello")
    life.store.put("flights/" + 64 * "a", msgspec.json.encode(item("no", 1)))
    life.clock.move(1)
    report = life.adopt()
    assert report.adopted is not None
    assert (report.adopted.foreign, report.adopted.unreadable) == (1, 1)
    assert {each.partition(":")[0].partition(" ")[0] for each in report.adopted.named} == {
        "flights/readme.txt",
        "flights/" + 64 * "a",
    }
    life.check_all(tmp_path / "items")


def test_before_the_first_object_and_in_the_future(tmp_path: Path) -> None:
    life, _ = lived(TOOLS["DynamoDbBackUp"])
    life.adopt()
    for at in (life.past[0][0] - 1, int(life.clock.now()) + 5):
        with pytest.raises(OutsideWindow):
            restore(life.vault(), RestoreRequest(at=at, target=ToFile(tmp_path / "items")), life.around())


# --- the tool goes on writing ---------------------------------------------------------------------------------------------------


def test_what_has_arrived_since_is_missed_and_taken_in(tmp_path: Path) -> None:
    """A moment after the adoption is restored as long as nothing has arrived since; then adopting again helps."""
    life, writer = lived(TOOLS["PageUp"])
    first = life.adopt()
    assert_same(life.restored(int(life.clock.now()), tmp_path / "items"), life.now)
    life.clock.move(60)
    life.put(writer, item("eu", 1, v={"N": "77"}))
    life.tick()
    with pytest.raises(OutsideWindow, match="has written since"):
        life.restored(int(life.clock.now()), tmp_path / "items")
    stale = status(life.vault(), now=life.clock.now()).adopted
    assert stale is not None
    assert stale.stale
    again = life.adopt()
    assert first.adopted is not None
    assert again.changes == ["1 more versions of the older tool's are in the log"]
    life.check_all(tmp_path / "items")


def test_our_own_rows_are_no_news_of_the_older_tools(tmp_path: Path) -> None:
    """A repair writes rows into the same folder: a moment after that is restored as before, with what was repaired."""
    life, _ = lived(TOOLS["PageUp"])
    life.adopt()
    life.table.write([Put(msgspec.json.encode(each)) for each in life.now.values()])
    changed = item("eu", 4, who={"S": "t1"}, v={"N": "50"})
    life.table.write([Put(msgspec.json.encode(changed))])
    assert verify(life.vault(), life.around(), patience=1, repair_as="test").repaired == 1
    life.now[canonical_key(SCHEMA, changed)] = changed
    life.clock.move(60)
    assert_same(life.restored(int(life.clock.now()), tmp_path / "items"), life.now)


def test_the_older_tool_beside_this_one(tmp_path: Path) -> None:
    """Both follow the table for a while: what this one captured counts, and adopting again leaves it so."""
    life, writer = lived(TOOLS["dynamodb-replicator"])
    life.table.write([Put(msgspec.json.encode(each)) for each in life.now.values()])
    life.adopt()
    for version in ("100", "101"):
        changed = item("eu", 4, who={"S": "t1"}, v={"N": version})
        life.table.write([Put(msgspec.json.encode(changed))])
        life.now[canonical_key(SCHEMA, changed)] = changed
        life.tick()
        life.follow()
    life.clock.move(10)
    writer.put(item("eu", 4, who={"S": "t1"}, v={"N": "100"}))  # late, and on top of what is newer
    life.clock.move(10)
    life.check_all(tmp_path / "items")
    assert life.adopt().changes == []
    life.check_all(tmp_path / "items")


# --- the table is gone, or has no stream ----------------------------------------------------------------------------------------


def test_of_a_table_that_is_gone(tmp_path: Path) -> None:
    life, _ = lived(TOOLS["DynamoDbBackUp"])
    life.table = MemoryTable("flights", life.clock)
    with pytest.raises(NotFound, match="nothing tells its keys"):
        life.adopt()
    life.adopt(schema=SCHEMA)
    life.check_all(tmp_path / "items")
    new = MemoryTable("new", life.clock)
    second, expected = life.past[-1]
    assert restore(life.vault(), RestoreRequest(at=second, target=NewTable("new")), life.around(new=new)).failed == 0
    assert_same(contents(new), expected)


def test_of_a_table_without_a_stream_that_gets_one(tmp_path: Path) -> None:
    """From then on it is followed; what was done between is a gap, and is said to be one."""
    life, _ = lived(TOOLS["PageUp, plain"])
    life.table = MemoryTable("flights", life.clock, SCHEMA)
    report = life.adopt()
    assert report.catalog.stream_arn == ""
    life.check_all(tmp_path / "items")
    life.clock.move(600)
    followed = init(life.store, life.table, InitOptions(), enable_stream=True)
    assert "the stream is followed" in followed.changes
    assert followed.catalog.adopted == report.catalog.adopted
    life.table.write([Put(msgspec.json.encode(item("eu", 3, v={"N": "3"})))])
    life.clock.move(60)
    life.follow()
    life.check_all(tmp_path / "items")
    with pytest.raises(Refused, match="before the stream was on"):
        life.restored(int(life.clock.now()) - 5, tmp_path / "items")


def test_other_folders(tmp_path: Path) -> None:
    """DynamoDbBackUp writes to whatever prefix it is given."""
    life = Life()
    tool = DynamoDbBackUp(life.store, "some/prefix", EVENTS)
    life.put(tool, item("eu", 1))
    life.tick()
    with pytest.raises(Refused, match="nothing lies in"):
        life.adopt()
    life.adopt(folder="some/prefix")
    life.check_all(tmp_path / "items")
    assert life.adopt().changes == []


def test_the_log_layout_from_there_on() -> None:
    life, _ = lived(TOOLS["PageUp"])
    assert life.adopt(InitOptions(layout=Layout.LOG)).catalog.layout is Layout.LOG


def test_images_are_kept_apart() -> None:
    """The hard images of other tests, through md5 and plain names."""
    life = Life(images.SCHEMA)
    tool = Fork(life.store, "flights", sorted(images.SCHEMA.names), plain=True)
    for image in images.hard_images().values():
        body: dict[str, Any] = msgspec.json.decode(image)
        if len(tool.name(body).encode()) < 1_000:
            tool.bucket.put(tool.name(body), image)
            life.now[canonical_key(images.SCHEMA, body)] = body
    life.tick()
    report = life.adopt()
    assert report.adopted is not None
    assert (report.adopted.items, report.adopted.foreign, report.adopted.unreadable) == (len(life.now), 0, 0)
