"""Makes the base backup: segments side by side, images before the lines that name them, and last the record that makes it count.

Killed at any instant, it continues after the last part of each segment. Two at once share the work, at worst doing some of it
twice: a process that finds an existing part continues behind it.
"""

from __future__ import annotations

import threading
import uuid
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import msgspec

from backstream.errors import BackstreamError, Damaged, Refused
from backstream.model import moment
from backstream.model.changes.entry import Entry, Scanned
from backstream.model.clocks import CLOCKS_APART
from backstream.operations.base.backfill.report import BackfillContext, Backfilled, report_of
from backstream.operations.base.backfill.segment import BackfillWork, Keep, SegmentReader
from backstream.operations.base.backfill.source import TableSource
from backstream.ports import ScannedImages
from backstream.vault import catalog as catalogs
from backstream.vault.bases import FORMAT, Base, BaseKind, BasePlan, CompletionRecord
from backstream.vault.catalog import Catalog
from backstream.vault.images import images_for, keep_scanned
from backstream.vault.table_vault import TableVault

WRITERS = 32
LONGEST_WAIT = 30  # seconds, for a gap that has only just ended to lie before the beginning
KEPT = "The rows read so far are kept: the same command continues from there."


def backfill(vault: TableVault, source: TableSource, parts: BackfillContext, *, fresh: bool = False) -> Backfilled:
    """Reads the whole of a source into the vault, as a base backup that its recovery window may start from.

    Resumes an interrupted base backup of the same source, unless it must be a `fresh` one. Raises the errors of source and vault;
    the rows read so far are kept. Nothing counts until all of it is there.
    """
    return _Backfill(vault, source, parts).run(fresh=fresh)


class _Backfill:
    def __init__(self, vault: TableVault, source: TableSource, parts: BackfillContext) -> None:
        self._vault = vault
        self._source = source
        self._clock = parts.clock
        self._parts = parts
        self._began = parts.clock.now()
        self._images: ScannedImages = images_for(vault.store, vault.catalog)
        self._written = self._forgotten = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, *, fresh: bool) -> Backfilled:
        if not fresh and (done := self._done()) is not None:
            return self._report(*done, self._source.segments, resumed=False)
        unfinished = None if fresh else self._unfinished()
        plan = unfinished or self._new_plan()
        self._parts.progress.phase(f"{plan.kind} of {self._vault.catalog.table}", self._source.rows or None)
        self._read(plan)
        base = Base(plan.kind, plan.id, plan.began, self._source.end())
        account = self._account(plan)
        self._vault.bases.finish(base, account)
        self._sleep_until(base.end)
        self._note_in_catalog(base)
        return self._report(base, account, plan.segments, resumed=unfinished is not None)

    def _report(self, base: Base, account: CompletionRecord, segments: int, *, resumed: bool) -> Backfilled:
        return report_of(
            self._vault,
            base,
            account,
            self._parts,
            written=self._written,
            segments=segments,
            resumed=resumed,
            began=self._began,
            units=self._source.units,
            forgotten=self._forgotten,
        )

    # --- the plan ---

    def _done(self) -> tuple[Base, CompletionRecord] | None:
        """Returns a complete base backup of the same export: an export has one moment, so taking it in again adds nothing."""
        if self._source.kind is not BaseKind.EXPORT:
            return None
        plans = {plan.id for plan in self._vault.bases.plans() if plan.source == self._source.id}
        base = next((each for each in self._vault.bases.complete() if each.id in plans), None)
        return None if base is None else (base, self._vault.bases.account(base))

    def _unfinished(self) -> BasePlan | None:
        """Returns the newest interrupted one.

        A scan since which changes were lost does not qualify: another one will make up for them.
        """
        complete = {base.id for base in self._vault.bases.complete()} | self._vault.bases.passed()
        lost = max((gap.until for gap in self._vault.coverage.lost()), default=0) if self._source.kind is BaseKind.SCAN else 0
        wanted = (self._source.kind, self._source.id)
        plans = [plan for plan in self._vault.bases.plans() if plan.id not in complete and (plan.kind, plan.source) == wanted]
        return max((plan for plan in plans if self._can_go_on(plan, lost)), key=lambda plan: plan.began, default=None)

    def _can_go_on(self, plan: BasePlan, lost: int) -> bool:
        """True if a plan can be resumed.

        An export has as many segments as files, so a plan with fewer would lack the others. No plan may be of the future.
        """
        whole = self._source.kind is not BaseKind.EXPORT or plan.segments == self._source.segments
        return whole and lost < plan.began <= self._clock.now()

    def _new_plan(self) -> BasePlan:
        began = self._begin()
        _check_horizon(self._vault.catalog, began)
        name = f"{moment.compact(began)}-{uuid.uuid4().hex[:6]}"
        plan = BasePlan(FORMAT, name, self._source.kind, self._source.id, self._source.segments, began)
        self._vault.bases.begin(plan)
        return plan

    def _begin(self) -> int:
        """Returns its begin: after the horizon and all known gaps, if one ended only just now."""
        before = max((gap.until for gap in self._vault.coverage.lost()), default=0)
        horizon = self._vault.catalog.horizon
        before = max(before, self._vault.coverage.followed_from - 1, 0 if horizon is None else horizon.second)
        began = self._source.begin()
        if began <= before <= began + LONGEST_WAIT and self._source.kind is BaseKind.SCAN:
            self._clock.sleep(before + 1 - began)
            began = self._source.begin()
        return began

    # --- reading ---

    def _read(self, plan: BasePlan) -> None:
        with (
            ThreadPoolExecutor(WRITERS, thread_name_prefix="writer") as writers,
            ThreadPoolExecutor(min(plan.segments, self._source.side_by_side), thread_name_prefix="segment") as readers,
        ):
            progress, stopped = self._parts.progress, self._stop.is_set
            work = BackfillWork(self._vault.bases, self._source, plan, self._keep(writers), self._clock, progress, stopped)
            segments = [readers.submit(SegmentReader(work, number).read) for number in range(plan.segments)]
            try:
                wait(segments, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()  # whatever it was: the others end with their next page, and keep what they have
        self._raise_first([error for each in segments if (error := each.exception()) is not None])

    def _raise_first(self, errors: Sequence[BaseException]) -> None:
        for error in errors:
            if isinstance(error, BackstreamError):
                error.hint = f"{error.hint} {KEPT}".strip()
            raise error

    def _keep(self, pool: ThreadPoolExecutor) -> Keep:
        def keep(page: Sequence[Scanned]) -> list[Entry]:
            wanted = [each for each in page if not self._vault.forgotten.has(each.keys)]
            kept = keep_scanned(self._images, wanted, pool)
            with self._lock:
                self._written += sum(written for _, written in kept)
                self._forgotten += len(page) - len(wanted)
            self._parts.progress.advance(len(page))
            return [entry for entry, _ in kept]

        return keep

    # --- the account ---

    def _account(self, plan: BasePlan) -> CompletionRecord:
        """Returns the present contents. Raises Damaged if a segment is not whole: then the base backup does not count."""
        parts = self._vault.bases.parts(plan.id)
        numbers, ends = defaultdict[int, set[int]](set), set[int]()
        for part in parts:
            numbers[part.segment].add(part.number)
            ends |= {part.segment} if part.last else set()
        for number in range(plan.segments):
            found, ended = numbers[number], number in ends
            if not ended or found != set(range(len(found))):
                raise Damaged(
                    f"segment {number} of the base backup {plan.id} has lost a part while it was made",
                    hint="Run `backfill --fresh`: it begins a new one.",
                )
        return CompletionRecord(FORMAT, plan.source, sum(part.count for part in parts), len(parts))

    def _sleep_until(self, second: int) -> None:
        """Waits until the second from which the base backup counts: a few seconds at most, because of the clocks."""
        wait_for = second - self._clock.now()
        if 0 < wait_for <= 2 * CLOCKS_APART + 1:
            self._clock.sleep(wait_for)

    def _note_in_catalog(self, base: Base) -> None:
        newest = catalogs.BaseBackup(base.id, base.kind, moment.iso(base.begin), moment.iso(base.end))

        def noted(catalog: Catalog) -> Catalog:
            _check_horizon(catalog, base.begin)
            if catalog.base_backup is None or catalog.base_backup.ended <= newest.ended:
                return msgspec.structs.replace(catalog, base_backup=newest)
            return catalog

        catalogs.change(self._vault.store, self._vault.catalog.table, noted)


def _check_horizon(catalog: Catalog, began: int) -> None:
    """Raises Refused if the horizon has passed the begin of a base backup: the changes made beside it may be removed."""
    if catalog.horizon is not None and began <= catalog.horizon.second:
        raise Refused(
            f"a base backup that begins at {moment.iso(began)} does not count: "
            f"the history of {catalog.table} is kept from {catalog.horizon.since} on",
            hint="Take one that begins later. `retain` must not pass the begin of one that is still being made.",
        )
