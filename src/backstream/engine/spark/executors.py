"""Orders and buckets of any kind, worked on by executors. See `ports.engine.Executors`."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Any, ParamSpec, Self, cast

import msgspec

from backstream.engine.local.partition import Folded, Partition
from backstream.engine.local.prefetch import batches
from backstream.engine.local.shuffle import Bucketed
from backstream.engine.local.state import State
from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.partitions import SparkPartitions
from backstream.engine.spark.tasks import STATES, Bucket, Counter, Failure, Opener, failure, opened, own_number, raised
from backstream.errors import BackstreamError
from backstream.ports.engine import TOLD, BucketWork, GatherWork, Order, OrderWork, TableState
from backstream.vault.table_vault import TableVault

MOST_TOGETHER = 64  # orders of one job: their results are in the driver's memory together
BUCKETS_EACH = 4  # buckets of one job for each core, so that one that takes long holds up little

Result = tuple[bytes, Failure | None]
P = ParamSpec("P")
_Told = tuple[int, bytes, Failure | None]  # an order's number, what came of it, and the error that ended it
_told = msgspec.msgpack.Decoder(_Told)


class OrderTask(msgspec.Struct, frozen=True):
    """Does work on orders; it yields each result, or the error that came, as a value."""

    opener: Opener
    work: OrderWork[TableVault]

    def __call__(self, orders: Iterable[bytes]) -> Iterator[Result]:
        """Yields the results."""
        for each in orders:
            yield _result(self._of, each)

    def _of(self, order: bytes) -> bytes:
        return self.work(opened(self.opener), _unpacked(order))


class GatherTask(msgspec.Struct, frozen=True):
    """Reads orders into buckets. The results of all orders go into the bucket after the last one. `read`: counts the orders."""

    opener: Opener
    work: GatherWork[TableVault]
    buckets: int
    read: Counter

    def __call__(self, orders: Iterable[bytes]) -> Iterator[Bucketed]:
        """Yields the chunks."""
        for each in orders:
            number, order = _unpacked(each)
            said, failed = b"", None
            try:
                for bucket, chunk in self.work(opened(self.opener), order):
                    if bucket == TOLD:
                        said = chunk
                    else:
                        yield bucket, chunk
            except BackstreamError as error:
                failed = failure(error)
            self.read.add(1)
            yield self.buckets, msgspec.msgpack.encode((number, said, failed))


class BucketTask(msgspec.Struct, frozen=True):
    """Does work on a bucket; it yields the result, or the error that came, as a value."""

    opener: Opener
    work: BucketWork[TableVault]

    def __call__(self, number: int, coming: Iterable[Bucketed]) -> Iterator[Result]:
        """Yields one result."""
        yield _result(self._of, number, (chunk for _, chunk in coming))

    def _of(self, number: int, chunks: Iterator[bytes]) -> bytes:
        return self.work(opened(self.opener), number, chunks, {})


class BesideTask(msgspec.Struct, frozen=True):
    """Does work on a bucket beside the partition of a state; it yields the result, or the error that came, as a value."""

    opener: Opener
    work: BucketWork[TableVault]
    floor: int
    at: int

    def __call__(self, number: int, coming: Iterable[tuple[list[bytes], list[bytes]]]) -> Iterator[Result]:
        """Yields one result. `coming`: once the chunks of the bucket, and of the partition."""
        for chunks, of_state in coming:
            with closing(Bucket(((number, each) for each in of_state), STATES)) as bucket:
                folded = Folded(bucket.heads(), self.floor, self.at)
                yield _result(self._of, number, iter(chunks), bucket, folded)

    def _of(self, number: int, chunks: Iterator[bytes], bucket: Bucket, folded: Folded) -> bytes:
        return self.work(opened(self.opener), number, chunks, Partition(folded, bucket.picked(folded)))


def _result(work: Callable[P, bytes], *args: P.args, **kwargs: P.kwargs) -> Result:
    """Returns what came of the work, or its error as a value: a task that raises is tried four times, and ends the job."""
    try:
        return work(*args, **kwargs), None
    except BackstreamError as error:
        return b"", failure(error)


def together(coming: Iterable[Bucketed]) -> Iterator[list[bytes]]:
    """Yields all chunks at once."""
    yield [chunk for _, chunk in coming]


def told_in(coming: Iterable[Bucketed]) -> Iterator[bytes]:
    """Yields what came of the orders."""
    return (chunk for _, chunk in coming)


def as_they_are(coming: Iterable[Any]) -> Iterator[Any]:
    """Yields the same."""
    return iter(coming)


class SparkExecutors:
    """See `ports.engine.Executors`. `opener_of`: returns what opens a table's vault in an executor, once that was tried."""

    def __init__(self, cluster: Cluster, opener_of: Callable[[TableVault], Opener]) -> None:
        self._cluster = cluster
        self._opener_of = opener_of

    def each(self, vault: TableVault, work: OrderWork[TableVault], orders: Iterable[Order]) -> Iterator[bytes]:
        """See the port. The following orders are done while the caller takes what came of these."""
        task, most = OrderTask(self._opener_of(vault), work), min(self._cluster.cores, MOST_TOGETHER)
        with ThreadPoolExecutor(1, thread_name_prefix="spark") as pool:
            running: Future[list[Result]] | None = None
            for some in batches(map(_packed, orders), most):
                following = pool.submit(self._run, task, list(some))
                if running is not None:
                    yield from _results(running.result())
                running = following
            if running is not None:
                yield from _results(running.result())

    def _run(self, task: OrderTask, orders: Sequence[bytes]) -> list[Result]:
        return self._cluster.run(self._cluster.spread(orders).mapPartitions(task), as_they_are, range(len(orders)))

    def gathered(
        self,
        vault: TableVault,
        work: GatherWork[TableVault],
        orders: Iterable[Order],
        buckets: int,
        progress: Callable[[int], None] = lambda _: None,
    ) -> SparkGathered:
        """See the port."""
        opener = self._opener_of(vault)
        packed = [_packed((number, each)) for number, each in enumerate(orders)]
        told = self._cluster.counter(progress)
        task = GatherTask(opener, work, buckets, told.accumulator)
        shuffled = self._cluster.spread(packed).mapPartitions(task).partitionBy(buckets + 1, own_number)
        found = [_told.decode(each) for each in self._cluster.run(shuffled, told_in, [buckets], told.look)]
        found.sort(key=lambda each: each[0])
        for _, _, failed in found:
            if failed is not None:
                raise raised(failed)
        return SparkGathered(self._cluster, opener, shuffled, buckets, [said for _, said, _ in found])


class SparkGathered:
    """See `ports.engine.GatheredOrders`."""

    def __init__(self, cluster: Cluster, opener: Opener, shuffled: Any, buckets: int, told: Sequence[bytes]) -> None:
        self._cluster = cluster
        self._opener = opener
        self._shuffled = shuffled
        self._buckets = buckets
        self.told = told

    def each(self, work: BucketWork[TableVault], beside: TableState | None = None) -> Iterator[bytes]:
        """See the port."""
        of_state = None if beside is None else _held(beside).shuffled
        if beside is None or of_state is None:
            done = self._shuffled.mapPartitionsWithIndex(BucketTask(self._opener, work))
        else:  # both have a bucket more, which is not worked on
            both = self._shuffled.mapPartitions(together).zip(of_state.mapPartitions(together))
            task = BesideTask(self._opener, work, beside.floor, cast("State", beside).at)
            done = both.mapPartitionsWithIndex(task)
        for some in batches(range(self._buckets), self._cluster.cores * BUCKETS_EACH):
            yield from _results(self._cluster.run(done, as_they_are, list(some)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._shuffled = None  # Spark removes it from the executors' disks


def _held(state: TableState) -> SparkPartitions:
    """Returns the entries of a state of this engine."""
    held = cast("State", state).held
    assert isinstance(held, SparkPartitions)  # noqa: S101 - a state is of the vault's own engine
    return held


def _results(found: Sequence[Result]) -> Iterator[bytes]:
    for result, failed in found:
        if failed is not None:
            raise raised(failed)
        yield result


def _packed(order: Order) -> bytes:
    """Returns an order as bytes: names of segments are much alike, so they are compressed."""
    return zlib.compress(pickle.dumps(order), 1)


def _unpacked(order: bytes) -> Any:
    return pickle.loads(zlib.decompress(order))  # noqa: S301 - the driver's own, over Spark
