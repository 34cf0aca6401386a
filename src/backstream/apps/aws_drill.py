"""A scheduled drill's Lambda handler: `backstream.apps.aws_drill.handler`, configured by `BACKSTREAM_VAULT`.

The event names the table and the objectives: `{"table": "flights", "rpo": "30m", "rto": "2h"}`. The figures go to CloudWatch as
lines in its embedded metric format, the record to the vault; an invocation whose drill has not passed fails, so that Lambda's own
`Errors` shows it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from backstream.apps.config import Config
from backstream.apps.interrupting import raising_after
from backstream.apps.lambdas import invocation
from backstream.apps.lambdas.invocation import Context
from backstream.apps.library import Vault
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import emf
from backstream.clock import SystemClock
from backstream.engine.local import memory as memories
from backstream.errors import BackstreamError, DifferencesFound, Failed, UsageError
from backstream.model.values.visible import visible_json
from backstream.operations.drill import PATIENCE, SAMPLE, Drill, Pick
from backstream.operations.drill.limits import Limit, OutOfTime

RESERVE = 60.0  # seconds kept back to delete the scratch table and to keep the record; a third of what there is if that is less
FUNCTION_MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"
SHARE = 0.6  # of the function's memory for the engine: the rest is Python, botocore, and images on their way
FOLDER = "/tmp"  # noqa: S108 - the only place where a function may write, and its own


class DrillEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of an event: options of `backstream drill`, with the same meaning. Durations are seconds or `30m`."""

    table: str
    at: str | int | None = None
    pick: Pick = Pick.NEWEST
    rpo: str | int | None = None
    rto: str | int | None = None
    sample: int = SAMPLE
    patience: float = PATIENCE
    allow_gap: bool = False
    max_write_units: float | None = None


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Drills one table in the available time, and returns the drill's JSON if it has passed.

    Raises UsageError for an invalid event, Failed if the drill was stopped, and DifferencesFound if it did not pass. Neither the
    log nor the error shows an item or its key; the record in the vault does.
    """
    wanted = _wanted(event)
    _settle_in()
    clock, seconds = SystemClock(), invocation.seconds_left(context, invocation.LONGEST)
    began = clock.now()
    stop = began + seconds - min(RESERVE, seconds / 3)
    vault = Vault(Config(clock=clock, patience=seconds, deadline=stop))
    try:
        found = _drill(vault, wanted, _until(stop, clock))
    except BackstreamError as error:
        _tell(emf(metrics.of_no_drill(wanted.table, began)))
        _tell(_line({"table": wanted.table, "passed": False, "error": type(error).__name__, "hint": error.hint}))
        raise
    _tell(emf(metrics.of_drill(found)))
    _tell(_line(_account(found)))
    _judge(found)
    return msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Any])


def _wanted(event: object) -> DrillEvent:
    try:
        return msgspec.convert(event, DrillEvent)
    except msgspec.ValidationError as error:
        known = ", ".join(DrillEvent.__struct_fields__)
        hint = f'Send {{"table": "NAME"}}, and what else you want of: {known}.'
        raise UsageError(f"not the event of a drill: {error}", hint=hint) from error


def _settle_in() -> None:
    """Sets the engine's memory limit and temporary folder for this function, unless the environment sets them."""
    os.environ.setdefault("TMPDIR", FOLDER)
    given = os.environ.get(FUNCTION_MEMORY, "")
    if given.isdecimal() and not os.environ.get(memories.VARIABLE):
        os.environ[memories.VARIABLE] = str(max(memories.LEAST // memories.MEGABYTE, int(int(given) * SHARE)))


def _until(stop: float, clock: SystemClock) -> Limit:
    def limit() -> AbstractContextManager[None]:
        return raising_after(stop - clock.now(), OutOfTime)

    return limit


def _drill(vault: Vault, wanted: DrillEvent, limit: Limit) -> Drill:
    return vault.table(wanted.table).drill(
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
