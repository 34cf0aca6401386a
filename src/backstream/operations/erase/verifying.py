"""Proves an erasure: reads every version of every object again, and believes only what it finds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.errors import Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.operations.bulk.progress import Progress
from backstream.operations.erase import sweeping
from backstream.operations.erase.report import ErasureVerified, FoundAgain, NotErased
from backstream.operations.erase.request import EraseContext
from backstream.operations.erase.row_objects import row_folders, row_versions, second_of
from backstream.operations.erase.searching import Search
from backstream.operations.erase.subject import NEVER, Subject
from backstream.ports import ObjectVersion
from backstream.vault.table_vault import TableVault


def verify_erasure(vault: TableVault, erasure: str, around: EraseContext) -> ErasureVerified:
    """Reads the table's part of the vault, every version, and returns what is left of an erasure's subject.

    Anything that the store received after the erasure had ended is new, unless later changes are discarded. Raises NotFound if
    there is no such erasure.
    """
    began = around.clock.now()
    record, finished = vault.erasures.read(erasure), vault.erasures.finished(erasure)
    ended = None if finished is None else moment.parse_iso_micros(finished.at) // MICROS
    subject = Subject([record])
    found = sweeping.search(vault, subject, around.memory, around.progress)
    hits = [(hit.row, f"{hit.lines} lines" if hit.lines else "an item or its key") for hit in found.hits]
    rows = _RowBodies(vault, subject, around.memory, around.progress)
    rows.read()
    hits += [(row, "an image or a marker") for some in row_versions(vault, subject, row_folders(vault)) for row in some]
    hits += rows.hits
    old = {
        (row.name, row.version): FoundAgain(row.name, row.version, what)
        for row, what in hits
        if ended is None or record.forgets or (row.modified <= ended + 1 and (row.name, row.version) not in found.later)
    }
    return ErasureVerified(
        table=vault.catalog.table,
        id=record.id,
        at=record.at,
        reason=record.reason,
        keys=len(record.rows),
        objects=found.objects + rows.objects,
        versions=found.versions + rows.versions,
        found=list(old.values()),
        unread=[*found.unread, *rows.unread],
        new=len({(row.name, row.version) for row, _ in hits}) - len(old),
        finished=None if finished is None else finished.at,
        seconds=round(around.clock.now() - began, 3),
        forget_future=record.forgets,
    )


class _RowBodies:
    """Reads the body of every version of every row object. `hits`: those that hold an item of the subject."""

    def __init__(self, vault: TableVault, subject: Subject, memory: Memory, progress: Progress) -> None:
        self._vault = vault
        self._subject = subject
        self._search = Search(vault, subject)
        self._memory = memory
        self._progress = progress
        self.hits: list[tuple[ObjectVersion, str]] = []
        self.unread: list[NotErased] = []
        self.versions = 0
        self.objects = 0

    def read(self) -> None:
        """Reads them all, side by side."""
        names = set[str]()
        rows = (row for each in row_folders(self._vault) for row in self._vault.store.versions(each) if not row.marker)
        with ThreadPoolExecutor(sweeping.READERS, thread_name_prefix="rows") as pool:
            for row, reading in ahead(pool, self._holds, rows, self._memory.bodies, weight=lambda each: each.size):
                self._progress.advance(1)
                self.versions += 1
                names.add(row.name)
                try:
                    self.hits += [(row, "an image")] if reading() else []
                except MissingObject:
                    continue  # removed since it was listed
                except Damaged as error:
                    self.unread.append(NotErased(f"{row.name} (version {row.version})", error.message))
        self.objects = len(names)

    def _holds(self, row: ObjectVersion) -> bool:
        stored = self._vault.store.get(row.name, row.version)
        try:
            until = self._subject.until(self._vault.key_of(stored.body))
        except Damaged:
            return self._search.is_in(stored.body)
        return until > NEVER and second_of(stored.info) <= until
