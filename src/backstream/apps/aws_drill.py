"""A scheduled drill's Lambda handler: `backstream.apps.aws_drill.handler`, configured by `BACKSTREAM_VAULT`.

The event names the table and the objectives: `{"table": "flights", "rpo": "30m", "rto": "2h"}`. Several come as `{"tables":
[...], "due": "24h"}`, a group's tables as `{"group": "shop", "due": "24h"}`. It drills the tables whose last drill is longer ago,
the oldest first, until its time is up. The next run continues. A fault in one does not stop the others.

The figures go to CloudWatch as lines in its embedded metric format, the record to the vault. An invocation whose drill has not
passed fails, so that Lambda's own `Errors` shows it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import msgspec

from backstream.apps.config import Config
from backstream.apps.interrupting import raising_after
from backstream.apps.lambdas import invocation, several
from backstream.apps.lambdas.invocation import Context
from backstream.apps.library import Vault
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import emf
from backstream.apps.verbs.arguments import seconds_of
from backstream.clock import SystemClock
from backstream.engine.local import memory as memories
from backstream.errors import BackstreamError, DifferencesFound, Failed
from backstream.model.values.visible import visible_json
from backstream.operations.drill import PATIENCE, SAMPLE, Drill, Pick
from backstream.operations.drill.limits import Limit, OutOfTime
from backstream.ports import Clock
from backstream.vault.drills import Drills

RESERVE = 60.0  # seconds kept back to delete the scratch table and to keep the record; a third of what there is if that is less
FUNCTION_MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
SHARE = 0.6  # of the function's memory for the engine: the rest is Python, botocore, and images on their way
FOLDER = "/tmp"  # noqa: S108 - the only place where a function may write, and its own


class DrillEvent(several.OfTables, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of an event: options of `backstream drill`, with the same meaning. Durations are seconds or `30m`.

    `due`: of several `tables`, drills the ones whose last drill is at least this long ago; `within`: after that time without a
    drill it is overdue.
    """

    at: str | int | None = None
    pick: Pick = Pick.NEWEST
    rpo: str | int | None = None
    rto: str | int | None = None
    sample: int = SAMPLE
    patience: float = PATIENCE
    allow_gap: bool = False
    max_write_units: float | None = None
    due: str | int = 0
    within: str | int | None = None


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Drills one table in the available time, and returns the drill's JSON if it has passed; of several, under each table's name.

    Raises UsageError for an invalid event, Failed if the drill was stopped, and DifferencesFound if it did not pass. Neither the
    log nor the error shows an item or its key; the record in the vault does.
    """
    wanted = several.event_of(event, DrillEvent, "a drill", _hint())
    _settle_in()
    clock, seconds = SystemClock(), invocation.seconds_left(context, invocation.LONGEST)
    stop = clock.now() + seconds - min(RESERVE, seconds / 3)
    config = Config(clock=clock, patience=seconds, deadline=stop)
    run = _DrillRun(config, wanted, stop)
    return run.drill(wanted.table) if wanted.table is not None else run.drill_all(wanted.names(config, unknown_too=True))


class _DrillRun:
    """One invocation. `stop`: when it has to end."""

    def __init__(self, config: Config, wanted: DrillEvent, stop: float) -> None:
        self._config, self._vault, self._wanted, self._stop = config, Vault(config), wanted, stop
        self._clock = config.clock

    def drill(self, table: str) -> dict[str, Any]:
        """Drills one table, and logs the result. Raises an error if it has not passed."""
        began = self._clock.now()
        try:
            found = _drill(self._vault, table, self._wanted, _until(self._stop, self._clock))
        except BackstreamError as error:
            _tell(emf(metrics.of_no_drill(table, began)))
            _tell(_line({"table": table, "passed": False, "error": type(error).__name__, "hint": error.hint}))
            raise
        _tell(emf(metrics.of_drill(found)))
        _tell(_line(_account(found)))
        _judge(found)
        return msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Any])

    def drill_all(self, tables: Sequence[str]) -> dict[str, Any]:
        """Drills the tables that are due, the one whose last drill is longest ago first, and logs the standing of all.

        After the first, a drill begins only in the first half of the time. So a table that needs most of it fails because of the
        backup and not because of the others. Raises Failed if a drill of this run has not passed.
        """
        began = self._clock.now()
        last = {table: self._last(table) for table in tables}
        due = [table for table in tables if began - last[table].began >= seconds_of(self._wanted.due)]
        found: dict[str, Any] = {}
        failed: list[str] = []
        for table in sorted(due, key=lambda each: last[each].began):
            late = self._clock.now() - began > (self._stop - began) / 2
            if (found or failed) and (late or last[table].stopped):
                continue  # it comes first in a later run
            try:
                found[table] = self.drill(table)
                last[table] = _Last(began, passed=True)
            except BackstreamError:
                failed.append(table)
                last[table] = _Last(began, passed=False)
        within = math.inf if self._wanted.within is None else seconds_of(self._wanted.within)
        overdue = [table for table in tables if began - last[table].began > within]
        for table in overdue:
            _tell(_line({"table": table, "overdue": True}))
        _tell(emf(metrics.of_drills(sum(not each.passed for each in last.values()), len(overdue), self._clock.now())))
        several.raise_if(failed, tables, "drills did not pass:")
        return found

    def _last(self, table: str) -> _Last:
        """Returns the last drill. A table without one has passed until there is one, and is due."""
        try:
            newest = Drills(self._config.store, table).newest(1)
        except BackstreamError:
            return _Last(0.0, passed=True)
        if not newest:
            return _Last(0.0, passed=True)
        return _Last(metrics.epoch_of(newest[0].began) or 0.0, newest[0].passed, newest[0].error is not None)


class _Last(NamedTuple):
    """The last drill of a table: its beginning in epoch seconds. `stopped`: it was stopped before its end."""

    began: float
    passed: bool
    stopped: bool = False


def _hint() -> str:
    known = ", ".join(DrillEvent.__struct_fields__)
    return f'Send {{"table": "NAME"}}, {{"tables": ["NAME", ...]}} or {{"group": "NAME"}}, and what else you want of: {known}.'


def _settle_in() -> None:
    """Sets the engine's memory limit and temporary folder for this function, unless the environment sets them."""
    os.environ.setdefault("TMPDIR", FOLDER)
    given = os.environ.get(FUNCTION_MEMORY, "")
    if given.isdecimal() and not os.environ.get(memories.VARIABLE):
        os.environ[memories.VARIABLE] = str(max(memories.LEAST // memories.MEGABYTE, int(int(given) * SHARE)))


def _until(stop: float, clock: Clock) -> Limit:
    def limit() -> AbstractContextManager[None]:
        return raising_after(stop - clock.now(), OutOfTime)

    return limit


def _drill(vault: Vault, table: str, wanted: DrillEvent, limit: Limit) -> Drill:
    return vault.table(table).drill(
        at=wanted.at,
        pick=wanted.pick,
        rpo=wanted.rpo,
        rto=wanted.rto,
        sample=wanted.sample,
        patience=wanted.patience,
        allow_gap=wanted.allow_gap,
        max_write_units=wanted.max_write_units,
        limit=limit,
    )


def _account(found: Drill) -> dict[str, Any]:
    """Returns the counts and figures of a drill, without any item."""
    return {
        "table": found.table,
        "drill": found.id,
        "at": found.at,
        "passed": found.passed,
        "rows": found.rows,
        "matched": found.matched,
        "differences": found.differences,
        "unreadable": found.failed,
        "rpo_seconds": found.rpo_seconds,
        "rto_seconds": found.rto_seconds,
        "seconds": found.seconds,
        "scratch": found.scratch,
        "stopped": found.error is not None,
        "hint": found.hint,
    }


def _line(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line).encode() + b"\n"


def _tell(line: bytes) -> None:
    sys.stdout.write(visible_json(line).decode())
    sys.stdout.flush()


def _judge(found: Drill) -> None:
    """Raises an error if it has not passed."""
    if found.passed:
        return
    objectives = [*found.objectives.missed_rpo(found.rpo_seconds), *found.objectives.missed_rto(found.rto_seconds)]
    counts = f"{found.differences:,} differences, {found.failed:,} unreadable objects"
    what = "; ".join([counts, *objectives])
    where = f"Details: the record of drill {found.id} in the vault (_backstream/{found.table}/drills/)."
    if found.error is not None:
        raise Failed(f"the drill of {found.table} was stopped before its end: {what}", hint=f"{found.hint} {where}".strip())
    raise DifferencesFound(f"the drill of {found.table} at {found.at} failed: {what}", hint=where)
