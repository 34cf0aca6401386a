"""`migrate` and `filter`: a user's function over items, and over lines."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Argument, Option
from backstream.apps.cli.differences import attributes, difference
from backstream.apps.cli.options import AllowGap, CsvColumns, CsvDelimiter, Json, NoChecksums, TableName, Vault
from backstream.apps.cli.output import Resumption, as_facts, as_failures, as_json, confirm, notice, out
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.cli.restore.words import need_files
from backstream.apps.cli.screen import data_output
from backstream.apps.verbs import migrations
from backstream.apps.verbs.arguments import SEGMENTS
from backstream.errors import UsageError
from backstream.operations.bulk.rate import MOST
from backstream.operations.migrate import SHOWN, Migrated, Undone
from backstream.operations.restore import Planned
from backstream.vault.dumps.opening import FileOptions

Script = Annotated[Path | None, Argument(metavar="SCRIPT", help="A Python file with `def migrate(item)`.", show_default=False)]


def migrate(
    table: TableName,
    script: Script = None,
    *,
    vault: Vault = None,
    live: Annotated[bool, Option("--live", help="Write. Without it, this is a dry run.")] = False,
    at: Annotated[
        str | None, Option(metavar="MOMENT", help="Over the vault at a moment, not the live table.", show_default=False)
    ] = None,
    from_snapshot: Annotated[
        str | None, Option(metavar="PATH|URL", help="Over a snapshot, an AWS export, a dump or files.", show_default=False)
    ] = None,
    no_checksums: NoChecksums = False,
    csv_delimiter: CsvDelimiter = None,
    csv_columns: CsvColumns = None,
    allow_gap: AllowGap = False,
    limit: Annotated[int | None, Option(metavar="N", min=1, help="Look at N items at most.", show_default=False)] = None,
    show: Annotated[int, Option(metavar="N", min=0, help="Number of changes to show.")] = SHOWN,
    segments: Annotated[int, Option(metavar="N", help="Parts of the table read in parallel.")] = SEGMENTS,
    concurrency: Annotated[int, Option(metavar="N", help="Writes under way at most; it adapts to the table.")] = MOST,
    max_write_units: Annotated[
        float | None, Option(metavar="N", min=1, help="Write units (1 KB) a second at most.", show_default=False)
    ] = None,
    max_read_units: Annotated[
        float | None, Option(metavar="N", min=1, help="Read units (4 KB) a second at most.", show_default=False)
    ] = None,
    resume: Annotated[str | None, Option(metavar="ID", help="Resume a live migration; it writes.", show_default=False)] = None,
    undo: Annotated[str | None, Option(metavar="ID", help="Undo a migration; with --live.", show_default=False)] = None,
    without_undo: Annotated[bool, Option("--without-undo", help="Write even if the vault could not undo it.")] = False,
    no_rehearsal: Annotated[bool, Option("--no-rehearsal", help="Write at once, without a rehearsal over all items.")] = False,
    patience: Annotated[float, Option(metavar="SECONDS", help="Give up after this time without any progress.")] = 30.0,
    yes: Annotated[bool, Option("--yes", "-y", help="Do not ask at a terminal.")] = False,
    json: Json = False,
) -> int:
    """Run a function of yours over every item: a dry run, unless --live. Its changes can be undone."""
    _check_words(script, resume, undo, earlier=at is not None or from_snapshot is not None)
    named = "--from-snapshot; --resume knows them"
    need_files(from_snapshot, named, no_checksums=no_checksums, csv_delimiter=csv_delimiter, csv_columns=csv_columns)
    backup = library.open(vault, patience=patience).table(table)
    if (live or resume is not None) and not yes and sys.stdin.isatty():
        what = (
            f"Take the migration {undo} of {table} back"
            if undo
            else f"Run {script or resume} over {table} and write what it changes"
        )
        confirm(f"{what}?")
    if undo is not None:
        with ProgressBar() as bar:
            undone = backup.undo_migration(
                undo, live=live, concurrency=concurrency, max_write_units=max_write_units, patience=patience, progress=bar
            )
        return _show_undone(undone, json=json)
    tell = Resumption()

    def run() -> Migrated:
        with ProgressBar() as bar:
            if resume is not None:
                return backup.resume_migration(
                    resume,
                    script,
                    shown=show,
                    segments=segments,
                    concurrency=concurrency,
                    max_write_units=max_write_units,
                    max_read_units=max_read_units,
                    patience=patience,
                    progress=bar,
                    notice=tell,
                )
            return backup.migrate(
                script or "",
                live=live,
                at=at,
                from_snapshot=from_snapshot,
                files=FileOptions(not no_checksums, csv_delimiter, csv_columns),
                allow_gap=allow_gap,
                limit=limit,
                shown=show,
                segments=segments,
                concurrency=concurrency,
                max_write_units=max_write_units,
                max_read_units=max_read_units,
                without_undo=without_undo,
                rehearse=not no_rehearsal,
                patience=patience,
                progress=bar,
                notice=tell,
            )

    try:
        return _show_migrated(run(), json=json)
    except KeyboardInterrupt:
        notice(f"stopped: {tell.after_stop('nothing was written')}")
        raise


def _check_words(script: Path | None, resume: str | None, undo: str | None, *, earlier: bool) -> None:
    """Raises UsageError if the options do not say what to do."""
    if resume is not None and undo is not None:
        raise UsageError("--resume and --undo exclude each other", hint="Give --resume or --undo, not both.")
    if script is None and resume is None and undo is None:
        raise UsageError("no script is given", hint="backstream migrate TABLE SCRIPT; the script has `def migrate(item)`.")
    if earlier and (resume is not None or undo is not None):
        raise UsageError("what it runs over was said when it began", hint="Leave --at and --from-snapshot out.")


def _show_migrated(report: Migrated, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    as_failures("NOT MIGRATED", report.failures)
    if json:
        as_json(report)
    else:
        _show_changes(report)
        as_facts(_counts(report))
    if report.resume is not None:
        notice(f"To continue: {report.resume}")
    if report.undo is not None:
        notice(f"To take back what it changed, and nothing else: {report.undo}")
        notice(f"To bring the whole table back, the changes of others too: {report.back}")
    return 1 if report.failed else 0


def _show_changes(report: Migrated) -> None:
    for each in report.changes:
        word = "delete" if each.action == "delete" else "change"
        out.print(f"{word} {bytes(each.key).decode()}", style="bold")
        for line in difference(attributes(bytes(each.before)), attributes(bytes(each.after))):
            out.print(f"    {line}")
    others = report.changed + report.deleted - len(report.changes)
    if others > 0:
        out.print(f"... and {others:,} more changes: --show N shows more")


def _counts(report: Migrated) -> list[tuple[str, str]]:
    would = "" if report.live else "would be "
    return [
        ("table", f"{report.table}, over {report.source}{'' if report.live else ' (dry run: nothing was written)'}"),
        ("scanned", f"{report.scanned:,}"),
        (f"{would}changed", f"{report.changed:,}"),
        (f"{would}deleted", f"{report.deleted:,}"),
        ("unchanged", f"{report.unchanged:,}"),
        *([("already", f"{report.already:,} changed by earlier runs")] if report.already else []),
        ("failed", f"{report.failed:,}"),
        *([("conflicts", f"{report.conflicts:,} of these: somebody has changed them")] if report.conflicts else []),
        *([] if report.live or report.plan is None else [_takes(report.plan)]),
        ("seconds", f"{report.seconds:.1f}"),
    ]


def _takes(plan: Planned) -> tuple[str, str]:
    takes = f"{plan.write_units:,} write units, ${plan.dollars:.4g} on demand, about {plan.estimated_seconds:,.0f} s"
    return "would take", f"{takes}; indexes take as many again each"


def _show_undone(report: Undone, *, json: bool) -> int:
    as_failures("NOT TAKEN BACK", report.failures)
    would = "" if report.live else "would be "
    if json:
        as_json(report)
    else:
        as_facts(
            [
                ("table", f"{report.table}, migration {report.migration}"),
                (f"{would}put back", f"{report.put:,}"),
                (f"{would}deleted", f"{report.deleted:,}"),
                ("unchanged", f"{report.unchanged:,} are as they were before"),
                ("failed", f"{report.failed:,}"),
                *(
                    [("conflicts", f"{report.conflicts:,} of these: changed since by somebody, and left")]
                    if report.conflicts
                    else []
                ),
                *([] if report.live or report.plan is None else [_takes(report.plan)]),
                ("seconds", f"{report.seconds:.1f}"),
            ]
        )
    if not report.live:
        notice("It was a dry run: nothing was written. --live writes.")
    return 1 if report.failed else 0


def filter_lines(
    script: Annotated[
        Path,
        Argument(metavar="SCRIPT", help="A Python file with `def filter(item)` or `def migrate(item)`.", show_default=False),
    ],
) -> None:
    """Run a function of yours over lines of DynamoDB JSON, from stdin to stdout."""
    stdout = data_output()
    try:
        for line in migrations.filtered(sys.stdin.buffer, script):
            stdout.write(line)
    finally:
        stdout.flush()
