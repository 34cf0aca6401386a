"""`revert`: undoes exactly the selected changes of a window, and keeps everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from backstream import private_files
from backstream.errors import Refused, UsageError
from backstream.model.changes.merge import MergeVerdict
from backstream.model.values import wire
from backstream.operations import migrate
from backstream.operations.inspect import safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.migrate.undo import OTHERS_CHANGED
from backstream.operations.restore import Failure
from backstream.operations.restore.resume_file import MOST_NAMED
from backstream.operations.revert import deletes
from backstream.operations.revert.applying import execute, path_for, plan_path_for
from backstream.operations.revert.plan_file import FAILED, Plan, PlanRow
from backstream.operations.revert.planning import make_plan
from backstream.operations.revert.request import Around, Reverted, RevertRequest, Writing
from backstream.operations.undo import undo_restore
from backstream.temporary_folders import TemporaryFolder
from backstream.vault.table_vault import TableVault

Show = Callable[[PlanRow], None]


def _quietly(_: PlanRow) -> None:
    """Shows nothing."""


def plan(
    vault: TableVault,
    request: RevertRequest,
    around: Around,
    path: Path,
    *,
    name: str = "",
    max_units: float | None = None,
    show: Show = _quietly,
) -> Plan:
    """Writes the plan of a revert to a file, and touches nothing else. See `planning.make_plan` for its errors."""
    return make_plan(vault, request, around, path, name or private_files.token(), max_units=max_units, show=show)


def dry_run(vault: TableVault, request: RevertRequest, around: Around, writing: Writing, show: Show = _quietly) -> Reverted:
    """Returns the effect of a revert without making it. `show` receives each item."""
    began = around.clock.now()
    with TemporaryFolder() as temporary:
        made = plan(vault, request, around, temporary.path / "plan", max_units=writing.max_units, show=show)
        return foreseen(made, round(around.clock.now() - began, 3), deletes.needed(made, around.table))


def revert(vault: TableVault, request: RevertRequest, around: Around, writing: Writing, ask: Callable[[Plan], bool]) -> Reverted:
    """Plans, asks, and executes. The remaining items are named, and can be resumed.

    Raises Refused, with nothing touched, if `ask` returns False.
    """
    name = private_files.token()
    made = plan(vault, request, around, plan_path_for(name, around.folder), name=name, max_units=writing.max_units)
    try:
        deletes.check(made, around.table, writing.expect_deletes)
        report = execute(made, around, writing, exactly=False, owned=True) if ask(made) else None
    finally:
        if not path_for(name, around.folder).exists():  # nothing was written, so nobody needs the plan any more
            made.path.unlink(missing_ok=True)
    if report is None:
        raise Refused("aborted; nothing was changed")
    return report


def apply(path: Path, around: Around, writing: Writing, *, into_another: bool = False) -> Reverted:
    """Executes a saved plan exactly: an item that has changed since is left and named.

    Raises UsageError if the file is not a plan of this table; Refused if it has been altered or contradicts itself, or if the live
    table is another one.
    """
    saved = Plan(path)
    head, table = saved.head, around.table
    if head.table != table.name:
        raise UsageError(f"{path} is a plan for {head.table}, not for {table.name}")
    facts = table.facts()
    if not into_another:
        safety.check_same_table(Identity(head.arn, head.table_id), facts, of="the one that this plan was made for")
    saved.check_rows(wire.KeyReader(facts.schema))
    deletes.check(saved, table, writing.expect_deletes)
    return execute(saved, around, writing, exactly=True, owned=False)


def undo(path: Path, around: Around, writing: Writing, *, live: bool, into_another: bool = False) -> Reverted:
    """Undoes a revert: each item that it wrote gets its state just before, unless somebody has changed it since.

    No vault is needed: the journal holds the images.
    """
    asked = migrate.MigrationRequest(live=live, max_units=writing.max_units, budget=writing.budget, patience=writing.patience)
    place = migrate.MigrationContext(around.table, around.clock, around.folder, progress=around.progress, into_another=into_another)
    undone = undo_restore(path, asked, place)
    conflicts = [each for each in undone.failures if each.why in OTHERS_CHANGED]
    takes = undone.plan
    return Reverted(
        table=undone.table,
        since=undone.at,
        until=undone.at,
        put=undone.put,
        updated=0,
        deleted=undone.deleted,
        unchanged=undone.unchanged,
        conflicts=undone.conflicts,
        failed=undone.failed - undone.conflicts,
        dry_run=not live,
        seconds=undone.seconds,
        conflicting=[msgspec.Raw(each.what.encode()) for each in conflicts],
        failures=[*conflicts, *(each for each in undone.failures if each.why not in OTHERS_CHANGED)],
        write_units=0 if takes is None else takes.write_units,
        dollars=0.0 if takes is None else takes.dollars,
        estimated_seconds=0.0 if takes is None else takes.estimated_seconds,
    )


def foreseen(made: Plan, seconds: float = 0.0, needs_expect_deletes: int | None = None) -> Reverted:
    """Returns a plan's effect as a report.

    `seconds`: the time that it took to make it; `needs_expect_deletes`: see `deletes.needed`.
    """
    conflicts, failures, gone = list[Failure](), list[Failure](), list[msgspec.Raw]()
    for row in made.rows():
        failure = Failure(bytes(row.key).decode(), row.reason)
        if row.verdict == MergeVerdict.CONFLICT:
            conflicts.append(failure)
        elif row.verdict == FAILED:
            failures.append(failure)
        elif row.verdict == MergeVerdict.GONE:
            gone.append(row.key)
    counts, head = made.counts, made.head
    return Reverted(
        table=head.table,
        since=head.since,
        until=head.until,
        put=counts.put,
        updated=counts.updated,
        deleted=counts.deleted,
        unchanged=counts.unchanged,
        conflicts=counts.conflicts,
        failed=counts.failed,
        dry_run=True,
        seconds=seconds,
        conflicting=[msgspec.Raw(each.what.encode()) for each in conflicts[:MOST_NAMED]],
        gone=gone[:MOST_NAMED],
        failures=[*conflicts, *failures][:MOST_NAMED],
        warnings=made.warnings,
        write_units=counts.write_units,
        dollars=counts.dollars,
        estimated_seconds=counts.estimated_seconds,
        expired=counts.expired,
        needs_expect_deletes=needs_expect_deletes,
    )
