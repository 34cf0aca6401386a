"""`snapshot`: a table's state at a moment as an AWS export."""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import over
from backstream.apps.cli.options import AllowGap, At, Engine, Json, Master, Tables, Vault
from backstream.apps.cli.output import as_facts, as_failures, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.engines import EngineKind
from backstream.apps.verbs.arguments import Moment, moment_of
from backstream.clock import SystemClock
from backstream.operations.restore.snapshot import Snapshot
from backstream.vault.log.segments import Codec


def snapshot(
    tables: Tables,
    *,
    vault: Vault = None,
    at: At,
    to: Annotated[str, Option(metavar="URL", help="s3://bucket/prefix or file:///folder.", show_default=False)],
    compress: Annotated[Codec, Option(metavar="gzip|zstd", help="Compression of its files.")] = Codec.GZIP,
    allow_gap: AllowGap = False,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
) -> int:
    """The state at a moment, in AWS's export format, ready for ImportTable. No live table is needed."""
    held = library.open(vault, engine=engine, master=master)
    second: Moment = at if tables.single is not None else moment_of(at, SystemClock().now())  # one and the same for all

    def one(table: str) -> int:
        with ProgressBar(lines=engine is EngineKind.SPARK) as bar:
            report = held.table(table).snapshot(at=second, to=to, compress=compress, allow_gap=allow_gap, progress=bar)
        return _show(report, json=json)

    return over(tables, held, one, json=json)


def _show(report: Snapshot, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    as_failures("LEFT OUT", report.failures)
    if not report.complete:
        notice(f"not complete: {report.url} has no manifests; the readable items are in {report.url}/data/")
    if json:
        as_json(report)
    else:
        _show_counts(report)
    return 0 if report.complete else 1


def _show_counts(report: Snapshot) -> None:
    as_facts(
        [
            ("table", f"{report.table} at {report.at}"),
            ("snapshot", report.url),
            ("items", f"{report.items:,} in {report.files:,} files, {report.bytes:,} bytes"),
            ("left out", f"{report.failed:,}"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
