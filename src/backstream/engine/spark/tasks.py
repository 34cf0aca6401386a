"""The work of executors: read a part of the vault into buckets, fold a bucket, look for broken chains in one.

A task gives the same bytes whenever it is run, so a repetition and a speculative twin do no harm. A fault is a value in its answer:
Spark would try a task that raises four times, and then end the whole job.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Protocol, cast

import msgspec

from backstream import errors
from backstream.engine.local.broken import broken_in
from backstream.engine.local.log_decoder import Taker, Task
from backstream.engine.local.partition import Folded, Partition
from backstream.engine.local.prefetch import ahead
from backstream.engine.local.shuffle import FLUSH, Bucketed, ChunkFile, ShuffleWriter
from backstream.engine.local.source_objects import Fetched, SourceObject, fetch
from backstream.engine.local.spill import Picked, Spot, heads_decoder
from backstream.engine.spark.folded import pieces
from backstream.errors import BackstreamError, Damaged, Failed
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.item_chain import ChainEvidence
from backstream.ports import ObjectStore
from backstream.ports.engine import PartitionWork, WorkPlace
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.log.chains import Run
from backstream.vault.log.writer_chains import Link
from backstream.vault.table_vault import TableVault

Opener = Callable[[], TableVault]  # opens the vault in an executor, with its own credentials; it can be pickled

READERS = 4  # objects read side by side by one task
READ_AHEAD = 16 << 20  # bytes
STATES, NAMES, RESULT = b"s", b"n", b"r"


Failure = tuple[str, str, str]  # an error as a value: its kind, its message and its hint


class Counter(Protocol):
    """The count that a task tells the driver while others still run: Spark's accumulator."""

    def add(self, term: int) -> None:
        """Adds to it."""


class ReadResult(msgspec.Struct, frozen=True, array_like=True):
    """The outcome of one order. `damaged`: the places of objects in the order, each with why it cannot be read.

    `failed`: the kind of error, the message and the hint of what ended the task early; then nothing of the order counts.
    """

    order: int
    entries: int
    damaged: list[tuple[int, str]]
    runs: list[Run]
    links: list[Link]
    failed: Failure | None = None


read_result = msgspec.msgpack.Decoder(ReadResult)


def failure(error: BackstreamError) -> Failure:
    """Returns an error as a value."""
    return type(error).__name__, error.message, error.hint


class ReadTask(msgspec.Struct, frozen=True):
    """A map task: reads orders of objects into buckets. `task`: what counts, in MessagePack; `read`: the count of entries."""

    opener: Opener
    task: bytes
    read: Counter

    def __call__(self, orders: Iterable[bytes]) -> Iterator[Bucketed]:
        """Yields the buckets' blobs, and one result for each order in the bucket after the last one."""
        task = msgspec.msgpack.decode(self.task, type=Task)
        for each in orders:
            number, objects = unpacked(each)
            yield from self._order(task, number, objects)

    def _order(self, task: Task, number: int, objects: Sequence[SourceObject]) -> Iterator[Bucketed]:
        one = _OrderReader(task, number, objects, self.read)
        try:
            yield from one.blobs(opened(self.opener))
            result = one.result
        except BackstreamError as error:
            result = ReadResult(number, 0, [], [], [], failure(error))
        yield task.partitions, RESULT + msgspec.msgpack.encode(result)


class _OrderReader:
    """Reads the objects of one order."""

    def __init__(self, task: Task, number: int, objects: Sequence[SourceObject], read: Counter) -> None:
        self._objects = objects
        self._read = read
        self._states: ShuffleWriter[Entry] = ShuffleWriter(task.partitions, STATES, FLUSH)
        self._names: ShuffleWriter[None] = ShuffleWriter(task.partitions, NAMES, FLUSH // 4)
        self._taker = Taker(task, self._states, self._names)
        self.result = ReadResult(number, 0, [], [], [])

    def blobs(self, vault: TableVault) -> Iterator[Bucketed]:
        entries = 0
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            reading = ahead(pool, partial(_numbered, vault), enumerate(self._objects), READ_AHEAD, weight=lambda each: each[1].size)
            for (place, _), fetching in reading:
                try:
                    fetched = fetching()
                    for _ in self._taker.blocks(fetched.source):
                        yield from self._drained()
                except Damaged as error:
                    self.result.damaged.append((place, error.message))
                    continue
                self._note(fetched)
                entries += fetched.source.claim.count
                self._read.add(fetched.source.claim.count)
        self._taker.flush()
        yield from self._drained()
        self.result = msgspec.structs.replace(self.result, entries=entries)

    def _drained(self) -> Iterator[Bucketed]:
        yield from self._states.drained()
        yield from self._names.drained()

    def _note(self, fetched: Fetched) -> None:
        self.result.runs.extend([] if fetched.run is None else [fetched.run])
        self.result.links.extend([] if fetched.link is None else [fetched.link])


def _numbered(vault: TableVault, each: tuple[int, SourceObject]) -> Fetched:
    return fetch(vault, each[1])


# --- the vault in an executor -----------------------------------------------------------------------------------------------------

_opened: dict[Opener, TableVault] = {}


def opened(opener: Opener) -> TableVault:
    """Returns the vault, opened once in each process: connections stay."""
    if opener not in _opened:
        _opened.clear()
        _opened[opener] = opener()
    return _opened[opener]


# --- a bucket ---------------------------------------------------------------------------------------------------------------------

_heads = heads_decoder(Entry)
_NO_ERASURES = Erasures(cast("ObjectStore", None), "", ())  # it reads nothing: the driver leaves out what was erased


class Bucket(ChunkFile):
    """The chunks of one bucket, of one kind. `number`: None where nothing came."""

    def __init__(self, coming: Iterable[Bucketed], kind: bytes) -> None:
        self.number: int | None = None
        super().__init__(self._of(coming, kind))

    def _of(self, coming: Iterable[Bucketed], kind: bytes) -> Iterator[memoryview]:
        for self.number, blob in coming:
            if blob[:1] == kind:
                yield memoryview(blob)[1:]

    def heads(self) -> Iterator[tuple[bytes, Entry, Spot | None]]:
        """Yields the entries, each with the spot of its image."""
        return self.heads_of(_heads)

    def picked(self, folded: Folded) -> Picked:
        """Returns the images of the entries that tell the items' states."""
        return self.values(folded.spots)


class Folding(msgspec.Struct, frozen=True):
    """Folds a bucket to the second `at`; yields the folded items in pieces, each with the bucket's number."""

    floor: int
    at: int

    def __call__(self, coming: Iterable[Bucketed]) -> Iterator[Bucketed]:
        """Yields the pieces."""
        with closing(Bucket(coming, STATES)) as bucket:
            folded = Folded(bucket.heads(), self.floor, self.at)
            for piece in pieces(folded, bucket.picked(folded)):
                yield bucket.number or 0, piece


class Working(msgspec.Struct, frozen=True):
    """Does work on the folded items of a bucket. It yields the result, or the error that came, as a value."""

    opener: Opener
    work: PartitionWork[TableVault]
    floor: int
    at: int
    beside: int

    def __call__(self, coming: Iterable[Bucketed]) -> Iterator[tuple[bytes, Failure | None]]:
        """Yields one result, or none for an empty bucket."""
        with closing(Bucket(coming, STATES)) as bucket:
            if bucket.number is None:
                return
            folded = Folded(bucket.heads(), self.floor, self.at)
            try:
                place = WorkPlace(bucket.number, self.beside)
                yield self.work(opened(self.opener), Partition(folded, bucket.picked(folded)), place), None
            except BackstreamError as error:
                yield b"", failure(error)


class NameChunks(msgspec.Struct, frozen=True):
    """Yields the chunk of the names in a bucket."""

    def __call__(self, coming: Iterable[Bucketed]) -> Iterator[Bucketed]:
        """Yields one chunk, or none."""
        with closing(Bucket(coming, NAMES)) as bucket:
            if bucket.number is not None:
                yield bucket.number, bucket.whole()


class EntryListing(msgspec.Struct, frozen=True):
    """Yields every entry of a bucket, without images."""

    def __call__(self, coming: Iterable[Bucketed]) -> Iterator[tuple[bytes, bytes]]:
        """Yields keys, and entries in MessagePack."""
        with closing(Bucket(coming, STATES)) as bucket:
            for key, entry, _ in bucket.heads():
                yield key, msgspec.msgpack.encode(entry)


class Breaking(msgspec.Struct, frozen=True):
    """Yields the items of a bucket that lack changes. See `broken_in`."""

    evidence: ChainEvidence
    proven: int

    def __call__(self, coming: Iterable[Bucketed]) -> Iterator[BrokenChain]:
        """Yields them in the order of their keys."""
        with closing(Bucket(coming, STATES)) as bucket:
            found = broken_in(bucket.heads(), self.evidence, self.proven, _NO_ERASURES)
            yield from sorted(found, key=lambda each: (each.key, each.since))


def results(coming: Iterable[Bucketed]) -> Iterator[bytes]:
    """Yields the results of the orders, which are in the bucket after the last one."""
    return (blob[1:] for _, blob in coming if blob[:1] == RESULT)


# --- orders -----------------------------------------------------------------------------------------------------------------------


def packed(number: int, objects: Sequence[SourceObject]) -> bytes:
    """Returns an order: names of segments are much alike, so they are compressed."""
    return zlib.compress(pickle.dumps((number, list(objects))), 1)


def unpacked(order: bytes) -> tuple[int, Sequence[SourceObject]]:
    """Returns an order's number and objects."""
    found: tuple[int, Sequence[SourceObject]] = pickle.loads(zlib.decompress(order))  # noqa: S301 - the driver's own, over Spark
    return found


def own_number(bucket: int) -> int:
    """Returns the partition of a bucket. Not `hash`: that is another number in each process for some keys."""
    return bucket


def raised(failed: Failure) -> BackstreamError:
    """Returns the error that a task has reported as a value."""
    kind, message, hint = failed
    found = getattr(errors, kind, Failed)
    return cast("BackstreamError", found(message, hint=hint))
