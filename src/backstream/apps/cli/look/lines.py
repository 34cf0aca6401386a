"""`status` of several tables: one line for each, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.apps.cli.output import out
from backstream.model.objectives import in_words
from backstream.operations.inspect.status import Status
from backstream.operations.inspect.worst_first import badness, wrong

HEAD = ("TABLE", "EXACT", "LAG", "GAPS", "LAST DRILL", "SIZE", "$/MONTH", "")
UNITS = ("B", "KB", "MB", "GB", "TB")
STEP = 1_000


def print_lines(found: Sequence[Status], broken: Sequence[str]) -> None:
    """Prints a line for each table. `broken`: the tables that gave no status; they are the worst."""
    rows = [HEAD, *((table, "-", "-", "-", "-", "-", "-", "ERROR") for table in broken), *map(_row, sorted(found, key=badness))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for number, row in enumerate(rows):
        line = "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        out.print(line, style="" if number else "bold")


def _row(each: Status) -> tuple[str, ...]:
    last = each.last_drill
    exact = f"{each.ranges[-1].since} to {each.ranges[-1].until}" if each.ranges else "none"
    return (
        each.table,
        exact,
        "-" if each.lag_seconds is None else in_words(each.lag_seconds),
        str(len(each.gaps)),
        "never" if last is None else f"{last.began} {'passed' if last.passed else 'FAILED'}",
        _size(each.log_bytes),
        "-" if each.dollars_a_month is None else f"{each.dollars_a_month:.2f}",
        ", ".join(wrong(each)),
    )


def _size(count: float) -> str:
    for unit in UNITS[:-1]:
        if count < STEP:
            return f"{count:.0f} {unit}"
        count /= STEP
    return f"{count:,.1f} {UNITS[-1]}"
