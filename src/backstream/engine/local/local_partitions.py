"""The entries of a state in partitions on this machine's disk, taken by worker processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import msgspec

from backstream.engine.local.broken import broken_in
from backstream.engine.local.log_decoder import DecodedSource, Taker, Task
from backstream.engine.local.memory import Memory
from backstream.engine.local.partition import Folded, Partition
from backstream.engine.local.prefetch import ahead
from backstream.engine.local.source_objects import Fetched, SourceObject, SourceReading, fetch
from backstream.engine.local.spill import Pairs, Spill, partitions_for
from backstream.engine.local.worker_pool import WorkerPool
from backstream.errors import Damaged
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.item_chain import ChainEvidence
from backstream.ports.engine import PartitionWork
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.table_vault import TableVault

READERS = 4  # objects read side by side
TOGETHER = 64  # objects at most that are taken by one order
WORTH_WORKERS = 40_000  # entries; to start processes for fewer takes longer than to do without

_Order = tuple[list[tuple[SourceObject, Fetched]], list[tuple[SourceObject, str]]]


class LocalPartitions:
    """See `source_objects.EntryPartitions`. `task`: the part of every source to take; `rows`: how many entries there may be."""

    def __init__(self, vault: TableVault, task: Task, rows: int, memory: Memory) -> None:
        self._vault = vault
        self._memory = memory
        self._workers = memory.workers if rows >= WORTH_WORKERS else 0
        self._spill: Spill[Entry] = Spill(partitions_for(rows), Entry, buffer=memory.buffer)
        self.names = Pairs(self._spill.partitions, buffer=memory.buffer // 4)
        self._task = msgspec.structs.replace(
            task,
            partitions=self._spill.partitions,
            states=str(self._spill.folder) if self._workers else "",
            names=str(self.names.folder) if self._workers else "",
            buffer=memory.buffer,
        )

    @property
    def partitions(self) -> int:
        """See the protocol."""
        return self._spill.partitions

    def _pool(self) -> WorkerPool:
        own = None if self._workers else Taker(self._task, self._spill.writer, self.names.writer)
        pool, self._workers = WorkerPool(self._task, self._workers, own), 0  # what is read on later is little
        for spill in (self._spill, self.names):
            spill.writers += [name for name in pool.names if name not in spill.writers]
        return pool

    def read(self, objects: Iterable[SourceObject]) -> Generator[SourceReading, None, None]:
        """Has the objects taken, in as few orders as possible."""
        with self._pool() as pool:
            in_flight = deque[tuple[_Order, Future[list[DecodedSource]]]]()
            for order in self._orders(objects):
                in_flight.append((order, pool.take([each.source for _, each in order[0]])))
                if len(in_flight) > len(pool.names):
                    yield from _readings(*in_flight.popleft())
            while in_flight:
                yield from _readings(*in_flight.popleft())

    def _orders(self, objects: Iterable[SourceObject]) -> Iterator[_Order]:
        """Yields objects that were read, some MB at a time, and those that cannot be. They are read ahead."""
        taken, damaged, size = list[tuple[SourceObject, Fetched]](), list[tuple[SourceObject, str]](), 0
        most = self._memory.bodies // 8
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            for one, reading in ahead(pool, partial(fetch, self._vault), objects, most * 2, weight=lambda each: each.size):
                try:
                    taken.append((one, reading()))
                except Damaged as error:
                    damaged.append((one, error.message))
                    continue
                size += one.size
                if size >= most or len(taken) >= TOGETHER:
                    yield taken, damaged
                    taken, damaged, size = [], [], 0
        if taken or damaged:
            yield taken, damaged

    def partition(self, number: int, floor: int, at: int) -> Partition:
        """See the protocol."""
        folded = Folded(self._spill.heads(number), floor, at)
        return Partition(folded, self._spill.pick(number, folded.spots))

    def elsewhere(self, work: PartitionWork[TableVault], floor: int, at: int) -> None:  # noqa: ARG002 - all of it lies here
        """See the protocol."""
        return

    def broken(self, evidence: ChainEvidence, proven: int, erasures: Erasures) -> Iterator[BrokenChain]:
        """See the protocol."""
        for number in range(self.partitions):
            yield from broken_in(self._spill.heads(number), evidence, proven, erasures)

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """See the protocol."""
        for number in range(self.partitions):
            for key, entry, _ in self._spill.heads(number):
                yield key, entry

    def close(self) -> None:
        """Removes the files."""
        for spill in (self._spill, self.names):
            spill.close()


def _readings(order: _Order, taking: Future[list[DecodedSource]]) -> Iterator[SourceReading]:
    fetched, damaged = order
    if damaged:
        yield SourceReading(0, damaged)
    for (one, read), result in zip(fetched, taking.result(), strict=True):
        yield SourceReading(
            result.entries,
            [] if result.damaged is None else [(one, result.damaged)],
            [] if read.run is None else [read.run],
            [] if read.link is None else [read.link],
        )
