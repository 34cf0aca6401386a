"""The items that a restore considers, each with its state at the moment and its live state: one partition in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.errors import Damaged
from backstream.model.changes.entry import Entry, from_line, to_line
from backstream.model.changes.fold import FoldState
from backstream.model.window import Window
from backstream.operations.bulk.progress import Progress
from backstream.ports import Table, TableState
from backstream.vault.catalog import Layout
from backstream.vault.item_states import newest_each
from backstream.vault.table_vault import TableVault

SCAN_SEGMENTS = 4


class RowState(msgspec.Struct, frozen=True):
    """One item. `then`: the entry that gives its state at the moment; `live`: its image now; None if there is none.

    `known`: everything that `then` was chosen from, if that was requested; `earlier`: the entry that gave its state before an
    interrupted restore began.
    """

    key: bytes
    then: Entry | None
    live: bytes | None
    known: FoldState = FoldState()
    earlier: Entry | None = None

    @property
    def gone(self) -> bool:
        """True if the item did not exist at the moment, as far as the vault knows."""
        return self.then is None or self.then.removed


def of_state(
    state: TableState, live: Pairs | None, progress: Progress, *, with_known: bool = False, earlier: Pairs | None = None
) -> Iterator[RowState]:
    """Yields every item that the vault or the live table knows.

    Hashed partitions are alike, so the first ones show how many items to expect.
    """
    seen = 0
    for number in range(state.partitions):
        then = state.partition(number)
        now = _picked(live, number)
        once = _picked(earlier, number)
        seen += len(then.keys() | now.keys())
        progress.expect(seen * state.partitions // (number + 1))
        for key, entry in then.items():
            yield RowState(key, entry, now.get(key), then.known(key) if with_known else FoldState(), _entry(once.get(key)))
        for key in now:
            if key not in then:
                yield RowState(key, None, now[key], earlier=_entry(once.get(key)))


def with_unknown(keys: Sequence[bytes], candidates: Iterator[RowState]) -> Iterator[RowState]:
    """Yields the candidates, and then one for each of these keys that neither the vault at the moment nor the table knows."""
    missing = dict.fromkeys(keys)
    for each in candidates:
        missing.pop(each.key, None)
        yield each
    for key in missing:
        yield RowState(key, None, None)


class RowCounts(msgspec.Struct):
    """The number of rows in the live table, in the state at the moment, and of live rows that would be deleted."""

    live: int = 0
    then: int = 0
    deletes: int = 0


def tally(state: TableState, live: Pairs, would_delete: Callable[[RowState], bool]) -> RowCounts:
    """Counts what `of_state` will yield. `would_delete` is called for each live row that is not in the state."""
    count = RowCounts()
    for number in range(state.partitions):
        then = state.partition(number)
        now = _picked(live, number)
        count.live += len(now)
        count.then += sum(1 for key in then if then.exists(key))
        for key in now:
            if not then.exists(key) and would_delete(RowState(key, then.get(key), now[key])):
                count.deletes += 1
    return count


def _picked(pairs: Pairs | None, number: int) -> Mapping[bytes, bytes]:
    """Returns the last value of each key."""
    return {} if pairs is None else pairs.pick(number, dict(pairs.spots(number)))


def _entry(line: bytes | None) -> Entry | None:
    return None if line is None else from_line(line)


def states_into(state: TableState, spill: Pairs) -> None:
    """Writes the entry that gives each item's state, as lines of the log."""
    for number in range(state.partitions):
        for key, entry in state.partition(number).items():
            spill.add(key, to_line(entry))


def scan_into(vault: TableVault, table: Table, spill: Pairs) -> None:
    """Reads the whole live table, strongly consistent, into partitions on disk."""

    def segment(number: int) -> None:
        for page in table.scan(number, SCAN_SEGMENTS):
            for image in page:
                spill.add(vault.key_of(image), image)

    with ThreadPoolExecutor(SCAN_SEGMENTS, thread_name_prefix="scan") as pool:
        for _ in pool.map(segment, range(SCAN_SEGMENTS)):
            pass


def named_by_key(vault: TableVault) -> bool:
    """True if images are in objects of their own, so that few items are looked up one by one: the log's lines are short then."""
    return vault.catalog.layout is Layout.ROWS and vault.catalog.adopted is None


def of_histories(vault: TableVault, keys: Sequence[bytes], at: int, window: Window) -> dict[bytes, Entry | None] | None:
    """Returns for each of these items the log's entry that gives its state at a second; None if a part of that cannot be read."""
    lost: list[Damaged] = []
    found = newest_each(vault, keys, at, vault.basis(at, window), lost.append)
    return None if lost else found
