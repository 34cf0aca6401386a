"""A revert of several tables: every plan is made before the first write, then they are carried out side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import BackstreamError, NothingMatches, PartlyDone, Refused, UsageError
from backstream.model.counts import counted
from backstream.operations import revert as reverting
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.writer import Budget
from backstream.operations.restore.targets.probe import probe
from backstream.operations.revert import Around, OnConflict, Plan, Reverted, RevertRequest, Writing, deletes
from backstream.operations.revert.applying import Standing, plan_path_for
from backstream.operations.together import group_file
from backstream.operations.together.group_file import GroupFile
from backstream.operations.together.nothing import no_table_has_any
from backstream.operations.together.restoring import NotAsOf
from backstream.operations.together.side_by_side import OnFailure, StopSign, check_all, refused, run_all, share, width
from backstream.vault.table_vault import TableVault


class RevertTask(msgspec.Struct, frozen=True):
    """One table of a run: the id of its own revert, by which its files are named, and the number of items that it writes."""

    table: str
    revert: str
    writes: int


class GroupRevertHead(msgspec.Struct, frozen=True, kw_only=True):
    """The request of a run. `words`: the selection of tables; `since`, `until`: the window (ISO 8601)."""

    run: str
    words: Sequence[str]
    since: str
    until: str
    tasks: Sequence[RevertTask]


class RevertedTogether(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """The result of a revert of several tables (with `dry_run`: its plan). Counts are items, of all tables together.

    `tables`: each table's own report; `reverted`: the tables in which all was done that was to be done; `not_reverted`: the others.
    `left`: the file for `--resume`; `undo`: the command that undoes all of it.
    """

    since: str
    until: str
    tables: Sequence[Reverted]
    reverted: Sequence[str]
    not_reverted: Sequence[NotAsOf]
    put: int
    updated: int
    deleted: int
    unchanged: int
    conflicts: int
    failed: int
    dry_run: bool
    seconds: float
    warnings: Sequence[str] = ()
    left: str | None = None
    undo: str | None = None


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run. `around_of`: a table's context; `notice` receives the command that resumes the run."""

    around_of: Callable[[str], Around]
    folder: Path
    writing: Writing = Writing()
    on_failure: OnFailure = OnFailure.STOP
    progress: Progress = Silent()
    notice: Callable[[str], None] = lambda _: None


Asked = Mapping[str, Callable[[], tuple[TableVault, RevertRequest]]]  # raises NothingMatches for a table that has no such rows
Ask = Callable[[RevertedTogether], bool]


def revert(asked: Asked, words: Sequence[str], ways: Ways, *, dry_run: bool, ask: Ask) -> RevertedTogether:
    """Plans all, asks, and carries out all. Raises one error, and touches nothing, if any table refuses."""
    run = _RevertRun(list(asked), ways)
    plans: dict[str, Plan] = {}
    agreed = False
    try:
        notes = run.plan(asked, plans, dry_run=dry_run)
        foreseen = run.foreseen(plans, notes)
        if dry_run:
            return foreseen
        agreed = ask(foreseen)
    finally:
        if not agreed:
            for each in plans.values():
                each.path.unlink(missing_ok=True)
    if not agreed:
        raise Refused("aborted; nothing was changed")
    return run.carry_out(plans, words, notes)


def resume(path: Path, ways: Ways, *, into_another: bool) -> RevertedTogether:
    """Continues a run that was interrupted, or that left something."""
    held = GroupFile.reopen(path, GroupRevertHead)
    try:
        ways = msgspec.structs.replace(ways, folder=path.parent)  # the tables' own files are there
        journals = [(each.table, reverting.path_for(each.revert, path.parent)) for each in held.head.tasks]
        group_file.check_not_taken_back(path, journals, Standing)
        return _RevertRun([each.table for each in held.head.tasks], ways).go_on(held, into_another=into_another)
    finally:
        held.close()


def undo(path: Path, ways: Ways, *, live: bool, into_another: bool) -> dict[str, Reverted]:
    """Takes back what a run has written, once each journal and each table was looked at."""
    head, _, _ = group_file.load(path, GroupRevertHead)
    journals = {each.table: reverting.path_for(each.revert, path.parent) for each in head.tasks}
    journals = {table: each for table, each in journals.items() if each.exists()}
    if not journals:
        raise UsageError(f"{path} has written nothing: there is nothing to undo")
    run = _RevertRun(list(journals), ways)

    def take_back(table: str, *, live: bool) -> Reverted:
        return reverting.undo(journals[table], run.around(table), run.writing, live=live, into_another=into_another)

    planned: dict[str, Reverted] = {}
    check_all(list(journals), lambda table: planned.update({table: take_back(table, live=False)}), "taken back")
    if not live:
        return planned
    undone = run.all(list(journals), lambda table: take_back(table, live=True), OnFailure.GO_ON)
    wrong = {table: each for table, each in undone.items() if isinstance(each, BackstreamError)}
    if wrong:
        said = "; ".join(f"{table}: {each.message}" for table, each in wrong.items())
        raise PartlyDone(f"{len(wrong)} of {len(journals)} tables were not taken back: {said}", hint="Run it again: it goes on.")
    return {table: each for table, each in undone.items() if isinstance(each, Reverted)}


class _RevertRun:
    def __init__(self, tables: Sequence[str], ways: Ways) -> None:
        self._tables = tables
        self._ways = ways
        self._stop = StopSign()
        some = ways.around_of(tables[0])
        self._memory, self._clock = some.memory, some.clock
        self._began = some.clock.now()
        self.writing = msgspec.structs.replace(ways.writing, budget=Budget.of(some.clock, ways.writing.max_units))

    def around(self, table: str) -> Around:
        """Returns one table's context: its part of the memory, and the sign that stops it."""
        memory = share(len(self._tables), self._memory)
        return msgspec.structs.replace(
            self._ways.around_of(table), memory=memory, progress=self._stop, folder=self._ways.folder, notice=lambda _: None
        )

    def all(
        self, tables: Sequence[str], run: Callable[[str], Reverted], on_failure: OnFailure
    ) -> dict[str, Reverted | BackstreamError]:
        """Runs tables side by side."""
        return run_all(
            tables,
            run,
            side_by_side=width(len(tables), self._memory),
            on_failure=on_failure,
            is_good=_is_done,
            stop=self._stop,
            progress=self._ways.progress,
        )

    # --- before anything is touched ---

    def plan(self, asked: Asked, plans: dict[str, Plan], *, dry_run: bool) -> list[str]:
        """Makes every plan, into `plans`, and returns notes. Raises one error that names all tables that refuse."""
        refusals: dict[str, BackstreamError] = {}
        nothing: dict[str, NothingMatches] = {}
        self._ways.progress.phase("planning every table", len(asked))
        for table, request_of in asked.items():
            try:
                self._plan_one(table, *request_of(), plans, dry_run=dry_run)
            except BackstreamError as error:
                if isinstance(error, NothingMatches):
                    nothing[table] = error
                else:
                    refusals[table] = error
            self._ways.progress.advance(1)
        if refusals or not plans:
            raise refused(refusals, len(asked), "reverted") if refusals else no_table_has_any(nothing)
        return [error.message for error in nothing.values()]

    def _plan_one(self, table: str, vault: TableVault, request: RevertRequest, plans: dict[str, Plan], *, dry_run: bool) -> None:
        around, name = self.around(table), private_files.token()
        path = plan_path_for(name, self._ways.folder)
        plans[table] = made = reverting.plan(vault, request, around, path, name=name, max_units=self.writing.max_units)
        if dry_run:
            return
        deletes.check(made, around.table, self.writing.expect_deletes)
        if request.on_conflict is OnConflict.STOP and made.counts.conflicts:
            said = counted(made.counts.conflicts, "item is", "items are")
            raise PartlyDone(f"{said} in conflict", hint="--on-conflict skip leaves these and writes the others.")
        probe(around.table)

    def foreseen(self, plans: Mapping[str, Plan], notes: Sequence[str]) -> RevertedTogether:
        """Returns what the plans would do."""
        reports = {
            table: reverting.foreseen(made, 0.0, reverting.deletes_needed(made, self.around(table).table))
            for table, made in plans.items()
        }
        return self._sum(reports, [], notes, dry_run=True)

    # --- writing ---

    def carry_out(self, plans: Mapping[str, Plan], words: Sequence[str], notes: Sequence[str]) -> RevertedTogether:
        """Writes what the plans say."""
        tasks = [RevertTask(table, made.head.id, made.counts.written) for table, made in plans.items()]
        some = next(iter(plans.values())).head
        head = GroupRevertHead(run=private_files.token(), words=words, since=some.since, until=some.until, tasks=tasks)
        held = GroupFile.begin(group_file.path_for(head.run, self._ways.folder), head)
        self._ways.notice(f"{_command('resume', held.path)}; or take back what it has done with: {_command('undo', held.path)}")

        def execute(table: str) -> Reverted:
            return self._execute(held, table, plans[table])

        return self._end(held, self.all(list(plans), execute, self._ways.on_failure), notes)

    def go_on(self, held: GroupFile[GroupRevertHead], *, into_another: bool) -> RevertedTogether:
        """Continues with the tables that are not done."""
        for each in held.head.tasks:
            if each.table not in held.done and self._is_over(each):
                held.finished(each.table)
        left = {each.table: each for each in held.head.tasks if each.table not in held.done}
        if not left:
            raise UsageError(f"all tables of {held.path} are reverted: nothing is left to resume")

        def one(table: str) -> Reverted:
            journal = reverting.path_for(left[table].revert, self._ways.folder)
            held.check_kept(table, journal)
            if journal.exists():
                return reverting.go_on(journal, self.around(table), self.writing, into_another=into_another)
            made = Plan(plan_path_for(left[table].revert, self._ways.folder))
            return self._execute(held, table, made)

        return self._end(held, self.all(list(left), one, self._ways.on_failure), [])

    def _execute(self, held: GroupFile[GroupRevertHead], table: str, made: Plan) -> Reverted:
        """Carries out a plan, and notes in the run's file that its journal is there, or that it is not any more."""
        around = msgspec.structs.replace(self.around(table), notice=lambda _: held.begins(table))
        try:
            return reverting.execute(made, around, self.writing, exactly=False, owned=True)
        except BackstreamError:
            if not reverting.path_for(made.head.id, self._ways.folder).exists():
                held.withdraws(table)
            raise

    def _is_over(self, task: RevertTask) -> bool:
        """True if a table was done when the run was killed: its journal says so, or there was nothing to write."""
        journal = reverting.path_for(task.revert, self._ways.folder)
        return Standing(journal).ended if journal.exists() else not task.writes

    # --- the report ---

    def _end(
        self, held: GroupFile[GroupRevertHead], found: Mapping[str, Reverted | BackstreamError], notes: Sequence[str]
    ) -> RevertedTogether:
        done = {table: each for table, each in found.items() if isinstance(each, Reverted)}
        for table, each in done.items():
            if each.resume is None:
                held.finished(table)
        missing = [_not_reverted(each.table, found.get(each.table)) for each in held.head.tasks if each.table not in held.done]
        missing += [_not_reverted(table, each) for table, each in done.items() if table in held.done and not _is_done(each)]
        written = any(reverting.path_for(each.revert, self._ways.folder).exists() for each in held.head.tasks)
        left = str(held.path) if len(held.done) < len(held.head.tasks) else None
        if left is None and not written:
            held.discard()
        else:
            held.close()
        whole = self._sum(done, missing, notes, dry_run=False)
        return msgspec.structs.replace(
            whole,
            since=held.head.since,
            until=held.head.until,
            reverted=[each.table for each in held.head.tasks if each.table not in {one.table for one in missing}],
            left=left,
            undo=_command("undo", held.path) if written else None,
        )

    def _sum(
        self, reports: Mapping[str, Reverted], missing: Sequence[NotAsOf], notes: Sequence[str], *, dry_run: bool
    ) -> RevertedTogether:
        tables = [msgspec.structs.replace(each, undo=None, resume=None) for each in reports.values()]
        warnings = [f"{each.table}: {why}" for each in tables for why in each.warnings]
        return RevertedTogether(
            since=tables[0].since if tables else "",
            until=tables[0].until if tables else "",
            tables=tables,
            reverted=[],
            not_reverted=missing,
            put=sum(each.put for each in tables),
            updated=sum(each.updated for each in tables),
            deleted=sum(each.deleted for each in tables),
            unchanged=sum(each.unchanged for each in tables),
            conflicts=sum(each.conflicts for each in tables),
            failed=sum(each.failed for each in tables),
            dry_run=dry_run,
            seconds=round(self._clock.now() - self._began, 3),
            warnings=[*notes, *warnings],
        )


def _is_done(report: Reverted) -> bool:
    return not report.failed and not report.conflicts


def _not_reverted(table: str, found: Reverted | BackstreamError | None) -> NotAsOf:
    if found is None:
        return NotAsOf(table, table, "not begun, since another table failed", begun=False)
    if isinstance(found, BackstreamError):
        return NotAsOf(table, table, found.message, begun=True)
    return NotAsOf(table, table, f"{found.conflicts:,} rows in conflict and {found.failed:,} failed ones were left", begun=True)


def _command(way: str, path: Path) -> str:
    return f"backstream revert --{way} {path}"
