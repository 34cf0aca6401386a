"""`dump`: just a copy of a table's items."""

from __future__ import annotations

from typing import Annotated

from backstream.apps.cli.declaring import Option
from backstream.apps.cli.options import Json, TableName
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.verbs import tables
from backstream.apps.verbs.arguments import SEGMENTS
from backstream.operations.base.dump import Dumped
from backstream.vault.dumps.dumps import Compression


def dump(
    table: TableName,
    *,
    to: Annotated[str, Option(metavar="URL|PATH", help="s3://bucket/prefix, file:///folder, or a folder.", show_default=False)],
    compress: Annotated[Compression, Option(metavar="gzip|zstd|none", help="Compression of its files.")] = Compression.GZIP,
    segments: Annotated[int, Option(metavar="N", help="Parts of the table read in parallel.")] = SEGMENTS,
    max_read_units: Annotated[
        float | None, Option(metavar="N", help="Read units a second at most (4 KB each).", show_default=False)
    ] = None,
    eventual: Annotated[
        bool, Option("--eventual", help="Read eventually consistent, for half the units; the last writes may be missing.")
    ] = False,
    json: Json = False,
) -> None:
    """Copy a table's items into files of DynamoDB JSON, a line each, as ImportTable takes them. Not a point in time."""
    try:
        with ProgressBar() as bar:
            report = tables.dump(
                table,
                to,
                compress=compress,
                segments=segments,
                max_read_units=max_read_units,
                consistent=not eventual,
                progress=bar,
            )
    except KeyboardInterrupt:
        notice(f"stopped; what lies in {to} has no manifest.json: it is not a dump, and can be removed")
        raise
    for warning in report.warnings:
        notice(f"note: {warning}")
    if json:
        as_json(report)
    else:
        _show(report)


def _show(report: Dumped) -> None:
    consistent = "strongly" if report.consistent else "eventually"
    as_facts(
        [
            ("table", report.table),
            ("dump", report.url),
            ("items", f"{report.items:,} in {report.files:,} files, {report.bytes:,} bytes"),
            ("read", f"{report.began} to {report.ended}, {consistent} consistent, {report.read_units:,.1f} read units"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
