"""`revert` of several tables: one window, one plan, one report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backstream.apps import library
from backstream.apps.cli.output import (
    Resumption,
    agree_to_undo,
    as_facts,
    as_failures,
    as_json,
    confirmed,
    err,
    hint,
    need_terminal,
    notice,
)
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.selection.table_selection import TableSelection
from backstream.errors import UsageError
from backstream.operations.revert import Reverted
from backstream.operations.together.reverting import RevertedTogether

Words = Mapping[str, Any]  # the arguments of `Together.revert`, by name


def check_alone(tables: TableSelection, run: Path | None, **alone: object) -> None:
    """Raises UsageError for options that only one table can have, and for tables beside the file of a run."""
    wrong = [f"--{name}" for name, value in alone.items() if value not in (None, False, [])]
    if wrong:
        raise UsageError(
            f"a revert of several tables goes without {', '.join(wrong)}", hint="These go with one table, named by its name."
        )
    if run is not None and tables.is_given:
        raise UsageError("the file names its tables itself", hint="Give --resume or --undo without tables.")
    if run is None and not tables.is_given:
        raise UsageError("no table is named", hint="Name tables, or give --all, --match, --tag or --group.")


COMMON = ("into_another", "patience", "max_write_units")


def of_several(
    held: library.Vault,
    tables: TableSelection,
    run: Path | None,
    words: Words,
    *,
    resumes: str | None,
    undoes: str | None,
    yes: bool,
    json: bool,
) -> int:
    """Reverts, resumes or undoes as it was asked for, and returns the exit code. `run`: the file of an earlier run."""
    if run is None and (resumes or undoes):
        raise UsageError(f"no revert of several tables: {resumes or undoes}", hint="Its file is named backstream-group-ID.ndjson.")
    if run is None:
        return _revert(held, tables, words, yes=yes, json=json)
    common = {name: words[name] for name in COMMON}
    if undoes:
        return _undo(held, run, {**common, "dry_run": words["dry_run"]}, yes=yes, json=json)
    return _resume(held, run, {**common, "on_failure": words["on_failure"]}, json=json)


def _revert(held: library.Vault, tables: TableSelection, words: Words, *, yes: bool, json: bool) -> int:
    """Reverts the window in the selected tables, and returns the exit code."""
    tell, selected = Resumption(), held.select(tables)

    def run() -> int:
        with ProgressBar() as bar:
            report = held.together(tables.words).revert(
                selected, **words, ask=(lambda _: True) if yes else _ask, progress=bar, notice=tell
            )
        return _show(report, json=json)

    return tell.around(run, "nothing was written")


def _resume(held: library.Vault, path: Path, words: Words, *, json: bool) -> int:
    """Continues a revert of several tables, and returns the exit code."""
    tell = Resumption()

    def run() -> int:
        with ProgressBar() as bar:
            report = held.together().resume_revert(path, **words, progress=bar, notice=tell)
        return _show(report, json=json)

    return tell.around(run, "nothing was written")


def _undo(held: library.Vault, path: Path, words: Words, *, yes: bool, json: bool) -> int:
    """Takes back a revert of several tables, and returns the exit code."""
    if not yes and not words["dry_run"]:
        agree_to_undo(f"Take the revert {path} of several tables back?")
    with ProgressBar() as bar:
        undone = held.together().undo_revert(path, **words, progress=bar)
    for table, each in undone.items():
        as_failures(f"NOT TAKEN BACK in {table}", each.failures)
    if json:
        as_json({"tables": list(undone.values()), "dry_run": words["dry_run"]})
    else:
        as_facts([(table, _line(each)) for table, each in undone.items()])
    return 1 if any(each.failed or each.conflicts for each in undone.values()) else 0


def _ask(foreseen: RevertedTogether) -> bool:
    """Shows the plan of all tables to somebody at a terminal, and asks. Raises Refused elsewhere."""
    names = ", ".join(each.table for each in foreseen.tables)
    question = f"Undo these changes of {names} from {foreseen.since} to {foreseen.until}?"
    need_terminal(question, "Look at it with --dry-run first, then run it with --yes.")
    for name, value in _facts(foreseen):
        err.print(f"{name:<14}  {value}")
    for warning in foreseen.warnings:
        notice(f"note: {warning}")
    return confirmed(question)


def _show(report: RevertedTogether, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    for each in report.tables:
        as_failures(f"CONFLICT in {each.table}", each.failures[: each.conflicts])
        as_failures(f"NOT REVERTED in {each.table}", each.failures[each.conflicts :])
    for missing in report.not_reverted:
        notice(f"NOT REVERTED: {missing.table}: {missing.why}")
    if report.left is not None:
        hint(f"what is left: {report.left}\nRun `backstream revert --resume {report.left}` to go on: it skips what is done.")
    if report.undo is not None:
        notice(f"To take back what it wrote in all tables, and nothing else: {report.undo}")
    if json:
        as_json(report)
    else:
        as_facts(_facts(report))
    return 1 if report.failed or report.conflicts or report.not_reverted else 0


def _facts(report: RevertedTogether) -> list[tuple[str, str]]:
    return [
        ("window", f"{report.since} to {report.until}"),
        *((each.table, _line(each)) for each in report.tables),
        *(("reverted", ", ".join(report.reverted) or "none") for _ in range(not report.dry_run)),
        ("seconds", f"{report.seconds:.1f}"),
    ]


def _line(each: Reverted) -> str:
    would = "would " if each.dry_run else ""
    most = "" if each.needs_expect_deletes is None else f"; refused without --expect-deletes {each.needs_expect_deletes}"
    return (
        f"{would}put back {each.put:,}, {would}update {each.updated:,}, {would}delete {each.deleted:,}, "
        f"{each.unchanged:,} unchanged, {each.conflicts:,} in conflict, {each.failed:,} failed{most}"
    )
