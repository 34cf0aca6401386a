"""`diff`: what differs in two live tables is found and named, in both directions; a repair mends that, and touches nothing else."""

from __future__ import annotations

import itertools
import random
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.apps.embedded import EmbeddedServers
from backstream.clock import SystemClock
from backstream.engine.local.memory import Memory
from backstream.errors import MissingTable, Refused
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.compare.diff import CHANGED, DiffContext, Diffed, How, diff
from backstream.ports import Delete, Put, Table, TableFacts, Write
from backstream.tables.memory import MemoryTable
from kit.aws import Aws
from kit.clock import ManualClock
from kit.images import SCHEMA, hard_images, image, key
from kit.one_at_a_time import OneAtATime
from kit.proxy import FaultProxy, Request, Response, answer, every, first, pass_on, respond
from kit.scene import Scene, same

BEGAN = 1_700_000_000
KINDS = ("missing", "extra", "different", "in_flight")
COUNTS = ("same", *KINDS, "failed", "repaired")
THROTTLED = '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}'


class Two:
    """Two tables in memory that a test fills each on its own; every write to the second leaves a record in its stream."""

    def __init__(self, clock: Any = None) -> None:
        self.clock = clock or ManualClock(BEGAN)
        self.one = MemoryTable("one", self.clock, SCHEMA)
        self.two = MemoryTable("two", self.clock, SCHEMA)

    def both(self, *images: bytes) -> None:
        fill(self.one, *images)
        fill(self.two, *images)

    def diff(self, one: Table | None = None, two: Table | None = None, **words: Any) -> Diffed:
        around = DiffContext(self.clock, memory=Memory(64 << 20))
        return diff(one or self.one, two or self.two, How(**words), around)


def fill(table: Table, *images: bytes) -> None:
    for each in images:
        table.write([Put(each)])


def canonical(zone: str, number: str | int) -> bytes:
    return wire.key_of(SCHEMA, key(zone, number))


def items(table: Table) -> dict[bytes, bytes]:
    return {wire.key_of(SCHEMA, each): each for page in table.scan() for each in page}


def named(report: Diffed, kind: str) -> list[bytes]:
    return [bytes(each) for each in report.keys[kind]]


def counts(report: Diffed) -> dict[str, int]:
    return {kind: getattr(report, kind) for kind in COUNTS}


def only(**found: int) -> dict[str, int]:
    return {**dict.fromkeys(COUNTS, 0), **found}


def written(table: MemoryTable) -> list[bytes]:
    """The keys of all that was written since the stream was turned on, one for each write."""
    records = []
    for shard in table.stream.facts().shards:
        iterator: str | None = table.stream.iterator(shard.id, None)
        while iterator is not None:
            page = table.stream.read(shard.id, iterator)
            if not page.changes:
                break
            records += [wire.key_of(SCHEMA, change.keys) for change in page.changes]
            iterator = page.next
    return sorted(records)


# --- against a plain dict ---------------------------------------------------------------------------------------------------------

# Values by what they are worth, each in all its spellings.
SPELLED: Sequence[Sequence[dict[str, Any]]] = (
    [{"N": "1.5"}, {"N": "1.50"}, {"N": "15E-1"}],
    [{"N": "100"}, {"N": "1E+2"}, {"N": "100.0"}],
    [{"N": "0"}, {"N": "-0"}, {"N": "0.0"}],
    [{"S": "1.5"}],
    [{"SS": ["a", "b"]}, {"SS": ["b", "a"]}],
    [{"L": [{"S": "a"}, {"S": "b"}]}],
    [{"L": [{"S": "b"}, {"S": "a"}]}],
    [{"M": {"x": {"NS": ["1", "2"]}, "y": {"B": "AA=="}}}, {"M": {"y": {"B": "AA=="}, "x": {"NS": ["2.0", "1"]}}}],
    [{"B": "AA=="}],
    [{"NULL": True}],
)
VALUES = st.integers(0, len(SPELLED) - 1)
TABLES = st.dictionaries(st.integers(0, 30), st.tuples(VALUES, st.integers(0, 5)), max_size=20)


def spelled(number: int, value: tuple[int, int]) -> bytes:
    worth, spelling = value
    return image("z", number, v=SPELLED[worth][spelling % len(SPELLED[worth])])


@settings(deadline=None, max_examples=15)
@given(TABLES, TABLES)
def test_it_is_the_difference_of_two_dicts_and_a_repair_writes_just_that(
    one: dict[int, tuple[int, int]], two: dict[int, tuple[int, int]]
) -> None:
    tables = Two()
    fill(tables.one, *(spelled(number, value) for number, value in one.items()))
    fill(tables.two, *(spelled(number, value) for number, value in two.items()))
    report = tables.diff(patience=0)
    shared = one.keys() & two.keys()
    expected = {
        "missing": one.keys() - two.keys(),
        "extra": two.keys() - one.keys(),
        "different": {number for number in shared if one[number][0] != two[number][0]},
        "in_flight": set(),
    }
    for kind, numbers in expected.items():
        assert named(report, kind) == sorted(canonical("z", number) for number in numbers)
    wrong = set().union(*expected.values())
    assert report.same == len(one.keys() | two.keys()) - len(wrong)
    before = items(tables.two)
    tables.two.enable_stream()
    assert tables.diff(patience=0, repair=True).repaired == len(wrong)
    assert written(tables.two) == sorted(canonical("z", number) for number in wrong)
    assert same(items(tables.two), items(tables.one))
    assert all(before[canonical("z", number)] == items(tables.two)[canonical("z", number)] for number in shared - wrong)
    assert counts(tables.diff(patience=0)) == only(same=len(one))


# --- standing still ---------------------------------------------------------------------------------------------------------------


def test_two_equal_tables_are_equal_at_first_sight() -> None:
    tables = Two()
    tables.both(*hard_images().values())
    report = tables.diff()
    assert counts(report) == only(same=len(hard_images()))
    assert report.keys == {kind: [] for kind in KINDS}
    assert tables.clock.slept == [], "nobody waits where nothing differs"


def test_without_repair_nothing_is_written_and_each_difference_is_named() -> None:
    tables = Two()
    tables.both(*(image("same", number) for number in range(300)))
    fill(tables.one, image("missing", 1), image("other", 1, v={"N": "1"}), image("more", 1, v={"S": ""}))
    fill(tables.two, image("extra", 1), image("other", 1, v={"N": "1.1"}), image("more", 1))
    tables.two.enable_stream()
    report = tables.diff()
    assert counts(report) == only(same=300, missing=1, extra=1, different=2)
    assert named(report, "missing") == [canonical("missing", 1)]
    assert named(report, "extra") == [canonical("extra", 1)]
    assert named(report, "different") == [canonical("more", 1), canonical("other", 1)]
    assert sum(tables.clock.slept) == 30, "it waited to be sure"
    assert written(tables.two) == []


def test_only_the_keys_that_were_asked_for() -> None:
    tables = Two()
    fill(tables.one, image("a", 1), image("b", 1), image("c", 1))
    fill(tables.two, image("c", 1))
    tables.two.enable_stream()
    keys = [canonical(zone, 1) for zone in ("a", "c", "nowhere", "a")]
    report = tables.diff(keys=keys, patience=0, repair=True)
    assert counts(report) == only(same=1, missing=1, repaired=1)
    assert written(tables.two) == [canonical("a", 1)]
    assert any("1 of the keys" in warning for warning in report.warnings)
    assert counts(tables.diff(keys=[], patience=0)) == only()


def test_memory_does_not_grow_with_the_tables() -> None:
    tables = Two()
    large = {"text": {"S": "x" * 40_000}}
    tables.both(*(image("same", number, **large) for number in range(400)))
    fill(tables.one, *(image("missing", number, **large) for number in range(300)))
    fill(tables.two, *(image("extra", number, **large) for number in range(300)))
    tracemalloc.start()
    try:
        report = tables.diff(patience=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counts(report) == only(same=400, missing=300, extra=300)
    assert peak < 20 << 20, "of 28 MB in each table"


def test_the_read_budget_holds_for_scans_and_for_what_is_read_again() -> None:
    tables = Two()
    fill(tables.one, *(image("missing", number, text={"S": "x" * 5_000}) for number in range(200)))
    began = tables.clock.now()
    report = tables.diff(patience=0, max_units=50.0)
    assert report.missing == 200
    # Twice over 200 items of two units each, eight more times that, and as often one unit for each that is not there.
    of_the_first = (200 * 2) + 9 * (200 * 2)
    assert report.read_units >= of_the_first + 9 * 200
    assert tables.clock.now() - began >= of_the_first / 50 * 0.9


# --- in flight --------------------------------------------------------------------------------------------------------------------


class Waking(ManualClock):
    """A clock that does something each time somebody sleeps by it."""

    def __init__(self, deeds: Callable[[], Iterator[None]]) -> None:
        super().__init__(BEGAN)
        self._make = deeds
        self._deeds: Iterator[None] = iter(())

    def start(self) -> None:
        self._deeds = self._make()

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        next(self._deeds, None)


@pytest.mark.parametrize("repair", [False, True])
def test_what_comes_late_is_the_same_and_what_keeps_moving_is_in_flight_and_not_repaired(repair: bool) -> None:  # noqa: FBT001
    def deeds() -> Iterator[None]:
        fill(tables.two, image("late", 1, v={"N": "0.0"}))
        tables.two.write([Delete(key("late delete", 1))])
        tables.one.write([Delete(key("short life", 1))])
        yield
        for turn in itertools.count(1):
            fill(tables.one, image("restless", 1, v={"N": str(turn)}))
            yield

    clock = Waking(deeds)
    tables = Two(clock)
    tables.both(image("late", 1), image("late delete", 1), image("restless", 1), image("stuck", 1))
    fill(tables.one, *(image(zone, 1, v={"N": "0"}) for zone in ("late", "restless", "stuck")), image("short life", 1))
    tables.one.write([Delete(key("late delete", 1))])
    tables.two.enable_stream()
    clock.start()
    report = tables.diff(repair=repair)
    assert counts(report) == only(same=1, different=1, in_flight=1, repaired=int(repair))
    assert named(report, "different") == [canonical("stuck", 1)]
    assert named(report, "in_flight") == [canonical("restless", 1)]
    assert any(warning.startswith("rows in flight") for warning in report.warnings)
    assert written(tables.two).count(canonical("restless", 1)) == 0
    assert written(tables.two).count(canonical("stuck", 1)) == int(repair)


ROWS = 100


@pytest.mark.soak  # in real time: how long a copy lags behind is a matter of the machine, too
def test_a_copy_that_follows_a_writer_never_differs() -> None:
    tables = Two(SystemClock())
    tables.both(*(image("z", number) for number in range(ROWS + 3)))
    with copying(tables):
        for _ in range(2):
            report = tables.diff(patience=1.5)
            assert (report.missing, report.extra, report.different, report.failed) == (0, 0, 0, 0), report
            assert report.same > ROWS / 4
        fill(tables.two, image("z", ROWS, v={"S": "damaged"}), image("damaged", 1))
        tables.two.write([Delete(key("z", ROWS + 1))])
        damaged = tables.diff(patience=1.5, repair=True)
        assert named(damaged, "different") == [canonical("z", ROWS)]
        assert named(damaged, "missing") == [canonical("z", ROWS + 1)]
        assert named(damaged, "extra") == [canonical("damaged", 1)]
        assert damaged.repaired == 3
    assert counts(tables.diff(patience=0)) == only(same=len(items(tables.one)))


@contextmanager
def copying(tables: Two) -> Iterator[None]:
    """Puts and deletes at random in the first table, hundreds a second; each is done in the second one a little later."""
    stop, late = threading.Event(), list[tuple[float, Write]]()

    def write_on() -> None:
        source = random.Random(1)
        for turn in itertools.count():
            if stop.wait(0.003):
                break
            number = source.randrange(ROWS)
            write: Write = Delete(key("z", number)) if source.random() < 0.3 else Put(image("z", number, v={"N": str(turn)}))
            tables.one.write([write])
            late.append((time.monotonic() + 0.1, write))
            while late and late[0][0] <= time.monotonic():
                tables.two.write([late.pop(0)[1]])
        for _, write in late:
            tables.two.write([write])

    thread = threading.Thread(target=write_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


# --- a repair that is not alone ---------------------------------------------------------------------------------------------------


class Beside(OneAtATime):
    """A table that somebody else writes to, just before a conditional write is done."""

    def __init__(self, table: MemoryTable, *writes: Write) -> None:
        self._table = table
        self._writes = {wire.key_of(SCHEMA, each.image if isinstance(each, Put) else each.keys): each for each in writes}

    def write_if(self, write: Write, before: bytes | None) -> bool:
        theirs = self._writes.pop(wire.key_of(SCHEMA, write.image if isinstance(write, Put) else write.keys), None)
        if theirs is not None:
            self._table.write([theirs])
        return self._table.write_if(write, before)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_what_somebody_else_writes_meanwhile_is_left_alone_and_named() -> None:
    tables = Two()
    fill(tables.one, *(image("row", number, v={"N": "1"}) for number in range(40)))
    fill(tables.two, *(image("row", number, v={"N": "2"}) for number in range(20)), image("extra", 1))
    theirs = [image("row", 3, v={"N": "3"}), image("row", 30, v={"N": "3"}), image("extra", 1, v={"N": "3"})]
    report = tables.diff(two=Beside(tables.two, *map(Put, theirs)), patience=0, repair=True)
    assert counts(report) == only(missing=20, different=20, extra=1, failed=3, repaired=38)
    assert {failure.what.encode(): failure.why for failure in report.failures} == {
        wire.key_of(SCHEMA, each): CHANGED for each in theirs
    }
    assert not report.mended
    left = tables.diff(patience=0)
    assert counts(left) == only(same=38, extra=1, different=2)
    assert all(items(tables.two)[wire.key_of(SCHEMA, each)] == each for each in theirs)


class Counting:
    """A table that changes just before the last of so many looks at it."""

    def __init__(self, table: MemoryTable, looks: int, change: Callable[[], None]) -> None:
        self._table = table
        self._looks = looks
        self._change = change

    def fetch(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        self._looks -= 1
        if not self._looks:
            self._change()
        return self._table.fetch(keys)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


def test_what_moves_just_before_the_repair_is_in_flight_and_left_alone() -> None:
    tables = Two()
    fill(tables.one, image("moves", 1, v={"N": "1"}), image("comes", 1), image("stuck", 1))
    tables.two.enable_stream()

    def change() -> None:
        fill(tables.one, image("moves", 1, v={"N": "2"}))
        fill(tables.two, image("comes", 1))

    # The first look, eight more, and the one before the repair.
    report = tables.diff(one=Counting(tables.one, 10, change), repair=True)
    assert counts(report) == only(same=1, missing=1, in_flight=1, repaired=1)
    assert named(report, "in_flight") == [canonical("moves", 1)]
    assert written(tables.two) == sorted([canonical("comes", 1), canonical("stuck", 1)])


def test_what_changes_between_the_last_look_and_the_write_is_not_overwritten() -> None:
    tables = Two()
    fill(tables.one, image("theirs", 1, v={"N": "1"}), image("stuck", 1))
    theirs = image("theirs", 1, v={"N": "3"})
    # Nine looks, the one before the repair, and that of the repair itself.
    report = tables.diff(two=Counting(tables.two, 11, lambda: fill(tables.two, theirs)), repair=True)
    assert counts(report) == only(missing=2, failed=1, repaired=1)
    assert items(tables.two)[canonical("theirs", 1)] == theirs


# --- refused ----------------------------------------------------------------------------------------------------------------------


class Told:
    """A table that is described otherwise than it is."""

    def __init__(self, table: MemoryTable, **facts: Any) -> None:
        self._table = table
        self._facts = facts

    def facts(self) -> TableFacts:
        return msgspec.structs.replace(self._table.facts(), **self._facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"table_id": "one's", "arn": "one's"}, "same table"),
        ({"table_id": "", "arn": "one's"}, "same table"),
        ({"status": "CREATING"}, "CREATING"),
        ({"status": "DELETING"}, "DELETING"),
        ({"schema": KeySchema(KeyAttribute("zone", "S"))}, "key schemas"),
        ({"schema": KeySchema(KeyAttribute("zone", "S"), KeyAttribute("number", "S"))}, r"number \(S, RANGE\)"),
        ({"schema": KeySchema(KeyAttribute("number", "N"), KeyAttribute("zone", "S"))}, "key schemas"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(told: dict[str, Any], why: str) -> None:
    tables = Two()
    fill(tables.one, image("a", 1))
    facts = tables.one.facts()
    told = {
        name: {"table_id": facts.table_id, "arn": facts.arn}[name] if value == "one's" else value for name, value in told.items()
    }
    with pytest.raises(Refused, match=why):
        tables.diff(two=Told(tables.two, **told), repair=True)
    assert items(tables.two) == {}


def test_two_servers_may_give_two_tables_one_arn() -> None:
    tables = Two()
    assert counts(tables.diff(two=Told(tables.two, arn=tables.one.facts().arn))) == only()


def test_a_missing_table_is_named() -> None:
    tables = Two()
    with pytest.raises(MissingTable, match="three"):
        tables.diff(two=MemoryTable("three", tables.clock))


# --- the command ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def twin(scene: Scene) -> str:
    """A second table beside the scene's, with the same 40 rows; its stream tells who writes to it."""
    scene.create()
    other = f"{scene.table}-2"
    scene.create(other)
    rows = [image("row", number, v={"N": f"{number}.50"}) for number in range(40)]
    scene.put(*rows)
    scene.write(map(Put, rows), other)
    return other


def records(scene: Scene, table: str) -> list[bytes]:
    """The keys of all that was written to a table since its stream is on."""
    streams, arn = scene.aws.client("dynamodbstreams"), scene.live(table).facts().stream_arn or ""
    found = []
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        page = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
        found += [wire.key_of(SCHEMA, msgspec.json.encode(record["dynamodb"]["Keys"])) for record in page]
    return sorted(found)


def test_a_key_that_neither_table_has_is_an_error(scene: Scene, twin: str) -> None:
    nobody = key("nobody", 1).decode()
    ran = scene.call("diff", scene.table, twin, "--patience", "0", "--key", nobody)
    assert (ran.code, f"neither {scene.table} nor {twin} has any of the items" in ran.err) == (1, True), ran.err
    both = scene.call("diff", scene.table, twin, "--patience", "0", "--key", nobody, "--key", key("row", 1).decode())
    assert (both.code, "1 of the keys" in both.err) == (0, True), both.err


def test_three_damaged_rows_are_named_and_mended_and_nothing_else_is_touched(scene: Scene, twin: str, dynamodb: FaultProxy) -> None:
    clean = scene.call("diff", scene.table, twin, "--json")
    assert clean.code == 0, clean.err
    assert {name: clean.json()[name] for name in COUNTS} == only(same=40)
    damage: list[Write] = [Put(image("row", 1, v={"N": "0"})), Delete(key("row", 2)), Put(image("stranger", 1))]
    scene.write(damage, twin)
    scene.live(twin).enable_stream()
    ran = scene.call("diff", scene.table, twin, "--patience", "0.2", "--json")
    assert (ran.code, "3 rows" in ran.err, "--repair" in ran.err) == (3, True, True), ran.err
    assert {name: ran.json()[name] for name in COUNTS} == only(same=38, missing=1, extra=1, different=1)
    assert ran.json()["keys"] == {
        "missing": [{"zone": {"S": "row"}, "number": {"N": "2"}}],
        "extra": [{"zone": {"S": "stranger"}, "number": {"N": "1"}}],
        "different": [{"zone": {"S": "row"}, "number": {"N": "1"}}],
        "in_flight": [],
    }
    assert records(scene, twin) == []

    dynamodb.on(answer(400, THROTTLED), operation="PutItem", when=first(2))
    dynamodb.on(answer(400, THROTTLED), operation="DeleteItem", when=first(1))
    dynamodb.on(answer(400, THROTTLED), operation="Scan", when=every(3))
    dynamodb.on(respond(nothing_processed), operation="BatchGetItem", when=every(2))
    mended = scene.call("diff", scene.table, twin, "--patience", "0", "--repair", "--json")
    assert (mended.code, "3 rows" in mended.err) == (3, True), mended.err
    assert (mended.json()["repaired"], mended.json()["failed"]) == (3, 0)
    dynamodb.clear()
    assert records(scene, twin) == sorted(canonical(*each) for each in (("row", 1), ("row", 2), ("stranger", 1)))
    assert scene.items(twin) == scene.items()
    assert scene.call("diff", scene.table, twin, "--repair").code == 0


def nothing_processed(request: Request) -> Response:
    asked = msgspec.json.decode(request.body)["RequestItems"]
    return Response(200, msgspec.json.encode({"Responses": {}, "UnprocessedKeys": asked}), {})


def test_writes_that_are_not_allowed_are_exit_1_and_nothing_is_said_to_be_mended(
    scene: Scene, twin: str, dynamodb: FaultProxy
) -> None:
    scene.write([Put(image("row", 1, v={"N": "0"}))], twin)
    denied = '{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not you"}'
    dynamodb.on(answer(400, denied), operation="PutItem")
    ran = scene.call("diff", scene.table, twin, "--patience", "0", "--repair")
    assert (ran.code, "not you" in ran.err or "denied" in ran.err.lower()) == (1, True), ran.err
    assert "have them" not in ran.err


def test_keys_words_and_tables_that_are_not_there(scene: Scene, twin: str) -> None:
    scene.write([Put(image("row", 1, v={"N": "0"})), Delete(key("row", 2))], twin)
    one = scene.call(
        "diff", scene.table, twin, "--key", '{"zone":"row","number":1}', "--key", '{"zone":"row","number":3}', "--patience", "0"
    )
    assert (one.code, "1 row of" in one.err) == (3, True), one.err
    assert scene.call("diff", scene.table, twin, "--key", '{"zone":"row","number":3}').code == 0
    assert scene.call("diff", scene.table, twin, "--key", '{"zone":"row"}').code == 2
    assert scene.call("diff", scene.table, twin, "--segments", "0").code == 2
    assert scene.call("diff", scene.table, twin, "--max-read-units", "0").code == 2
    assert scene.call("diff", scene.table, scene.table, "--repair").code == 4
    missing = scene.call("diff", scene.table, f"{twin}-not", "--repair")
    assert (missing.code, f"{twin}-not" in missing.err) == (1, True)
    assert scene.call("diff", scene.table, twin, "--to-profile", "nobody").code == 1
    assert len(scene.items(twin)) == 39, "nothing was written by any of these"


def test_a_profile_brings_its_region_and_its_credentials_and_a_region_goes_before_it(
    scene: Scene, tmp_path: Path, dynamodb: FaultProxy
) -> None:
    scene.create()
    config = tmp_path / "aws-config"
    lines = ["[profile second]", "region = eu-west-1", "aws_access_key_id = 111111111111", "aws_secret_access_key = s"]
    config.write_text("\n".join(lines))
    of_profile = dynamodb.on(pass_on, headers={"authorization": "=111111111111/[0-9]+/eu-west-1/dynamodb/"})
    of_region = dynamodb.on(pass_on, headers={"authorization": "=111111111111/[0-9]+/eu-north-1/dynamodb/"})
    here = dynamodb.on(pass_on, headers={"authorization": "/us-east-1/dynamodb/"})
    words = ("diff", scene.table, scene.table, "--to-profile", "second")
    assert scene.call(*words, environment={"AWS_CONFIG_FILE": str(config)}).code == 1, "no such table there"
    assert (here.matched, of_profile.matched, of_region.matched) == (1, 1, 0)
    assert scene.call(*words, "--to-region", "eu-north-1", environment={"AWS_CONFIG_FILE": str(config)}).code == 1
    assert (here.matched, of_profile.matched, of_region.matched) == (2, 1, 1)


def test_the_second_table_is_of_the_same_name_on_another_server(scene: Scene, tmp_path: Path) -> None:
    scene.create()
    scene.put(image("a", 1), image("b", 1))
    with EmbeddedServers() as servers:
        elsewhere = Aws(servers.environment())
        other = Scene(elsewhere, scene.bucket, scene.table, tmp_path)
        other.live().create(on_demand(SCHEMA))
        other.put(image("b", 1, v={"N": "0"}), image("c", 1))
        words = ("diff", scene.table, scene.table, "--to-endpoint", elsewhere.url, "--patience", "0", "--json")
        ran = scene.call(*words)
        assert ran.code == 3, ran.err
        assert {name: ran.json()[name] for name in COUNTS} == only(missing=1, extra=1, different=1)
        assert scene.call(*words, "--to-region", "us-east-1", "--repair").code == 3
        assert scene.call(*words).code == 0
        assert same(other.items(), scene.items())
    assert len(scene.items()) == 2
