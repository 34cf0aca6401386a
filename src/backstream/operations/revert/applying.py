"""Executes a plan: each item by a write on condition that it is as it was for the merge, and recorded so that it can be undone.

An item that somebody changed meanwhile is merged anew with its present state; if a plan must be executed exactly, it is left.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.errors import BackstreamError, PartlyDone, Refused, UsageError
from backstream.model import moment
from backstream.model.changes import merge
from backstream.model.changes.merge import MergeVerdict
from backstream.model.counts import counted
from backstream.model.migration import ItemRewrite
from backstream.model.values import wire
from backstream.model.values.shell_words import shell_line
from backstream.operations.bulk import journal
from backstream.operations.bulk.writer import BulkWriter
from backstream.operations.inspect import safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.migrate.applying import Again, Applying, Conflict, PendingRewrite
from backstream.operations.restore import Failure
from backstream.operations.restore.resume_file import MOST_NAMED
from backstream.operations.revert.plan_file import FAILED, Plan, PlanRow, image_in
from backstream.operations.revert.request import Around, OnConflict, Reverted, Writing

_STEM = "backstream-revert-"
CHANGED = "somebody has changed it since the plan was made"
POLL_SECONDS = 0.25
LONGEST_WAIT = 10.0  # seconds
TOGETHER = 100  # items that are looked at by one request


class RevertHead(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's first line. `restore`: the revert's id, under the field name that `restore --undo` reads; `began`: the second.

    `plan`, `digest`: the file of the plan, and its digest; `exactly`: nothing is merged anew; `owned`: the revert made the plan's
    file itself.
    """

    restore: str
    table: str
    began: int
    arn: str
    table_id: str
    plan: str
    digest: str
    exactly: bool
    owned: bool


class Standing(journal.JournalState[RevertHead]):
    """The progress of a revert, as its journal records it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, RevertHead, "revert")


def path_for(revert: str, folder: Path) -> Path:
    """Returns the path of a revert's journal, by its id."""
    return folder / f"{_STEM}{revert}.ndjson"


def plan_path_for(revert: str, folder: Path) -> Path:
    """Returns the path of the plan that a revert makes for itself."""
    return folder / f"{_STEM}{revert}-plan.ndjson"


def execute(plan: Plan, around: Around, writing: Writing, *, exactly: bool, owned: bool) -> Reverted:
    """Executes a plan. Raises PartlyDone, before anything is written, if it has conflicts and must stop at them."""
    began = around.clock.now()
    if plan.head.on_conflict is OnConflict.STOP and plan.counts.conflicts:
        named = ", ".join(bytes(row.key).decode() for row in plan.rows() if row.verdict == MergeVerdict.CONFLICT)
        raise PartlyDone(
            f"{counted(plan.counts.conflicts, 'item is', 'items are')} in conflict: {named[:1000]}; nothing was written",
            hint="--on-conflict skip leaves these and writes the others.",
        )
    if not plan.counts.written:
        return Execution(plan, around, writing, None, began, exactly=exactly, owned=owned).run()
    facts = around.table.facts()
    path = path_for(plan.head.id, around.folder)
    if path.exists():
        standing = Standing(path)
        if standing.taken_back:
            raise UsageError(f"this plan has been carried out and taken back: {path} is there", hint="Make a new plan.")
        if standing.ended:
            undo = _command(plan.head.table, "undo", path)
            raise UsageError(f"this plan has been carried out: {path} is there", hint=f"This takes it back: {undo}")
        raise UsageError(
            f"this plan has been begun: {path} is there", hint=f"Resume it: {_command(plan.head.table, 'resume', path)}"
        )
    _wait_past(plan, around)
    head = RevertHead(
        restore=plan.head.id,
        table=plan.head.table,
        began=int(around.table.server_time()),
        arn=facts.arn,
        table_id=facts.table_id,
        plan=str(plan.path.absolute()),
        digest=plan.digest,
        exactly=exactly,
        owned=owned,
    )
    held = journal.Journal.begin(path, head, keeps_images=True)
    around.notice(f"{_command(head.table, 'resume', path)}; or take it back with: {_command(head.table, 'undo', path)}")
    return Execution(plan, around, writing, held, began, exactly=exactly, owned=owned).run()


def go_on(path: Path, around: Around, writing: Writing, *, into_another: bool = False) -> Reverted:
    """Continues a revert that was interrupted, or that left something.

    Raises UsageError if there is none; Refused if its plan has changed, or if the live table is another one, unless `into_another`.
    """
    standing = Standing(path)
    head = standing.head
    if head.table != around.table.name:
        raise UsageError(f"{path} is a revert of {head.table}, not of {around.table.name}")
    if standing.taken_back:
        raise UsageError(f"the revert {head.restore} was taken back", hint="Begin a new one, without --resume.")
    if standing.ended:
        raise UsageError(f"the revert {head.restore} has done all that it was to do: nothing is left to resume")
    if not into_another:
        safety.check_same_table(
            Identity(head.arn, head.table_id), around.table.facts(), of="the one that this revert began to write to"
        )
    there = Path(head.plan)
    plan = Plan(there if there.exists() else path.with_name(there.name))  # the files may have been moved together
    if plan.digest != head.digest:
        raise Refused(f"{head.plan} is another plan than the one that was begun; nothing was touched")
    began = around.clock.now()
    held = journal.Journal.reopen(path, standing, keeps_images=True)
    return Execution(plan, around, writing, held, began, exactly=head.exactly, owned=head.owned, standing=standing).run()


def _command(table: str, what: str, path: Path) -> str:
    return shell_line(["backstream", "revert", table, f"--{what}", str(path)])


def _wait_past(plan: Plan, around: Around) -> None:
    """Waits, so that no change of this revert falls into the window's last second, unless clocks are far apart."""
    latest = around.clock.now() + LONGEST_WAIT
    while moment.iso(around.table.server_time()) <= plan.head.until and around.clock.now() < latest:
        around.clock.sleep(POLL_SECONDS)


class Execution:
    """One execution of a plan. `standing`: the work of an earlier attempt."""

    def __init__(
        self,
        plan: Plan,
        around: Around,
        writing: Writing,
        held: journal.Journal[RevertHead] | None,
        began: float,
        *,
        exactly: bool,
        owned: bool,
        standing: Standing | None = None,
    ) -> None:
        self._plan = plan
        self._around = around
        self._journal = held
        self._began = began
        self._exactly = exactly
        self._owned = owned
        self._standing = standing
        self._stops = plan.head.on_conflict is OnConflict.STOP
        self._key_of = wire.KeyReader(around.table.facts().schema)
        self._applying = Applying(around.table, held)
        self._writer = BulkWriter(
            self._applying, around.clock, patience=writing.patience, max_units=writing.max_units, budget=writing.budget
        )
        self._lock = threading.Lock()
        self._conflicts: list[Failure] = []
        self._failures: list[Failure] = []
        self._gone: list[bytes] = []
        self._done: dict[str, int] = {"put": 0, "updated": 0, "deleted": 0, "unchanged": plan.counts.unchanged}

    def run(self) -> Reverted:
        """Writes, and accounts for every item."""
        try:
            for row in self._unchanged() if self._exactly else self._left():
                self._take(row)
            self._writer.finish()
        except BaseException as error:
            self._writer.abandon()
            self._stopped(error)
            raise
        self._account()
        return self._report()

    def _left(self) -> Iterator[PlanRow]:
        """Yields the rows that no earlier attempt has done."""
        self._around.progress.phase("writing", self._plan.counts.written)
        for row in self._plan.rows():
            if self._standing is not None and self._standing.is_settled(self._key_of(bytes(row.key))):
                self._done[_COUNTED[row.action]] += 1
            else:
                yield row

    def _unchanged(self) -> Iterator[PlanRow]:
        """Yields the rows whose items are unchanged since the plan was made: a condition does not see an added attribute."""
        for together in batches(self._left(), TOGETHER):
            found = self._around.table.fetch([bytes(row.key) for row in together if row.is_written])
            live = {self._key_of(image): image for image in found}
            yield from (row for row in together if not row.is_written or self._stands(row, live.get(self._key_of(bytes(row.key)))))

    def _stands(self, row: PlanRow, live: bytes | None) -> bool:
        if wire.same_state(live, image_in(row.live)):
            return True
        if wire.same_state(live, image_in(row.after)):
            self._done["unchanged"] += 1
        else:
            self._conflicts.append(Failure(bytes(row.key).decode(), CHANGED))
        return False

    def _take(self, row: PlanRow) -> None:
        key = bytes(row.key)
        if row.verdict == MergeVerdict.CONFLICT:
            self._conflicts.append(Failure(key.decode(), row.reason))
        elif row.verdict == MergeVerdict.GONE:
            self._gone.append(key)
        elif row.verdict == FAILED:
            self._failures.append(Failure(key.decode(), row.reason))
        elif self._stops and self._applying.left:
            self._failures.append(Failure(key.decode(), "not written: it was to stop at the first conflict"))
        elif self._writer.gave_up_reason:
            self._failures.append(Failure(key.decode(), self._writer.gave_up_reason))
        else:
            change = ItemRewrite(self._key_of(key), image_in(row.live), image_in(row.after))
            self._writer.add(PendingRewrite(change, self._again(row)))
            self._around.progress.advance(1)

    def _again(self, row: PlanRow) -> Again:
        """Returns the function that merges an item again if it has changed since the plan."""
        head = self._plan.head

        def again(key: bytes, live: bytes | None) -> ItemRewrite | None:
            if wire.same_state(live, image_in(row.after)):
                return None  # done already
            if self._exactly:
                raise Conflict(CHANGED)
            steps, chosen = row.steps
            overwrite = head.on_conflict is OnConflict.OVERWRITE
            merged = merge.undone_steps(steps, chosen, live, head.merge, overwrite=overwrite)
            if merged.verdict is MergeVerdict.WRITE:
                return ItemRewrite(key, live, merged.image)
            if merged.verdict is MergeVerdict.CONFLICT:
                raise Conflict(merged.why)
            if merged.verdict is MergeVerdict.GONE:
                with self._lock:
                    self._gone.append(key)
            return None

        return again

    # --- the account ---

    def _account(self) -> None:
        counts = self._applying.counts
        self._done["put"] += counts["created"]
        self._done["updated"] += counts["changed"] - counts["created"]
        self._done["deleted"] += counts["deleted"]
        self._done["unchanged"] += counts["unchanged"] - sum(1 for _ in self._gone_while_writing())
        self._conflicts += [Failure(each.key.decode(), each.why) for each in self._applying.left]
        for one in self._writer.left_out:
            self._applying.give_up(one.write)
            self._failures.append(Failure(one.write.change.key.decode(), one.reason))

    def _gone_while_writing(self) -> Iterator[bytes]:
        planned = self._plan.counts.gone
        return iter(self._gone[planned:])

    def _stopped(self, error: BaseException) -> None:
        """Keeps the journal, and says how to continue, unless nothing was written."""
        if self._journal is None:
            return
        if not self._journal.count:
            self._journal.discard()
        else:
            self._journal.close()
            if isinstance(error, BackstreamError):
                way = _command(self._plan.head.table, "resume", self._journal.path)
                error.hint = f"{error.hint} Then resume with: {way}".strip()

    @property
    def _leaves_work(self) -> bool:
        """True if a write of the plan is missing: only then resuming can help."""
        counts = self._plan.counts
        return len(self._conflicts) + len(self._failures) > counts.conflicts + counts.failed

    def _report(self) -> Reverted:
        path = self._close()
        table, counts, head = self._plan.head.table, self._plan.counts, self._plan.head
        return Reverted(
            table=table,
            since=head.since,
            until=head.until,
            put=self._done["put"],
            updated=self._done["updated"],
            deleted=self._done["deleted"],
            unchanged=self._done["unchanged"],
            conflicts=len(self._conflicts),
            failed=len(self._failures),
            dry_run=False,
            seconds=round(self._around.clock.now() - self._began, 3),
            conflicting=[msgspec.Raw(each.what.encode()) for each in self._conflicts[:MOST_NAMED]],
            gone=[msgspec.Raw(key) for key in self._gone[:MOST_NAMED]],
            failures=[*self._conflicts, *self._failures][:MOST_NAMED],
            warnings=self._plan.warnings,
            write_units=counts.write_units,
            dollars=counts.dollars,
            estimated_seconds=counts.estimated_seconds,
            expired=counts.expired,
            undo=None if path is None else _command(table, "undo", path),
            resume=_command(table, "resume", path) if path is not None and self._leaves_work else None,
            file=None if path is None else str(path),
        )

    def _close(self) -> Path | None:
        """Closes the journal. It stays if it holds anything, because it undoes the revert."""
        if self._owned and not self._leaves_work:
            self._plan.path.unlink(missing_ok=True)
        if self._journal is None:
            return None
        if not self._journal.count:
            self._journal.discard()
            return None
        if not self._leaves_work:
            self._journal.end()
        self._journal.close()
        return self._journal.path


_COUNTED = {"put": "put", "update": "updated", "delete": "deleted"}
