"""The engine of one machine, for the engine port."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from backstream.engine.local.memory import Memory
from backstream.engine.local.state import DEFAULT, State
from backstream.engine.local.whole_log import broken_chains, changes_of
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.ports.engine import EntriesRead, UnreadableSource
from backstream.vault.table_vault import TableVault


class LocalEngine:
    """See `ports.engine.Engine`. `memory`: the limit for one state, over all its processes."""

    def __init__(self, memory: Memory = DEFAULT) -> None:
        self._memory = memory

    @property
    def executors(self) -> None:
        """See the port: there are none."""
        return

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
        return State(vault, at, progress, keys=keys, since=since, rows=rows, memory=self._memory, expected=expected)

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
        return broken_chains(vault, now, since=since, until=until, keys=keys, memory=self._memory, progress=progress, unread=unread)

    def changes(self, vault: TableVault, keys: Collection[bytes], since: int, until: int) -> Mapping[bytes, Sequence[Entry]]:
        """See the port."""
        return changes_of(vault, keys, since, until)
