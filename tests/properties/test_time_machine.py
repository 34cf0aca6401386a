"""The time machine against a dict: any writes, deliveries, repetitions, disorder and crashes; every second comes back as it was.

One state machine, on memory, on a directory and on real S3 over HTTP; and on purpose with bugs planted, which it has to find.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from backstream.engine.local.engine import LocalEngine
from backstream.engine.local.whole_log import broken_chains
from backstream.errors import Failed, GapInTheWay, NotFound, OutsideWindow
from backstream.model import moment
from backstream.model.changes import fold
from backstream.model.changes.change import Change, stream_label
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.model.window import Window
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.operations.capture.follow import Following, follow
from backstream.operations.capture.outage import record_absence
from backstream.operations.capture.shards import Settings
from backstream.operations.capture.witness import witness
from backstream.operations.inspect import history
from backstream.operations.restore import InPlace, NewTable, RestoreContext, RestoreRequest, restore
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ChangeStream, Clock, Delete, ObjectStore, Put, ScanPage, Table
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.stores.s3.store import S3Store
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.coverage import RestoreBase
from backstream.vault.images import images_for
from backstream.vault.log.segments import SegmentKind
from backstream.vault.rows.row_versions import NewestVersion
from backstream.vault.rows.rows import RowStore
from backstream.vault.table_vault import TableVault
from kit.aws import Aws
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.dictmodel import DictModel
from kit.records import lambda_record
from kit.streams import LateListing
from kit.transports import s3_api

SCHEMA = KeySchema(KeyAttribute("id", "S"))
KEYS = [f'{{"id":{{"S":"item-{number}"}}}}'.encode() for number in range(4)]
# Nobody waits for children that are not listed: by this clock nobody could.
QUICK = Settings(
    poll=0.0, quiet_reads=1, segment_count=3, topology_every=0.0, children_wait=0.0, sibling_wait=0.0, writers=4, readers=3
)

Happening = tuple[str, bytes, int]

keys = st.sampled_from(KEYS)
values = st.integers(0, 9)
happenings = st.tuples(st.sampled_from(["put", "put", "delete", "tail", "time", "deliver"]), keys, values)


def image(key: bytes, value: int) -> bytes:
    return key[:-1] + f',"value":{{"N":"{value}"}}}}'.encode()


class Scripted:
    """The table of a base backup, between whose reads other things happen: `script` is run before and after each page is read."""

    def __init__(self, table: MemoryTable, script: Callable[[int], None]) -> None:
        self._table = table
        self._script = script
        self._turn = 0
        self._lock = threading.Lock()

    def page(
        self, segment: int, segments: int, after: bytes | None, limit: int | None = None, *, consistent: bool = True
    ) -> ScanPage:
        with self._lock:
            self._script(self._turn)
            page = self._table.page(segment, segments, after, limit, consistent=consistent)
            self._script(self._turn + 1)
            self._turn += 2
            return page

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)


class TimeMachine(RuleBasedStateMachine):
    """Writes to a table, brings its changes into the vault in every way there is, and asks for the past.

    `stocked`: the table is not empty at `init`; `lossy`: changes are lost now and then, as when nobody follows for a day;
    `moving`: its layout changes now and then; `compacting`: so is its log compacted.
    """

    make_store: Callable[[Clock], ObjectStore]
    layout = Layout.ROWS
    stocked = False
    lossy = False
    moving = False
    compacting = True

    def __init__(self) -> None:
        super().__init__()
        self.processes = itertools.count(1)
        self.clock = ManualClock()
        self.store = type(self).make_store(self.clock)
        self.model = DictModel()
        self.restored = 0

    @initialize(shards=st.integers(1, 2))
    def a_table_is_protected(self, shards: int) -> None:
        self.table = MemoryTable("items", self.clock, SCHEMA, shards=shards, page_items=2)
        for key in KEYS[:3] if self.stocked else ():
            self.put(key, 5)
        self.clock.move(3)
        self.table.enable_stream()
        init(self.store, self.table, InitOptions(layout=self.layout))
        self.began = int(self.clock.now())

    # --- the table lives ---

    @rule(key=keys, value=values)
    def put(self, key: bytes, value: int) -> None:
        self.table.write([Put(image(key, value))])
        self.model.set(int(self.clock.now()), key, image(key, value))

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.table.write([Delete(key)])
        self.model.set(int(self.clock.now()), key, None)

    @rule(seconds=st.sampled_from([1, 1, 2, 1800]))
    def time_passes(self, seconds: int) -> None:
        self.clock.move(seconds)

    @rule(data=st.data())
    def a_shard_splits(self, data: st.DataObject) -> None:
        open_shards = [shard.id for shard in self.table.stream.facts().shards if shard.last is None]
        if len(open_shards) < 4:
            self.table.stream.split(data.draw(st.sampled_from(open_shards)))

    # --- its changes reach the vault ---

    @rule()
    def tail(self) -> None:
        self.follow(self.store)

    @rule(writes=st.integers(1, 12), after=st.booleans())
    def tail_crashes(self, writes: int, after: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        try:
            self.follow(CrashingStore(self.store, writes, after=after))
        except Failed:
            return

    @rule()
    def the_witness_runs(self) -> None:
        self.witness(self.store)

    @rule(writes=st.integers(1, 12), after=st.booleans())
    def the_witness_crashes(self, writes: int, after: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        try:
            self.witness(CrashingStore(self.store, writes, after=after))
        except Failed:
            return

    @rule(looks=st.integers(1, 3))
    def children_are_listed_late(self, looks: int) -> None:
        """What a shard's children hold is read by nobody in the meantime: then nothing later is claimed either."""
        late = LateListing(self.table.stream, looks=10**9)
        for _ in range(looks):
            self.witness(self.store, late)
            self.follow(self.store, late)
            self.clock.move(2)
            self.put(KEYS[3], looks)
            self.clock.move(10)

    @rule(data=st.data())
    def batches_are_delivered(self, data: st.DataObject) -> None:
        """Any run of all changes so far, out of order, again and again: late, repeated, and ahead of the tail."""
        known = self.all_changes()
        if not known:
            return
        for _ in range(data.draw(st.integers(1, 3))):
            first = data.draw(st.integers(0, len(known) - 1))
            batch = known[first : first + data.draw(st.integers(1, 4))]
            self.deliver(self.store, batch)

    @rule(data=st.data(), writes=st.integers(1, 6), after=st.booleans())
    def a_delivery_crashes(self, data: st.DataObject, writes: int, after: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        known = self.all_changes()
        if known:
            first = data.draw(st.integers(0, len(known) - 1))
            self.deliver(CrashingStore(self.store, writes, after=after), known[first:])

    @precondition(lambda self: self.lossy)
    @rule()
    def nobody_follows_for_a_day(self) -> None:
        """After a tail, whose sign of life is the last: a function that is not there says nothing, and an idle one neither."""
        self.follow(self.store)
        self.clock.move(10)
        self.follow(self.store)
        self.happen([("put", KEYS[0], 1), ("time", KEYS[0], 3), ("put", KEYS[1], 2), ("delete", KEYS[2], 0)])
        self.clock.move(100_000)
        for shard in self.table.stream.facts().shards:
            self.table.stream.trim(shard.id)

    # --- it is kept otherwise from now on, and what is kept is compacted ---

    @precondition(lambda self: self.moving)
    @rule(layout=st.sampled_from(Layout))
    def the_layout_changes(self, layout: Layout) -> None:
        init(self.store, self.table, InitOptions(layout=layout))

    @precondition(lambda self: self.compacting)
    @rule(until=st.none() | st.integers(0, 1000))
    def the_log_is_compacted(self, until: int | None) -> None:
        now = int(self.clock.now())
        compact(self.vault(), self.clock, until=None if until is None else self.began + (now - self.began) * until // 1000)

    @precondition(lambda self: self.compacting)
    @rule(writes=st.integers(1, 12), after=st.booleans())
    def a_compaction_crashes(self, writes: int, after: bool) -> None:  # noqa: FBT001 - Hypothesis names it
        try:
            compact(self.vault(CrashingStore(self.store, writes, after=after)), self.clock)
        except Failed:
            return

    @precondition(lambda self: not self.lossy)
    @rule(key=keys)
    def history_holds_each_change_once(self, key: bytes) -> None:
        self.follow(self.store)
        found = [each.sequence for each in history.history(self.vault(), key) if each.sequence is not None]
        made = sorted((change for change in self.all_changes() if change.keys == key), key=lambda change: change.order)
        assert found == [change.sequence for change in made]

    # --- base backups beside all that ---

    @rule(
        script=st.lists(st.tuples(st.integers(0, 5), happenings), max_size=6),
        segments=st.integers(1, 2),
        crash=st.none() | st.tuples(st.integers(1, 12), st.booleans()),
        fresh=st.booleans(),
    )
    def a_base_backup(
        self, script: list[tuple[int, Happening]], segments: int, crash: tuple[int, bool] | None, *, fresh: bool
    ) -> None:
        """Whatever happens before, between and after its reads, and wherever it ends: the next one goes on."""
        store = self.store if crash is None else CrashingStore(self.store, crash[0], after=crash[1])
        left = list(script)

        def happen(turn: int) -> None:
            due = [each for each in left if each[0] <= turn]
            left[:] = [each for each in left if each[0] > turn]
            self.happen([what for _, what in due])

        table = Scripted(self.table, happen)
        vault = self.vault(store)
        try:
            source = scan_of(vault, cast("Table", table), self.clock, segments=segments, max_units=None)
            backfill(vault, source, BackfillContext(self.clock), fresh=fresh)
        except Failed:
            if crash is None:
                raise
            # Else the process died: another base backup goes on.
        happen(5)

    def happen(self, happenings: Sequence[Happening]) -> None:
        for name, key, number in happenings:
            if name == "put":
                self.put(key, number)
            elif name == "delete":
                self.delete(key)
            elif name == "tail":
                self.follow(self.store)
            elif name == "time":
                self.clock.move(number)
            elif known := self.all_changes():
                first = number % len(known)
                self.deliver(self.store, known[first : first + 2])

    # --- the past is asked for ---

    @rule(data=st.data())
    def every_second_comes_back(self, data: st.DataObject) -> None:
        """Or is refused, but only where the window says so."""
        self.follow(self.store)
        at = self.some_moment(data)
        try:
            assert self.state_at(at) == self.model.at(at)
        except (OutsideWindow, GapInTheWay):
            self.was_not_promised(at)

    def some_moment(self, data: st.DataObject) -> int:
        """Drawn as a share of the time so far, whose end depends on how threads were scheduled."""
        return self.began + (int(self.clock.now()) - self.began) * data.draw(st.integers(0, 1000)) // 1000

    def was_not_promised(self, at: int) -> None:
        assert self.stocked or self.lossy
        window = self.vault().window(self.clock.now())
        assert not any(each.since <= at <= each.until for each in window.ranges)
        assert self.lossy or not any(start.end <= at for start in window.starts)

    @rule(data=st.data(), key=keys)
    def one_item_comes_back(self, data: st.DataObject, key: bytes) -> None:
        self.follow(self.store)
        at = self.some_moment(data)
        try:
            shown: bytes | None = history.show(self.vault(), key, at, now=self.clock.now()).image
        except NotFound:
            shown = None
        except (OutsideWindow, GapInTheWay):
            self.was_not_promised(at)
            return
        assert shown == self.model.at(at).get(key)

    @rule(data=st.data())
    def restored_in_place(self, data: st.DataObject) -> None:
        """Also with changes that the vault has not seen: those are undone too, up to the second that is proven."""
        self.follow(self.store)
        at = self.some_moment(data)
        key = data.draw(keys)
        self.put(key, 7)
        then = self.model.at(at) if at < int(self.clock.now()) else None
        if then is None:
            return
        before = self.live()
        try:
            request = RestoreRequest(at=at, target=InPlace(), expect_deletes=len(KEYS))
            report = restore(self.vault(), request, self.surroundings(self.table))
        except (OutsideWindow, GapInTheWay):
            self.was_not_promised(at)
            return
        after = self.live()
        assert report.spared or after == then
        assert before.keys() - after.keys() <= before.keys() - then.keys(), "no row that existed is deleted"
        for each in KEYS:
            self.model.set(int(self.clock.now()), each, after.get(each))

    @precondition(lambda self: self.layout is Layout.ROWS and not self.stocked and not self.lossy and not self.moving)
    @rule()
    def plain_tools_see_the_table(self) -> None:
        """What lies on top in the bucket is the table as it is, for tools that know nothing of the log."""
        self.follow(self.store)
        on_top = {self.store.get(each.name).body for each in self.store.list("items/")}
        assert on_top == set(self.live().values())

    @invariant()
    def the_window_never_claims_too_much(self) -> None:
        window = self.vault().window(self.clock.now())
        if window.until is not None:
            assert window.until < int(self.clock.now())
            assert self.state_at(window.until) == self.model.at(window.until)

    @rule()
    def no_change_is_called_lost(self) -> None:
        """Whatever was lost here is a recorded gap, and all else arrives."""
        self.follow(self.store)
        assert [str(each) for each in broken_chains(self.vault(), self.clock.now()) if not each.pending] == []

    # --- how ---

    def vault(self, store: ObjectStore | None = None) -> TableVault:
        return TableVault.open(store or self.store, "items", engines=LocalEngine)

    def follow(self, store: ObjectStore, stream: ChangeStream | None = None) -> None:
        follow(self.vault(store), self.following("tail", stream), until_caught_up=True)

    def witness(self, store: ObjectStore, stream: ChangeStream | None = None) -> None:
        witness(self.vault(store), self.following("witness", stream))

    def following(self, writer: str, stream: ChangeStream | None) -> Following:
        return Following(
            table=self.table,
            streams=lambda _arn: stream or self.table.stream,
            clock=self.clock,
            writer=f"{writer} {next(self.processes)}",  # heads belong to a process
            notice=lambda _text: None,
            stop=threading.Event(),
            settings=QUICK,
        )

    def deliver(self, store: ObjectStore, batch: Sequence[Change]) -> None:
        arn = self.table.stream.arn
        records = [lambda_record(change, arn) for change in batch]
        with ThreadPoolExecutor(2) as pool:
            try:
                vault = self.vault(store)
                record_absence(vault, stream_label(arn), self.clock.now())
                keep_batch(vault, records, stream_label(arn), pool, writer="fn", kind=SegmentKind.PARALLEL, now=self.clock.now)
            except Failed:
                return

    def all_changes(self) -> list[Change]:
        stream = self.table.stream
        found: list[Change] = []
        for shard in stream.facts().shards:
            iterator: str | None = stream.iterator(shard.id, None)
            while iterator is not None:
                page = stream.read(shard.id, iterator)
                found.extend(page.changes)
                iterator = page.next if page.changes else None
        return found

    def state_at(self, at: int) -> dict[bytes, bytes]:
        self.restored += 1
        target = MemoryTable(f"restored-{self.restored}", self.clock)
        report = restore(self.vault(), RestoreRequest(at=at, target=NewTable(target.name)), self.surroundings(target))
        assert report.failed == 0
        return {self.vault().key_of(found): found for page in target.scan() for found in page}

    def surroundings(self, table: Table) -> RestoreContext:
        return RestoreContext(lambda _name: table, self.clock, Path(tempfile.gettempdir()))

    def live(self) -> dict[bytes, bytes]:
        return {self.vault().key_of(found): found for page in self.table.scan() for found in page}


def check(
    make: Callable[[Clock], ObjectStore],
    *,
    examples: int,
    steps: int,
    layout: Layout = Layout.ROWS,
    stocked: bool = False,
    lossy: bool = False,
    moving: bool = False,
    compacting: bool = True,
    **more: Any,
) -> None:
    """Run the machine; it raises what it finds."""
    traits = {
        "make_store": staticmethod(make),
        "layout": layout,
        "stocked": stocked,
        "lossy": lossy,
        "moving": moving,
        "compacting": compacting,
    }
    machine = type("Machine", (TimeMachine,), traits)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            **more,
        ),
    )


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few rows a part of a base backup, so that it is interrupted everywhere."""
    monkeypatch.setattr("backstream.operations.base.backfill.segment.PART_ROWS", 2)


@pytest.fixture
def new_memory() -> Callable[[Clock], ObjectStore]:
    return MemoryStore


@pytest.fixture
def new_directory() -> Iterator[Callable[[Clock], ObjectStore]]:
    with tempfile.TemporaryDirectory() as folder:
        yield lambda clock: DirectoryStore(Path(tempfile.mkdtemp(dir=folder)), clock)


@pytest.fixture
def new_s3(aws: Aws, bucket: str) -> Callable[[Clock], ObjectStore]:
    api, made = s3_api(aws, bucket, "curl"), iter(range(1_000_000))
    return lambda clock: S3Store(api, f"vault-{next(made)}", clock)


# A few lives of each kind here; hundreds of each are in `make soak`, below.


@pytest.mark.parametrize("layout", [Layout.ROWS, pytest.param(Layout.LOG, marks=pytest.mark.soak)])
def test_in_memory(new_memory: Callable[[Clock], ObjectStore], layout: Layout) -> None:
    check(new_memory, examples=6, steps=30, layout=layout)


@pytest.mark.parametrize("layout", [Layout.ROWS, Layout.LOG])
def test_a_table_that_was_not_empty(new_memory: Callable[[Clock], ObjectStore], layout: Layout) -> None:
    check(new_memory, examples=6, steps=25, layout=layout, stocked=True)


@pytest.mark.parametrize("layout", [pytest.param(Layout.ROWS, marks=pytest.mark.soak), Layout.LOG])
def test_changes_that_are_lost(new_memory: Callable[[Clock], ObjectStore], layout: Layout) -> None:
    check(new_memory, examples=6, steps=25, layout=layout, stocked=True, lossy=True)


def test_layouts_that_change(new_memory: Callable[[Clock], ObjectStore]) -> None:
    check(new_memory, examples=6, steps=30, stocked=True, moving=True)


def test_on_a_directory(new_directory: Callable[[Clock], ObjectStore]) -> None:
    check(new_directory, examples=2, steps=20)


def test_on_s3(new_s3: Callable[[Clock], ObjectStore]) -> None:
    check(new_s3, examples=2, steps=15)


@pytest.mark.soak
@pytest.mark.parametrize("layout", [Layout.ROWS, Layout.LOG])
@pytest.mark.parametrize(
    ("stocked", "lossy", "moving"), [(False, False, False), (True, False, False), (True, True, False), (True, True, True)]
)
def test_in_memory_for_long(
    new_memory: Callable[[Clock], ObjectStore], layout: Layout, *, stocked: bool, lossy: bool, moving: bool
) -> None:
    check(new_memory, examples=400, steps=60, layout=layout, stocked=stocked, lossy=lossy, moving=moving)


@pytest.mark.soak
def test_on_a_directory_for_long(new_directory: Callable[[Clock], ObjectStore]) -> None:
    check(new_directory, examples=100, steps=40)


@pytest.mark.soak
def test_on_s3_for_long(new_s3: Callable[[Clock], ObjectStore]) -> None:
    check(new_s3, examples=60, steps=40)


# --- bugs planted: a test that cannot fail is no test -----------------------------------------------------------------------------


def off_by_one_in_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Entry, "seconds", property(lambda self: self.micros // 1_000_000 + 1))
    patch.setattr(moment, "end_of", lambda second: second * 1_000_000)


def arrival_order_wins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fold, "later", lambda _known, entry: entry)


def tombstones_are_dropped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Entry, "removed", property(lambda _self: False))


def marks_run_ahead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("backstream.operations.capture.shards.SETTLING", -1)


def late_changes_stay_on_top(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RowStore, "_top", lambda _self, _name: NewestVersion())


@pytest.mark.parametrize(
    "plant",
    [
        off_by_one_in_time,
        arrival_order_wins,
        tombstones_are_dropped,
        pytest.param(late_changes_stay_on_top, marks=pytest.mark.soak),  # it takes long to be met by chance
        marks_run_ahead,
    ],
)
def test_planted_bugs_are_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, new_memory: Callable[[Clock], ObjectStore]
) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)):
        check(new_memory, examples=200, steps=30, compacting=False, derandomize=True, database=None, phases=[Phase.generate])


def scans_win(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FoldState, "newest", lambda self, _floor=0: self.scan or self.change)


def scans_lose(patch: pytest.MonkeyPatch) -> None:
    """Against changes from before the base backup, which a state does not even read."""
    patch.setattr("backstream.vault.coverage.FAR_APART", 10**10)
    patch.setattr(FoldState, "newest", lambda self, _floor=0: self.change or self.scan)


def a_base_backup_counts_before_it_has_ended(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Window, "start", lambda self, _at: max(self.starts, key=lambda each: each.begin, default=None))


def what_a_base_backup_did_not_find_lives_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(RestoreBase, "floor", -1)


def a_scan_begins_when_it_is_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("backstream.operations.base.backfill.scan.CLOCKS_APART", -2)


@pytest.mark.parametrize(
    "plant",
    [
        scans_win,
        pytest.param(scans_lose, marks=pytest.mark.soak),  # half a minute each: these two take long to be met by chance
        a_base_backup_counts_before_it_has_ended,
        pytest.param(what_a_base_backup_did_not_find_lives_on, marks=pytest.mark.soak),
        a_scan_begins_when_it_is_kept,
    ],
)
def test_planted_bugs_of_base_backups_are_found(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch, new_memory: Callable[[Clock], ObjectStore]
) -> None:
    plant(monkeypatch)
    quiet: Any = {"derandomize": True, "database": None, "phases": [Phase.generate]}
    with pytest.raises((AssertionError, ExceptionGroup)):
        check(new_memory, examples=300, steps=30, stocked=True, lossy=True, compacting=False, **quiet)


def test_images_go_where_the_catalog_says(new_memory: Callable[[Clock], ObjectStore]) -> None:
    """The machine's layouts are what they are called."""
    clock = ManualClock()
    store = new_memory(clock)
    table = MemoryTable("items", clock, SCHEMA)
    table.enable_stream()
    catalog = init(store, table, InitOptions(layout=Layout.LOG)).catalog
    table.write([Put(image(KEYS[0], 1))])
    stream = table.stream
    changes = [c for s in stream.facts().shards for c in stream.read(s.id, stream.iterator(s.id, None)).changes]
    entry = images_for(store, catalog).keep(changes[0])
    assert (entry.place, entry.image) == (None, image(KEYS[0], 1))
