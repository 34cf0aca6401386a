"""Runs the tables of a group side by side, and stops all of them when somebody stops the command."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from backstream.engine.local.memory import LEAST, Memory
from backstream.errors import BackstreamError, Refused
from backstream.operations.bulk.progress import Progress, Silent

MOST = 4  # tables at a time: each has threads of its own
Answer = TypeVar("Answer")


class OnFailure(enum.StrEnum):
    """The fate of tables that have not begun when one fails. Tables that are being written are finished in any case."""

    STOP = "stop"
    GO_ON = "go-on"


class Stopped(KeyboardInterrupt):
    """The command was stopped: raised in each table's thread at its next item."""


class StopSign(Silent):
    """A progress that raises `Stopped` in the thread that reports it, once `stop` was called. Safe to call from many threads."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def stop(self) -> None:
        """From now on every report raises `Stopped`."""
        self._stopped.set()

    def phase(self, name: str, total: int | None) -> None:  # noqa: ARG002 - of `Progress`
        """Raises `Stopped` after a stop."""
        self._check()

    def advance(self, steps: int) -> None:  # noqa: ARG002 - the same
        """Raises `Stopped` after a stop."""
        self._check()

    def _check(self) -> None:
        if self._stopped.is_set():
            raise Stopped


def width(tables: int, memory: Memory) -> int:
    """Returns how many tables are worked on at a time within one memory budget."""
    return max(1, min(MOST, tables, memory.total // LEAST))


def share(tables: int, memory: Memory) -> Memory:
    """Returns one table's part of the memory."""
    return Memory(memory.total // width(tables, memory))


def check_all(tables: Sequence[str], check: Callable[[str], object], what: str) -> None:
    """Checks every table, and raises one error that names all that refuse. Nothing was touched then."""
    refusals: dict[str, BackstreamError] = {}
    for table in tables:
        try:
            check(table)
        except BackstreamError as error:
            refusals[table] = error
    if refusals:
        raise refused(refusals, len(tables), what)


def refused(refusals: Mapping[str, BackstreamError], tables: int, what: str) -> BackstreamError:
    """Returns the error that stands for these, with the exit code of the worst."""
    worst = max(refusals.values(), key=lambda each: each.exit_code)
    said = "; ".join(f"{table}: {error.message}" for table, error in refusals.items())
    hints = dict.fromkeys(error.hint for error in refusals.values() if error.hint)
    kind = Refused if isinstance(worst, Refused) else type(worst)
    return kind(f"nothing was touched: {len(refusals)} of {tables} tables cannot be {what}: {said}", hint="\n".join(hints))


def run_all(
    tables: Sequence[str],
    run: Callable[[str], Answer],
    *,
    side_by_side: int,
    on_failure: OnFailure,
    is_good: Callable[[Answer], bool],
    stop: StopSign,
    progress: Progress,
) -> dict[str, Answer | BackstreamError]:
    """Runs each table, some at a time, and returns their answers or errors. Tables that were not begun are missing.

    A KeyboardInterrupt stops all, and is raised once every thread has ended.
    """
    found: dict[str, Answer | BackstreamError] = {}
    failed = threading.Event()

    def one(table: str) -> None:
        if failed.is_set() and on_failure is OnFailure.STOP:
            return
        try:
            found[table] = answer = run(table)
            good = is_good(answer)
        except BackstreamError as error:
            found[table], good = error, False
        if not good:
            failed.set()
        progress.advance(1)

    progress.phase("tables", len(tables))
    with ThreadPoolExecutor(side_by_side, thread_name_prefix="table") as pool:
        running = [pool.submit(one, table) for table in tables]
        try:
            _wait(running)
        except BaseException:
            stop.stop()
            for each in running:
                each.cancel()
            raise
    return {table: found[table] for table in tables if table in found}


def _wait(running: Sequence[Future[None]]) -> None:
    for each in running:
        each.result()
