"""Writes the table's state at the horizon as a base backup, from the vault itself: no table is read, no image is copied.

Its lines are the very entries that give each item's state, so the order of changes stays what it was. In the rows layout they name
the row versions that hold the images, which therefore stay.

An erasure may run at the same time. Items that it takes out are left out here, and a state from before it began is removed: it
would bring the subject back.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.clocks import FAR_APART
from backstream.operations.retain.publishing import check_erasures
from backstream.operations.retain.sweep import Doomed
from backstream.ports import StatePartition, TableState
from backstream.vault import catalog as catalogs
from backstream.vault.bases import FORMAT, KEPT_ID, MOST_SEGMENTS, Base, BaseKind, BasePlan, CompletionRecord
from backstream.vault.catalog import folder
from backstream.vault.erasure import erased_bases
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
    """Writes the state at `second`, and returns the base backup. Passes each entry to `noted`.

    Raises ErasureBegan if an erasure has begun meanwhile: the base backup is not complete then.
    """
    bases = vault.bases
    segments = min(max(1, state.partitions), MOST_SEGMENTS)
    prefix = WHOLE_ID if kind is BaseKind.STATE else KEPT_ID
    # of its own: two attempts may cut the state in two ways
    name = f"{prefix}{moment.compact(second)}-{secrets.token_hex(4)}{_erasures_mark(vault)}"
    plan = BasePlan(FORMAT, name, BaseKind.STATE, SOURCE, segments, second)
    bases.begin(plan)
    rows = parts = 0
    for segment, partition in enumerate(state):
        cut = list(_cut(_noting(_without_erased(vault, entries(partition, second)), noted)))
        for number, some in enumerate(cut):
            bases.write_part(plan.id, segment, number, some, last=number == len(cut) - 1)
            rows, parts = rows + len(some), parts + 1
    check_erasures(catalogs.load(vault.store, vault.catalog.table), vault.catalog)
    base = Base(kind, plan.id, second, second)
    bases.finish(base, CompletionRecord(FORMAT, SOURCE, rows, parts))
    return base


def written_before(vault: TableVault, second: int) -> Base | None:
    """Returns the base backup of the state at a second that an earlier run has written; None if there is none."""
    states = [each for each in vault.bases.complete() if each.kind is BaseKind.STATE and each.end == second]
    return max(states, key=lambda each: each.id, default=None)


def abandoned(vault: TableVault) -> Iterator[Doomed]:
    """Yields states that were written before the last erasure began, and that nobody may publish since: first their records."""
    horizon, mark = vault.catalog.horizon, _erasures_mark(vault)
    published = {horizon.base if horizon is not None else "", *(each.base for each in vault.catalog.kept_states)}
    ours = [each for each in vault.bases.ids() if mark and each.startswith((WHOLE_ID, KEPT_ID)) and erased_bases.MARK not in each]
    gone = {each for each in ours if each not in published and not each.endswith(mark)}
    records = [(record, base.id) for record, base in (vault.bases.every_record() if gone else ()) if base.id in gone]
    for each in sorted(gone):
        of_records = [row for record, base in records if base == each for row in vault.store.versions_of(record)]
        yield Doomed(of_records, list(vault.store.versions(f"{folder(vault.catalog.table)}base/{each}/")))


def _erasures_mark(vault: TableVault) -> str:
    """Returns the end of a state's id: it tells how many erasures had begun when the state was written."""
    begun = len(vault.catalog.erasures)
    return f"-{begun}e" if begun else ""


def _without_erased(vault: TableVault, entries: Iterator[Entry]) -> Iterator[Entry]:
    if not vault.erasures.are_open:
        return entries
    return (each for each in entries if not vault.erasures.takes_out(vault.key(each), each.seconds))


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
