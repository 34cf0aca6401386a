"""The erasure: finds the subject, writes what it will do into a record, and takes the subject out of everything.

In this order, so that an interruption anywhere loses nothing, and the same command finishes it: the record; compaction; base
backups and compacted sets anew; the removal of what these replaced; row objects. A search tells what is left, not the record.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace

from backstream.errors import AlreadyExists, Damaged, NotFound, Overtaken
from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.operations.base.compact import compact
from backstream.operations.erase import discarded, files, forgetting, log_rewriter, sweeping
from backstream.operations.erase.base_rewriter import BaseRewriter
from backstream.operations.erase.removing import Removing, blocked, until_all
from backstream.operations.erase.report import Blocked, Erased, NotErased
from backstream.operations.erase.request import EraseContext, EraseRequest
from backstream.operations.erase.row_objects import row_folders, row_versions
from backstream.operations.erase.subject import NEVER, Subject, lived
from backstream.operations.erase.survey import SelectedItems, check_reason, row_objects, select
from backstream.ports import ObjectVersion
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog
from backstream.vault.erasure.erasures import FORGETS_FORMAT, FORMAT, ErasedRow, Erasure, Finished, TouchedObject
from backstream.vault.table_vault import TableVault

PASSES = 4  # over what arrives while it runs
OpenVault = Callable[[], TableVault]


def erase(open_vault: OpenVault, request: EraseRequest, around: EraseContext) -> Erased:
    """Removes a subject's items from all of a table's history. An interrupted erasure of the table is finished with it.

    `open_vault`: opens the table's vault as it is now. Raises NotFound if nothing is selected and nothing was interrupted.
    Versions that locks keep, and objects that could not be searched, are named in the answer: then the erasure is not finished.
    """
    request.check()
    return _Erasing(open_vault, request, around).run()


class _Erasing:
    def __init__(self, open_vault: OpenVault, request: EraseRequest, around: EraseContext) -> None:
        self._open = open_vault
        self._request = request
        self._around = around
        self._began = around.clock.now()
        self._left: dict[str, NotErased] = {}
        self._touched: dict[str, TouchedObject] = {}

    def run(self) -> Erased:
        vault = self._open()
        around = self._around
        unfinished = vault.erasures.open()
        around.progress.phase("looking for the subject", None)
        selected = select(vault, self._request, around.memory, self._unread)
        new = self._erasure(vault, selected, Subject(unfinished))
        if new is None and not unfinished:
            already = ", and its later changes are discarded" if self._request.forget_future else ""
            raise NotFound(
                f"the vault holds nothing of it{already}: {self._selected()}",
                hint="`backstream history` shows one item's versions.",
            )
        erasures = [*unfinished, *([] if new is None else [new])]
        if self._request.dry_run:
            return self._plan(vault, erasures, selected.entries)
        if new is not None:
            check_reason(vault, self._request, new, selected.entries)
            self._begin(vault, new)
        return self._do(Subject(erasures))

    def _selected(self) -> str:
        request = self._request
        if request.keys:
            return ", ".join(key.decode() for key in request.keys[:3])
        return f"partition {request.partition}" if request.partition is not None else f"tenant {request.tenant}"

    def _unread(self, name: str, why: str) -> None:
        self._left.setdefault(name, NotErased(name, why))

    # --- the record ---

    def _erasure(self, vault: TableVault, selected: SelectedItems, known: Subject) -> Erasure | None:
        """Returns the record of the items that are not in an unfinished erasure already; None if all of them are."""
        future, found = forgetting.Future(vault, self._request), selected.entries
        keys = {**{key: list[Entry]() for key in future.keys}, **found}
        if not future.is_new and all(_is_known(known, key, selected) for key in found):
            return None
        names = row_objects(vault, keys)
        seconds = (each.seconds for entries in found.values() for each in entries)
        second = max((int(self._began), *seconds, *selected.over.values()))
        began = max([int(self._began), *(_second_of(each) + 1 for each in vault.catalog.erasures)])
        erasure = Erasure(
            format=FORGETS_FORMAT if self._request.forget_future else FORMAT,
            id=f"{moment.compact(began)}-{secrets.token_hex(3)}",
            at=moment.iso(second),
            by=self._request.by,
            reason=self._request.reason,
            salt=future.salt,
            rows=(),
            forgets=self._request.forget_future,
        )
        rows = tuple(ErasedRow(erasure.of_key(key), lived(entries)) for key, entries in keys.items())
        return replace(
            erasure,
            rows=tuple(sorted(rows, key=lambda each: each.key)),
            objects=tuple(sorted(map(erasure.of_object, names))),
            partition="" if future.partition is None else erasure.of_partition(future.partition),
        )

    def _begin(self, vault: TableVault, erasure: Erasure) -> None:
        """Makes the record durable, and names it in the catalog. Readers and writers know of the erasure from now on."""
        vault.erasures.begin(erasure)

        def noted(catalog: Catalog) -> Catalog:
            if erasure.id in catalog.erasures:
                return catalog
            after = replace(catalog, erasures=(*catalog.erasures, erasure.id))
            return forgetting.noted(vault.with_catalog(after)) if erasure.forgets else after

        catalogs.change(vault.store, vault.catalog.table, noted)

    # --- what it would do ---

    def _plan(self, vault: TableVault, erasures: Sequence[Erasure], found: dict[bytes, list[Entry]]) -> Erased:
        subject, remover = Subject(erasures), self._around.remover
        hits = sweeping.search(vault, subject, self._around.memory, self._around.progress)
        for each in hits.unread:
            self._unread(each.object, each.why)
        rows = [row for rows in row_versions(vault, subject, row_folders(vault)) for row in rows]
        rows += [hit.row for hit in hits.hits]
        locks = [(row, lock) for row in rows if (lock := remover.lock_of(row)) is not None]
        kept = [blocked(self._shown(subject, row.name), row.version, lock) for row, lock in locks]
        lines = sum(map(len, found.values()))
        return self._report(erasures, len({row.name for row in rows}), lines, len(rows), kept, late=0)

    # --- doing it ---

    def _do(self, subject: Subject) -> Erased:
        vault, around = self._open(), self._around
        removing, late, rows = Removing(vault.store, around.remover), 0, list[list[ObjectVersion]]()
        found = sweeping.SubjectHits([], [])
        for _ in range(PASSES):
            self._rewrite_log(subject)
            vault = self._open()
            # Before the search: a line that it has not seen may name a row that comes later.
            rows = list(row_versions(vault, subject, row_folders(vault)))
            found = sweeping.search(vault, subject, around.memory, around.progress)
            sweep = sweeping.ErasureSweep(vault, subject, removing)
            self._note(vault, subject, found)
            sweep.run(found)
            late = sweep.late
            for each in [*found.unread, *sweep.left]:
                self._unread(each.object, each.why)
            if not late:
                break
        for of_object in rows if not late else ():  # lines that are left name them
            removing.remove([row for row in of_object if (row.name, row.version) not in found.later])
            for name in {row.name for row in of_object}:
                removing.forget(name)
        if around.batches is not None:
            gone = discarded.remove(vault, subject, around.batches, self._unread)
            removing.add(gone, around.batches.store.url)
        for name in files.without(vault, subject, self._request.files, self._unread):
            self._touched.setdefault(name, TouchedObject(name))
        return self._finish(vault, subject, removing, late)

    def _rewrite_log(self, subject: Subject) -> None:
        """Compacts, writes base backups and sets anew, and hides what these replaced."""
        around, newest = self._around, subject.erasures[-1].id
        for _ in range(PASSES):
            report = compact(self._open(), around.clock, memory=around.memory, progress=around.progress)
            for each in report.left:
                self._unread(each.name, each.why)
            vault = self._open()
            bases = BaseRewriter(vault, subject, newest, self._began)
            try:
                bases.run()
            except Damaged as error:
                self._unread("base backups", error.message)
            try:
                self._add(bases.touched)
                self._add(log_rewriter.rewrite(vault, subject, newest, bases.new_bases, around.memory, around.progress))
            except Overtaken:
                continue
            except Damaged as error:
                self._unread("compacted sets", error.message)
            with suppress(Overtaken):
                compact(self._open(), around.clock, memory=around.memory, progress=around.progress)
            return
        raise Overtaken("other compactions of this table were faster each time", hint="Run the same command again.")

    def _add(self, touched: Sequence[TouchedObject]) -> None:
        for each in touched:
            self._touched.setdefault(each.object, each)

    # --- the account ---

    def _note(self, vault: TableVault, subject: Subject, found: sweeping.SubjectHits) -> None:
        """Makes the names of the objects durable before anything is removed from them."""
        self._add([TouchedObject(hit.row.name, hit.lines) for hit in found.hits])
        names = sorted(self._touched.items())
        for erasure in subject.erasures:
            with suppress(AlreadyExists):
                vault.erasures.note(erasure.id, [each for _, each in names])

    def _finish(self, vault: TableVault, subject: Subject, removing: Removing, late: int) -> Erased:
        kept = [replace(each, object=self._shown(subject, each.object)) for each in removing.blocked]
        versions = removing.removed.total()
        for erasure in subject.erasures if not kept and not self._left and not late else ():
            touched = {each.object: each for each in vault.erasures.noted(erasure.id)}
            for name, count in removing.removed.items():
                shown = self._shown(subject, name)
                known = touched.get(shown, TouchedObject(shown))
                touched[shown] = replace(known, versions=known.versions + count)
            ended = moment.iso(self._around.clock.now())
            vault.erasures.finish(Finished(FORMAT, erasure.id, ended, tuple(touched[each] for each in sorted(touched)), versions))
        names = {*self._touched, *removing.removed}
        lines = sum(each.lines for each in self._touched.values())
        return self._report(subject.erasures, len(names), lines, versions, kept, late)

    def _shown(self, subject: Subject, name: str) -> str:
        """Returns an object's name as records and reports have it: a row object's name would tell the key."""
        owner = next((each for each in subject.erasures if each.of_object(name) in each.objects), None)
        return name if owner is None else f"row {owner.of_object(name)}"

    def _report(
        self, erasures: Sequence[Erasure], objects: int, lines: int, versions: int, kept: Sequence[Blocked], late: int
    ) -> Erased:
        newest = erasures[-1]
        return Erased(
            table=self._open().catalog.table,
            id=newest.id,
            at=newest.at,
            reason=newest.reason,
            keys=sum(len(each.rows) for each in erasures),
            objects=objects,
            lines=lines,
            versions_removed=versions,
            blocked_until=until_all(kept),
            dry_run=self._request.dry_run,
            seconds=round(self._around.clock.now() - self._began, 3),
            blocked=kept,
            left=list(self._left.values()),
            late=late,
            forget_future=newest.forgets,
        )


def _is_known(known: Subject, key: bytes, selected: SelectedItems) -> bool:
    """True if all of an item is in an erasure that is known. An item without entries is in other objects alone."""
    until = known.until(key)
    return NEVER < until >= selected.over.get(key, NEVER) and all(known.has(key, each) for each in selected.entries[key])


def _second_of(erasure: str) -> int:
    """Returns the second in an erasure's id: ids are in the order of their times."""
    return moment.parse_compact(erasure.partition("-")[0])
