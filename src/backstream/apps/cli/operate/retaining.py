"""`retain`: old history goes, for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import Json, TableName, Vault
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.errors import PartlyDone
from backstream.model.counts import counted
from backstream.operations.retain import Retention

NAMED = 20


def retain(
    table: TableName,
    *,
    keep: Annotated[
        str | None,
        Option(
            "--keep",
            "--keep-all",
            metavar="DURATION",
            help="The history to keep, e.g. 400d or 2y [as `init --keep`].",
            show_default=False,
        ),
    ] = None,
    keep_daily: Annotated[
        str | None,
        Option(metavar="DURATION|none", help="Before that, keep the state at the end of each day.", show_default=False),
    ] = None,
    keep_monthly: Annotated[
        str | None,
        Option(metavar="DURATION|none", help="Before that, keep the state at the end of each month.", show_default=False),
    ] = None,
    vault: Vault = None,
    dry_run: Annotated[
        bool, Option("--dry-run", help="Report what would be removed, what it costs, and what is locked until when.")
    ] = False,
    json: Json = False,
) -> None:
    """Remove for good what only moments before the kept period need. Every later moment stays restorable. Resumes by itself."""
    with ProgressBar() as bar:
        held = library.open(vault).table(table)
        report = held.retain(keep, keep_daily=keep_daily, keep_monthly=keep_monthly, dry_run=dry_run, progress=bar)
    for note in report.notes:
        notice(f"note: {note}")
    if report.locked_versions:
        notice(_locked(report))
    for each in report.left[:NAMED]:
        notice(f"LEFT: {each.object}: {each.why}")
    if json:
        as_json(report)
    else:
        _show(report)
    if report.left:
        raise PartlyDone(
            f"{counted(len(report.left), 'object')} cannot be read, and stay: nobody can tell their time",
            hint=f"`backstream check {report.table}` names all that is damaged. Bring it back, then run the same command again.",
        )


def spans(states: Sequence[str]) -> str:
    """Tells the number of single states, with the first and the last of them; empty if there are none."""
    if not states:
        return ""
    return f"{counted(len(states), 'moment')} before that, {states[0]} to {states[-1]}"


def _locked(report: Retention) -> str:
    until = "by a legal hold" if report.locked_until is None else f"until {report.locked_until} at the latest"
    size = f"{report.locked_bytes:,} bytes, not counted as removed"
    return f"LOCKED: {counted(report.locked_versions, 'version')} {until} ({size}): a later run removes them"


def _show(report: Retention) -> None:
    done = "would be removed" if report.dry_run else "removed"
    as_facts(
        [
            ("table", report.table),
            ("history is kept from", report.horizon or "its beginning"),
            *(("single states", each) for each in [spans(report.kept_states)] if each),
            *((f"{done}: {each.kind}", f"{counted(each.versions, 'version')}, {each.bytes:,} bytes") for each in report.removed),
            (done, f"{counted(report.removed_versions, 'version')}, {report.removed_bytes:,} bytes"),
            ("kept", f"{report.kept_bytes:,} bytes"),
            ("storage saved", f"${report.dollars_per_month:,.4f} a month (S3 Standard, us-east-1)"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
