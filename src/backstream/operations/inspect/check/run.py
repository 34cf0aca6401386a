"""The check itself: compares everything that the vault claims with everything that exists."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import Damaged, MissingObject, NotFound
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.counts import counted
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.inspect.check import records
from backstream.operations.inspect.check.concealed_log import concealed_log
from backstream.operations.inspect.check.items import Items
from backstream.operations.inspect.check.lines import LineReader
from backstream.operations.inspect.check.lost import found_of, lost_changes
from backstream.operations.inspect.check.own_folder import look_around
from backstream.operations.inspect.check.report import NAMED, Checked, Finding, FindingKind, RepairableFinding, wrong
from backstream.operations.inspect.check.rows import RowCheck
from backstream.operations.inspect.lost_changes import MOST_RECORDED, record
from backstream.ports import Clock, Markers, ObjectStore
from backstream.vault import catalog as catalogs
from backstream.vault import table_folders
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import TableVault

CHAINS = "each change against the state that the one before it left"

SILENT = "which do not say upon which state they were made, against the one before: nothing shows whether a change is missing there"


class CheckContext(msgspec.Struct, frozen=True):
    """The context of a check besides the vault. `markers`: the right to remove delete markers; None: nothing is repaired."""

    clock: Clock
    memory: Memory = Memory()
    progress: Progress = Silent()
    markers: Markers | None = None


def check(vault: TableVault, around: CheckContext, *, percent: float = 0.0) -> Checked:
    """Compares everything that a table's vault claims with everything that exists.

    It writes only the gaps of items that lost a change, if that is allowed; `around.markers` removes markers. `percent`: the share
    of the log's row versions that is read and verified; the others are checked by a listing alone. Raises the store's errors: an
    object that could not be looked at is not a finding.
    """
    return _Check(vault, around, percent).run()


def check_table(
    open_vault: Callable[[], TableVault], store: ObjectStore, table: str, around: CheckContext, *, percent: float = 0.0
) -> Checked:
    """Does the same as `check` for a table whose catalog may be damaged or lost: that is then the only finding."""
    try:
        vault = open_vault()
    except Damaged as error:
        return _without_catalog(table, wrong(FindingKind.DAMAGED, catalogs.name_of(table), error.message).finding)
    except NotFound:
        if table not in table_folders.folders(store):
            raise
        why = "the catalog is lost, and without it nothing else can be read"
        return _without_catalog(table, wrong(FindingKind.MISSING, catalogs.name_of(table), why).finding)
    return check(vault, around, percent=percent)


def _without_catalog(table: str, finding: Finding) -> Checked:
    return Checked(table, 1, 0, [finding], found=1, unchecked=["everything but the catalog: it says how to read the rest"])


class _Check:
    def __init__(self, vault: TableVault, around: CheckContext, percent: float) -> None:
        self._vault = vault
        self._around = around
        self._percent = percent
        self._began = around.clock.now()
        self._findings: list[Finding] = []
        self._found = 0
        self._repaired = 0
        self._lines = LineReader(vault, around.memory, around.progress)
        self._without_window = ""
        self._unrecorded = ""

    def run(self) -> Checked:
        progress = self._around.progress
        self._note(records.without_generation(self._vault))
        if self._found:
            return self._without_log()
        segments = list(concealed_log(self._vault, self._around.memory, progress))
        progress.phase("looking at the vault's own objects", None)
        self._note(records.concealed(self._vault, segments))
        self._note(records.planted_records(self._vault))
        self._note(records.readable(self._vault))
        self._note(look_around(self._vault))
        with self._lines:
            self._note(self._lines.take(self._everything(segments)))
            with RowCheck(self._vault, self._lines.entries, self._lines.kept, self._around.memory, progress) as rows:
                self._note(rows.compare())
                items = Items(self._vault, self._lines.entries, self._lines.kept, rows, progress, percent=self._percent)
                self._note(items.go_through())
            self._compare_chains()
        return self._report(rows, items)

    def _compare_chains(self) -> None:
        """Checks each change against the one before it.

        This is left out if the window is unknown, because a gap may explain what looks lost.
        """
        now = self._around.clock.now()
        try:
            window = self._vault.window(now)
        except (Damaged, MissingObject) as error:
            self._without_window = error.message
            return
        lost = lost_changes(self._vault, self._lines.entries, self._lines.unsound, window, now)
        self._note(found_of(self._vault, each) for each in self._recording(lost))

    def _recording(self, lost: Iterator[BrokenChain]) -> Iterator[BrokenChain]:
        """Yields the same, and then records gaps of their items, so that a restore of a moment before they show is warned."""
        first: list[BrokenChain] = []
        for each in lost:
            if len(first) < MOST_RECORDED:
                first.append(each)
            yield each
        self._unrecorded = record(self._vault, first)

    def _everything(self, segments: list[LogListing]) -> Inventory:
        """Returns everything to be read, including hidden segments that a listing of late hours did not reach."""
        found = self._vault.inventory()
        known = {each.name for each in found.listed}
        more = [each for each in segments if each.name not in known]
        return msgspec.structs.replace(found, segments=[*found.segments, *more], listed=[*found.listed, *more])

    def _note(self, found: Iterator[RepairableFinding]) -> None:
        for each in found:
            self._found += 1
            repaired = self._repair(each)
            self._repaired += repaired
            if len(self._findings) < NAMED:
                self._findings.append(msgspec.structs.replace(each.finding, repaired=repaired))

    def _repair(self, found: RepairableFinding) -> bool:
        """Removes the markers that hide it. Markers that somebody has removed meanwhile are not an error."""
        markers = self._around.markers
        if markers is None or not found.markers:
            return False
        for each in found.markers:
            markers.remove(each.name, each.version)
        return True

    def _report(self, rows: RowCheck, items: Items) -> Checked:
        return Checked(
            table=self._vault.catalog.table,
            objects=self._lines.objects + rows.objects,
            versions=rows.versions,
            findings=self._findings,
            found=self._found,
            repaired=self._repaired,
            changes=self._lines.read,
            bodies=items.bodies,
            seconds=round(self._around.clock.now() - self._began, 3),
            unrecorded=self._unrecorded,
            checked=self._checked(rows, items),
            unchecked=self._unchecked(items),
        )

    def _without_log(self) -> Checked:
        return Checked(
            table=self._vault.catalog.table,
            objects=self._found,
            versions=0,
            findings=self._findings,
            found=self._found,
            repaired=self._repaired,
            seconds=round(self._around.clock.now() - self._began, 3),
            checked=["catalog, base backups and gaps"],
            unchecked=["the change log and rows: nobody knows which compacted objects count"],
        )

    def _checked(self, rows: RowCheck, items: Items) -> list[str]:
        read = [f"{items.bodies:,} row versions, read and verified"] if items.bodies else []
        return [
            f"{counted(self._lines.read, 'line')} of the change log and of base backups, read",
            f"{counted(rows.versions, 'row version')} of {counted(rows.objects, 'object')}, by a listing",
            *read,
            *([] if self._without_window or not (items.linked or not items.silent) else [CHAINS]),
            "catalog, base backups, compacted sets, gaps, drills, and who made changes",
            "delete markers, and foreign objects in the table's own folder",
        ]

    def _unchecked(self, items: Items) -> list[str]:
        chains = [f"{CHAINS}: {self._without_window}"] if self._without_window else []
        chains += [f"{counted(items.silent, 'change')}, {SILENT}"] if items.silent else []
        if self._percent >= 100:
            return chains
        share = f"of {100 - self._percent:g} % " if self._percent else ""
        return [*chains, f"the bytes {share}of the row versions, which `backstream check --read-data` reads"]
