"""One invocation for several tables: each in its turn, and a fault in one does not stop the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.errors import BackstreamError, Failed, UsageError

MINUTE = 60


def tables_of(table: str | None, tables: Sequence[str], what: str, hint: str) -> list[str]:
    """Returns the tables of an event, each once. Raises UsageError if it names none, or tables in both ways.

    `what`: the kind of event, for the error; `hint`: the next step.
    """
    if (table is None) == (not tables):
        raise UsageError(f"not the event of a {what}: it has neither `table` nor `tables`, or both", hint=hint)
    return list(dict.fromkeys(tables)) if table is None else [table]


def in_rotation(tables: Sequence[str], now: float) -> list[str]:
    """Returns the tables, beginning with another one each minute, so that no table is always the last."""
    first = int(now) // MINUTE % len(tables)
    return [*tables[first:], *tables[:first]]


def side_by_side(tables: Sequence[str], run: Callable[[str], None], at_once: int) -> dict[str, BackstreamError]:
    """Runs it for every table, some at once. Returns the errors by table; any other error is raised once all have ended."""
    with ThreadPoolExecutor(at_once) as pool:
        running = {table: pool.submit(run, table) for table in tables}
    failed: dict[str, BackstreamError] = {}
    for table, future in running.items():
        try:
            future.result()
        except BackstreamError as error:
            failed[table] = error
    return failed


def raise_if(failed: Sequence[str], tables: Sequence[str], what: str) -> None:
    """Raises Failed if some tables failed."""
    if failed:
        some = ", ".join(failed[:5]) + " ..." * (len(failed) > 5)
        raise Failed(f"{what} {len(failed)} of {len(tables)} tables: {some}", hint="Each has a line in the log that says why.")
