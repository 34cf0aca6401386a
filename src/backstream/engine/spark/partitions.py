"""The entries of a state in a cluster: read by map tasks, shuffled by the items' keys, folded where they lie."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import Any

import msgspec

from backstream.engine.local.log_decoder import Task
from backstream.engine.local.prefetch import by_weight
from backstream.engine.local.shuffle import Bucketed
from backstream.engine.local.source_objects import SourceObject, SourceReading
from backstream.engine.local.spill import OWN, Pairs, Picked, heads_decoder, heads_in
from backstream.engine.spark import tasks
from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.folded import FoldedPartition
from backstream.engine.spark.tasks import Opener
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.item_chain import ChainEvidence
from backstream.ports.engine import EntriesRead, PartitionWork, StatePartition
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.table_vault import TableVault

ORDER_BYTES = 64 << 20  # of stored objects that one map task reads
ORDER_OBJECTS = 4_000  # at most: each is a request, four at a time
BUCKET_BYTES = 24 << 20  # of stored objects that one bucket should come of
BUCKET_ROWS = 50_000
MOST_BUCKETS = 65_536
_entry = msgspec.msgpack.Decoder(Entry)
_nothing = heads_decoder(type(None))


def buckets_for(rows: int, size: int) -> int:
    """Returns the number of buckets for these numbers of entries and bytes: one bucket's items fit in memory."""
    return max(1, min(MOST_BUCKETS, max(-(-rows // BUCKET_ROWS), -(-size // BUCKET_BYTES))))


class SparkNames(Pairs):
    """The names in a cluster's buckets, and those that are added here, on this machine's disk."""

    def __init__(self, held: SparkPartitions) -> None:
        super().__init__(held.partitions)
        self._of_log = held

    def read(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """See `Pairs.read`."""
        return chain(self._of_log.names_in(partition), super().read(partition))


class SparkPartitions:
    """See `source_objects.EntryPartitions`."""

    def __init__(self, cluster: Cluster, opener: Opener, task: Task, buckets: int, progress: EntriesRead) -> None:
        self._cluster = cluster
        self._opener = opener
        self.partitions = buckets
        self._together = cluster.width  # fixed: which buckets are fetched together must not change while they are
        self._task = msgspec.msgpack.encode(msgspec.structs.replace(task, partitions=buckets))
        self._progress = progress
        self._shuffled: list[Any] = []  # of what was read, and of what was read on
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="spark")
        self._folds: dict[tuple[int, int, int], Future[list[Bucketed]]] = {}
        self.names = SparkNames(self)

    def read(self, objects: Iterable[SourceObject]) -> Generator[SourceReading, None, None]:
        """Runs the map tasks and yields what came of each. Raises the error that ended one."""
        every = list(_orders(objects))
        if not every:
            return
        packed = [tasks.packed(number, each) for number, each in enumerate(every)]
        told = self._cluster.counter(self._progress)
        read = self._cluster.spread(packed).mapPartitions(tasks.ReadTask(self._opener, self._task, told.accumulator))
        shuffled = read.partitionBy(self.partitions + 1, tasks.own_number)
        found = self._cluster.run(shuffled, tasks.results, [self.partitions], told.look)
        for result in sorted(map(tasks.read_result.decode, found), key=lambda each: each.order):
            if result.failed is not None:
                raise tasks.raised(result.failed)
            damaged = [(every[result.order][place], why) for place, why in result.damaged]
            yield SourceReading(told.rest(result.entries), damaged, result.runs, result.links)
        self._shuffled.append(shuffled)

    # --- what was read ---

    @property
    def shuffled(self) -> Any:
        """The lines that were read, in their buckets and one more, where they lie; None if nothing was read."""
        return self._shuffled[0] if self._shuffled else None

    def partition(self, number: int, floor: int, at: int) -> StatePartition:
        """See the protocol. The following buckets are folded meanwhile."""
        together = self._together
        first = number - number % together
        folding = self._fold(first, floor, at)
        found = [piece for bucket, piece in folding.result() if bucket == number]
        self._folds = {(first, floor, at): folding}
        if first + together < self.partitions:
            self._fold(first + together, floor, at)
        return FoldedPartition(found, floor)

    def _fold(self, first: int, floor: int, at: int) -> Future[list[Bucketed]]:
        wanted = range(first, min(first + self._together, self.partitions))
        known = self._folds.get((first, floor, at))
        if known is None:
            known = self._pool.submit(self._run, tasks.Folding(floor, at), wanted)
            self._folds[first, floor, at] = known
        return known

    def _run(self, work: Any, wanted: Sequence[int]) -> list[Any]:
        return list(self._cluster.run(self._shuffled[0], work, wanted)) if self._shuffled else []

    def elsewhere(self, work: PartitionWork[TableVault], floor: int, at: int) -> Iterator[bytes]:
        """Runs the work in executors, as many buckets at a time as there are cores. A bucket in which nothing lies is left out."""
        first = 0
        while first < self.partitions:
            beside = self._cluster.cores
            wanted = range(first, min(first + beside, self.partitions))
            for result, failed in self._run(tasks.Working(self._opener, work, floor, at, beside), wanted):
                if failed is not None:
                    raise tasks.raised(failed)
                yield result
            first += beside

    def broken(self, evidence: ChainEvidence, proven: int, erasures: Erasures) -> Iterator[BrokenChain]:
        """See the protocol. Executors know of no erasure: lines from before one are left out here."""
        together = self._together * 4
        for first in range(0, self.partitions, together):
            found = self._run(tasks.Breaking(evidence, proven), range(first, min(first + together, self.partitions)))
            yield from (each for each in found if each.since > erasures.until(each.key))

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """See the protocol."""
        for number in range(self.partitions):
            for key, entry in self._run(tasks.EntryListing(), [number]):
                yield key, _entry.decode(entry)

    def names_in(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """Yields the names of one bucket, each with its value."""
        for shuffled in self._shuffled:
            for _, found in self._cluster.run(shuffled, tasks.NameChunks(), [number]):
                file = io.BytesIO(found)
                spots = [(key, spot) for key, _, spot in heads_in(file, OWN, _nothing) if spot is not None]
                values = Picked({OWN: file}, {})
                yield from ((key, values.at(spot)) for key, spot in spots)

    def close(self) -> None:
        """Lets go of the shuffled data; Spark removes it from the executors' disks."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._folds.clear()
        self._shuffled.clear()
        self.names.close()


def _orders(objects: Iterable[SourceObject]) -> Iterator[list[SourceObject]]:
    """Yields the objects in orders by their bytes: a task of its own for each small segment would take longer than to read it."""
    return by_weight(objects, lambda each: each.size, ORDER_BYTES, ORDER_OBJECTS)
