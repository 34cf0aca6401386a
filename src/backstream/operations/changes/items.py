"""Yields the changes of a window item by item, each with the entry that gives the state before it, in bounded memory.

An item may have changed hundreds of thousands of times. Partitions are sorted by item, on disk where they are large, and an item
comes in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import groupby

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import batches
from backstream.engine.local.spill import Pairs, Spill, partitions_for
from backstream.errors import Damaged
from backstream.model.changes import fold
from backstream.model.changes.entry import Entry, from_line
from backstream.operations.changes.reading import Unread, WindowLog
from backstream.operations.changes.sorting import CHUNK, AnyRank, Pair, TimeSorter
from backstream.operations.changes.window import ChangeWindow
from backstream.operations.restore.states.row_states import states_into
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest_each
from backstream.vault.table_vault import TableVault

FEW = 300  # items whose states are looked up one by one; of more the log is read once
MANY = 200_000  # keys that are held in memory
SORTED = 64 << 20  # bytes of a partition's changes that wait in memory
PIECE = 500  # changes of one item that come together
PIECE_BYTES = 4 << 20  # of their images, if these are more than one


class ItemPiece(msgspec.Struct, frozen=True):
    """Changes of one item that come together, the oldest first. `key`: canonical. An item's pieces come one after the other.

    If only the states before and after the window matter, there is one piece with the first and the last change alone. The last
    piece has the rest: `count`: the number of the item's changes in the window; `broken`: True if a change is missing between two
    of them; `scanned`: True if a read of the table found one of them.
    """

    key: bytes
    pairs: list[Pair]
    is_last: bool = False
    count: int = 0
    broken: bool = False
    scanned: bool = False


def looks_back(vault: TableVault) -> bool:
    """True if a change's old image may be stored with the change before it: in the rows layout, and in an older tool's bucket."""
    catalog = vault.catalog
    if catalog.layout is Layout.ROWS or catalog.adopted is not None:
        return True
    ways = catalogs.ways_of(vault.store, catalog)
    return ways is None or any(each.layout is Layout.ROWS for each in ways)


def by_item(
    vault: TableVault, span: ChangeWindow, log: WindowLog, unread: Unread, memory: Memory, *, only_ends: bool = False
) -> Iterator[ItemPiece]:
    """Yields the pieces of each item that changed. `only_ends`: with the first and the last of its changes alone."""
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
            found = (entry for _, entry, _ in window.heads(number))
            yield from pieces_of(found, vault.key, then, only_ends=only_ends)


def pieces_of(
    found: Iterable[Entry],
    key_of: Callable[[Entry], bytes],
    before: Mapping[bytes, Entry | None],
    *,
    only_ends: bool = False,
    room: int = SORTED,
) -> Iterator[ItemPiece]:
    """Yields the pieces of some items, whose changes come in any order and any number of times. For the rest see `by_item`.

    `before`: the entries that give the items' states before them; `room`: bytes of changes that wait in memory.
    """
    with TimeSorter(room, _by_item(key_of)) as sorter:
        for together in batches(found, CHUNK):
            sorter.add([(entry, None) for entry in together])
        ordered = (entry for entry, _ in sorter.until(None))
        for key, entries in groupby(ordered, key=key_of):
            yield from _Pieces(key, before.get(key), only_ends=only_ends).of(fold.scans_first_in_order(entries))


def _by_item(key_of: Callable[[Entry], bytes]) -> Callable[[Entry], AnyRank]:
    """Returns the order by item. An item's scans come before its changes: they are few, and the changes tell their places."""

    def rank(entry: Entry) -> AnyRank:
        if entry.scanned:
            return key_of(entry), 0, *fold.read_order(entry)
        return key_of(entry), 1, entry.stream, int(entry.sequence)

    return rank


class _Pieces:
    """Cuts one item's changes into pieces. `before`: the entry that gives its state before the window."""

    def __init__(self, key: bytes, before: Entry | None, *, only_ends: bool) -> None:
        self._key = key
        self._before = before
        self._only_ends = only_ends
        self._pairs: list[Pair] = []
        self._held = 0

    def of(self, entries: Iterable[Entry]) -> Iterator[ItemPiece]:
        """Yields the pieces. `entries`: all of the item's, in their order, at least one."""
        previous, count, broken, scanned = self._before, 0, False, False
        for entry in entries:
            if self._is_full:
                yield ItemPiece(self._key, self._taken())
            broken = broken or (count > 0 and previous is not None and _breaks(previous, entry))
            scanned = scanned or entry.scanned
            count += 1
            self._add((entry, previous))
            previous = entry
        yield ItemPiece(self._key, self._taken(), is_last=True, count=count, broken=broken, scanned=scanned)

    def _add(self, pair: Pair) -> None:
        if self._only_ends and len(self._pairs) == 2:
            self._pairs.pop()
        self._pairs.append(pair)
        self._held += len(pair[0].image or b"") + len(pair[0].old or b"")

    @property
    def _is_full(self) -> bool:
        return not self._only_ends and (len(self._pairs) == PIECE or self._held > PIECE_BYTES)

    def _taken(self) -> list[Pair]:
        pairs, self._pairs, self._held = self._pairs, [], 0
        return pairs


def _breaks(one: Entry, other: Entry) -> bool:
    """True if a change is missing between two changes of an item."""
    return one.leaves is not None and other.before is not None and one.leaves != other.before


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
