"""The engine: what computes the states of a table from its vault. An engine on one machine is `engine/local`; others can be put in.

Operations reach the engine through the vault that they are given (`TableVault.engine`). Only `apps/config.py` chooses one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import msgspec

from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState
from backstream.model.window import Window

VaultT_contra = TypeVar("VaultT_contra", contravariant=True)
EntriesRead = Callable[[int], None]  # is told how many more entries were read


class UnreadableSource(msgspec.Struct, frozen=True):
    """An object in the log or of a base backup that cannot be read, and why.

    `lost`: the seconds, both included, whose changes or images it holds, as its name says; None where it is no such name.
    """

    name: str
    why: str
    lost: tuple[int, int] | None


class StatePartition(Mapping[bytes, Entry]):
    """One partition of a state: for each item, by canonical key, the entry that tells its state; deletes included."""

    @abstractmethod
    def exists(self, key: bytes) -> bool:
        """Return whether the item exists in this state. No image is read."""

    @abstractmethod
    def known(self, key: bytes) -> FoldState:
        """Return all that was found out about an item, so that more can be added to it; nothing where it is not here."""


class WorkPlace(msgspec.Struct, frozen=True):
    """Where work is done: the partition's `number`, and how many partitions are worked on at the same time at most (`beside`)."""

    number: int
    beside: int


class PartitionWork(Protocol[VaultT_contra]):
    """Work on one partition of a state, on any machine: it can be pickled. Run again it has the same effect."""

    def __call__(self, vault: VaultT_contra, partition: StatePartition, place: WorkPlace) -> bytes:
        """Do it, and return what came of it."""


Order = Any  # what a task is to do: it can be pickled
TOLD = -1  # instead of a bucket's number: for the caller


class OrderWork(Protocol[VaultT_contra]):
    """Work on one order, on any machine: it can be pickled. Run again it has the same effect."""

    def __call__(self, vault: VaultT_contra, order: Order) -> bytes:
        """Do it, and return what came of it."""


class GatherWork(Protocol[VaultT_contra]):
    """Reads one order into buckets, on any machine: it can be pickled. Run again it yields the same."""

    def __call__(self, vault: VaultT_contra, order: Order) -> Iterator[tuple[int, bytes]]:
        """Yield the numbers of buckets, each with a chunk for it; with `TOLD` once, in the end: what came of the order."""


class BucketWork(Protocol[VaultT_contra]):
    """Work on what was gathered in one bucket, on any machine: it can be pickled. Run again it has the same effect."""

    def __call__(self, vault: VaultT_contra, number: int, chunks: Iterator[bytes], beside: Mapping[bytes, Entry]) -> bytes:
        """Do it, and return what came of it.

        `chunks`: of this bucket, in no order; none if nothing was gathered in it. `beside`: see `GatheredOrders.each`.
        """


class GatheredOrders(Protocol):
    """Orders that were read into buckets, which lie with the executors. Use it in a `with` block."""

    @property
    def told(self) -> Sequence[bytes]:
        """The result of each order, in the orders' order."""

    def each(self, work: BucketWork[Any], beside: TableState | None = None) -> Iterator[bytes]:
        """Return the results of work on every bucket, in the order of their numbers.

        `beside`: a state of the same vault and engine, with as many partitions as there are buckets: the work on a bucket gets the
        partition of the same number. Without it that is empty.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class Executors(Protocol):
    """Other machines that work on a table's vault, which they open with their own credentials.

    A task may run twice. A BackstreamError that work raises is raised here; then nothing of the order counts.
    """

    def each(self, vault: Any, work: OrderWork[Any], orders: Iterable[Order]) -> Iterator[bytes]:
        """Return the result of each order, in their order. Orders are taken as they are needed."""

    def gathered(
        self,
        vault: Any,
        work: GatherWork[Any],
        orders: Iterable[Order],
        buckets: int,
        progress: Callable[[int], None] = lambda _: None,
    ) -> GatheredOrders:
        """Return what work has gathered of all orders, one at least, in so many buckets.

        `progress` is told how many more orders were read.
        """


class NamePartitions(Protocol):
    """Names of row objects, each with notes about it, in partitions. Adding is safe from many threads."""

    @property
    def partitions(self) -> int:
        """The number of partitions."""

    def add(self, key: bytes, value: bytes) -> None:
        """Keep one more note about a name."""

    def read(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Return the names of one partition with their notes. All notes about a name are in one partition."""


class TableState(Protocol):
    """The state of a table at a moment: for each item the entry that tells its state then, deletes included.

    An item's partition is `zlib.crc32(key) % partitions`, so that callers can cut a live table in the same way. `unreadable` names
    the objects that could not be read, and foreign objects in the log; their contents are not in the state. `passed_over` names
    the unreadable objects of a base backup that an equally good one replaces. An entry's image is the image after its change.

    `names`: the name of every row object that the log speaks of up to the moment (after `read_on`, at any time), each with the time
    (epoch seconds, as text) at which the store received the segment that says so.
    """

    @property
    def partitions(self) -> int:
        """The number of partitions."""

    @property
    def floor(self) -> int:
        """The second before which a change says nothing. See `model.changes.fold.FoldState.newest`."""

    @property
    def unreadable(self) -> Sequence[UnreadableSource]:
        """See above."""

    @property
    def passed_over(self) -> Sequence[UnreadableSource]:
        """See above."""

    @property
    def names(self) -> NamePartitions:
        """See above."""

    def partition(self, number: int) -> StatePartition:
        """Return the states of one partition's items. The caller uses it up before it asks for the next one."""

    def __iter__(self) -> Iterator[StatePartition]:
        """Return all partitions, one after another."""

    def elsewhere(self, work: PartitionWork[Any]) -> Iterator[bytes] | None:
        """Return the results of work on every partition, done where they lie; None where that is this machine.

        The work gets the vault, opened there. A BackstreamError that it raises is raised here.
        """

    def broken(self, window: Window, now: float) -> Iterator[BrokenChain]:
        """Return the items that lack changes up to the moment, including changes that may still arrive."""

    def read_on(self) -> None:
        """Note in `names` what came after the moment, too."""


class Engine(Protocol[VaultT_contra]):
    """Computes states of a table from its vault, in bounded memory. Reading only; safe to use for many states at once.

    Raises the errors of the vault's store, and `Failed` if the engine cannot continue (a full disk, a dead process). An unreadable
    object stops nothing: it is named.
    """

    @property
    def executors(self) -> Executors | None:
        """The machines that work for this engine; None if there is only this one."""

    def state(
        self,
        vault: VaultT_contra,
        at: int,
        progress: EntriesRead = lambda _: None,
        *,
        keys: Collection[bytes] | None = None,
        since: int | None = None,
        rows: int = 0,
        expected: EntriesRead = lambda _: None,
    ) -> AbstractContextManager[TableState]:
        """Return the state at the end of second `at`. It can be read within the `with` block.

        `keys`: only these items (canonical keys), None for all. `since`: only the log from that second on, and no base backup: the
        state then holds what has changed since and perhaps a little more. `rows`: how many items there may be in all, where the
        vault may know of fewer. `expected` is told how many entries will be read, about, before the first is.
        """

    def broken_chains(
        self,
        vault: VaultT_contra,
        now: float,
        *,
        since: int | None = None,
        until: int | None = None,
        keys: Collection[bytes] | None = None,
        progress: EntriesRead = lambda _: None,
        unread: Callable[[UnreadableSource], None] = lambda _: None,
    ) -> Iterator[BrokenChain]:
        """Return the items that lack changes in everything that the vault holds of a table.

        `since`, `until`: only what is missing between two seconds; `keys`: only these items; `now`: the clock's second. `unread` is
        told what could not be read, before the first item comes. Those that are `pending` may still arrive.
        """

    def changes(self, vault: VaultT_contra, keys: Collection[bytes], since: int, until: int) -> Mapping[bytes, Sequence[Entry]]:
        """Return the changes of these items that the log holds between two seconds and perhaps a little around them, in no order.

        `Damaged` where a part of the log cannot be read.
        """
