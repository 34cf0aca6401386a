"""Executors in this process, as hard as a cluster's: all is pickled, each task runs twice, and chunks come in any order."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from backstream.engine.local.engine import LocalEngine
from backstream.engine.local.memory import Memory
from backstream.ports.engine import TOLD, BucketWork, GatherWork, Order, OrderWork, TableState
from backstream.vault.table_vault import TableVault

Work = TypeVar("Work")


class ExecutorsHere:
    """See `ports.engine.Executors`. `opened`: opens the vault as an executor does; `asked`: the kinds of work that were done."""

    def __init__(self, opened: Callable[[], TableVault]) -> None:
        self._opened = opened
        self.asked: list[str] = []

    def each(self, vault: TableVault, work: OrderWork[TableVault], orders: Iterable[Order]) -> Iterator[bytes]:  # noqa: ARG002
        """See the port."""
        for each in orders:
            first, second = (self._sent(work)(self._opened(), _sent(each)) for _ in range(2))
            assert first == second, "a task that runs again has another result"
            yield first

    def _sent(self, work: Work) -> Work:
        self.asked.append(type(work).__name__)
        return _sent(work)

    def gathered(
        self,
        vault: TableVault,  # noqa: ARG002
        work: GatherWork[TableVault],
        orders: Iterable[Order],
        buckets: int,
        progress: Callable[[int], None] = lambda _: None,
    ) -> GatheredHere:
        """See the port."""
        told, chunks = list[bytes](), dict[int, list[bytes]]()
        for order in orders:
            first, second = (list(self._sent(work)(self._opened(), _sent(order))) for _ in range(2))
            assert first == second, "a task that runs again yields something else"
            assert [number for number, _ in first].count(TOLD) == 1
            for number, chunk in first:
                if number == TOLD:
                    told.append(chunk)
                else:
                    assert 0 <= number < buckets
                    chunks.setdefault(number, []).append(chunk)
            progress(1)
        assert told, "no order"
        return GatheredHere(self._opened, told, chunks, buckets, self._sent)


class GatheredHere:
    """See `ports.engine.GatheredOrders`."""

    def __init__(
        self,
        opened: Callable[[], TableVault],
        told: Sequence[bytes],
        chunks: dict[int, list[bytes]],
        buckets: int,
        sent: Callable[[Any], Any],
    ) -> None:
        self._opened = opened
        self._chunks = chunks
        self._buckets = buckets
        self._sent = sent
        self.told = told

    def each(self, work: BucketWork[TableVault], beside: TableState | None = None) -> Iterator[bytes]:
        """See the port."""
        assert beside is None or beside.partitions == self._buckets
        for number in range(self._buckets):
            states = {} if beside is None else dict(beside.partition(number).items())
            found = [self._sent(work)(self._opened(), number, iter(self._mixed(number, run)), _sent(states)) for run in range(2)]
            assert found[0] == found[1], "a task that runs again has another result"
            yield found[0]

    def _mixed(self, number: int, run: int) -> list[bytes]:
        chunks = list(self._chunks.get(number, ()))
        random.Random(number * 2 + run).shuffle(chunks)
        return chunks

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._chunks = {}


def _sent(what: Work) -> Work:
    found: Work = pickle.loads(pickle.dumps(what))  # noqa: S301 - the test's own
    return found


class EngineBeside(LocalEngine):
    """The local engine, with executors beside it."""

    def __init__(self, executors: ExecutorsHere, memory: Memory) -> None:
        super().__init__(memory)
        self._executors = executors

    @property
    def executors(self) -> ExecutorsHere:  # type: ignore[override]
        """Those."""
        return self._executors


def beside(vault: TableVault, memory: Memory) -> tuple[TableVault, ExecutorsHere]:
    """The same vault with executors, and these."""
    store, table = vault.store, vault.catalog.table
    executors = ExecutorsHere(lambda: TableVault.open(store, table, engines=lambda: LocalEngine(memory)))
    return TableVault.open(store, table, engines=lambda: EngineBeside(executors, memory)), executors
