"""Writes the table's state at the horizon as a base backup, from the vault itself: no table is read, no image is copied.

Its lines are the very entries that give each item's state, so the order of changes stays what it was. In the rows layout they name
the row versions that hold the images, which therefore stay.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.clocks import FAR_APART
from backstream.ports import StatePartition, TableState
from backstream.vault.bases import FORMAT, KEPT_ID, MOST_SEGMENTS, Base, BaseKind, BasePlan, CompletionRecord
from backstream.vault.table_vault import TableVault

SOURCE = "the vault"
LINES, BYTES = 20_000, 4 << 20  # of a part
WHOLE_ID = "state-"  # how the id of a state at a horizon begins
Select = Callable[[StatePartition, int], Iterator[Entry]]  # the entries to write of one partition of the state at a second


def entries_at(partition: StatePartition, second: int) -> Iterator[Entry]:
    """Yields the entries that must stay.

    A deleted item needs none, except where the clocks that stamp changes may still disagree about which change was the last one.
    """
    for key in sorted(partition):
        entry = partition[key]
        if not entry.removed or entry.seconds >= second - FAR_APART:
            yield entry
        change = partition.known(key).change
        if entry.scanned and change is not None and change.seconds >= second - FAR_APART:
            yield change


def changed_since(since: int) -> Select:
    """Returns what yields only the entries that have replaced others after a second, deletes included."""

    def entries(partition: StatePartition, _: int) -> Iterator[Entry]:
        return (entry for _, entry in sorted(partition.items()) if entry.seconds > since)

    return entries


def write(
    vault: TableVault,
    second: int,
    state: TableState,
    noted: Callable[[Entry], None] = lambda _: None,
    *,
    entries: Select = entries_at,
    kind: BaseKind = BaseKind.STATE,
) -> Base:
    """Writes the state at `second`, and returns the base backup. Passes each entry to `noted`."""
    bases = vault.bases
    segments = min(max(1, state.partitions), MOST_SEGMENTS)
    prefix = WHOLE_ID if kind is BaseKind.STATE else KEPT_ID
    name = f"{prefix}{moment.compact(second)}-{secrets.token_hex(4)}"  # of its own: two attempts may cut the state in two ways
    plan = BasePlan(FORMAT, name, BaseKind.STATE, SOURCE, segments, second)
    bases.begin(plan)
    rows = parts = 0
    for segment, partition in enumerate(state):
        cut = list(_cut(_noting(entries(partition, second), noted)))
        for number, some in enumerate(cut):
            bases.write_part(plan.id, segment, number, some, last=number == len(cut) - 1)
            rows, parts = rows + len(some), parts + 1
    base = Base(kind, plan.id, second, second)
    bases.finish(base, CompletionRecord(FORMAT, SOURCE, rows, parts))
    return base


def _noting(entries: Iterator[Entry], noted: Callable[[Entry], None]) -> Iterator[Entry]:
    for entry in entries:
        noted(entry)
        yield entry


def _cut(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    held, size = list[Entry](), 0
    for entry in entries:
        held.append(entry)
        size += len(entry.keys) + len(entry.image or b"")
        if len(held) >= LINES or size >= BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held
