"""The log lines of the Lambda handler (one per batch) and of `tail --log json` (one per segment), as JSON. They are CloudWatch's
metrics (EMF) too.

Records are named by sequence number. A function's log must not show items or keys, unless `BACKSTREAM_LOG` asks for keys. The
variable holds words, separated by commas: `plain` (no EMF), `keys` (of records that failed).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from backstream.apps.monitoring.emf import Measured, Metric, emf_fields
from backstream.errors import BackstreamError, UsageError
from backstream.model.changes import deliveries
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.deliveries import Delivery
from backstream.model.values.visible import visible_json
from backstream.operations.capture.batch import BatchReport, why

if TYPE_CHECKING:  # what a tail works with is nothing for a function to load
    from backstream.operations.capture.shards import Wrote

VARIABLE = "BACKSTREAM_LOG"
PLAIN, KEYS = "plain", "keys"
NAMED = 20  # failures that are named; there may be thousands, and the count states the rest

CHANGES = Metric("", "Changes", "Count", "Changes that are in the log now.")
FAILURES = Metric("", "Failures", "Count", "Records that are not, and are delivered again.")
LAG = Metric("", "Lag", "Seconds", "Age of the batch's newest change.")
BYTES = Metric("", "Bytes", "Bytes", "Size of the batch's keys and images.")
DURATION = Metric("", "Duration", "Milliseconds", "The duration.")


def words() -> frozenset[str]:
    """Returns the setting in the environment. Raises UsageError for an unknown word."""
    given = frozenset(filter(None, (each.strip() for each in os.environ.get(VARIABLE, "").split(","))))
    if unknown := given - {PLAIN, KEYS}:
        raise UsageError(f"{VARIABLE} has {', '.join(sorted(unknown))}", hint=f"It may hold `{PLAIN}` and `{KEYS}`.")
    return given


class _Figures(msgspec.Struct, frozen=True):
    """The figures of a line, which CloudWatch measures. `lag`: seconds, None if nothing changed; `took`: milliseconds."""

    captured: int
    failures: int
    size: int
    lag: float | None
    took: int


class BatchLine(msgspec.Struct, frozen=True):
    """The log lines of a batch. `began`: when its work began (epoch seconds); `now`: the clock, asked when a line is written."""

    began: float
    now: Callable[[], float]
    words: frozenset[str]

    def kept(self, delivery: Delivery, report: BatchReport) -> None:
        """Logs the result of one table's records."""
        ended = self.now()
        failed = [
            {
                "position": delivery.positions[each],
                **_named(delivery, each, self.words),
                "error": type(error).__name__,
                "why": why(error),
            }
            for each, error in sorted(report.failures.items())[:NAMED]
        ]
        lag = None if report.newest is None else _lag(report.newest, ended)
        figures = _Figures(report.captured, len(report.failures), report.size, lag, _milliseconds(self.began, ended))
        forgotten = {"forgotten": report.forgotten} if report.forgotten else {}
        self._write(delivery, figures, {**forgotten, "failed": failed}, ended)

    def refused(self, delivery: Delivery, error: Exception) -> None:
        """Logs that none of one table's records was kept, and why."""
        self._write_nothing(delivery, len(delivery.records), _why(error))

    def passed_over(self, delivery: Delivery, variable: str) -> None:
        """Logs that one table's records are not kept by choice."""
        self._write_nothing(delivery, 0, {"passed_over": f"the table is not in {variable}"})

    def unread(self, error: Exception) -> None:
        """Logs why an event could not be read."""
        put({"table": None, "count": None, "captured": 0, "ms": _milliseconds(self.began, self.now()), **_why(error)})

    def _write_nothing(self, delivery: Delivery, failures: int, rest: Mapping[str, Any]) -> None:
        ended = self.now()
        self._write(delivery, _Figures(0, failures, 0, None, _milliseconds(self.began, ended)), rest, ended)

    def _write(self, delivery: Delivery, figures: _Figures, rest: Mapping[str, Any], ended: float) -> None:
        facts = {
            "source": delivery.source,
            "shard": delivery.shard,  # events of DynamoDB's own streams do not name it
            "first": delivery.first,
            "last": delivery.last,
            "count": len(delivery.records),
        }
        put(_line(delivery.table, facts, figures, rest), None if PLAIN in self.words else _measured(delivery.table, figures, ended))


def of_tail(table: str, wrote: Wrote, wanted: frozenset[str]) -> bytes:
    """Returns a tail's line for one segment: the same fields."""
    facts = {"shard": wrote.shard, "first": wrote.first, "last": wrote.last, "count": wrote.count}
    lag, took = _lag(wrote.newest, wrote.ended), _milliseconds(wrote.began, wrote.ended)
    figures = _Figures(wrote.count, 0, wrote.size, lag, took)
    line = _line(table, facts, figures, {"failed": []})
    return msgspec.json.encode(line if PLAIN in wanted else line | emf_fields(_measured(table, figures, wrote.ended)))


def lag_of(changes: Iterable[Change], now: float) -> float | None:
    """Returns the age of the newest change, in seconds; None if there is none."""
    newest = max((change.micros for change in changes), default=None)
    return None if newest is None else _lag(newest / MICROS, now)


def put(line: Mapping[str, Any], measured: Measured | None = None) -> None:
    """Writes a line of JSON on stdout, at once, since Lambda may stop the process after the invocation.

    `measured`: what CloudWatch makes metrics of; None if it is to make none of this line.
    """
    whole = line if measured is None else {**line, **emf_fields(measured)}
    sys.stdout.write(visible_json(msgspec.json.encode(whole)).decode() + "\n")
    sys.stdout.flush()


def _line(table: str, facts: Mapping[str, Any], of: _Figures, rest: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "table": table,
        **facts,
        "bytes": of.size,
        "lag": of.lag,
        "ms": of.took,
        "captured": of.captured,
        "failures": of.failures,
        **rest,
    }


def _measured(table: str, of: _Figures, ended: float) -> Measured:
    figures = [(CHANGES, of.captured), (FAILURES, of.failures), (LAG, of.lag), (BYTES, of.size), (DURATION, of.took)]
    return Measured(table, ended, [(metric, value) for metric, value in figures if value is not None])


def _lag(newest: float, now: float) -> float:
    return round(max(0.0, now - newest), 3)


def _milliseconds(began: float, ended: float) -> int:
    return round((ended - began) * 1_000)


def _named(delivery: Delivery, position: int, wanted: frozenset[str]) -> dict[str, Any]:
    named: dict[str, Any] = {"sequence": deliveries.place_of(delivery.records[position])}
    if KEYS in wanted and (keys := deliveries.keys_of(delivery.records[position])) is not None:
        named["keys"] = msgspec.Raw(keys)
    return named


def _why(error: Exception) -> dict[str, Any]:
    """Returns the error.

    Errors of the whole batch name tables, streams and settings; for others, which Lambda prints anyway, only the kind is shown.
    """
    told = {"error": type(error).__name__}
    return told | ({"why": error.message, "hint": error.hint} if isinstance(error, BackstreamError) else {})
