"""Yields the changes of a window item by item, each with the entry that gives the state before it: one partition in memory at a
time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.spill import Pairs, Spill, partitions_for
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


class Item(msgspec.Struct, frozen=True):
    """One item that changed. `key`: canonical; `pairs`: its changes, oldest first; `count`: their number.

    If only the states before and after the window matter, `pairs` has only the first and the last change. `broken`: True if a
    change is missing between two of them; `scanned`: True if a read of the table found one of them.
    """

    key: bytes
    pairs: list[Pair]
    count: int
    broken: bool
    scanned: bool


def looks_back(vault: TableVault) -> bool:
    """True if a change's old image may be stored with the change before it: in the rows layout, and in an older tool's bucket."""
    catalog = vault.catalog
    if catalog.layout is Layout.ROWS or catalog.adopted is not None:
        return True
    ways = catalogs.ways_of(vault.store, catalog)
    return ways is None or any(each.layout is Layout.ROWS for each in ways)


def by_item(
    vault: TableVault, span: ChangeWindow, log: WindowLog, unread: Unread, memory: Memory, *, only_ends: bool = False
) -> Iterator[Item]:
    """Yields each item that changed, with all of its changes in the window. `only_ends`: with the first and the last of them."""
    with ExitStack() as stack:
        partitions = partitions_for(log.rows)
        window = stack.enter_context(Spill(partitions, Entry, buffer=memory.buffer))
        keys: set[bytes] = set()
        held = 0
        for piece in log.pieces():
            pairs = [(vault.key(entry), entry, None) for entry in piece.entries]
            window.writer.extend(pairs)
            held += sum(len(entry.image or b"") + len(entry.old or b"") for entry in piece.entries)
            if held > memory.buffer:  # the writer does not know how large these heads are
                window.writer.flush()
                held = 0
            if len(keys) <= MANY:
                keys.update(key for key, _, _ in pairs)
        if not keys:
            return
        before = _StatesBefore(vault, span, unread, memory, stack)
        states = before.of(keys, partitions) if looks_back(vault) else None
        for number in range(partitions):
            then = {} if states is None else states(number)
            for key, entries in (_ends if only_ends else _grouped)(window, number).items():
                yield _item(key, fold.in_order(entries), then.get(key), only_ends=only_ends)


def _item(key: bytes, ordered: Sequence[Entry], before: Entry | None, *, only_ends: bool) -> Item:
    pairs = list(zip(ordered, [before, *ordered], strict=False))
    kept = [pairs[0], pairs[-1]] if only_ends and len(pairs) > 2 else pairs
    return Item(key, kept, len(pairs), breaks(pairs), any(entry.scanned for entry in ordered))


def _grouped(window: Spill[Entry], number: int) -> Mapping[bytes, list[Entry]]:
    found: dict[bytes, list[Entry]] = {}
    for key, entry, _ in window.heads(number):
        found.setdefault(key, []).append(entry)
    return found


def _ends(window: Spill[Entry], number: int) -> Mapping[bytes, list[Entry]]:
    """Returns the same. For the changes between an item's first and last, it holds only their places and digests."""
    found: dict[bytes, _Ends] = {}
    for key, entry, _ in window.heads(number):
        if key not in found:
            found[key] = _Ends()
        found[key].add(entry)
    return {key: each.entries for key, each in found.items()}


class _Ends:
    """One item's changes, each once. An item may have changed hundreds of thousands of times."""

    def __init__(self) -> None:
        self._between: dict[tuple[str, int], Entry] = {}
        self._scans: list[Entry] = []
        self._first: Entry | None = None
        self._last: Entry | None = None

    def add(self, entry: Entry) -> None:
        """Adds one change, in no order, perhaps more than once."""
        if entry.scanned:
            self._scans.append(entry)
            return
        for end in (self._first, self._last):
            if end is not None and end.order == entry.order:
                return
        if self._first is None or entry.order < self._first.order:
            self._first, entry = entry, self._first if self._first is not None else entry
        if self._last is None or entry.order > self._last.order:
            self._last, entry = entry, self._last if self._last is not None else entry
        if entry is not self._first and entry is not self._last:
            self._between[entry.stream, int(entry.sequence)] = _bare(entry)

    @property
    def entries(self) -> list[Entry]:
        """Returns all of them, in no order."""
        ends = [] if self._first is None or self._last is None else [self._first, self._last]
        return [*self._scans, *self._between.values(), *ends]


def _bare(entry: Entry) -> Entry:
    """Returns a change's place in the order, and the digests of the states before and after it."""
    return Entry(entry.stream, entry.sequence, entry.micros, entry.event, "", None, b"", before=entry.before, after=entry.after)


class _StatesBefore:
    """Finds the items' states at the start of the window."""

    def __init__(self, vault: TableVault, span: ChangeWindow, unread: Unread, memory: Memory, stack: ExitStack) -> None:
        self._vault = vault
        self._span = span
        self._unread = unread
        self._memory = memory
        self._stack = stack

    def of(self, keys: set[bytes], partitions: int) -> Callable[[int], Mapping[bytes, Entry | None]]:
        """Returns for each partition the entries that give the items' states."""
        if len(keys) <= FEW:
            found = self._few(keys)
            return lambda _: found
        spilled = self._stack.enter_context(Pairs(partitions, buffer=self._memory.buffer))
        chosen = keys if len(keys) <= MANY else None
        with self._vault.engine.state(self._vault, self._span.since, keys=chosen) as state:
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
    """True if a change is missing between two changes of an item."""
    linked = ((one, other) for (one, _), (other, _) in pairwise(pairs))
    return any(one.leaves is not None and other.before is not None and one.leaves != other.before for one, other in linked)
