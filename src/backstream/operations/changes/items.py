"""The changes of a window item by item, each with the entry that tells the state before it: one partition in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise

from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import Pairs, Spill, partitions_for
from backstream.engine.local.state import State
from backstream.errors import Damaged
from backstream.model.changes import fold
from backstream.model.changes.entry import Entry, from_line
from backstream.operations.changes.reading import Unread, WindowLog
from backstream.operations.changes.sorting import Pair
from backstream.operations.changes.window import ChangeWindow
from backstream.operations.restore.row_states import states_into
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest_each
from backstream.vault.table_vault import TableVault

FEW = 300  # items whose states are looked up one by one; of more the log is read once
MANY = 200_000  # keys that are held in memory

Item = tuple[bytes, list[Pair]]  # the canonical key, and its changes, the oldest first


def looks_back(vault: TableVault) -> bool:
    """Whether a change's old image may lie with the change before it: in the rows layout, and in an older tool's bucket."""
    catalog = vault.catalog
    if catalog.layout is Layout.ROWS or catalog.adopted is not None:
        return True
    ways = catalogs.ways_of(vault.store, catalog)
    return ways is None or any(each.layout is Layout.ROWS for each in ways)


def by_item(vault: TableVault, span: ChangeWindow, log: WindowLog, unread: Unread, memory: Memory) -> Iterator[Item]:
    """Each item that changed, with all of its changes in the window."""
    with ExitStack() as stack:
        partitions = partitions_for(log.rows)
        window = stack.enter_context(Spill(partitions, Entry, buffer=memory.buffer))
        keys: set[bytes] = set()
        for piece in log.pieces():
            pairs = [(vault.key(entry), entry, None) for entry in piece.entries]
            window.writer.extend(pairs)
            if len(keys) <= MANY:
                keys.update(key for key, _, _ in pairs)
        if not keys:
            return
        before = _StatesBefore(vault, span, unread, memory, stack)
        states = before.of(keys, partitions) if looks_back(vault) else None
        for number in range(partitions):
            then = {} if states is None else states(number)
            for key, entries in _grouped(window, number).items():
                ordered = fold.in_order(entries)
                yield key, list(zip(ordered, [then.get(key), *ordered], strict=False))


def _grouped(window: Spill[Entry], number: int) -> Mapping[bytes, list[Entry]]:
    found: dict[bytes, list[Entry]] = {}
    for key, entry, _ in window.heads(number):
        found.setdefault(key, []).append(entry)
    return found


class _StatesBefore:
    """Tells what items were at the start of the window."""

    def __init__(self, vault: TableVault, span: ChangeWindow, unread: Unread, memory: Memory, stack: ExitStack) -> None:
        self._vault = vault
        self._span = span
        self._unread = unread
        self._memory = memory
        self._stack = stack

    def of(self, keys: set[bytes], partitions: int) -> Callable[[int], Mapping[bytes, Entry | None]]:
        """By partition: what tells the state of each of the items."""
        if len(keys) <= FEW:
            found = self._few(keys)
            return lambda _: found
        spilled = self._stack.enter_context(Pairs(partitions, buffer=self._memory.buffer))
        chosen = keys if len(keys) <= MANY else None
        with State(self._vault, self._span.since, keys=chosen, memory=self._memory) as state:
            for each in state.unreadable:
                self._unread(f"{each.name}: {each.why}")
            states_into(state, spilled)
        return lambda number: {key: from_line(line) for key, line in spilled.read(number)}

    def _few(self, keys: set[bytes]) -> Mapping[bytes, Entry | None]:
        at = self._span.since

        def damaged(error: Damaged) -> None:
            self._unread(error.message)

        return newest_each(self._vault, keys, at, self._vault.basis(at), damaged)


def breaks(pairs: Sequence[Pair]) -> bool:
    """Whether a change is missing between two changes of an item."""
    linked = ((one, other) for (one, _), (other, _) in pairwise(pairs))
    return any(one.leaves is not None and other.before is not None and one.leaves != other.before for one, other in linked)
