"""`restore`: bringing rows, a tenant or the whole table back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from backstream.apps import library
from backstream.apps.cli.options import AllowGap, Json, TableName, Vault
from backstream.apps.cli.output import Bar, as_facts, as_failures, as_json, confirmed, notice
from backstream.apps.library import Via
from backstream.clock import SystemClock
from backstream.errors import Refused, UsageError
from backstream.model import moment
from backstream.operations.restore import Restored


def add_to(app: typer.Typer) -> None:
    """Put this room's commands on the command line."""
    app.command()(restore)


def restore(
    table: TableName,
    *,
    vault: Vault = None,
    at: Annotated[str | None, typer.Option(metavar="MOMENT", help="The second to go back to.", show_default=False)] = None,
    to: Annotated[str | None, typer.Option(metavar="NEW", help="Into a new table.", show_default=False)] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Into the table itself: puts and deletes what differs.")] = False,
    to_file: Annotated[Path | None, typer.Option(metavar="PATH", help='To lines of {"Item":...}.', show_default=False)] = None,
    key: Annotated[list[str] | None, typer.Option(metavar="KEY", help="Only this row; repeatable.", show_default=False)] = None,
    tenant: Annotated[str | None, typer.Option(metavar="VALUE", help="Only this tenant's rows.", show_default=False)] = None,
    partition: Annotated[str | None, typer.Option(metavar="VALUE", help="Only rows of this hash key.", show_default=False)] = None,
    where: Annotated[
        str | None,
        typer.Option(metavar="CONDITION", help='Only rows such as: total >= 10 and status = "paid".', show_default=False),
    ] = None,
    via: Annotated[Via, typer.Option(metavar="writes|import", help="How a new table is filled; import: ImportTable.")] = Via.WRITES,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    allow_gap: AllowGap = False,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Write what an earlier restore left.", show_default=False)
    ] = None,
    max_write_units: Annotated[
        float | None, typer.Option(metavar="N", min=1, help="At most so many write units (1 KB) a second.", show_default=False)
    ] = None,
    patience: Annotated[float, typer.Option(metavar="SECONDS", help="Give up after so long without any progress.")] = 30.0,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before changing the table in place.")] = False,
    json: Json = False,
) -> int:
    """Bring rows, a tenant or the whole table back to a second."""
    backup = library.open(vault, patience=patience).table(table)
    if resume is None:
        if at is None:
            raise UsageError("to which moment?", hint="--at 2026-11-23T04:15:00Z, --at '15m ago', ...")
        if in_place and not dry_run and not yes and via is Via.WRITES:
            _ask(table, at, _selected(key or (), tenant=tenant, partition=partition, where=where))
    elif via is Via.IMPORT:
        raise UsageError("an import leaves nothing to resume: --resume goes without --via import")
    try:
        with Bar() as bar:
            if resume is not None:
                report = backup.resume(resume, dry_run=dry_run, patience=patience, max_write_units=max_write_units, progress=bar)
            else:
                report = backup.restore(
                    at=at or "",
                    to=to,
                    in_place=in_place,
                    to_file=to_file,
                    keys=key or (),
                    tenant=tenant,
                    partition=partition,
                    where=where,
                    dry_run=dry_run,
                    allow_gap=allow_gap,
                    patience=patience,
                    max_write_units=max_write_units,
                    via=via,
                    progress=bar,
                )
    except KeyboardInterrupt:
        if via is Via.IMPORT:
            notice("an import that has begun goes on by itself")
        notice(_stopped(to or table, fresh=to is not None, touched=not dry_run and to_file is None))
        raise
    return _show(report, json=json)


def _stopped(target: str, *, fresh: bool, touched: bool) -> str:
    if not touched:
        return "stopped: nothing stays behind"
    again = "delete it before you restore into it again" if fresh else "the same command again does the rest"
    return f"stopped: what was written into {target} stays there; {again}"


def _selected(keys: Sequence[str], **filters: str | None) -> str:
    """What is meant, in words before a table's name."""
    words = [f"{name} {value}" for name, value in filters.items() if value is not None]
    if not keys and not words:
        return ""
    rows = f"{len(keys)} rows" if keys else "rows"
    return rows + (f" of {' and '.join(words)}" if words else "") + " of "


def _ask(table: str, at: str, what: str) -> None:
    moment_in_words = moment.iso(moment.parse(at, SystemClock().now()))
    question = f"Bring {what}{table} back to {moment_in_words} in place (puts and deletes)?"
    if not sys.stdin.isatty():
        raise Refused(f"not asked: {question}", hint="Look at it with --dry-run first, then run it with --yes.")
    if not confirmed(question):
        raise Refused("nothing was touched: you said no")


def _show(report: Restored, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    as_failures("NOT RESTORED", report.failures)
    if report.left is not None:
        notice(f"what is left: {report.left}\nRun `backstream restore {report.table} --resume {report.left}` to write it.")
    if json:
        as_json(report)
    else:
        _show_counts(report)
    return 1 if report.failed else 0


def _show_counts(report: Restored) -> None:
    would = "would be " if report.dry_run else ""
    as_facts(
        [
            ("table", f"{report.table} at {report.at} -> {report.target}"),
            (f"{would}put", f"{report.put:,}"),
            (f"{would}deleted", f"{report.deleted:,}"),
            ("unchanged", f"{report.unchanged:,}"),
            ("failed", f"{report.failed:,}"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
