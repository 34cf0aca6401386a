"""Random histories of a table and its vault, from a seed: writers, tails, functions, the witness, lost days, attacks.

A history is a list of steps. Their parameters are drawn before it is played, so some can be left out and the rest stays the same.
The oracle asks for what `status` claims and compares it with a plain model of the table.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

from backstream.errors import BackstreamError, NotFound, RecordsTrimmed
from backstream.model.changes.change import Change
from backstream.model.tables.creation import on_demand
from backstream.operations.base.backfill import BackfillContext, backfill, scan_of
from backstream.operations.base.compact import compact
from backstream.operations.capture.batch import keep_batch
from backstream.operations.capture.follow import Following, follow
from backstream.operations.capture.shards import Settings
from backstream.operations.capture.witness import witness
from backstream.operations.compare.verify import verify
from backstream.operations.setup.identity import Lookup, recognise, turn
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ChangeStream, Delete, ObjectStore, Put, Table
from backstream.tables.memory import MemoryTable
from backstream.tables.memory_stream import MemoryStream
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit.claims import KEYS, NAME, SCHEMA, Claims
from kit.crashing import CrashingStore
from kit.records import lambda_record
from kit.schedules import Step
from kit.stepping import Inline
from kit.streams import LateListing
from kit.watched import WatchedStore

DAY = 86_400
QUICK = Settings(
    poll=0.1, quiet_reads=1, segment_count=3, topology_every=0.0, children_wait=10.0, sibling_wait=1.0, writers=1, readers=1
)
SYSTEM = f"_backstream/{NAME}/"
BATCH = 5


# How often each is drawn.
STEPS: Mapping[str, int] = {
    "write": 14,
    "time": 8,
    "tail": 6,
    "tail_crashes": 2,
    "function": 8,
    "witness": 7,
    "witness_crashes": 2,
    "silence": 1,
    "split": 3,
    "stream_replaced": 1,
    "table_recreated": 1,
    "another_account": 1,
    "base_backup": 3,
    "compaction": 2,
    "two_compactions": 1,
    "compaction_crashes": 1,
    "repair": 1,
    "in_place": 3,
    "versions_expire": 1,
    "objects_hidden": 1,
    "look": 8,
}


class World(Claims):
    """A table, its streams, whoever follows them, and the vault. `promised`: how many claimed seconds have been compared so far."""

    def __init__(self, seed: int, folder: Path) -> None:
        """`folder`: where restores keep what they need to go on, and to be undone."""
        source = random.Random(f"world {seed}")
        self.shards, self.layout = source.choice([1, 2, 3]), source.choice(list(Layout))
        super().__init__(self.shards, folder)
        self.kind = source.choice([SegmentKind.LAMBDA, SegmentKind.PARALLEL])
        self.position: dict[tuple[str, str], str] = {}  # the function's, by stream and shard
        self.closed: dict[str, float] = {}  # when a stream was closed
        self.split_at = 0.0
        self.processes = itertools.count(1)
        self.late = self.apart = 0  # how often children are asked for until they are listed, and a second one after the first
        self.attacked: set[str] = set()
        for key in KEYS[: source.choice([0, 0, 3])]:
            self._put(key, 5)
        self.clock.move(3)
        self.table.enable_stream()
        init(self.store, self.table, InitOptions(layout=self.layout))
        self.began = int(self.clock.now())
        if source.random() < 0.7:  # a good beginning, most of the time
            self.base_backup(Step("base_backup", 0, 0, 1))
            self._follow(self.store)

    def play(self, steps: Sequence[Step]) -> None:
        """Live through the steps; AssertionError where a claim does not hold, or an in-place restore deletes what existed."""
        for step in steps:
            getattr(self, step.name)(step)
        self.clock.move(30)
        self.look(Step("look", 0, 21_845, 43_690))

    # --- the table --------------------------------------------------------------------------------------------------------------

    def write(self, step: Step) -> None:
        """A few puts and deletes, now and a second later."""
        source = random.Random(step.a)
        for _ in range(1 + step.b % 4):
            key = source.choice(KEYS)
            if source.random() < 0.3:
                self.table.write([Delete(key)])
                self.model.set(int(self.clock.now()), key, None)
            else:
                self._put(key, source.randrange(1_000))
            self.clock.move(source.choice([0, 1]))

    def _put(self, key: bytes, value: int) -> None:
        image = key[:-1] + f',"value":{{"N":"{value}"}}}}'.encode()
        self.table.write([Put(image)])
        self.model.set(int(self.clock.now()), key, image)

    def time(self, step: Step) -> None:
        """Seconds or half an hour pass."""
        self._pass([1, 2, 20, 400, 1_800][step.a % 5])

    def silence(self, step: Step) -> None:
        """Days pass: what nobody read by then is gone from the stream."""
        self._pass([DAY // 2, DAY + 100, 3 * DAY][step.a % 3])

    def _pass(self, seconds: int) -> None:
        self.clock.move(seconds)
        if seconds < 1_800:
            return
        for stream in self.table.streams:
            for shard in stream.facts().shards:
                try:
                    young = [each for each in changes_of(stream, shard.id, None) if each.seconds > self.clock.now() - DAY]
                except NotFound:
                    continue  # it was forgotten with its parent just now
                stream.trim(shard.id, keep=len(young))

    def split(self, step: Step) -> None:
        """A shard splits or rolls over; its children may be listed late."""
        open_shards = [shard.id for shard in self.table.stream.facts().shards if shard.last is None]
        if len(open_shards) < 5:
            self.table.stream.split(open_shards[step.a % len(open_shards)], into=1 + step.b % 2)
            self.late, self.apart = [0, 0, 3, 40][step.c % 4], [0, 3, 8][step.c // 4 % 3]
            self.split_at = self.clock.now()

    def stream_replaced(self, step: Step) -> None:
        """The stream is off for a while, with writes, and another one follows. Whoever comes next is the first to notice."""
        self._close_stream()
        self.write(Step("write", step.b, step.c, 0))
        self.clock.move([1, 30, 3_600][step.a % 3])
        self.table.enable_stream()
        if step.a % 2:
            init(self.store, self.table, InitOptions(layout=self.layout))

    def table_recreated(self, step: Step) -> None:
        """The table is deleted and created again, with its stream or before it."""
        for key in KEYS:
            self.model.set(int(self.clock.now()), key, None)
        self._close_stream()
        self.table.delete()
        self.clock.move([1, 5, 600][step.a % 3])
        self.table.create(on_demand(SCHEMA))
        if step.b % 2:
            self.write(Step("write", step.b, step.c, 0))
            self.clock.move(5)
        self.table.enable_stream()

    def _close_stream(self) -> None:
        self.closed[self.table.stream.arn] = self.clock.now()
        self.table.disable_stream()

    # --- who follows it ---------------------------------------------------------------------------------------------------------

    def tail(self, _: Step) -> None:
        """A tail runs until it has caught up."""
        self._follow(self.store)

    def tail_crashes(self, step: Step) -> None:
        """It dies at one of its writes."""
        self._tolerating(lambda: self._follow(CrashingStore(self.store, 1 + step.a % 10, after=bool(step.b % 2))))

    def witness(self, step: Step) -> None:
        """The witness runs, within a budget or without."""
        self._tolerating(lambda: witness(self.vault(), self._following(), budget=[0.0, 240.0, 240.0][step.a % 3]))

    def witness_crashes(self, step: Step) -> None:
        """It dies at one of its writes."""
        store = CrashingStore(self.store, 1 + step.a % 6, after=bool(step.b % 2))
        self._tolerating(lambda: witness(self.vault(store), self._following()))

    def function(self, step: Step) -> None:
        """The mapping delivers: all, or with a shard that is stuck, or while the function dies, or with records that get lost."""
        stream, how = self.table.stream, step.a % 8
        shards = stream.facts().shards
        stuck = shards[step.b % len(shards)].id if how == 1 else None
        store = CrashingStore(self.store, 1 + step.b % 4, after=bool(step.c % 2)) if how == 2 else self.store
        for shard in shards:
            try:
                changes = [] if shard.id == stuck else changes_of(stream, shard.id, self.position.get((stream.arn, shard.id)))
            except RecordsTrimmed:
                changes = changes_of(stream, shard.id, None)
            for start in range(0, len(changes), BATCH):
                batch = changes[start : start + BATCH]
                kept = [change for change in batch if how != 3 or (int(change.sequence) + step.c) % 3]
                if how in (2, 4) and not self._deliver(store, kept if how == 2 else []):
                    return
                if how not in (2, 4):
                    self._deliver(store, kept)
                self.position[stream.arn, shard.id] = batch[-1].sequence

    def another_account(self, step: Step) -> None:
        """A mapping on the stream of another account's or region's table of the same name delivers to this vault."""
        other = MemoryTable(NAME, self.clock, SCHEMA, shards=1)
        other.account, other.region = [("999999999999", "us-east-1"), (self.table.account, "eu-west-1")][step.a % 2]
        other.enable_stream()
        other.write([Put(KEYS[step.b % 4][:-1] + b',"value":{"N":"-1"}}')])
        shard = other.stream.facts().shards[0].id
        assert not self._deliver(self.store, changes_of(other.stream, shard, None), other.stream.arn)

    def _deliver(self, store: ObjectStore, batch: Sequence[Change], arn: str = "") -> bool:
        """One invocation. False where it failed as a whole, or died."""
        arn = arn or self.table.stream.arn
        if not batch:
            return False
        try:
            lookup = Lookup(self._described, self._stream)
            turned, label = recognise(self.vault(store), arn, lookup, self.clock.now(), save=False)
            records = [lambda_record(change, arn) for change in batch]
            report = keep_batch(
                turned.vault, records, label, cast("ThreadPoolExecutor", Inline()), writer="fn", kind=self.kind, now=self.clock.now
            )
        except BackstreamError:
            return False
        return not report.failures

    def _described(self) -> Table:
        return self.table

    def _stream(self, arn: str) -> ChangeStream:
        for stream in self.table.streams:
            if stream.arn == arn and self.clock.now() - self.closed.get(arn, self.clock.now()) < DAY:
                # Of a stream that is closed nothing but time tells that all of its shards are listed.
                late = self.clock.now() - self.closed.get(arn, self.clock.now()) < QUICK.children_wait
                # Of an only child's sibling, too: it is listed within the wait (docs/notes/0025).
                apart = self.apart if self.clock.now() - self.split_at < QUICK.sibling_wait else 0
                return LateListing(stream, self.late, apart) if late or stream.enabled else stream
        raise NotFound(f"no stream {arn}")

    def _following(self) -> Following:
        return Following(
            table=self.table,
            streams=self._stream,
            clock=self.clock,
            writer=f"process {next(self.processes)}",  # each has a name of its own, and heads of its own
            notice=lambda _text: None,
            stop=threading.Event(),
            settings=QUICK,
        )

    def _follow(self, store: ObjectStore) -> None:
        self._tolerating(lambda: follow(self.vault(store), self._following(), until_caught_up=True))

    def _tolerating(self, work: Callable[[], object]) -> None:
        """Run it; an error that it names is no fault here: what it may not claim then is what the oracle looks at."""
        try:
            work()
        except BackstreamError:
            return

    # --- the vault --------------------------------------------------------------------------------------------------------------

    def base_backup(self, step: Step) -> None:
        """A backfill, which may die at a write."""
        store = CrashingStore(self.store, 1 + step.a % 6, after=bool(step.b % 2)) if step.c % 3 == 0 else self.store

        def work() -> None:
            vault = turn(self.vault(store), self.table.facts(), self.clock.now()).vault  # as `backstream backfill` does
            source = scan_of(vault, self.table, self.clock, segments=1 + step.b % 2, max_units=None)
            backfill(vault, source, BackfillContext(self.clock))

        self._tolerating(work)

    def compaction(self, step: Step) -> None:
        """All of the log, or what is older than an hour."""
        until = None if step.a % 2 else int(self.clock.now()) - 3_600
        self._tolerating(lambda: compact(self.vault(), self.clock, until=until))

    def compaction_crashes(self, step: Step) -> None:
        """It dies at a write."""
        store = CrashingStore(self.store, 1 + step.a % 12, after=bool(step.b % 2))
        self._tolerating(lambda: compact(self.vault(store), self.clock))

    def two_compactions(self, step: Step) -> None:
        """Before one of its writes, another one does all of its work."""
        left = 1 + step.a % 10

        def before_write(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._tolerating(lambda: compact(self.vault(), self.clock))

        store = cast("ObjectStore", WatchedStore(self.store, before_write=before_write))
        self._tolerating(lambda: compact(self.vault(store), self.clock))

    def repair(self, step: Step) -> None:
        """`verify`, with repair or without."""
        repair_as = "repair" if step.a % 2 else None
        self._tolerating(lambda: verify(self.vault(), self._around(self.table), repair_as=repair_as))

    def versions_expire(self, step: Step) -> None:
        """A lifecycle rule removes superseded versions that are older than some time; what an attacker hid it spares here."""
        before = self.clock.now() - [0, 60, 3_600, DAY][step.a % 4]
        for each in list(self.store.versions("")):
            if not each.latest and each.modified < before and each.name not in self.attacked:
                self._forget(each.name, each.version)

    def _forget(self, name: str, version: str) -> None:
        there = self.store._versions[name]
        there[:] = [each for each in there if _version(each) != version]
        self.harmed = True

    def objects_hidden(self, step: Step) -> None:
        """Somebody who may delete puts delete markers on some of the vault's objects."""
        names = [each.name for each in self.store.list(SYSTEM if step.a % 2 else "")]
        source = random.Random(step.b)
        for name in source.sample(names, min(len(names), 1 + step.c % 4)):
            self.store.delete(name)
            self.attacked.add(name)
            self.harmed = True


def changes_of(stream: MemoryStream, shard: str, after: str | None) -> list[Change]:
    """What a shard holds after a record, or all of it."""
    found: list[Change] = []
    iterator: str | None = stream.iterator(shard, after)
    while iterator is not None:
        page = stream.read(shard, iterator)
        found.extend(page.changes)
        iterator = page.next if page.changes else None
    return found


def _version(stored: object) -> str:
    return str(getattr(getattr(stored, "info", stored), "version"))  # noqa: B009 - of a body or of a marker
