"""A scheduled witness's Lambda handler: `backstream.apps.aws_witness.handler`, configured by `BACKSTREAM_VAULT`.

The event names the table: `{"table": "flights"}`. Its figures go to CloudWatch as lines in the embedded metric format. An
invocation fails only if nothing new is proven. A run without remaining time says so, and the next one continues from there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from backstream.apps.config import Config
from backstream.apps.lambdas import invocation
from backstream.apps.lambdas.invocation import Context
from backstream.apps.library import Vault
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import emf
from backstream.apps.verbs.arguments import seconds_of
from backstream.clock import SystemClock
from backstream.errors import BackstreamError, UsageError
from backstream.operations.capture.witness import BUDGET, Witnessed

RESERVE = 30.0  # seconds kept back to write what was read, and the watermark; a third of what there is if that is less
FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"


class WitnessEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of an event. `budget`: seconds or `4m` after which it stops reading, if the function has that much time."""

    table: str
    budget: str | int | None = None


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Checks one table's stream in the available time, and returns the witness's JSON.

    Raises UsageError for an invalid event, and the error that kept the witness from proving anything. The log shows no item.
    """
    wanted = _wanted(event)
    clock, seconds = SystemClock(), invocation.seconds_left(context, invocation.LONGEST)
    time = seconds - min(RESERVE, seconds / 3)
    budget = min(time, BUDGET if wanted.budget is None else seconds_of(wanted.budget))
    config = Config(clock=clock, patience=time, deadline=clock.now() + seconds)
    config.writer = os.environ.get(FUNCTION_NAME, config.writer)
    try:
        found = Vault(config).table(wanted.table).witness(budget=budget, notice=lambda text: _notice(wanted.table, text))
    except BackstreamError as error:
        _tell({"table": wanted.table, "error": type(error).__name__, "hint": error.hint})
        raise
    _account(found, clock.now())
    return msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Any])


def _wanted(event: object) -> WitnessEvent:
    try:
        return msgspec.convert(event, WitnessEvent)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"not the event of a witness: {error}", hint='Send {"table": "NAME"}, and a budget if you like.'
        ) from error


def _account(found: Witnessed, now: float) -> None:
    """Logs the figures, and all of the report: it names shards and counts records, without any item."""
    sys.stdout.write(emf(metrics.of_witness(found, now)).decode())
    _tell(msgspec.to_builtins(found))


def _notice(table: str, text: str) -> None:
    _tell({"table": table, "notice": text})


def _tell(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
