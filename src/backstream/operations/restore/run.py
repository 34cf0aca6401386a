"""The restore: `prepare` checks and reads all that it needs and touches nothing; `plan` says what it would do; `apply` does it.

Several restores can be prepared before the first is applied. `restore` is one that is prepared and applied at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Self

import msgspec

from backstream import private_files
from backstream.errors import BackstreamError, NothingMatches
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.restore import resume_file
from backstream.operations.restore.applying import Pass, Prepared
from backstream.operations.restore.failures import named_destination
from backstream.operations.restore.report import Restored
from backstream.operations.restore.request import RestoreContext, RestoreJob, RestoreRequest
from backstream.operations.restore.resume_file import Leftovers, ResumeHead
from backstream.operations.restore.selection import selection_of
from backstream.operations.restore.states import deletes
from backstream.operations.restore.states.evidence import AbsenceEvidence
from backstream.operations.restore.states.row_states import RowCounts, RowState
from backstream.operations.restore.states.state_source import StateSource
from backstream.operations.restore.targets.sinks import Nowhere
from backstream.operations.setup.identity import check_lives
from backstream.vault.table_vault import TableVault


def restore(vault: TableVault, request: RestoreRequest, around: RestoreContext) -> Restored:
    """Restores rows, a tenant or the whole table to a second.

    Raises OutsideWindow, GapInTheWay, TargetNotEmpty and Refused before anything is touched. Items that could not be restored are
    in `failures` of the answer and, for a table as the target, in the file `left`.
    """
    return result_of(prepare(vault, request, around))


def prepare(
    vault: TableVault,
    request: RestoreRequest,
    around: RestoreContext,
    *,
    restore: str | None = None,
    finished: Callable[[], None] = lambda: None,
) -> PreparedRestore:
    """Return a restore that has everything checked and read once it is entered (`with`). Nothing is touched before `apply`.

    `restore`: its id, None for a new one; `finished`: see `Leftovers`.
    """
    return PreparedRestore(RestoreJob(vault, request, around), restore=restore, finished=finished)


def result_of(prepared: PreparedRestore) -> Restored:
    """Apply it at once; where the request is a dry run, only plan it."""
    with prepared:
        return prepared.plan() if prepared.is_dry_run else prepared.apply()


class FoundRows(msgspec.Struct, frozen=True):
    """The result of a selection in a table. `nothing`: why it finds no row; None if it finds any.

    `never_seen`: the requested keys that never had a row; `is_whole`: False if something could not be read.
    """

    nothing: NothingMatches | None
    never_seen: set[bytes]
    is_whole: bool


class PreparedRestore:
    """One restore, from its checks to its report.

    Within the `with` block the state and the live table, as they were read when it was entered, lie on disk. Writes to a table that
    others may be writing to carry the item as it was read, so what changes in between is a conflict and is not overwritten.
    """

    def __init__(
        self,
        job: RestoreJob,
        left: Leftovers | None = None,
        *,
        restore: str | None = None,
        finished: Callable[[], None] = lambda: None,
    ) -> None:
        """`left`: the file of an earlier restore that is resumed. `restore`, `finished`: see `prepare`."""
        self._job = job
        self._began = job.around.clock.now()
        self._window = job.vault.window(self._began)
        self._named = named_destination(job.vault)
        self._target = job.request.target.bind(job)
        self._left = left or self._new_file(restore or private_files.token(), finished)
        self._selection = selection_of(job.vault, job.request)
        self._source = StateSource(job, self._target, self._window)
        self._stack = ExitStack()

    @property
    def is_dry_run(self) -> bool:
        """True if the request asks for no more than a plan."""
        return self._job.request.dry_run

    def _new_file(self, restore_id: str, finished: Callable[[], None]) -> Leftovers:
        """Returns the account of the rows that are left: a new file, if the target can be resumed."""
        request, target = self._job.request, self._target
        head = ResumeHead(
            restore=restore_id,
            table=self._job.vault.catalog.table,
            at=request.at,
            target=target.name,
            tenant=request.tenant,
            partition=request.partition,
            where=request.where,
            in_place=target.in_place,
            keys=[msgspec.Raw(key) for key in request.keys],
            expect_deletes=request.expect_deletes,
            delete_unknown=request.delete_unknown,
        )
        path = resume_file.path_for(restore_id, self._job.around.folder) if target.resumable else None
        return Leftovers(path, head, finished)

    # --- preparing ---

    def __enter__(self) -> Self:
        request, vault = self._job.request, self._job.vault
        with ExitStack() as stack:
            safety.check_past(request.at, self._began, self._window)
            check_lives(vault.catalog, self._window.gaps, request.at)
            self._target.check()
            stack.callback(self._left.interrupt)
            stack.callback(self._target.close)
            candidates = self._source.candidates(stack) if self._target.wants_items else lambda: iter(())
            source = self._source
            evidence = AbsenceEvidence(
                request, self._window, source.later, lambda: source.lost, self._lost_between, vault.erasures.of
            )
            tally = self._deletes(evidence)
            self._prepared = Prepared(
                self._job, self._target, source, evidence, self._selection, candidates, self._named, self._began, tally
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _lost_between(self, key: bytes, then: Entry, first: Entry) -> BrokenChain | None:
        return lost_changes.lost_between(self._job.vault, key, then, first, self._window, self._began)

    def _deletes(self, evidence: AbsenceEvidence) -> RowCounts | None:
        """Count what would be deleted, and check that before anything is touched. It is None if nothing is deleted."""
        if not self._target.in_place:
            return None

        def would_delete(candidate: RowState) -> bool:
            if self._selection.rules_out(candidate) or not self._selection.wants(None, candidate.live):
                return False
            return evidence.against_deleting(candidate) is None

        counts = self._source.tally(would_delete)
        if not self.is_dry_run:
            deletes.check(counts, self._job.request, self._target.name, moment.iso(self._job.request.at))
        return counts

    # --- planning and doing ---

    def look(self) -> FoundRows:
        """Return what the selection finds. Nothing is touched."""
        one, nothing = self._pass(Leftovers(None, self._left.head)), None
        try:
            one.begin()
        except NothingMatches as error:
            nothing = error
        finally:
            one.close()
        return FoundRows(nothing, one.never_seen(), is_whole=not self._source.named.count)

    def plan(self) -> Restored:
        """Return what `apply` would do: the same decisions, nothing written. NotFound where a selection matches nothing."""
        one = self._pass(Leftovers(None, self._left.head))
        one.begin()
        one.count_cost()
        one.take(self._target.watch(Nowhere()))
        return one.report(self._target.finish(dry_run=True), dry_run=True)

    def apply(self) -> Restored:
        """Do it, once. `failures` of the answer holds the rows that could not be done. NotFound where a selection matches
        nothing."""
        if self.is_dry_run:
            raise ValueError("a dry run is planned, not applied")
        one = self._pass(self._left)
        one.begin()
        one.count_cost()
        sink = self._target.open_sink(self._left)
        one.leave_conflicts()
        sink = self._target.watch(sink)
        try:
            one.take(sink)
        except BackstreamError as error:
            sink.abandon()
            self._explain(error, touched=sink.touched)
            raise
        except BaseException:
            sink.abandon()
            raise
        return one.report(self._target.finish(dry_run=False), dry_run=False)

    def _pass(self, left: Leftovers) -> Pass:
        return self._stack.enter_context(closing(Pass(self._prepared, left)))

    def _explain(self, error: BackstreamError, *, touched: bool) -> None:
        """Adds to the error's hint how to resume, if anything was begun that can be resumed."""
        if not touched and not self._target.continues:
            self._left.discard()  # of a continued one the file still says what an earlier attempt has left
        elif self._left.begun is not None:
            error.hint = f"{error.hint} Then resume with: {self._left.command}".strip()
