"""`revert`: take back exactly the changes of a window, and keep everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.differences import changed_lines
from backstream.apps.cli.look.changes import Actor, Attribute, Event, Keys, KeysFile, Partition, Tenant, To, Where, events_of
from backstream.apps.cli.options import ALL, AllowGap, AllTables, Json, Vault
from backstream.apps.cli.output import (
    Resumption,
    agree_to_undo,
    as_facts,
    as_failures,
    as_json,
    confirm,
    confirmed,
    err,
    need_terminal,
    notice,
    out,
)
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.cli.restore.reverting_together import check_alone, of_several
from backstream.apps.library import TableBackup
from backstream.errors import UsageError
from backstream.model.changes.merge import Merge, MergeVerdict
from backstream.model.counts import counted
from backstream.model.values.shell_words import shell_line
from backstream.model.values.visible import visible_line
from backstream.operations.restore import Failure
from backstream.operations.revert import OnConflict, Plan, PlanRow, Reverted
from backstream.operations.together.side_by_side import OnFailure

ASKED_SHOWN = 20  # rows that are shown before the question; a dry run shows all

_WORDS = {"put": "PUT", "update": "UPDATE", "delete": "DELETE"}
_LEFT = {MergeVerdict.CONFLICT.value: "CONFLICT", MergeVerdict.GONE.value: "GONE"}


def revert(
    tables: AllTables = ALL,
    *,
    since: Annotated[
        str | None, Option("--from", metavar="MOMENT", help="The window begins after this second.", show_default=False)
    ] = None,
    until: To = "now",
    vault: Vault = None,
    key: Keys = None,
    keys: KeysFile = None,
    changes: Annotated[
        Path | None,
        Option(
            "--changes",
            metavar="FILE",
            help="Only the changes that the file names: lines of `changes --ndjson`.",
            once=True,
            show_default=False,
        ),
    ] = None,
    partition: Partition = None,
    tenant: Tenant = None,
    where: Where = None,
    event: Event = None,
    actor: Actor = None,
    attribute: Attribute = None,
    merge: Annotated[
        Merge, Option(metavar="attributes|item", help="Merge by attribute, or not at all: any later change is a conflict.")
    ] = Merge.ATTRIBUTES,
    on_conflict: Annotated[
        OnConflict, Option(metavar="skip|stop|overwrite", help="Treatment of items that others changed since.")
    ] = OnConflict.SKIP,
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would change, row by row, and stop.")] = False,
    plan: Annotated[
        Path | None, Option(metavar="FILE", help="Write the plan to a file, and change nothing.", show_default=False)
    ] = None,
    apply: Annotated[Path | None, Option(metavar="FILE", help="Execute a plan exactly as written.", show_default=False)] = None,
    resume: Annotated[str | None, Option(metavar="ID", help="Continue an earlier revert.", show_default=False)] = None,
    undo: Annotated[str | None, Option(metavar="ID", help="Undo an earlier revert.", show_default=False)] = None,
    allow_gap: AllowGap = False,
    into_another: Annotated[
        bool, Option("--into-another", help="Also into a table other than the vault's (account, region, table id).")
    ] = False,
    expect_deletes: Annotated[
        int | None,
        Option(metavar="N", min=0, help="Delete at most N rows; required if that is most of a table.", show_default=False),
    ] = None,
    max_write_units: Annotated[
        float | None, Option(metavar="N", min=1, help="Write units (1 KB) a second at most.", show_default=False)
    ] = None,
    patience: Annotated[float, Option(metavar="SECONDS", help="Give up after this time without any progress.")] = 30.0,
    on_failure: Annotated[
        OnFailure, Option(metavar="stop|go-on", help="Several tables: whether others begin after one has failed.")
    ] = OnFailure.STOP,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask before changing the table.")] = False,
    json: Json = False,
) -> int:
    """Undo exactly these changes, and keep everything else: a three-way merge with what the table holds now."""
    window = (since, until if until != "now" else None, allow_gap)
    selection = (key, keys, changes, partition, tenant, where, event, actor, attribute)
    how = (merge is not Merge.ATTRIBUTES, on_conflict is not OnConflict.SKIP)
    _check_alone((*window, *selection, *how), apply=apply, resume=resume, undo=undo)
    _check_words(since, plan=plan, apply=apply, resume=resume, undo=undo, dry_run=dry_run)
    if expect_deletes is not None and (plan or resume or undo) is not None:
        raise UsageError("--expect-deletes goes with a revert that begins now, or with --apply")
    words = {
        "from_": since or "",
        "to": until,
        "keys": key or (),
        "keys_file": keys,
        "changes_file": changes,
        "partition": partition,
        "tenant": tenant,
        "where": where,
        "events": events_of(event),
        "actor": actor,
        "attributes": attribute or (),
        "merge": merge,
        "on_conflict": on_conflict,
        "allow_gap": allow_gap,
        "into_another": into_another,
        "max_write_units": max_write_units,
    }
    held = library.open(vault, patience=patience)
    run_of_many = None if resume is None and undo is None else held.together().file_of(resume or undo or "")
    if run_of_many is not None or tables.single is None:
        check_alone(tables, run_of_many, plan=plan, apply=apply)
        many = {"on_failure": on_failure, "dry_run": dry_run, "expect_deletes": expect_deletes, "patience": patience}
        return of_several(held, tables, run_of_many, {**words, **many}, resumes=resume, undoes=undo, yes=yes, json=json)
    table = tables.single
    backup = held.table(table)
    tell = Resumption()
    writing = {"patience": patience, "expect_deletes": expect_deletes, "notice": tell}

    def run() -> Reverted:
        with ProgressBar() as bar:
            ways = {"into_another": into_another, "patience": patience, "max_write_units": max_write_units, "progress": bar}
            if undo is not None:
                return backup.undo_revert(undo, dry_run=dry_run, **ways)  # type: ignore[arg-type]
            if resume is not None:
                return backup.resume_revert(resume, notice=tell, **ways)  # type: ignore[arg-type]
            if apply is not None:
                return backup.apply_plan(apply, expect_deletes=expect_deletes, notice=tell, **ways)  # type: ignore[arg-type]
            return _planned(backup, {**words, "progress": bar}, plan, dry_run=dry_run, json=json, asks=not yes, writing=writing)

    if undo is not None and not yes and not dry_run:
        agree_to_undo(f"Take the revert {undo} of {table} back?")
    if apply is not None and not yes:
        _ask(f"Carry out {apply} on {table}?")
    try:
        return _show(run(), plan, json=json)
    except KeyboardInterrupt:
        notice(f"stopped: {tell.after_stop('nothing was written')}")
        raise


def _planned(
    backup: TableBackup,
    words: Mapping[str, object],
    plan: Path | None,
    *,
    dry_run: bool,
    json: bool,
    asks: bool,
    writing: Mapping[str, object],
) -> Reverted:
    show: Callable[[PlanRow], None] = (lambda _: None) if json or not dry_run else _show_row
    if plan is not None:
        return backup.plan_revert(plan, show=show, **words).report  # type: ignore[arg-type]
    ask = _ask_about if asks else _always
    return backup.revert(**words, **writing, dry_run=dry_run, show=show, ask=ask)  # type: ignore[arg-type]


def _check_alone(words: tuple[object, ...], **files: object) -> None:
    """Raises UsageError if options are given that a file states already: they would not count."""
    for name, value in files.items():
        if value is not None and any(words):
            raise UsageError(
                f"--{name} goes without a window, a selection, --merge and --on-conflict", hint="Its file tells all of that."
            )


def _check_words(since: str | None, *, dry_run: bool, **others: object) -> None:
    """Raises UsageError if the options do not say what to do."""
    given = [f"--{name}" for name, value in others.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other", hint="Give one of them.")
    stands_alone = [name for name in given if name != "--plan"]
    if stands_alone in (["--apply"], ["--resume"]) and dry_run:
        raise UsageError(f"{stands_alone[0]} goes without --dry-run", hint="Its plan is the dry run: read the file.")
    if not stands_alone and since is None:
        raise UsageError(
            "the window of the changes is missing",
            hint="--from MOMENT --to MOMENT: the window of the changes that are to be undone.",
        )


def _always(_: Plan) -> bool:
    return True


def _ask_about(made: Plan) -> bool:
    """Shows the plan to somebody at a terminal, and asks. Raises Refused elsewhere."""
    head, counts = made.head, made.counts
    question = (
        f"Undo these changes of {head.table} from {head.since} to {head.until} "
        f"({counts.put:,} put back, {counts.updated:,} updated, {counts.deleted:,} deleted)?"
    )
    need_terminal(question, "Look at it with --dry-run first, then run it with --yes.")
    for number, row in enumerate(made.rows()):
        if number >= ASKED_SHOWN:
            notice("... --dry-run shows all of it")
            break
        for line in _row_lines(row):
            err.print(line)
    for warning in made.warnings:
        notice(f"note: {warning}")
    return confirmed(question)


def _ask(question: str) -> None:
    """Asks. Raises Refused if there is no terminal, and if the answer is no."""
    need_terminal(question, "Run it with --yes.")
    confirm(question)


# --- what is shown ----------------------------------------------------------------------------------------------------------------


def _show_row(row: PlanRow) -> None:
    for line in _row_lines(row):
        out.file.write(visible_line(line) + "\n")


def _row_lines(row: PlanRow) -> list[str]:
    """Returns the lines of one item in a plan: its action, and only the differing attributes."""
    key = bytes(row.key).decode()
    if not row.is_written:
        return [f"{_LEFT.get(row.verdict, 'FAILED'):<8}  {key}: {row.reason}"]
    lines = changed_lines(bytes(row.live), bytes(row.after), cut=True)
    return [f"{_WORDS[row.action]:<8}  {key}: {row.reason}", *(f"    {line}" for line in lines)]


def _show(report: Reverted, plan: Path | None, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    of_conflicts = report.failures[: report.conflicts]
    as_failures("CONFLICT", of_conflicts)
    as_failures("NOT REVERTED", report.failures[report.conflicts :])
    as_failures("DELETED SINCE", [Failure(bytes(key).decode(), "somebody has deleted it since") for key in report.gone])
    if report.resume is not None:
        notice(f"what is left can be tried again: {report.resume}")
    if report.undo is not None:
        notice(f"To take back what it wrote, and nothing else: {report.undo}")
    if plan is not None:
        most = [] if report.needs_expect_deletes is None else ["--expect-deletes", str(report.needs_expect_deletes)]
        way = shell_line(["backstream", "revert", report.table, "--apply", str(plan), *most])
        notice(f"The plan is in {plan}. Carry it out with: {way}")
    if json:
        as_json(report)
    else:
        as_facts(_counts(report))
    return 1 if report.failed or report.conflicts else 0


def _counts(report: Reverted) -> list[tuple[str, str]]:
    would = "would be " if report.dry_run else ""
    takes = f"{counted(report.write_units, 'write unit')}, ${report.dollars:.4g} on demand, about {report.estimated_seconds:,.0f} s"
    return [
        ("table", f"{report.table}: {_what(report)}"),
        (f"{would}put back", f"{report.put:,}"),
        (f"{would}updated", f"{report.updated:,}"),
        (f"{would}deleted", f"{report.deleted:,}"),
        ("unchanged", f"{report.unchanged:,}"),
        ("conflicts", f"{report.conflicts:,}"),
        *([("gone", f"{len(report.gone):,}: somebody has deleted them since")] if report.gone else []),
        ("failed", f"{report.failed:,}"),
        *(
            [("expired", f"{report.expired:,} of those written: their time to live has passed, DynamoDB deletes them")]
            if report.expired
            else []
        ),
        *_most_of_it(report),
        *([("would take", f"{takes}; indexes take as many again each")] if report.dry_run else []),
        ("seconds", f"{report.seconds:.1f}"),
    ]


def _is_undo(report: Reverted) -> bool:
    """True if it is the report of `--undo`: a revert's own window is never empty."""
    return report.since == report.until


def _what(report: Reverted) -> str:
    if _is_undo(report):
        return f"the revert that began at {report.since}, taken back"
    return f"changes from {report.since} to {report.until}"


def _most_of_it(report: Reverted) -> list[tuple[str, str]]:
    needed = report.needs_expect_deletes
    return [] if needed is None else [("most of it", f"refused without --expect-deletes {needed}")]
