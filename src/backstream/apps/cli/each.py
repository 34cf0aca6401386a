"""One command over several tables: each on its own, so that a broken one never hides another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from backstream.apps import library
from backstream.apps.cli.output import as_array, as_json, hint, notice, out
from backstream.apps.selection.selecting import Among
from backstream.apps.selection.table_selection import TableSelection
from backstream.errors import BackstreamError

_Answer = TypeVar("_Answer")


def of_each(
    names: Iterable[str], ask: Callable[[str], _Answer], *, alone: bool = False
) -> tuple[dict[str, _Answer], dict[str, BackstreamError]]:
    """Returns the answers of those that gave one, and the errors of the others, by name; each error is printed at once.

    `alone`: True for one named table; then its error is raised.
    """
    answers, broken = dict[str, _Answer](), dict[str, BackstreamError]()
    for name in names:
        try:
            answers[name] = ask(name)
        except BackstreamError as error:
            if alone:
                raise
            notice(f"error: {name}: {error.message}")
            broken[name] = error
    return answers, broken


def raise_worst(broken: Iterable[BackstreamError]) -> None:
    """Raises the error with the greatest exit code, if there is any."""
    worst = max(broken, key=lambda each: each.exit_code, default=None)
    if worst is not None:
        raise worst


def over(
    asked: TableSelection, held: library.Vault, run: Callable[[str], int | None], *, json: bool, among: Among = Among.VAULT
) -> int:
    """Runs a command for each selected table, one after the other, and returns the worst exit code.

    One table, named by its name, is as ever: its own report, its own error. `--json` prints one array for several tables; a table
    that raised an error before it had a report has `{"table", "error"}` in it.
    """
    if asked.single is not None:
        return run(asked.single) or 0
    names = held.select(asked, among)
    if not json:
        return max((_told(name, run, None) for name in names), default=0)
    with as_array() as reports:
        return max((_told(name, run, reports) for name in names), default=0)


def _told(name: str, run: Callable[[str], int | None], reports: Sequence[bytes] | None) -> int:
    """Runs one, prints its error, and returns its exit code. `reports`: the array's reports so far; None for people."""
    before = 0 if reports is None else len(reports)
    if reports is None:
        out.print(f"--- {name}", style="bold")
    try:
        return run(name) or 0
    except BackstreamError as error:
        notice(f"error: {name}: {error.message}")
        if error.hint:
            hint(error.hint)
        if reports is not None and len(reports) == before:
            as_json(no_report(name, error))
        return error.exit_code


def no_report(table: str, error: BackstreamError) -> dict[str, object]:
    """Returns what stands in an array for a table that gave no report."""
    return {"table": table, "error": as_error(error)}


def as_error(error: BackstreamError) -> dict[str, object]:
    """Returns an error as programs get it: the same fields as on stderr."""
    return {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "exit_code": error.exit_code}
