"""`compact`: the log's small objects become large ones."""

from __future__ import annotations

from typing import Annotated

from backstream.apps import library
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.each import over
from backstream.apps.cli.options import Engine, Json, Master, Tables, Vault
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.engines import EngineKind
from backstream.apps.library import TableBackup
from backstream.errors import DifferencesFound, PartlyDone
from backstream.operations.base.compact import Compaction


def compact(
    tables: Tables,
    *,
    vault: Vault = None,
    until: Annotated[str | None, Option(metavar="MOMENT", help="Leave newer objects alone, e.g. '30d ago'.")] = None,
    engine: Engine = EngineKind.LOCAL,
    master: Master = None,
    json: Json = False,
) -> int:
    """Merge the log's many small objects into few large ones, so that an item's history reads kilobytes. Safe at any time."""
    held = library.open(vault, engine=engine, master=master)
    return over(
        tables, held, lambda table: _compact(held.table(table), until, json=json, lines=engine is EngineKind.SPARK), json=json
    )


def _compact(backup: TableBackup, until: str | None, *, json: bool, lines: bool) -> None:
    with ProgressBar(lines=lines) as bar:
        report = backup.compact(until=until, progress=bar)
    for each in report.left:
        notice(f"LEFT AS IT IS: {each.name}: {each.why}")
    if json:
        as_json(report)
    else:
        _show(report)
    for lost in report.missing:
        notice(f"MISSING: {bytes(lost.key).decode()}: a change made between {lost.since} and {lost.until}")
    if report.unrecorded:
        notice(report.unrecorded)
    if report.left:
        raise PartlyDone(
            f"{len(report.left)} objects could not be taken over; all the others were",
            hint="Each is named above: nothing was done to it. `restore` says what is lost with it.",
        )
    if report.missing:
        raise DifferencesFound(
            f"changes of {len({bytes(each.key) for each in report.missing}):,} items are missing from the vault",
            hint=f"Each is named above. A new base backup makes up for them: `backstream backfill {report.table}`.",
        )


def _show(report: Compaction) -> None:
    as_facts(
        [
            ("table", report.table),
            ("taken over", f"{report.segments:,} segments, {report.parts:,} parts of base backups: {report.lines:,} lines"),
            ("hidden", f"{report.hidden:,} objects (their versions stay in the bucket)"),
            ("now", f"{report.sets} sets, {report.objects:,} objects, {report.bytes:,} bytes"),
            ("seconds", f"{report.seconds:.1f}"),
        ]
    )
