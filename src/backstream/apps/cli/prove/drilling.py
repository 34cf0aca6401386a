"""`drill`: does a restore work, how long does it take, and how much would be lost?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from backstream.apps import library, publishing
from backstream.apps.cli.declaring import Option
from backstream.apps.cli.figures import write_metrics
from backstream.apps.cli.options import AllowGap, Emf, Json, Metrics, MinHead, Rpo, Rto, Tables, Vault, VerifyKey
from backstream.apps.cli.output import as_facts, as_failures, as_json, notice, out
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.cli.prove.drilling_together import check_several, drill_several, judge_several
from backstream.apps.library import TableBackup
from backstream.apps.monitoring import metrics
from backstream.apps.pages import drill as pages
from backstream.apps.verbs.arguments import objectives_of
from backstream.errors import DifferencesFound, Failed, UsageError
from backstream.model.counts import counted
from backstream.model.objectives import in_words
from backstream.operations.drill import PATIENCE, SAMPLE, Drill, DrillPlan, Pick
from backstream.operations.inspect.signatures import in_words as in_words_of
from backstream.vault.drills import Held

LISTED = 20
CHARTED = 30
SUFFIXES = (".html", ".htm", ".json")


def drill(
    tables: Tables,
    *,
    vault: Vault = None,
    verify_key: VerifyKey = None,
    min_head: MinHead = None,
    at: Annotated[
        str | None,
        Option(metavar="MOMENT", help="The second to restore [the newest].", show_default=False),
    ] = None,
    pick: Annotated[
        Pick, Option(metavar="newest|random", help="Without --at: the newest second, or any proven one of the whole window.")
    ] = Pick.NEWEST,
    scratch: Annotated[
        str | None, Option(metavar="NAME", help="The scratch table's name, which must be free.", show_default=False)
    ] = None,
    keep: Annotated[bool, Option("--keep", help="Leave the scratch table there.")] = False,
    report: Annotated[
        Path | None, Option(metavar="PATH", help="A page and JSON: PATH.html and PATH.json.", show_default=False)
    ] = None,
    rpo: Rpo = None,
    rto: Rto = None,
    metrics_file: Metrics = None,
    emf: Emf = None,
    sample: Annotated[int, Option(metavar="N", min=0, help="Number of rows whose history is read, byte for byte.")] = SAMPLE,
    patience: Annotated[
        float, Option(metavar="SECONDS", min=0, help="Time that a difference to the live table must last to count.")
    ] = PATIENCE,
    max_write_units: Annotated[
        float | None, Option(metavar="N", min=1, help="Write units (1 KB) a second at most.", show_default=False)
    ] = None,
    allow_gap: AllowGap = False,
    json: Json = False,
) -> None:
    """Test a restore into a scratch table: compare, measure RPO and RTO, clean up, report."""
    if at is not None and pick is not Pick.NEWEST:
        raise UsageError("--at and --pick cannot be combined: choose one")
    if json and emf is not None and str(emf) == "-":
        raise UsageError("--json and --emf - both write to stdout", hint="Give --emf a file.")
    held, several = library.open(vault, verify_key=verify_key, min_head=min_head), None
    if tables.single is None:
        check_several(scratch=scratch, min_head=min_head, report=report)
        several = held.select(tables)
    for path in (*(path for name in several or tables.names for path in _report_paths(report, name)), metrics_file, emf):
        if path is not None:
            publishing.check_folder(path)
    if several is not None:
        plan = DrillPlan(
            pick=pick,
            keep=keep,
            objectives=objectives_of(rpo, rto),
            sample=sample,
            patience=patience,
            allow_gap=allow_gap,
            max_units=max_write_units,
        )
        all_found = drill_several(held, several, tables.words, at=at, plan=plan, json=json)
        for each in all_found.tables:
            _publish(each, held.table(each.table), _report_paths(report, each.table))
        write_metrics([metrics.of_drill(each) for each in all_found.tables], metrics_file, emf)
        judge_several(all_found)
        return
    table = tables.names[0]
    backup = held.table(table)
    try:
        with ProgressBar() as bar:
            found = backup.drill(
                at=at,
                pick=pick,
                scratch=scratch,
                keep=keep,
                rpo=rpo,
                rto=rto,
                sample=sample,
                patience=patience,
                allow_gap=allow_gap,
                max_write_units=max_write_units,
                progress=bar,
            )
    except KeyboardInterrupt:
        notice("stopped: the scratch table is deleted, nothing stays behind")
        raise
    _show(found, json=json)
    _publish(found, backup, _report_paths(report, table))
    write_metrics([metrics.of_drill(found)], metrics_file, emf)
    _judge(found)


def _report_paths(report: Path | None, table: str) -> list[Path]:
    """Returns the paths of the page and the JSON: side by side, whichever was named, or both in the named folder."""
    if report is None:
        return []
    stem = report / f"{table}-drill" if report.is_dir() else report
    bare = stem.with_suffix("") if stem.suffix.lower() in SUFFIXES else stem
    return [bare.with_name(bare.name + ending) for ending in (".html", ".json")]


def _show(found: Drill, *, json: bool) -> None:
    for warning in found.warnings:
        notice(f"note: {warning}")
    as_failures("UNREADABLE", found.failures)
    if json:
        as_json(found)
        return
    as_facts(
        [
            ("drill", "PASSED" if found.passed else "FAILED"),
            ("table", f"{found.table} at {found.at}"),
            ("rows", f"{found.rows:,}, and {found.matched:,} of them came back as they were"),
            ("differences", f"{found.differences:,}"),
            ("unreadable", f"{counted(found.failed, 'object')}"),
            ("live table", _live(found)),
            ("sample", f"{found.sampled:,} histories, byte for byte"),
            ("vault", _vault(found)),
            *(("signatures", words) for words in [in_words_of(found.covered)] if words),
            *(("head", str(found.covered.head)) for _ in range(found.covered.head is not None)),
            ("RPO", _figure(found.rpo_seconds, found.objectives.rpo_seconds)),
            ("RTO", _figure(found.rto_seconds, found.objectives.rto_seconds)),
            ("scratch table", f"{found.scratch}, {'kept' if found.kept else 'deleted'}"),
            ("seconds", f"{found.seconds:.1f}"),
            *(("REASON", reason) for reason in found.reasons),
        ]
    )
    for each in found.differing[:LISTED]:
        out.print(f"{each.kind:<10}  {each.side:<8}  {bytes(each.key).decode()}  {each.why}".rstrip())
    if len(found.differing) > LISTED:
        out.print(f"... and {len(found.differing) - LISTED:,} more: --json and --report name them")


def _live(found: Drill) -> str:
    live = found.live
    if live is None:
        return "not compared"
    return f"{live.rows:,} rows: {live.same:,} as restored, {live.changed:,} changed since, {live.different:,} differ"


def _vault(found: Drill) -> str:
    if not found.checked:
        return "not checked"
    return f"checked: {counted(found.found, 'finding')} affect{'s' if found.found == 1 else ''} this moment"


def _figure(seconds: float | None, objective: int | None) -> str:
    said = "unknown" if seconds is None else in_words(seconds)
    return said if objective is None else f"{said} (objective {in_words(objective)})"


def _publish(found: Drill, backup: TableBackup, paths: list[Path]) -> None:
    if not paths:
        return
    history = backup.drills(CHARTED)
    if found.id not in {each.id for each in history}:
        history.append(msgspec.convert(found, Held, from_attributes=True))
    html, json = paths
    publishing.publish(html, pages.page(found, history))
    publishing.publish(json, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    notice(f"report: {html} and {json}")


def _judge(found: Drill) -> None:
    """Raises the error of a drill. An error that stopped it takes precedence over its findings."""
    if found.error is not None:
        raise Failed(f"the drill of {found.table} was stopped: {found.error}", hint=found.hint)
    if not found.passed:
        others = f" (and {counted(len(found.reasons) - 1, 'more reason')})" if found.reasons[1:] else ""
        raise DifferencesFound(f"the drill of {found.table} failed: {found.reasons[0]}{others}")
