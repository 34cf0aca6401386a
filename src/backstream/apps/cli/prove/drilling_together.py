"""`drill` of several tables: one second, one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backstream.apps import library
from backstream.apps.cli.output import as_facts, as_json, notice
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.errors import DifferencesFound, Failed, UsageError
from backstream.model.objectives import in_words
from backstream.operations.drill import Drill, DrillPlan
from backstream.operations.together.drilling import DrilledTogether


def check_several(*, scratch: str | None, min_head: int | None, report: Path | None) -> None:
    """Raises UsageError for options that only one table can have."""
    if scratch is not None or min_head is not None:
        raise UsageError("--scratch and --min-head go with one table, named by its name")
    if report is not None and not report.is_dir():
        raise UsageError("several tables have a report each", hint="Give --report a folder that exists.")


def drill_several(
    held: library.Vault, tables: Sequence[str], words: Sequence[str], *, at: str | None, plan: DrillPlan, json: bool
) -> DrilledTogether:
    """Drills these tables, and prints the report."""
    try:
        with ProgressBar() as bar:
            found = held.together(words).drill(tables, at=at, plan=plan, progress=bar)
    except KeyboardInterrupt:
        notice("stopped: the scratch tables are deleted, nothing stays behind")
        raise
    for each in found.tables:
        for warning in each.warnings:
            notice(f"note: {each.table}: {warning}")
    if found.note:
        notice(f"note: that the tables are consistent with each other is not shown: {found.note}")
    if json:
        as_json(found)
    else:
        as_facts(_facts(found))
    return found


def _facts(found: DrilledTogether) -> list[tuple[str, str]]:
    consistent = "yes: no table changed in the second after" if found.consistent else "not shown"
    return [
        ("drill", "PASSED" if found.passed else "FAILED"),
        ("moment", found.at),
        ("consistent", consistent),
        *((each.table, _line(each)) for each in found.tables),
        *((table, f"STOPPED: {why}") for table, why in found.stopped.items()),
        ("RPO, the worst", _figure(found.rpo_seconds)),
        ("RTO, the worst", _figure(found.rto_seconds)),
        ("seconds", f"{found.seconds:.1f}"),
    ]


def _line(each: Drill) -> str:
    verdict = "passed" if each.passed else f"FAILED: {'; '.join(each.reasons)}"
    return f"{verdict}: {each.matched:,} of {each.rows:,} rows came back as they were"


def _figure(seconds: float | None) -> str:
    return "unknown" if seconds is None else in_words(seconds)


def judge_several(found: DrilledTogether) -> None:
    """Raises the error of a drill of several tables. Errors that stopped one take precedence over findings."""
    errors = {each.table: each.error for each in found.tables if each.error is not None} | dict(found.stopped)
    if errors:
        raise Failed("; ".join(f"the drill of {table} was stopped: {why}" for table, why in errors.items()))
    failed = [each for each in found.tables if not each.passed]
    if failed:
        raise DifferencesFound("; ".join(f"the drill of {each.table} failed: {each.reasons[0]}" for each in failed))
