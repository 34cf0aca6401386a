"""Goes through every version in a table's own folder, and removes what the subject is still in and no reader needs any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.errors import BackstreamError, Damaged, MissingObject
from backstream.operations.bulk.progress import Progress
from backstream.operations.erase import base_rewriter, exports, log_rewriter
from backstream.operations.erase.redacting import Redactor
from backstream.operations.erase.removing import Removing
from backstream.operations.erase.report import NotErased
from backstream.operations.erase.searching import LINES, Hit, Search, is_own_record, is_structure
from backstream.operations.erase.sentences import ERASED
from backstream.operations.erase.subject import NEVER, Subject
from backstream.ports import ObjectVersion, StoredObject
from backstream.vault.catalog import folder
from backstream.vault.gaps.gap import Gap
from backstream.vault.table_vault import TableVault

READERS = 8
STRUCTURE = "somebody has written an item into this record, which the vault needs: have the bucket's admin look at it"


class SubjectHits(msgspec.Struct):
    """The findings of a search of all versions. `versions`, `objects`: how many bodies were read, and how many names they have.

    `later`: names and versions of row objects that lines of a later time name: a base backup made since has found the item.
    """

    hits: list[Hit]
    unread: list[NotErased]
    versions: int = 0
    objects: int = 0
    later: Collection[tuple[str, str]] = ()


def search(vault: TableVault, subject: Subject, memory: Memory, progress: Progress) -> SubjectHits:
    """Reads every version of every object in the table's own folder, and returns those that hold something of the subject."""
    looking, found, names = Search(vault, subject), SubjectHits([], []), set[str]()
    rows = (row for row in vault.store.versions(folder(vault.catalog.table)) if not row.marker)
    progress.phase("reading every version", None)
    with ThreadPoolExecutor(READERS, thread_name_prefix="search") as pool:
        for row, reading in ahead(pool, looking.look_into, rows, memory.bodies, weight=lambda each: each.size):
            progress.advance(1)
            try:
                hit = reading()
            except MissingObject:
                continue  # removed since it was listed
            except Damaged as error:
                found.unread.append(NotErased(f"{row.name} (version {row.version})", error.message))
                continue
            found.versions += 1
            names.add(row.name)
            found.hits += [] if hit is None else [hit]
    found.objects, found.later = len(names), looking.later
    return found


class ErasureSweep:
    """Removes or rewrites what a search has found. `late`: lines that readers still need: they arrived while it was erased."""

    def __init__(self, vault: TableVault, subject: Subject, removing: Removing) -> None:
        self._vault = vault
        self._subject = subject
        self._removing = removing
        self._folder = folder(vault.catalog.table)
        self.late = 0
        self.left: list[NotErased] = []

    def run(self, found: SubjectHits) -> None:
        """Removes everything that nobody needs, old base backups first of all by their records, and rewrites the rest."""
        old = base_rewriter.replaced(self._vault)
        self._removing.remove(self._records_of(old))
        needed, dead, others = self._needed(old), list[Hit](), list[Hit]()
        for hit in found.hits:
            if not hit.row.name.removeprefix(self._folder).startswith(LINES) or self._is_index(hit.row):
                others.append(hit)
            elif needed(hit.row):
                self.late += hit.lines
            else:
                dead.append(hit)
        self._removing.remove([hit.row for hit in dead])
        self._removing.remove(self._parts_of(old))
        self._rewrite_exports([hit.row for hit in others if exports.is_data(hit.row.name)])
        for hit in others:
            if not exports.is_data(hit.row.name):
                self._rewrite(hit)
        self._removing.clear_markers(self._folder)

    def _is_index(self, row: ObjectVersion) -> bool:
        """True if it is no object of lines, but a record beside them."""
        return row.name.endswith((".json", ".json.zst"))

    # --- base backups ---

    def _records_of(self, old: Iterable[str]) -> list[ObjectVersion]:
        ids = set(old)
        rows = self._vault.store.versions(f"{self._folder}base/complete/")
        return [row for row in rows if row.name.rpartition("/")[2].partition("_")[2].partition("_")[2].removesuffix(".json") in ids]

    def _parts_of(self, old: Iterable[str]) -> list[ObjectVersion]:
        return [row for base in old for row in self._vault.store.versions(f"{self._folder}base/{base}/")]

    # --- what readers need ---

    def _needed(self, old: Iterable[str]) -> _Needed:
        """A segment that stays is needed until one of the same run without lines is there: the next one may name it."""
        found = self._vault.inventory()
        sets, listed = {each.id for each in found.generation.sets}, {each.name for each in found.listed}
        lone = {
            each.name
            for each in log_rewriter.lasting(self._vault, found, found.generation)
            if each.segment is not None and f"{self._folder}log/{log_rewriter.emptied(each.segment).path}" not in listed
        }
        return _Needed(self._folder, {each.name for each in found.segments} | lone, sets, set(old))

    # --- records ---

    def _rewrite(self, hit: Hit) -> None:
        """Writes a record anew without the subject, and removes the version that names it."""
        row, store = hit.row, self._vault.store
        place = row.name.removeprefix(self._folder)
        if is_structure(place):
            self.left.append(NotErased(f"{row.name} (version {row.version})", STRUCTURE))
            return
        try:
            if row.name.startswith(f"{self._folder}compacted/gaps/"):
                if self._removing.is_locked(row):  # a second version over it would count as damage
                    return
                self._vault.gaps.write_index_anew(row, self._without_subject)
                self._removing.remove([row])
                return
            stored = store.get(row.name, row.version)
            if row.name.startswith(f"{self._folder}gaps/"):
                if not self._rewrite_gap(row, stored):
                    return
            elif row.latest:
                body = self._redactor(place).body(stored.body)
                said = {name: text for name, text in stored.info.metadata.items() if name != "signature"}
                store.put(row.name, body, said, if_match=stored.info.tag)
        except MissingObject:
            return
        except BackstreamError as error:
            self.left.append(NotErased(f"{row.name} (version {row.version})", error.message))
            return
        self._removing.remove([row])

    def _redactor(self, place: str) -> Redactor:
        return Redactor(Search(self._vault, self._subject), self._subject, typed=is_own_record(place))

    def _rewrite_exports(self, rows: Sequence[ObjectVersion]) -> None:
        try:
            exports.rewrite(self._vault.store, Search(self._vault, self._subject), rows)
        except BackstreamError as error:
            self.left += [NotErased(f"{row.name} (version {row.version})", error.message) for row in rows]
            return
        self._removing.remove(rows)

    def _rewrite_gap(self, row: ObjectVersion, stored: StoredObject) -> bool:
        """Records a gap anew without the subject's rows. Returns False if its record is locked, and so has to stay as it is."""
        gap = msgspec.json.decode(stored.body, type=Gap)
        after = self._without_subject(gap)
        if after is None:
            return True
        if after.differing != gap.differing:
            self._vault.gaps.record(after)
            return True
        if self._removing.is_locked(row):  # a second version over it would count as damage
            return False
        newest = next(each for each in self._vault.store.versions_of(row.name) if not each.marker)
        if newest.version == row.version:  # else an interrupted run has written it anew
            self._vault.store.put(row.name, msgspec.json.encode(after), {"format": "1"})
        return True

    def _without_subject(self, gap: Gap) -> Gap | None:
        """Returns a gap without the subject's rows; None if nothing is left: the gap of an erased item goes with the item."""
        after = msgspec.structs.replace(gap, reason=self._redactor("gaps/").without(gap.reason) or ERASED)
        if gap.key is not None:
            return after if self._subject.until(gap.key.encode()) == NEVER else None
        if gap.differing is None:
            return after
        rows = tuple(each for each in gap.differing if self._subject.until(each.key.encode()) == NEVER)
        if not rows:
            return None
        after = msgspec.structs.replace(after, differing=rows)
        if after != gap and self._vault.gaps.has_arrived(gap.evidence):
            self._vault.gaps.arrived(after.evidence)  # what explained the rows explains fewer of them, too
        return after


class _Needed:
    """Tells whether readers of the vault read an object of lines."""

    def __init__(self, own: str, segments: set[str], sets: set[str], old_bases: set[str]) -> None:
        self._own = own
        self._segments = segments
        self._sets = sets
        self._old_bases = old_bases

    def __call__(self, row: ObjectVersion) -> bool:
        kind, _, rest = row.name.removeprefix(self._own).partition("/")
        if kind == "log":
            return row.name in self._segments
        part_of = rest.partition("/")[0]
        return part_of in self._sets if kind == "compacted" else part_of not in self._old_bases
