"""The engine on Spark, for the engine port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from backstream.engine.local.log_decoder import Task
from backstream.engine.local.source_objects import EntryPartitions
from backstream.engine.local.state import State
from backstream.engine.local.whole_log import broken_chains, changes_of
from backstream.engine.spark.cluster import Cluster
from backstream.engine.spark.executors import SparkExecutors
from backstream.engine.spark.partitions import SparkPartitions, buckets_for
from backstream.engine.spark.probe import probe
from backstream.engine.spark.tasks import Opener
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.ports.engine import EntriesRead, UnreadableSource
from backstream.vault.table_vault import TableVault

Buckets = Callable[[int, int], int]  # of the entries, and the bytes that they are stored in


class SparkEngine:
    """See `ports.engine.Engine`. `opener_of`: returns what opens a table's vault in an executor; `buckets`: how many there are."""

    def __init__(self, cluster: Cluster, opener_of: Callable[[TableVault], Opener], buckets: Buckets = buckets_for) -> None:
        self._cluster = cluster
        self._opener_of = opener_of
        self._buckets = buckets
        self._probed: set[Opener] = set()

    def state(
        self,
        vault: TableVault,
        at: int,
        progress: EntriesRead = lambda _: None,
        *,
        keys: Collection[bytes] | None = None,
        since: int | None = None,
        rows: int = 0,
        expected: EntriesRead = lambda _: None,
    ) -> State:
        """See the port."""
        hold = self._hold(vault, progress)
        return State(vault, at, progress, keys=keys, since=since, rows=rows, hold=hold, expected=expected)

    @property
    def executors(self) -> SparkExecutors:
        """See the port."""
        return SparkExecutors(self._cluster, self._tried)

    def _tried(self, vault: TableVault) -> Opener:
        """Returns what opens the vault in an executor. Raises the error of one that cannot."""
        opener = self._opener_of(vault)
        if opener not in self._probed:
            probe(self._cluster, opener)
            self._probed.add(opener)
        return opener

    def _hold(self, vault: TableVault, progress: EntriesRead) -> Callable[[Task, int, int], EntryPartitions]:
        opener = self._tried(vault)
        return lambda task, rows, size: SparkPartitions(self._cluster, opener, task, self._buckets(rows, size), progress)

    def broken_chains(
        self,
        vault: TableVault,
        now: float,
        *,
        since: int | None = None,
        until: int | None = None,
        keys: Collection[bytes] | None = None,
        progress: EntriesRead = lambda _: None,
        unread: Callable[[UnreadableSource], None] = lambda _: None,
    ) -> Iterator[BrokenChain]:
        """See the port."""
        hold = self._hold(vault, progress)
        return broken_chains(vault, now, since=since, until=until, keys=keys, progress=progress, unread=unread, hold=hold)

    def changes(self, vault: TableVault, keys: Collection[bytes], since: int, until: int) -> Mapping[bytes, Sequence[Entry]]:
        """See the port."""
        return changes_of(vault, keys, since, until, self._hold(vault, lambda _: None))
