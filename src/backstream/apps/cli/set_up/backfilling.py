"""`backfill`: a base backup beside the stream."""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import over
from backstream.apps.cli.options import CsvColumns, CsvDelimiter, Json, NoChecksums, Tables, Vault
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.cli.restore.words import need_files
from backstream.apps.verbs.arguments import SEGMENTS
from backstream.errors import UsageError
from backstream.operations.base.backfill import Backfilled


def backfill(
    tables: Tables,
    *,
    vault: Vault = None,
    segments: Annotated[int, Option(metavar="N", help="Parts of the table read in parallel.")] = SEGMENTS,
    max_read_units: Annotated[
        float | None, Option(metavar="N", help="Read units a second at most (4 KB each).", show_default=False)
    ] = None,
    from_export: Annotated[
        str | None,
        Option(metavar="PATH|URL", help="Take in an AWS export (.../AWSDynamoDB/ID), or a dump, instead.", show_default=False),
    ] = None,
    read_between: Annotated[
        tuple[str, str] | None,
        Option(metavar="MOMENT MOMENT", help="When a dump's items were read, if it does not tell.", once=True, show_default=False),
    ] = None,
    no_checksums: NoChecksums = False,
    csv_delimiter: CsvDelimiter = None,
    csv_columns: CsvColumns = None,
    fresh: Annotated[bool, Option("--fresh", help="Begin a new one instead of resuming.")] = False,
    json: Json = False,
) -> int:
    """A base backup of the table's present contents, safe beside a running tail or Lambda. Resumes where it was interrupted."""
    if from_export is not None and tables.single is None:
        raise UsageError("an export is of one table", hint="Name that table with --from-export.")
    need_files(
        from_export,
        "--from-export",
        read_between=read_between,
        no_checksums=no_checksums,
        csv_delimiter=csv_delimiter,
        csv_columns=csv_columns,
    )
    held = library.open(vault)

    def one(table: str) -> None:
        backup = held.table(table)
        with ProgressBar() as bar:
            if from_export is None:
                report = backup.backfill(segments=segments, max_read_units=max_read_units, fresh=fresh, progress=bar)
            else:
                report = backup.take_export(
                    from_export,
                    read=read_between,
                    checksums=not no_checksums,
                    csv_delimiter=csv_delimiter,
                    csv_columns=csv_columns,
                    fresh=fresh,
                    progress=bar,
                )
        for warning in report.warnings:
            notice(f"note: {warning}")
        if json:
            as_json(report)
        else:
            _show(report)

    try:
        return over(tables, held, one, json=json)
    except KeyboardInterrupt:
        notice("stopped; the parts that were read are kept, and the same command resumes there")
        raise


def _show(report: Backfilled) -> None:
    units = "" if report.read_units is None else f", {report.read_units:,.0f} read units"
    as_facts(
        [
            ("table", f"{report.table}: {report.kind} {report.id}" + (", resumed" if report.resumed else "")),
            ("rows", f"{report.rows:,}, of which {report.written:,} were new to the vault"),
            *((("passed over", f"{report.forgotten:,} rows: they were erased for good"),) if report.forgotten else ()),
            ("read", f"{report.began} to {report.ended}{units}"),
            ("exact from", f"{report.exact_from}, once the stream has been read up to there" if report.exact_from else "-"),
            ("captured to", report.captured_to or "not known yet"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
