"""Writes the table's present state into the vault, for rows in which the two differ: as new versions, and as lines of the change
log.

It is the state that the row has now, not the missed changes: the time between stays unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.engine.local.prefetch import batches
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Scanned
from backstream.model.clocks import CLOCKS_APART
from backstream.operations.bulk.progress import Progress
from backstream.ports import Clock, Table
from backstream.vault.images import images_for, keep_scanned
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

WRITERS = 16
ROWS_AT_ONCE = 100  # as many as one BatchGetItem takes

Wrong = tuple[bytes, bytes | None]  # a row's canonical key, and what the vault holds of it, where that can be read


def repair(vault: TableVault, table: Table, rows: Iterable[Wrong], clock: Clock, progress: Progress, *, writer: str) -> int:
    """Writes the table's present state of these rows, or that it holds none. Returns their number. Raises the errors of table and
    vault.

    Safe beside a running tail: a row that changes meanwhile gets its state from that change.
    """
    images = images_for(vault.store, vault.catalog)
    repaired = 0
    with ThreadPoolExecutor(WRITERS, thread_name_prefix="writer") as pool:
        for batch in batches(rows, ROWS_AT_ONCE):
            if not repaired:
                clock.sleep(CLOCKS_APART + 1)  # so that no change that is known already passes for one that came later
            kept = keep_scanned(images, list(_read(vault, table, batch)), pool)
            vault.log.write_batch([entry for entry, _ in kept], SegmentKind.REPAIR, writer=writer)
            repaired += len(batch)
            progress.advance(len(batch))
    if repaired:
        clock.sleep(CLOCKS_APART + 1)  # what was read counts for moments after that
    return repaired


def _read(vault: TableVault, table: Table, batch: Sequence[Wrong]) -> list[Scanned]:
    began = int(table.server_time()) - CLOCKS_APART
    live = {vault.key_of(image): image for image in table.fetch([key for key, _ in batch])}
    ended = int(table.server_time()) + CLOCKS_APART
    return [Scanned(key, live.get(key), began, ended * MICROS, old=kept) for key, kept in batch]
