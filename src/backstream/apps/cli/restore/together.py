"""`restore` of several tables: one plan, one question, one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from backstream.apps import library
from backstream.apps.cli.output import (
    Resumption,
    agree_to_undo,
    as_facts,
    as_failures,
    as_grants,
    as_json,
    as_sets,
    as_todo,
    confirm,
    err,
    hint,
    need_terminal,
    notice,
)
from backstream.apps.cli.progress_bar import ProgressBar
from backstream.apps.cli.restore.words import RestoreWords, fixed_window, given, selected_rows
from backstream.apps.verbs.arguments import Via
from backstream.apps.verbs.many.together import targets_of
from backstream.errors import UsageError
from backstream.model.counts import counted
from backstream.operations.restore import Restored
from backstream.operations.together.choosing import RowFilters
from backstream.operations.together.restoring import RestoredTogether

ROWS = ("key", "keys", "changed_between", "tenant", "partition", "where")  # the options that choose rows


def is_of_several(words: RestoreWords) -> bool:
    """True if the options select tables otherwise than by one name, or apply to several tables only."""
    named = any(each is not None for each in (words.suffix, words.prefix, words.names))
    return named or words.settle or (words.tables.is_given and words.tables.single is None)


def restore_several(held: library.Vault, words: RestoreWords, run: Path | None) -> int:
    """Restores as it was asked for, and returns the exit code. `run`: the file of an earlier run to be resumed or undone."""
    _check_words(words)
    if run is not None:
        _check_words_of_file(words)
        return _undo(held, run, words) if words.undo is not None else _resume(held, run, words)
    if words.resume is not None or words.undo is not None:
        hint = "Its file is named backstream-group-ID.ndjson, and names its tables itself."
        raise UsageError(f"no restore of several tables: {words.resume or words.undo}", hint=hint)
    if words.at is None:
        raise UsageError("the moment to restore is missing", hint="--at 2026-11-23T04:15:00Z, --at '15m ago', ...")
    return _restore(held, words, words.at)


def _check_words(words: RestoreWords) -> None:
    """Raises UsageError if options are given that only one table can have."""
    wrong = _given(
        words,
        [
            "to",
            "to_file",
            "settings_only",
            "from_file",
            "key_schema",
            "like",
            "no_checksums",
            "csv_delimiter",
            "csv_columns",
            "from_parquet",
            "min_head",
        ],
    )
    wrong += ["--via import"] if words.via is Via.IMPORT else []
    if wrong:
        raise UsageError(
            f"a restore of several tables goes without {', '.join(wrong)}", hint="These go with one table, named by its name."
        )


def _check_words_of_file(words: RestoreWords) -> None:
    """Raises UsageError if words are given that the file of a run says itself."""
    wrong = [*words.tables.words, *_given(words, ["at", "in_place", "suffix", "prefix", "names", "settle", *ROWS])]
    if wrong:
        raise UsageError(f"--resume and --undo of several tables go without {', '.join(wrong)}", hint="The file tells all of that.")


def _given(words: RestoreWords, names: Sequence[str]) -> list[str]:
    """Returns the given ones of these options."""
    shown = {"names": "map"}
    return given({shown.get(name, name): getattr(words, name) for name in names})


def _restore(held: library.Vault, words: RestoreWords, at: str) -> int:
    targets = targets_of(in_place=words.in_place, suffix=words.suffix, prefix=words.prefix, names=words.names)
    selected, together, tell = held.select(words.tables), held.together(words.tables.words), Resumption()

    def run(second: str, *, dry_run: bool, settle: bool) -> RestoredTogether:
        with ProgressBar() as bar:
            return together.restore(
                selected,
                at=second,
                targets=targets,
                settle=settle,
                on_failure=words.on_failure,
                keys=words.key or (),
                keys_file=words.keys,
                changed_between=words.changed_between,
                rows=RowFilters(words.tenant, words.partition, words.where),
                indexes=not words.no_indexes,
                accept_settings=words.accept_settings,
                dry_run=dry_run,
                allow_gap=words.allow_gap,
                patience=words.patience,
                max_write_units=words.max_write_units,
                force=words.force,
                into_another=words.into_another,
                delete_unknown=words.delete_unknown,
                expect_deletes=words.expect_deletes,
                progress=bar,
                notice=tell,
            )

    settle, _ = words.settle, targets.of(selected)  # before somebody is asked
    if words.in_place and not words.dry_run and not words.yes:
        words.changed_between = fixed_window(words.changed_between)
        at, settle = _asked(words, selected, at, lambda: run(at, dry_run=True, settle=words.settle)), False
    return tell.around(lambda: _show(run(at, dry_run=words.dry_run, settle=settle), json=words.json), "nothing was touched")


def _resume(held: library.Vault, path: Path, words: RestoreWords) -> int:
    tell = Resumption()

    def run() -> int:
        with ProgressBar() as bar:
            report = held.together().resume(
                path,
                on_failure=words.on_failure,
                accept_settings=words.accept_settings,
                dry_run=words.dry_run,
                allow_gap=words.allow_gap,
                patience=words.patience,
                max_write_units=words.max_write_units,
                force=words.force,
                into_another=words.into_another,
                delete_unknown=words.delete_unknown,
                expect_deletes=words.expect_deletes,
                progress=bar,
                notice=tell,
            )
        return _show(report, json=words.json)

    return tell.around(run, "nothing was touched")


def _undo(held: library.Vault, path: Path, words: RestoreWords) -> int:
    if not words.dry_run and not words.yes:
        agree_to_undo(f"Take the restore {path} of several tables back?")
    with ProgressBar() as bar:
        undone = held.together().undo(
            path,
            dry_run=words.dry_run,
            patience=words.patience,
            max_write_units=words.max_write_units,
            into_another=words.into_another,
            progress=bar,
        )
    for table, each in undone.items():
        as_failures(f"NOT TAKEN BACK in {table}", each.failures)
    if words.json:
        as_json({"tables": list(undone.values()), **_totals(undone), "dry_run": words.dry_run})
    else:
        as_facts([(table, _line(each)) for table, each in undone.items()])
    return 1 if any(each.failed for each in undone.values()) else 0


def _totals(undone: Mapping[str, Restored]) -> dict[str, int]:
    names = ("put", "deleted", "unchanged", "failed", "conflicts")
    return {name: sum(getattr(each, name) for each in undone.values()) for name in names}


def _asked(words: RestoreWords, selected: Sequence[str], at: str, plan: Callable[[], RestoredTogether]) -> str:
    """Shows the plan of all tables to somebody at a terminal, and asks. Returns the second that was agreed to."""
    question = "Bring {} back to {} in place (puts and deletes)?".format
    what = f"{selected_rows(words)}{counted(len(selected), 'table')} ({', '.join(selected)})"
    need_terminal(question(what, at), "Look at it with --dry-run first, then run it with --yes.")
    planned = plan()
    _warn(planned)
    for name, value in _facts(planned):
        err.print(f"{name:<14}  {value}")
    confirm(question(what, planned.at))
    return planned.at


def _warn(report: RestoredTogether) -> None:
    for warning in report.warnings:
        notice(f"note: {warning}")
    for table in report.nothing:
        notice(f"note: {table} has none of these rows, and is left as it is")


def _show(report: RestoredTogether, *, json: bool) -> int:
    _warn(report)
    for each in report.tables:
        as_failures(f"NOT RESTORED in {each.table}", each.failures)
    for missing in report.not_as_of:
        notice(f"NOT AS OF {report.at}: {missing.target}: {missing.why}")
    if report.left is not None:
        conflicts = sum(each.conflicts for each in report.tables)
        others = f"; with --force also {counted(conflicts, 'row')} that somebody changed meanwhile" if conflicts else ""
        hint(
            f"what is left: {report.left}\nRun `backstream restore --resume {report.left}` to go on{others}: it skips what is done."
        )
    if report.undo is not None:
        notice(f"To take back what it wrote in all tables, and nothing else: {report.undo}")
    if json:
        as_json(report)
    else:
        as_facts(_facts(report))
        for each in report.tables:
            as_grants(each.grants)
            as_sets(each.sets)
            as_todo(each.todo)
    undone = any(todo.failed for each in report.tables for todo in each.todo)
    return 1 if report.failed or report.not_as_of or undone else 0


def _facts(report: RestoredTogether) -> list[tuple[str, str]]:
    cost = f"{counted(report.write_units, 'write unit')}, ${report.dollars:.4g} on demand, about {report.estimated_seconds:,.0f} s"
    return [
        ("moment", report.at if report.asked is None else f"{report.at}, the quiet second before {report.asked}"),
        *([("only rows of", " and ".join(report.rows))] if report.rows else []),
        *((each.table, f"-> {each.target}: {_line(each)}") for each in report.tables),
        *(("as of it", ", ".join(report.as_of) or "none") for _ in range(not report.dry_run)),
        *((("not as of it", ", ".join(each.target for each in report.not_as_of)),) if report.not_as_of else ()),
        *(("would take", f"{cost}; indexes take as many again each") for _ in range(report.dry_run)),
        ("seconds", f"{report.seconds:.1f}"),
    ]


def _line(each: Restored) -> str:
    would = "would " if each.dry_run else ""
    most = "" if each.needs_expect_deletes is None else f"; refused without --expect-deletes {each.needs_expect_deletes}"
    failed = f", {each.failed:,} failed" if each.failed else ""
    failed += f", {each.erased:,} erased from the vault since" if each.erased else ""
    return f"{would}put {each.put:,}, {would}delete {each.deleted:,}, {each.unchanged:,} unchanged{failed}{most}"
