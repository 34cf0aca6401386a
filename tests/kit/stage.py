"""A table, its stream and its vault on one stage, for tests of what stands between them: everything in this process.

`Stage` writes to the table and remembers what it wrote, follows the stream into the vault, and compares the two.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import msgspec

from backstream.engine.local.engine import LocalEngine
from backstream.errors import NotFound
from backstream.model.values import wire
from backstream.operations.capture.follow import Following, Streams, follow
from backstream.operations.capture.shards import Settings
from backstream.operations.capture.tail import TailReport
from backstream.operations.capture.witness import BUDGET, Witnessed, witness
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import ChangeStream, Clock, Delete, ObjectStore, Put, Table
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import Segment, SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.states import state_at

# Quick enough for tests in real time; by a clock set by hand it is all the same.
QUICK = Settings(
    poll=0.02,
    segment_age=0.1,
    topology_every=0.1,
    mark_busy=0.1,
    mark_idle=0.2,
    neighbours_every=0.1,
    children_wait=3.0,
    sibling_wait=3.0,
)
QUICK_WITNESS = msgspec.structs.replace(QUICK, mark_busy=60.0, mark_idle=60.0)
PATIENCE = 240.0
END_OF_TIME = 10**11


class Stage:
    """`model`: every write so far, as (second, canonical key, image or None); `notices`: what an operator was told.

    `machine`: the clock of who follows the table, by which the servers' need not go.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        layout: Layout = Layout.LOG,
        shards: int = 3,
        store: ObjectStore | None = None,
        table: str = "flights",
    ) -> None:
        self.clock = self.machine = clock
        self.table = MemoryTable(table, clock, images.SCHEMA, shards=shards)
        self.table.enable_stream()
        self.store = store or MemoryStore(clock)
        self.streams: Streams = self.stream
        self.model: list[tuple[int, bytes, bytes | None]] = []
        self.notices: list[str] = []
        self._versions = 0
        init(self.store, self.table, InitOptions(layout=layout))

    def stream(self, arn: str) -> ChangeStream:
        """One of the table's streams."""
        for stream in self.table.streams:
            if stream.arn == arn:
                return stream
        raise NotFound(f"no stream {arn}")

    # --- writing ---

    def put(self, numbers: Sequence[int]) -> None:
        """A new image for each of these items, one after the other."""
        for number in numbers:
            self._versions += 1
            image = images.image("z", number, v={"N": str(self._versions)})
            self.table.write([Put(image)])
            self._note(image, image)

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete these items, which exist."""
        for number in numbers:
            self.table.write([Delete(images.key("z", number))])
            self._note(images.key("z", number), None)

    def _note(self, key: bytes, image: bytes | None) -> None:
        self.model.append((int(self.clock.now()), wire.key_of(images.SCHEMA, key), image))

    def expected(self, at: int = END_OF_TIME) -> Mapping[bytes, bytes]:
        """What the table held at the end of that second, by what was written."""
        state = {key: image for second, key, image in self.model if second <= at}
        return {key: image for key, image in state.items() if image is not None}

    @contextmanager
    def writing(self, numbers: Sequence[int]) -> Iterator[None]:
        """Puts and deletes of these items at random, hundreds a second, within a `with` block; all of them exist."""
        stop = threading.Event()

        def write_on() -> None:
            source, alive = random.Random(1), set(numbers)
            while not stop.wait(0.002):
                number = source.choice(numbers)
                if number in alive and source.random() < 0.3:
                    self.delete([number])
                    alive.remove(number)
                else:
                    self.put([number])
                    alive.add(number)

        thread = threading.Thread(target=write_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    # --- following ---

    def vault(self, store: ObjectStore | None = None) -> TableVault:
        """The table's vault as it is now."""
        return TableVault.open(store or self.store, self.table.name, engines=LocalEngine)

    def follow(
        self,
        *,
        until_caught_up: bool = True,
        writer: str = "one",
        settings: Settings = QUICK,
        stop: threading.Event | None = None,
        store: ObjectStore | None = None,
        table: Table | None = None,
        notice: Callable[[str], None] | None = None,
    ) -> TailReport:
        """One run of `tail`."""
        following = Following(
            table=table or self.table,
            streams=self.streams,
            clock=self.machine,
            writer=writer,
            notice=notice or self.notices.append,
            stop=stop or threading.Event(),
            settings=settings,
        )
        return follow(self.vault(store), following, until_caught_up=until_caught_up)

    def witness(
        self,
        *,
        budget: float = BUDGET,
        writer: str = "witness",
        settings: Settings = QUICK_WITNESS,
        stop: threading.Event | None = None,
        store: ObjectStore | None = None,
    ) -> Witnessed:
        """One run of the witness."""
        following = Following(
            table=self.table,
            streams=self.streams,
            clock=self.machine,
            writer=writer,
            notice=self.notices.append,
            stop=stop or threading.Event(),
            settings=settings,
        )
        return witness(self.vault(store), following, budget=budget)

    def running(self, *, writer: str = "one", settings: Settings = QUICK) -> RunningTail:
        """A tail in a thread of its own, within a `with` block."""
        return RunningTail(self, writer, settings)

    # --- what came of it ---

    def captured(self, at: int = END_OF_TIME) -> Mapping[bytes, bytes]:
        """The table at the end of that second, folded from the vault's log alone."""
        return state_at(self.vault(), at)

    def log(self) -> list[Segment]:
        """All of the log's segments and marks that are not hidden, in the order in which they became durable."""
        written = {each.name: each.version for each in self.store.versions(f"_backstream/{self.table.name}/log/")}
        current = (each for each in self.vault().log.listing() if not each.markers)
        listed = sorted(current, key=lambda each: written[each.name])
        return [each.segment for each in listed if each.segment is not None]

    def segments(self, kind: SegmentKind = SegmentKind.TAIL) -> list[Segment]:
        """Those of one kind."""
        return [segment for segment in self.log() if segment.kind is kind]

    def links(self) -> list[tuple[str, str]]:
        """(what it names as its predecessor, its last number) of every run, in the order of becoming durable."""
        log = self.vault().log
        runs = {each.segment.path: log.metadata(each)["after"] for each in log.listing() if each.segment and each.segment.count}
        return [(runs[segment.path], segment.last) for segment in self.segments()]


class RunningTail:
    """A tail that runs while a `with` block does; its `report` is there after the block. What it raises, the block raises."""

    def __init__(self, stage: Stage, writer: str, settings: Settings) -> None:
        self.notices: list[str] = []
        self.report: TailReport | None = None
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(stage, writer, settings), daemon=True)

    def _run(self, stage: Stage, writer: str, settings: Settings) -> None:
        try:
            self.report = stage.follow(
                until_caught_up=False, writer=writer, settings=settings, stop=self._stop, notice=self.notices.append
            )
        except BaseException as error:  # noqa: BLE001 - raised again by the block
            self.failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait for its end; raise what it raised."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        if self.failure is not None:
            raise self.failure


def wait_for(condition: Callable[[], object], what: str = "it did not come true") -> None:
    """Return once the condition holds; fail after minutes in which it does not. It is asked less and less often."""
    for _ in _until(time.monotonic() + PATIENCE):
        if condition():
            return
    raise AssertionError(what)


def _until(deadline: float) -> Iterator[None]:
    pause = 0.01
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)
        pause = min(0.1, pause * 1.2)
