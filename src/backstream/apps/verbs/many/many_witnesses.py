"""The witness of several tables: some at once, each with its share of the time, and a fault in one does not stop the others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from backstream.apps.lambdas import several
from backstream.apps.verbs.arguments import seconds_of
from backstream.apps.verbs.capturing import Capturing
from backstream.errors import BackstreamError, UsageError
from backstream.operations.capture.witness import Witnessed
from backstream.ports import Clock

AT_ONCE = 8  # tables
LEAST = 10.0  # seconds that a table is given, however many wait
Answer = TypeVar("Answer")


def witness_all(
    tables: Sequence[str], run: Callable[[str, float], Answer], clock: Clock, budget: float
) -> tuple[dict[str, Answer], dict[str, BackstreamError]]:
    """Runs the witness of every table, and returns the answers and the errors by table. `run`: gets a table, and its seconds.

    `budget`: the seconds of all of them together.
    """
    found: dict[str, Answer] = {}
    ended = set[str]()
    ends, least = clock.now() + budget, min(LEAST, budget)

    def one(table: str) -> None:
        left, waiting = ends - clock.now(), len(tables) - len(ended)
        try:
            found[table] = run(table, max(least, left * min(1.0, AT_ONCE / max(1, waiting))))
        finally:
            ended.add(table)  # one that failed waits for nothing

    failed = several.side_by_side(several.in_rotation(tables, clock.now()), one, AT_ONCE)
    return found, failed


def of_vault(
    backup: Callable[[str], Capturing],
    clock: Clock,
    tables: Sequence[str],
    budget: str | float,
    stop: threading.Event,
    notice: Callable[[str], None],
) -> dict[str, Witnessed | BackstreamError]:
    """Returns the report or the error of each table, in their order: see `Vault.witness`."""
    seconds = seconds_of(budget)
    if seconds <= 0:
        raise UsageError(f"no time to read anything: {budget}", hint="Give it 30s or more.")

    def run(table: str, share: float) -> Witnessed:
        return backup(table).witness(budget=share, stop=stop, notice=lambda text: notice(f"{table}: {text}"))

    found, failed = witness_all(tables, run, clock, seconds)
    return {table: failed[table] if table in failed else found[table] for table in tables}
