"""The migration itself: runs the function over each item, writes its changes or only reports them, and accounts for every item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import BackstreamError, ScriptFailed, UsageError
from backstream.model.migration import ItemRewrite
from backstream.model.values.schema import KeySchema
from backstream.operations.bulk.writer import BulkWriter, LeftOut
from backstream.operations.migrate import journal as journals
from backstream.operations.migrate.applying import CONFLICT, Applying, Conflict, PendingRewrite
from backstream.operations.migrate.function import Function, Script
from backstream.operations.migrate.journal import Journal, MigrationHead, MigrationJournal
from backstream.operations.migrate.report import MigrationCounts
from backstream.operations.migrate.request import Migrated, MigrationContext, MigrationRequest
from backstream.operations.migrate.settling import settle_open
from backstream.operations.migrate.sources import Earlier, ItemSource, SourceRow
from backstream.operations.migrate.window import check_undoable, leave_the_second
from backstream.vault.dumps.opening import FileOptions

CONFLICT_SINCE = "the live item is another than it was then, so it is left as it is"


class MigrationRun:
    """One migration: its script and its source. `schema`: the table's; `at`, `snapshot`, `files`: see `journal.MigrationHead`."""

    def __init__(
        self,
        script: Script,
        source: ItemSource,
        schema: KeySchema,
        *,
        at: int | None = None,
        snapshot: str | None = None,
        files: FileOptions | None = None,
    ) -> None:
        if script.takes_live and not isinstance(source, Earlier):
            raise UsageError(
                f"{script.path}: a function of two items, then and now, needs an earlier state",
                hint="Give --at MOMENT or --from-snapshot URL, or write `def migrate(item)`.",
            )
        self.script = script
        self.source = source
        self.schema = schema
        self.at = at
        self.snapshot = snapshot
        self.files = files


def migrate(
    work: MigrationRun, asked: MigrationRequest, around: MigrationContext, rehearsal: MigrationRun | None = None
) -> Migrated:
    """Runs a script over every item. Without `live` nothing is written.

    `rehearsal`: the same work. It is run first, without writing, so that a script that cannot do all of it fails before anything
    is changed. Raises Refused if the vault could not undo it. Raises ScriptFailed, naming the item, if the script raises or
    returns nonsense: the items written by then stay, are counted, and the migration can be resumed.
    """
    head = MigrationHead(
        migration=private_files.token(),
        table=around.table.name,
        script=str(Path(work.script.path).resolve()),
        digest=work.script.digest,
        began=int(around.table.server_time()),
        at=work.at,
        snapshot=work.snapshot,
        files=work.files,
        undo=asked.undoable,
    )
    account = MigrationCounts(head, work.source.name, asked, around)
    if not asked.live:
        return _RunState(work, asked, around, account, None, None).run()
    account.warnings += check_undoable(around, head.began) if asked.undoable else []
    if rehearsal is not None:
        _rehearse(rehearsal, head, asked, around)
    if asked.undoable:
        leave_the_second(around, head.began)
    journal = Journal.begin(journals.path_for(head.migration, around.folder), head)
    return _RunState(work, asked, around, account, journal, None).run()


def _rehearse(work: MigrationRun, head: MigrationHead, asked: MigrationRequest, around: MigrationContext) -> None:
    """Runs everything without writing, and raises the first error. The hook is left out."""
    dry = msgspec.structs.replace(asked, live=False, shown=0)
    _RunState(work, dry, around, MigrationCounts(head, work.source.name, dry, around), None, None, phase="rehearsal").over_all()


def resume(path: Path, work: MigrationRun, asked: MigrationRequest, around: MigrationContext) -> Migrated:
    """Continues a migration that was interrupted or left something: the items that it has written are not migrated again.

    Raises UsageError if there is no such file, or if it belongs to another table; Refused if another process works on it.
    """
    standing = MigrationJournal(path)
    if standing.head.table != around.table.name:
        raise UsageError(f"{path} is a migration of {standing.head.table}, not of {around.table.name}")
    if standing.taken_back:
        raise UsageError(f"the migration {standing.head.migration} was taken back", hint="Begin a new one, without --resume.")
    if standing.ended:
        raise UsageError(f"the migration {standing.head.migration} has ended: nothing of it is left to do")
    journal = Journal.reopen(path, standing)
    account = MigrationCounts(standing.head, work.source.name, asked, around)
    account.already = standing.done
    if standing.head.digest != work.script.digest:
        account.warnings.append(f"{work.script.path} has changed since the migration began: the rest is done by its present text")
    try:
        settle_open(standing, journal, account, around)
    except BaseException:
        journal.close()
        raise
    return _RunState(work, asked, around, account, journal, standing).run()


class _RunState:
    def __init__(
        self,
        work: MigrationRun,
        asked: MigrationRequest,
        around: MigrationContext,
        account: MigrationCounts,
        journal: Journal | None,
        standing: MigrationJournal | None,
        *,
        phase: str = "items",
    ) -> None:
        self._work = work
        self._asked = asked
        self._around = around
        self._account = account
        self._journal = journal
        self._standing = standing
        self._function = Function(work.script, work.schema)
        self._counts: Counter[str] = Counter()
        self._applying = Applying(around.table, journal)
        self._writer: BulkWriter[PendingRewrite] | None = None
        self._phase = phase

    def run(self) -> Migrated:
        ended = self.over_all()
        self._end(ended=ended)
        return self._report(ended=ended)

    def over_all(self) -> bool:
        """Returns whether all items were looked at. Every decided change is done, or named."""
        self._begin()
        try:
            ended = self._over_all()
            self._drain()
            self._check_script()
        except ScriptFailed as error:
            raise self._stopped(error) from error.__cause__
        except BackstreamError as error:
            raise self._interrupted(error) from error
        except BaseException:
            self._abandon()
            self._close()
            raise
        return ended

    def _begin(self) -> None:
        self._around.progress.phase(self._phase, None)
        if self._journal is None:
            return
        self._account.file = self._journal.path
        self._around.notice(self._account.words_before())
        self._writer = BulkWriter(
            self._applying,
            self._around.clock,
            patience=self._asked.patience,
            max_units=self._asked.max_units,
            most=self._asked.concurrency,
        )

    # --- over every item ---

    def _over_all(self) -> bool:
        """Returns whether all items were looked at."""
        with closing(self._rows()) as rows:
            for row in rows:
                if self._asked.limit is not None and self._counts["scanned"] >= self._asked.limit:
                    return False
                self._check_script()
                if self._writer is not None and self._writer.gave_up_reason:
                    self._account.warnings.append(f"stopped before all items were looked at: {self._writer.gave_up_reason}")
                    return False
                self._around.progress.advance(1)
                self._counts["scanned"] += 1
                self._take(row)
        return True

    def _rows(self) -> Generator[SourceRow]:
        standing = self._standing
        with closing(self._work.source.rows()) as rows:
            for row in rows:
                if standing is None or not standing.is_settled(row.key):
                    yield row

    def _check_script(self) -> None:
        if self._applying.stopped is not None:
            raise self._applying.stopped

    def _take(self, row: SourceRow) -> None:
        change = self._function.decide(row.key, row.seen, row.live)
        if change is None:
            self._counts["unchanged"] += 1
            return
        if self._account.is_other(change.before, row.live):
            self._account.conflict(row.key, CONFLICT_SINCE)
            return
        self._account.planned(change)
        if self._writer is None:
            self._counts["deleted" if change.after is None else "changed"] += 1
        else:
            self._writer.add(PendingRewrite(change, self._again(row)))

    def _again(self, row: SourceRow) -> Callable[[bytes, bytes | None], ItemRewrite | None]:
        """Returns the function that decides for an item that has changed: the first decision was about the old one."""
        earlier = isinstance(self._work.source, Earlier)

        def again(key: bytes, live: bytes | None) -> ItemRewrite | None:
            if earlier and not self._function.takes_live:
                raise Conflict(CONFLICT)
            if live is None and not self._function.takes_live:
                return None  # it is gone: there is nothing to migrate
            return self._function.decide(key, row.seen if earlier else live or row.seen, live)

        return again

    # --- the end ---

    def _drain(self) -> None:
        """Returns when every decided change is written or named."""
        if self._writer is None:
            return
        self._writer.finish()
        for each in self._writer.left_out:
            self._leave_out(each)
        self._collect()

    def _leave_out(self, each: LeftOut[PendingRewrite]) -> None:
        self._applying.give_up(each.write)
        if self._applying.stopped is None:
            self._account.failed(each.write.change.key, each.reason)

    def _collect(self) -> None:
        self._counts.update(self._applying.counts)
        self._applying.counts.clear()
        for each in self._applying.left:
            self._account.conflict(each.key, each.why)
        self._applying.left.clear()

    def _stopped(self, error: ScriptFailed) -> ScriptFailed:
        """Writes the earlier decisions, and returns the error with the item and the way to resume."""
        also = ""
        try:
            self._drain()
        except BackstreamError as other:
            also = f"And: {other.message}."
            self._abandon()
            self._collect()
        except BaseException:
            self._abandon()
            raise
        words = self._account.words_after(self._counts, self._close())
        return ScriptFailed(error.message, hint=" ".join(each for each in (error.hint, also, words) if each))

    def _interrupted(self, error: BackstreamError) -> BackstreamError:
        self._abandon()
        self._collect()
        error.hint = f"{error.hint} {self._account.words_after(self._counts, self._close())}".strip()
        return error

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abandon()

    def _close(self) -> bool:
        """Returns whether the file stays: it is deleted if it holds nothing."""
        if self._journal is None:
            return False
        untouched = self._standing is None and not self._journal.count
        if untouched:
            self._journal.discard()
        else:
            self._journal.close()
        return not untouched

    def _end(self, *, ended: bool) -> None:
        for failure in self._work.source.failures:
            self._account.unread(failure)
        try:
            self._work.script.finish(self._account.for_finish(self._counts))
        except ScriptFailed as error:
            words = self._account.words_after(self._counts, self._close())
            raise ScriptFailed(f"finish: {error.message}", hint=words) from error.__cause__
        if ended and self._journal is not None and not self._account.failed_count:
            self._journal.end()

    def _report(self, *, ended: bool) -> Migrated:
        kept = self._close()
        left = not ended or self._account.failed_count > 0
        return self._account.report(self._counts, self._work.source.warnings, kept=kept, resumable=kept and left)
