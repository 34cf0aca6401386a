"""The drill itself: chooses a moment, restores it into a scratch table, compares, cleans up, judges, and keeps the record."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import nullcontext

import msgspec

from backstream.errors import BackstreamError, Failed, MissingTable, Refused
from backstream.model import moment
from backstream.model.objectives import in_words
from backstream.operations.compare.recheck import LOOKS
from backstream.operations.drill import judging, moments
from backstream.operations.drill.account import DrillCounts
from backstream.operations.drill.comparing import Comparison
from backstream.operations.drill.limits import Limit, OutOfTime
from backstream.operations.drill.report import Drill, DrillPlan, Live
from backstream.operations.drill.scratch import check_free, name_for, scratch_table
from backstream.operations.inspect import safety
from backstream.operations.inspect.check import CheckContext, Finding, check
from backstream.operations.inspect.check import FindingKind as Found
from backstream.operations.inspect.lost_changes import MissingChange
from backstream.operations.restore import Failure, NewTable, RestoreContext, Restored, RestoreRequest, restore
from backstream.ports import Table
from backstream.temporary_folders import TemporaryFolder
from backstream.vault.table_vault import TableVault

RECENT = 900  # seconds: the older the moment, the more of the live table has changed since, and the less a comparison says


def drill(vault: TableVault, plan: DrillPlan, around: RestoreContext, limit: Limit = nullcontext) -> Drill:
    """Tests a restore and reports the result; the vault keeps the record.

    If the vault cannot give something, the drill has failed; it does not refuse. The same holds for an error that stops a restore
    (`error`). Raises Refused (OutsideWindow, GapInTheWay, TargetNotEmpty) before anything is created. The scratch table is deleted
    in the end, whatever happens, unless it must be kept. `limit`: ends the time; then the drill has failed, and cleans up.
    """
    return _Drill(vault, plan, around, limit).run()


class _Drill:
    def __init__(self, vault: TableVault, plan: DrillPlan, around: RestoreContext, limit: Limit) -> None:
        self._vault = vault
        self._plan = plan
        self._around = around
        self._limit = limit
        self._began = around.clock.now()
        self._window = vault.window(self._began)
        self._table = vault.catalog.table
        self._at = moments.pick(vault, plan.pick, self._window, self._began) if plan.at is None else plan.at
        self._id = uuid.uuid4().hex[:8]
        self._scratch = around.table_of(plan.scratch or name_for(self._table, self._id))
        self._rto: float | None = None
        self._account = DrillCounts({})
        self._failures: dict[str, Failure] = {}
        self._warnings = list[str]()
        self._missing: Sequence[MissingChange] = ()
        self._restoring = self._began
        self._error: BackstreamError | None = None
        self._findings: Sequence[Finding] = ()
        self._checked: Sequence[str] = ()
        self._unchecked: Sequence[str] = ("the vault beyond what the restore read: the drill was stopped before that",)

    def run(self) -> Drill:
        try:
            with self._limit():
                self._prepare()
            self._try_in_scratch()
        except OutOfTime:
            self._error = self._out_of_time()
        return self._kept(self._report())

    def _prepare(self) -> None:
        safety.check_past(self._at, self._began, self._window)
        self._check()
        check_free(self._scratch)
        self._await()
        self._warnings = self._check()
        self._restoring = self._around.clock.now()

    def _try_in_scratch(self) -> None:
        schema, own_name = self._vault.catalog.key_schema, self._plan.scratch is None
        try:
            with scratch_table(self._scratch, schema, keep=self._plan.keep, own_name=own_name, limit=self._limit), self._limit():
                self._try()
        except Refused:
            raise
        except BackstreamError as error:
            self._error = error

    def _out_of_time(self) -> Failed:
        return Failed(
            f"its time was up after {in_words(self._around.clock.now() - self._began)}; the scratch table is deleted",
            hint=f"Give it more time, or drill where there is no limit: backstream drill {self._table}",
        )

    def _check(self) -> list[str]:
        window = self._vault.window(self._around.clock.now())
        return safety.check_table(self._table, self._at, window, allow_gap=self._plan.allow_gap)

    def _await(self) -> None:
        """Waits until the moment is proven, which is soon if a tail runs: a change that arrives between two readings would differ.

        If nobody captures, nothing arrives, and the drill continues after its patience.
        """
        for _ in range(LOOKS):
            durable = self._vault.window(self._around.clock.now()).durable
            if durable is not None and durable >= self._at:
                return
            self._around.progress.phase("waiting until the moment is proven", None)
            self._around.clock.sleep(self._plan.patience / LOOKS)

    def _try(self) -> None:
        restored = self._restore()
        self._rto = self._around.clock.now() - self._restoring
        self._take_over(restored)
        comparison = Comparison(self._vault, self._at, self._plan, self._around, self._account)
        comparison.run(self._scratch, self._live(), self._id)
        self._note(comparison.failures, comparison.warnings)
        self._check_vault()

    def _check_vault(self) -> None:
        """Checks that the vault holds everything that it claims of this moment. A restore meets only what it reads."""
        around = CheckContext(self._around.clock, self._around.memory, self._around.progress)
        checked = check(self._vault, around)
        at = moment.iso(self._at)
        named = {bytes(each.key) for each in self._missing}  # the restore has found what is lost of these items itself
        affecting = (each for each in checked.findings if each.affects(at))
        self._findings = [each for each in affecting if each.kind is not Found.LOST or bytes(each.key) not in named]
        self._checked, self._unchecked = checked.checked, checked.unchecked

    def _restore(self) -> Restored:
        """Restores into the scratch table.

        Unreadable objects are named, and stop nothing. No file for a resume stays: nobody will resume it.
        """
        target = NewTable(self._scratch.name, bare=True)
        request = RestoreRequest(at=self._at, target=target, allow_gap=True, max_units=self._plan.max_units)
        with TemporaryFolder() as temporary:
            return restore(self._vault, request, msgspec.structs.replace(self._around, folder=temporary.path))

    def _take_over(self, restored: Restored) -> None:
        """Takes over the restore's failures.

        Rows that were left out show in the comparison, with the reason; all others are unreadable objects.
        """
        rows = {each.what: each.why for each in restored.failures if each.what.startswith("{")}
        self._account = DrillCounts({key.encode(): why for key, why in rows.items()})
        self._missing = restored.missing
        self._note([each for each in restored.failures if each.what not in rows], restored.warnings)

    def _note(self, failures: Sequence[Failure], warnings: Sequence[str]) -> None:
        self._failures.update({each.what: each for each in failures if each.what not in self._failures})
        self._warnings += [each for each in warnings if each not in self._warnings]

    # --- the live table ---

    def _live(self) -> Table | None:
        """Returns the live table, if it can tell whether the restored rows are right."""
        why = self._why_not_live()
        if why:
            self._warnings.append(f"not compared with the live table: {why}")
            return None
        return self._around.table_of(self._table)

    def _why_not_live(self) -> str:
        age = self._began - self._at
        if age > RECENT:
            return f"the moment is {in_words(age)} old, and more than {in_words(RECENT)} is too old for that"
        if self._window.is_thinned(self._at):
            return "the changes after the moment were removed by `retain`"
        if self._window.start(self._at) is None:
            return "the vault does not know all of its rows"
        try:
            facts = self._around.table_of(self._table).facts()
        except MissingTable:
            return "there is no such table any more"
        except BackstreamError as error:
            return error.message
        return "" if facts.table_id == self._vault.catalog.table_id else "it is another table of the same name"

    # --- the account ---

    def _report(self) -> Drill:
        account, plan, error = self._account, self._plan, self._error
        rpo = None if self._window.durable is None else round(max(0.0, self._began - self._window.durable), 3)
        rto = None if self._rto is None else round(self._rto, 3)
        failures = list(self._failures.values())
        lost = [each for each in self._missing if not each.pending]
        reasons = judging.reasons(account, failures, lost, plan.objectives, rpo, rto, None if error is None else error.message)
        reasons += judging.of_check(self._findings, {each.what for each in failures})
        region, owner = _place(self._vault.catalog.table_arn)
        return Drill(
            table=self._table,
            id=self._id,
            began=moment.iso(self._began),
            at=moment.iso(self._at),
            passed=not reasons,
            rows=account.rows,
            matched=account.matched,
            differences=account.differences,
            failed=len(failures),
            rpo_seconds=rpo,
            rto_seconds=rto,
            seconds=round(self._around.clock.now() - self._began, 3),
            scratch=self._scratch.name,
            kept=plan.keep and error is None,
            objectives=plan.objectives,
            sampled=account.sampled,
            live=_live_account(account),
            reasons=reasons,
            differing=account.differing,
            failures=failures,
            warnings=[*self._warnings, *judging.notable(rpo, plan.objectives)],
            error=None if error is None else error.message,
            hint="" if error is None else error.hint,
            findings=self._findings,
            found=len(self._findings),
            checked=self._checked,
            unchecked=[*self._unchecked, *judging.never_checked(account)],
            account=owner,
            region=region,
            table_arn=self._vault.catalog.table_arn,
            vault=self._vault.store.url,
            operator=plan.operator,
            missing=self._missing,
            covered=plan.covered,
        )

    def _kept(self, report: Drill) -> Drill:
        """Returns the report after its record is durable in the vault; if that fails, the report says so."""
        try:
            self._vault.drills.keep(self._id, self._began, msgspec.json.format(msgspec.json.encode(report), indent=1))
        except BackstreamError as error:
            if report.error is None:
                what = f"the drill's record cannot be kept in the vault: {error.message}"
                return msgspec.structs.replace(report, error=what, hint=error.hint)
        return report


def _place(arn: str) -> tuple[str, str]:
    """Returns the region and the account in a table's ARN."""
    parts = arn.split(":")
    return (parts[3], parts[4]) if len(parts) > 5 else ("", "")


def _live_account(account: DrillCounts) -> Live | None:
    if account.live_rows is None:
        return None
    return Live(account.live_rows, account.live_same, account.live_changed, account.live_different)
