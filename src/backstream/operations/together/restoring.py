"""A restore of several tables to one moment: each is checked and read before the first is touched, then they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import BackstreamError, OthersChanged, Refused, UsageError
from backstream.model import moment
from backstream.model.counts import counted
from backstream.operations import restore as restoring
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.writer import Budget
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import Again, InPlace, NewTable, PreparedRestore, RestoreContext, Restored, RestoreRequest
from backstream.operations.restore.resume import prepare_resumed
from backstream.operations.restore.targets.kept import UndoJournal
from backstream.operations.restore.targets.probe import probe
from backstream.operations.together import choosing, group_file
from backstream.operations.together.choosing import ALL_ROWS, RowFilters
from backstream.operations.together.group_file import GroupFile
from backstream.operations.together.side_by_side import OnFailure, StopSign, refused, run_all, share, width
from backstream.vault.table_vault import TableVault

VaultOf = Callable[[str], TableVault]


class TableTask(msgspec.Struct, frozen=True):
    """One table of a run: its target, and the id of its own restore, by which its files are named. `keys`: only these rows."""

    table: str
    target: str
    restore: str
    keys: Sequence[msgspec.Raw] = ()


class GroupRestoreHead(msgspec.Struct, frozen=True, kw_only=True):
    """The request of a run. `at`: the second that is restored; `asked`: the one that was asked for; `words`: the selection.

    `rows`: only these rows of each table.
    """

    run: str
    words: Sequence[str]
    at: int
    asked: int
    in_place: bool
    tasks: Sequence[TableTask]
    indexes: bool = True
    accept_settings: bool = False
    allow_gap: bool = False
    delete_unknown: bool = False
    expect_deletes: int | None = None
    into_another: bool = False
    rows: RowFilters = ALL_ROWS


class NotAsOf(msgspec.Struct, frozen=True):
    """A table that is not as of the moment, and why. `begun`: False if it was not touched at all."""

    table: str
    target: str
    why: str
    begun: bool


class RestoredTogether(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a restore of several tables (with `dry_run`: its plan). Counts are items, of all tables together.

    `tables`: each table's own report; `as_of`: the targets that are as of `at`; `not_as_of`: the tables that are not. `asked`: the
    moment that was asked for, if a quiet second before it was restored. `rows`: the filters, if only some rows were restored;
    `nothing`: the tables that have none of these rows. `left`: the file for `--resume`, which names every table;
    `undo`: the command that undoes all of it, in place. `estimated_seconds`, `write_units`, `dollars`: of a plan.
    """

    at: str
    asked: str | None = None
    tables: Sequence[Restored]
    as_of: Sequence[str]
    not_as_of: Sequence[NotAsOf]
    put: int
    deleted: int
    unchanged: int
    failed: int
    dry_run: bool
    seconds: float
    rows: Sequence[str] = ()
    nothing: Sequence[str] = ()
    warnings: Sequence[str] = ()
    left: str | None = None
    undo: str | None = None
    write_units: int = 0
    dollars: float = 0.0
    estimated_seconds: float = 0.0


class GroupRestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run. `max_units`: write units a second, of all tables together; `covered`: checks a vault's signatures.

    `notice` receives the command that resumes the run, before the first write. `nothing`: tables that were left out already, since
    they have none of the requested rows.
    """

    vault_of: VaultOf
    around: RestoreContext
    covered: Callable[[TableVault, int], SignedCover]
    on_failure: OnFailure = OnFailure.STOP
    patience: float = 30.0
    max_units: float | None = None
    force: bool = False
    dry_run: bool = False
    progress: Progress = Silent()
    notice: Callable[[str], None] = lambda _: None
    warnings: Sequence[str] = ()
    nothing: Sequence[str] = ()


def head_of(
    words: Sequence[str], targets: Mapping[str, str], at: int, asked: int, keys: Mapping[str, Sequence[bytes]], **how: object
) -> GroupRestoreHead:
    """Returns the request of a new run. `keys`: by table, only these rows."""
    tasks = [
        TableTask(table, target, private_files.token(), list(map(msgspec.Raw, keys.get(table, ()))))
        for table, target in targets.items()
    ]
    in_place = all(table == target for table, target in targets.items())
    return GroupRestoreHead(run=private_files.token(), words=words, at=at, asked=asked, in_place=in_place, tasks=tasks, **how)  # type: ignore[arg-type]


def restore(head: GroupRestoreHead, asked: GroupRestoreRequest) -> RestoredTogether:
    """Restores all tables to one moment. Raises one error, and touches nothing, if any table refuses."""
    return _RestoreRun(head, asked, None).run()


def resume(path: Path, asked: GroupRestoreRequest, **allowed: object) -> RestoredTogether:
    """Continues a run that was interrupted, or that left something. Tables that are done stay as they are.

    `allowed`: fields of the request that this attempt has beyond the first one, such as `expect_deletes`.
    """
    held = GroupFile.reopen(path, GroupRestoreHead)
    held.head = msgspec.structs.replace(held.head, **allowed)
    try:
        if len(held.done) == len(held.head.tasks):
            raise UsageError(f"all tables of {path} are restored: nothing is left to resume")
        group_file.check_not_taken_back(path, undo_files(held.head, path.parent), UndoJournal)
        beside = msgspec.structs.replace(asked.around, folder=path.parent)  # the tables' own files are there
        return _RestoreRun(held.head, msgspec.structs.replace(asked, around=beside), held).run()
    finally:
        held.close()


class _RestoreRun:
    def __init__(self, head: GroupRestoreHead, asked: GroupRestoreRequest, held: GroupFile[GroupRestoreHead] | None) -> None:
        self._head = head
        self._asked = asked
        self._held = held
        self._began = asked.around.clock.now()
        self._stop = StopSign()
        self._done = set() if held is None else set(held.done)
        self._passed: dict[str, BackstreamError] = {}
        self._covered: dict[str, SignedCover] = {}
        self._nothing = list(asked.nothing)
        clock, units = asked.around.clock, asked.max_units
        self._around = msgspec.structs.replace(
            asked.around,
            memory=share(len(head.tasks), asked.around.memory),
            progress=self._stop,
            budget=None if units is None else Budget(clock, units),
        )

    def run(self) -> RestoredTogether:
        with ExitStack() as stack:
            prepared = self._prepare(stack)
            if self._asked.dry_run:
                return self._planned({table: each.plan() for table, each in prepared.items()})
            self._begin()
            found = run_all(
                list(prepared),
                lambda table: self._apply(table, prepared[table]),
                side_by_side=width(len(prepared), self._asked.around.memory),
                on_failure=self._asked.on_failure,
                is_good=_is_done,
                stop=self._stop,
                progress=self._asked.progress,
            )
        return self._report({**self._passed, **found})

    # --- before anything is touched ---

    def _prepare(self, stack: ExitStack) -> dict[str, PreparedRestore]:
        """Checks and reads every table. Raises one error that names all that refuse."""
        todo = [each for each in self._head.tasks if each.table not in self._done]
        prepared: dict[str, PreparedRestore] = {}
        refusals: dict[str, BackstreamError] = {}
        self._asked.progress.phase("checking every table", len(todo))
        for task in todo:
            try:
                prepared[task.table] = stack.enter_context(self._prepared(task))
            except OthersChanged as error:  # it keeps no other table from going on
                self._passed[task.table] = error
            except BackstreamError as error:
                refusals[task.table] = error
            self._asked.progress.advance(1)
        if refusals or not prepared:
            raise refused(refusals or self._passed, len(todo), f"restored to {moment.iso(self._head.at)}")
        if self._held is None and self._selects:
            self._leave_out(prepared)
        return prepared

    @property
    def _selects(self) -> bool:
        return bool(self._head.rows.words) or any(each.keys for each in self._head.tasks)

    def _leave_out(self, prepared: dict[str, PreparedRestore]) -> None:
        """Leaves out the tables that have none of the selected rows, before anything is touched."""
        for table in choosing.left_out(prepared):
            del prepared[table]
            self._nothing.append(table)
        tasks = [each for each in self._head.tasks if each.table in prepared]
        self._head = msgspec.structs.replace(self._head, tasks=tasks)

    def _prepared(self, task: TableTask) -> PreparedRestore:
        head, asked, vault = self._head, self._asked, self._asked.vault_of(task.table)
        vault.accept_settings = head.accept_settings
        self._covered[task.table] = asked.covered(vault, head.at)
        if head.in_place and not asked.dry_run:
            probe(self._around.table_of(task.target))
        path = restoring.path_for(task.restore, self._around.folder)
        around = msgspec.structs.replace(self._around, notice=lambda _: self._begins(task.table))
        if self._held is not None:
            self._held.check_kept(task.table, path)
            if path.exists():
                return prepare_resumed(vault, path, around, self._again(), finished=lambda: self._finished(task.table))
        return restoring.prepare(
            vault, self._request(task), around, restore=task.restore, finished=lambda: self._finished(task.table)
        )

    def _again(self) -> Again:
        head, asked = self._head, self._asked
        return Again(
            dry_run=asked.dry_run,
            patience=asked.patience,
            force=asked.force,
            into_another=head.into_another,
            delete_unknown=head.delete_unknown,
            expect_deletes=head.expect_deletes,
            accept_settings=head.accept_settings,
        )

    def _request(self, task: TableTask) -> RestoreRequest:
        head, asked = self._head, self._asked
        new = NewTable(task.target, head.indexes, accept_settings=head.accept_settings)
        return RestoreRequest(
            at=head.at,
            target=InPlace() if head.in_place else new,
            keys=[bytes(key) for key in task.keys],
            keys_of_others=True,
            tenant=head.rows.tenant,
            partition=head.rows.partition,
            where=head.rows.where,
            dry_run=asked.dry_run,
            allow_gap=head.allow_gap,
            patience=asked.patience,
            max_units=asked.max_units,
            force=asked.force,
            into_another=head.into_another,
            delete_unknown=head.delete_unknown,
            expect_deletes=head.expect_deletes,
        )

    # --- writing ---

    def _begin(self) -> None:
        """Keeps the file that resumes and undoes the run; it is durable before the first write."""
        if self._held is None:
            self._held = GroupFile.begin(group_file.path_for(self._head.run, self._asked.around.folder), self._head)
        back = f"; or take back what it has done with: {self._command('undo')}" if self._head.in_place else ""
        self._asked.notice(f"{self._command('resume')}{back}")

    def _apply(self, table: str, prepared: PreparedRestore) -> Restored:
        try:
            return prepared.apply()
        except BackstreamError:
            own = next(restoring.path_for(each.restore, self._around.folder) for each in self._head.tasks if each.table == table)
            if self._held is not None and not own.exists():
                self._held.withdraws(table)
            raise

    def _begins(self, table: str) -> None:
        if self._held is not None:
            self._held.begins(table)

    def _finished(self, table: str) -> None:
        if self._held is not None:
            self._held.finished(table)

    def _command(self, way: str) -> str:
        path = group_file.path_for(self._head.run, self._asked.around.folder) if self._held is None else self._held.path
        return f"backstream restore --{way} {path}"

    # --- the report ---

    def _planned(self, plans: Mapping[str, Restored]) -> RestoredTogether:
        units = sum(each.plan.write_units for each in plans.values() if each.plan)
        longest = max((each.plan.estimated_seconds for each in plans.values() if each.plan), default=0.0)
        paced = longest if self._asked.max_units is None else round(units / self._asked.max_units, 1)
        return msgspec.structs.replace(
            self._sum(plans, [], None, None),
            write_units=units,
            dollars=round(sum(each.plan.dollars for each in plans.values() if each.plan), 6),
            estimated_seconds=max(longest, paced),
        )

    def _report(self, found: Mapping[str, Restored | BackstreamError]) -> RestoredTogether:
        held = self._held
        if held is None:
            raise Refused("the run has no file")
        done = {table: each for table, each in found.items() if isinstance(each, Restored)}
        for table, each in done.items():
            if _is_done(each):
                held.finished(table)
        missing = [self._not_as_of(task, found.get(task.table)) for task in self._head.tasks if task.table not in held.done]
        has_undo = self._head.in_place and any(self._undo_path(each).exists() for each in self._head.tasks)
        left, undo = str(held.path) if missing else None, self._command("undo") if has_undo else None
        if left is None and undo is None:
            held.discard()
        else:
            held.close()
        return self._sum(done, missing, left, undo)

    def _undo_path(self, task: TableTask) -> Path:
        return restoring.undo_path_for(task.restore, self._asked.around.folder)

    @staticmethod
    def _not_as_of(task: TableTask, found: Restored | BackstreamError | None) -> NotAsOf:
        if found is None:
            return NotAsOf(task.table, task.target, "not begun, since another table failed", begun=False)
        why = found.message if isinstance(found, BackstreamError) else f"{found.failed:,} rows were left, which its report names"
        why = f"{why}. {found.hint}" if isinstance(found, OthersChanged) else why
        return NotAsOf(task.table, task.target, why, begun=True)

    def _sum(
        self, reports: Mapping[str, Restored], missing: Sequence[NotAsOf], left: str | None, undo: str | None
    ) -> RestoredTogether:
        head, asked = self._head, self._asked
        vouched = [
            msgspec.structs.replace(each, covered=self._covered[table], left=None, undo=None) for table, each in reports.items()
        ]
        away = {each.table for each in missing}
        return RestoredTogether(
            at=moment.iso(head.at),
            asked=None if head.asked == head.at else moment.iso(head.asked),
            tables=vouched,
            as_of=[] if asked.dry_run else [each.target for each in head.tasks if each.table not in away],
            not_as_of=missing,
            put=sum(each.put for each in vouched),
            deleted=sum(each.deleted for each in vouched),
            unchanged=sum(each.unchanged for each in vouched),
            failed=sum(each.failed for each in vouched),
            dry_run=asked.dry_run,
            seconds=round(asked.around.clock.now() - self._began, 3),
            rows=self._words_of_rows(),
            nothing=self._nothing,
            warnings=list(dict.fromkeys([*asked.warnings, *(f"{each.table}: {why}" for each in vouched for why in each.warnings)])),
            left=left,
            undo=undo,
        )

    def _words_of_rows(self) -> list[str]:
        keys = {bytes(key) for each in self._head.tasks for key in each.keys}
        return [*self._head.rows.words, *([counted(len(keys), "key")] if keys else [])]


def _is_done(report: Restored) -> bool:
    return not report.failed


def undo_files(head: GroupRestoreHead, folder: Path) -> list[tuple[str, Path]]:
    """Returns the tables of a run, each with the file that undoes it, if it has written anything."""
    return [(each.table, restoring.undo_path_for(each.restore, folder)) for each in head.tasks]
