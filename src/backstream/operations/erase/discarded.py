"""The on-failure destination. Redriven batches that hold the subject are removed for good; batches that still wait are named."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import msgspec

from backstream.errors import BackstreamError, Damaged
from backstream.model.changes import invocation_record
from backstream.model.changes.invocation_record import ASYNCHRONOUS, FOLDER, StreamKind
from backstream.operations.erase.removing import Removing
from backstream.operations.erase.searching import Search
from backstream.operations.erase.subject import Subject
from backstream.ports import ObjectStore, ObjectVersion, VersionRemover
from backstream.vault.table_vault import TableVault

WAITS = "a batch that waits here holds changes of it: run `backstream redrive`, then the same command again"


class DiscardedBatches(msgspec.Struct, frozen=True):
    """The bucket that receives discarded batches, and the right to remove versions from it."""

    store: ObjectStore
    remover: VersionRemover


def remove(vault: TableVault, subject: Subject, batches: DiscardedBatches, left: Callable[[str, str], None]) -> Removing:
    """Removes versions that hold the subject, below what is there now. `left` receives what waits, and what cannot be read."""
    removing, search = Removing(batches.store, batches.remover), Search(vault, subject)
    for name, of_name in groupby(batches.store.versions(FOLDER), key=lambda row: row.name):
        if name.startswith(ASYNCHRONOUS):
            continue
        rows = list(of_name)
        for row in rows:
            try:
                if row.marker or not _holds(vault, search, batches.store.get(name, row.version).body):
                    continue
            except BackstreamError as error:
                left(f"{batches.store.url}/{name}", error.message)
                continue
            if row.latest:
                left(f"{batches.store.url}/{name}", WAITS)
            else:
                removing.remove([row])
        _clear(removing, rows)
    return removing


def _clear(removing: Removing, rows: list[ObjectVersion]) -> None:
    """Removes the markers of a batch that nothing else is left of."""
    bodies = [row for row in rows if not row.marker]
    if bodies and removing.removed[bodies[0].name] == len(bodies):
        removing.remove([row for row in rows if row.marker])


def _holds(vault: TableVault, search: Search, body: bytes) -> bool:
    """True if a batch of this table holds the subject. Another table's keys may be the same."""
    if not search.is_in(body):
        return False
    try:
        record, records = invocation_record.read(body)
    except Damaged:
        return True  # nobody knows whose it is
    if record.source is StreamKind.DYNAMODB:
        return record.stream_arn.startswith(f"{vault.catalog.table_arn}/stream/")
    named = invocation_record.tables_named(records)
    return not named or vault.catalog.table in named
