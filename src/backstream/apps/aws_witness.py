"""A scheduled witness's Lambda handler: `backstream.apps.aws_witness.handler`, configured by `BACKSTREAM_VAULT`.

The event names the table: `{"table": "flights"}`, or several: `{"tables": ["flights", "orders"]}`, or a group of the vault, which
is looked up at each run: `{"group": "shop"}`. Several are witnessed side by side, each with its share of the time, and a
fault in one does not stop the others. The figures go to CloudWatch as lines in the embedded metric format. An invocation fails if
nothing new is proven of a table, once all have had their turn. A run without remaining time says so, and the next one continues
from there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from backstream.apps.config import Config
from backstream.apps.lambdas import invocation, several
from backstream.apps.lambdas.invocation import Context
from backstream.apps.library import Vault
from backstream.apps.monitoring import metrics
from backstream.apps.monitoring.emf import emf
from backstream.apps.verbs.arguments import seconds_of
from backstream.apps.verbs.many.many_witnesses import witness_all
from backstream.clock import SystemClock
from backstream.errors import BackstreamError
from backstream.operations.capture.witness import BUDGET, Witnessed

RESERVE = 30.0  # seconds kept back to write what was read, and the watermark; a third of what there is if that is less
HINT = 'Send {"table": "NAME"}, {"tables": ["NAME", ...]} or {"group": "NAME"}, and a budget if you like.'
FUNCTION_NAME = "AWS_LAMBDA_FUNCTION_NAME"


class WitnessEvent(several.OfTables, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The fields of an event: tables, and `budget`: seconds or `4m` after which it stops reading, if the function has that long."""

    budget: str | int | None = None


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, Any]:
    """Checks one table's stream in the available time, and returns the witness's JSON; of several, under each table's name.

    Raises UsageError for an invalid event, and the error that kept the witness from proving anything. For several tables it is
    Failed, with the names of the tables for which nothing is proven. The log shows no item.
    """
    wanted = several.event_of(event, WitnessEvent, "a witness", HINT)
    run = _WitnessRun(wanted, context)
    if wanted.table is not None:
        return run.witness(wanted.table, run.budget)
    return run.witness_all(wanted.names(run.config, unknown_too=True))


class _WitnessRun:
    """One invocation."""

    def __init__(self, wanted: WitnessEvent, context: Context | None) -> None:
        self._clock, seconds = SystemClock(), invocation.seconds_left(context, invocation.LONGEST)
        time = seconds - min(RESERVE, seconds / 3)
        self.budget = min(time, BUDGET if wanted.budget is None else seconds_of(wanted.budget))
        config = Config(clock=self._clock, patience=time, deadline=self._clock.now() + seconds)
        config.writer = os.environ.get(FUNCTION_NAME, config.writer)
        self.config = config
        self._vault = Vault(config)

    def witness(self, table: str, budget: float) -> dict[str, Any]:
        """Witnesses one table, and logs the result. Raises the error that kept it from proving anything."""
        try:
            found = self._vault.table(table).witness(budget=budget, notice=lambda text: _notice(table, text))
        except BackstreamError as error:
            several.tell({"table": table, "error": type(error).__name__, "hint": error.hint})
            raise
        _account(found, self._clock.now())
        return msgspec.json.decode(msgspec.json.encode(found), type=dict[str, Any])

    def witness_all(self, tables: Sequence[str]) -> dict[str, Any]:
        """Witnesses several tables, some at once, and logs how many were left. Raises Failed if there are such."""
        found, failed = witness_all(tables, self.witness, self._clock, self.budget)
        _write(emf(metrics.of_witnesses(len(failed), self._clock.now())))
        several.raise_if(list(failed), tables, "the witness has proven nothing of")
        return found


def _account(found: Witnessed, now: float) -> None:
    """Logs the figures, and all of the report: it names shards and counts records, without any item."""
    _write(emf(metrics.of_witness(found, now)))
    several.tell(msgspec.to_builtins(found))


def _notice(table: str, text: str) -> None:
    several.tell({"table": table, "notice": text})


def _write(line: bytes) -> None:
    """Writes a line as a whole: several tables write at once."""
    sys.stdout.write(line.decode())
    sys.stdout.flush()
