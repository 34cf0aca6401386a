"""`restore` of one table: rows, a tenant or the whole table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backstream.apps.cli.differences import changed_lines
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
from backstream.apps.cli.restore.words import RestoreWords, fixed, fixed_window, given, need_files, selected_rows
from backstream.apps.engines import EngineKind
from backstream.apps.library import TableBackup
from backstream.apps.verbs.arguments import Via
from backstream.errors import UsageError
from backstream.model.counts import counted
from backstream.operations.bulk.progress import Progress
from backstream.operations.restore import Failure, Planned, Restored
from backstream.operations.restore.plan import Sampled

SHOWN = 12  # attributes of a row in a plan


def restore_one(table: str, backup: TableBackup, words: RestoreWords) -> int:
    """Restores as it was asked for, and returns the exit code."""
    words.at = "now" if words.at is None and words.settings_only else words.at
    if words.undo is not None:
        return _undo(table, backup, words.undo, words)
    held = words.from_parquet or words.from_file
    _check_source(words)
    _check_file_words(words)
    tell = Resumption()

    def run(*, dry_run: bool) -> Restored:
        with ProgressBar(lines=words.engine is EngineKind.SPARK) as bar:
            return _restored(backup, words, dry_run=dry_run, progress=bar, notice=tell)

    if words.in_place and not words.dry_run and not words.yes and words.via is Via.WRITES:
        _agree(table, words, held, run)
    try:
        return _show(run(dry_run=words.dry_run), json=words.json)
    except KeyboardInterrupt:
        notice(f"stopped: {_after_stop(tell, words.via, held)}")
        raise


def _check_source(words: RestoreWords) -> None:
    """Checks that no option is given which the source cannot have."""
    if words.from_parquet is None and words.from_file is None:
        _check_words(words.at, words.resume, words.via)
        return
    _check_dump_words(
        "--from-file" if words.from_parquet is None else "--from-parquet",
        from_file=None if words.from_parquet is None else words.from_file,
        at=words.at if words.from_parquet is not None else None,
        resume=words.resume,
        tenant=words.tenant,
        key=words.key,
        keys=words.keys,
        changed_between=words.changed_between,
        settings_only=words.settings_only or None,
        into_another=words.into_another if words.from_parquet is not None else None,
        delete_unknown=words.delete_unknown,
        expect_deletes=words.expect_deletes,
        via=words.via,
    )


def _restored(backup: TableBackup, words: RestoreWords, *, dry_run: bool, progress: Progress, notice: Resumption) -> Restored:
    """Restores from the source that the options name: an earlier restore's file, an export, other files, or the vault."""
    if words.resume is not None:
        return backup.resume(
            words.resume,
            accept_settings=words.accept_settings,
            dry_run=dry_run,
            progress=progress,
            notice=notice,
            **_of_writes(words),
            **_of_deletes(words),
        )
    if words.from_parquet is not None:
        return backup.restore_export(words.from_parquet, dry_run=dry_run, progress=progress, **_of_held(words))
    if words.from_file is not None:
        return backup.restore_dump(words.from_file, dry_run=dry_run, progress=progress, **_of_file(words), **_of_held(words))
    return backup.restore(
        at=words.at or "",
        keys=words.key or (),
        keys_file=words.keys,
        changed_between=words.changed_between,
        tenant=words.tenant,
        indexes=not words.no_indexes,
        settings_only=words.settings_only,
        accept_settings=words.accept_settings,
        via=words.via,
        dry_run=dry_run,
        progress=progress,
        notice=notice,
        **_of_held(words),
        **_of_deletes(words),
    )


def _of_writes(words: RestoreWords) -> dict[str, Any]:
    """Returns how the rows are written."""
    return {"patience": words.patience, "max_write_units": words.max_write_units, "force": words.force}


def _of_deletes(words: RestoreWords) -> dict[str, Any]:
    """Returns what a restore in place may touch."""
    return {
        "into_another": words.into_another,
        "delete_unknown": words.delete_unknown,
        "expect_deletes": words.expect_deletes,
    }


def _of_held(words: RestoreWords) -> dict[str, Any]:
    """Returns the options that every source of rows has."""
    return {
        "to": words.to,
        "in_place": words.in_place,
        "to_file": words.to_file,
        "partition": words.partition,
        "where": words.where,
        "allow_gap": words.allow_gap,
        **_of_writes(words),
    }


def _of_file(words: RestoreWords) -> dict[str, Any]:
    """Returns the options that only files have."""
    return {
        "at": words.at,
        "indexes": not words.no_indexes,
        "into_another": words.into_another,
        "key_schema": words.key_schema,
        "like": words.like,
        "checksums": not words.no_checksums,
        "csv_delimiter": words.csv_delimiter,
        "csv_columns": words.csv_columns,
    }


def _check_file_words(words: RestoreWords) -> None:
    """Raises UsageError for options of files without any."""
    need_files(
        words.from_file,
        "--from-file",
        key_schema=words.key_schema,
        like=words.like,
        no_checksums=words.no_checksums,
        csv_delimiter=words.csv_delimiter,
        csv_columns=words.csv_columns,
    )


def _agree(table: str, words: RestoreWords, held: str | None, run: Callable[..., Restored]) -> None:
    """Asks, and fixes the moments in the options: they stay the ones that the user agreed to."""
    words.changed_between = fixed_window(words.changed_between)
    planned = _ask(f"{selected_rows(words)}{table}", words.at or "", held, run)
    if held is None:
        words.at = planned.at  # `15m ago` means the second that was agreed to, however long the answer took


def _undo(table: str, backup: TableBackup, undo: str, words: RestoreWords) -> int:
    _check_undo_words(
        at=words.at,
        resume=words.resume,
        to=words.to,
        in_place=words.in_place,
        to_file=words.to_file,
        key=words.key,
        keys=words.keys,
        changed_between=words.changed_between,
        tenant=words.tenant,
        from_file=words.from_file,
    )
    if not words.dry_run and not words.yes:
        agree_to_undo(f"Take the restore {undo} of {table} back?")
    with ProgressBar() as bar:
        taken_back = backup.undo_restore(
            undo,
            dry_run=words.dry_run,
            patience=words.patience,
            max_write_units=words.max_write_units,
            into_another=words.into_another,
            progress=bar,
        )
    return _show(taken_back, json=words.json)


def _after_stop(resumption: Resumption, via: Via, dump: str | None) -> str:
    """Returns what a stopped restore leaves behind, and the next step."""
    if via is Via.IMPORT:
        return "an import that has begun goes on by itself"
    if dump is not None:
        return "the written rows stay; run it again with --in-place: rows that are there already are not written twice"
    return resumption.after_stop("nothing stays behind")


def _check_words(at: str | None, resume: str | None, via: Via) -> None:
    """A restore is to a moment, unless it resumes one."""
    if resume is None and at is None:
        raise UsageError("the moment to restore is missing", hint="--at 2026-11-23T04:15:00Z, --at '15m ago', ...")
    if resume is not None and via is Via.IMPORT:
        raise UsageError("an import leaves nothing to resume: --resume goes without --via import")


def _check_dump_words(source: str, *, via: Via, **others: object) -> None:
    """A dump or an export is of one moment, and restored as a whole."""
    wrong = [*given(others), *(["--via import"] if via is Via.IMPORT else [])]
    if wrong:
        kind = "A dump" if source == "--from-file" else "An export"
        raise UsageError(f"{source} goes without {', '.join(wrong)}", hint=f"{kind} is of one moment; pick rows with --where.")


def _check_undo_words(**others: object) -> None:
    """The file of a restore tells all that is to be known of it."""
    wrong = given(others)
    if wrong:
        raise UsageError(f"--undo goes without {', '.join(wrong)}", hint="It takes back exactly what that restore wrote.")


def _ask(what: str, at: str, dump: str | None, run: Callable[..., Restored]) -> Restored:
    """Show the plan to somebody at a terminal, and ask. Refused elsewhere, and where the answer is no."""
    asked, held = "Bring {} back to {} in place (puts and deletes)?".format, f"what {dump} holds of it"
    need_terminal(asked(what, fixed(at) if dump is None else held), "Look at it with --dry-run first, then run it with --yes.")
    planned = run(dry_run=True)
    as_failures("CANNOT BE RESTORED", planned.failures)
    for warning in planned.warnings:
        notice(f"note: {warning}")
    counts = _counts(planned)
    width = max(len(name) for name, _ in counts)
    for name, value in counts:
        err.print(f"{name:<{width}}  {value}")
    confirm(asked(what, planned.at if dump is None else held))
    return planned


def _show(report: Restored, *, json: bool) -> int:
    for warning in report.warnings:
        notice(f"note: {warning}")
    as_failures("NOT RESTORED", report.failures)
    as_failures("LEFT ALONE", _only_spared(report))
    if report.left is not None:
        others = (
            f"; with --force also {counted(report.conflicts, 'row')} that somebody changed meanwhile" if report.conflicts else ""
        )
        hint(f"what is left: {report.left}\nRun `backstream restore {report.table} --resume {report.left}` to write it{others}.")
    if report.undo is not None and not report.dry_run:
        notice(f"To take back what it wrote, and nothing else: {report.undo}")
    if json:
        as_json(report)
    else:
        _show_counts(report)
        as_grants(report.grants)
        as_sets(report.sets)
        as_todo(report.todo)
    return 1 if report.failed or any(each.failed for each in report.todo) else 0


def _only_spared(report: Restored) -> list[Failure]:
    """The rows that were left alone and do not count as failed."""
    failed = set(report.failures)
    return [each for each in report.sparing if each not in failed]


def _show_counts(report: Restored) -> None:
    as_facts(_counts(report))


def _counts(report: Restored) -> list[tuple[str, str]]:
    would = "would be " if report.dry_run else ""
    return [
        ("table", f"{report.table} at {report.at} -> {report.target}"),
        (f"{would}put", f"{report.put:,}"),
        (f"{would}deleted", f"{report.deleted:,}"),
        ("unchanged", f"{report.unchanged:,}"),
        ("failed", f"{report.failed:,}"),
        *([("left alone", f"{report.spared:,}: the vault does not prove what they were")] if report.spared else []),
        *([("erased", f"{report.erased:,} more, which were erased from the vault since")] if report.erased else []),
        *([("expired", f"{report.expired:,} of those put: their time to live has passed")] if report.expired else []),
        *([("conflicts", f"{report.conflicts:,} of these: somebody changed them meanwhile")] if report.conflicts else []),
        *(_most(report) if report.dry_run else []),
        *(_planned(report.plan, report.put + report.deleted) if report.dry_run and report.plan is not None else []),
        *([] if report.settings is None else [("settings", f"as of {report.settings}")]),
        ("seconds", f"{report.seconds:.1f}"),
    ]


def _most(report: Restored) -> list[tuple[str, str]]:
    """Returns the line that says how many deletes must be allowed, if they must be."""
    needed = report.needs_expect_deletes
    return [] if needed is None else [("most of it", f"refused without --expect-deletes {needed}")]


def _planned(plan: Planned, rows: int) -> list[tuple[str, str]]:
    takes = f"{counted(plan.write_units, 'write unit')}, ${plan.dollars:.4g} on demand, about {plan.estimated_seconds:,.0f} s"
    shown = [line for each in plan.sample for line in _row(each)]
    more = [("", f"... and {counted(rows - len(plan.sample), 'more row')}")] if rows > len(plan.sample) else []
    return [("would take", f"{takes}; indexes take as many again each"), *shown, *more]


def _row(each: Sampled) -> list[tuple[str, str]]:
    """A row of the plan: its key, and only what differs, attribute by attribute."""
    lines = changed_lines(bytes(each.before), bytes(each.after), cut=True)
    more = [f"... and {len(lines) - SHOWN} more attributes"] if len(lines) > SHOWN else []
    return [(f"  {each.action}", bytes(each.key).decode()), *(("", line) for line in [*lines[:SHOWN], *more])]
