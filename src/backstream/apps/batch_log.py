"""What the Lambda handler says of each batch, and `tail --log json` of each segment: one line of JSON.
It is CloudWatch's metrics (EMF) too.

Records are named by sequence number: what is in an item, its key too, is not for a function's log, unless `BACKSTREAM_LOG` asks
for keys. It holds words, separated by commas: `plain` (no EMF), `keys` (of records that failed).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from backstream.apps.emf import Measured, Metric, emf_fields
from backstream.errors import BackstreamError, UsageError
from backstream.model import deliveries, kinesis
from backstream.model.change import MICROS, Change
from backstream.model.deliveries import Delivery
from backstream.operations.batch import BatchReport, why

if TYPE_CHECKING:  # what a tail works with is nothing for a function to load
    from backstream.operations.shards import Wrote

VARIABLE = "BACKSTREAM_LOG"
PLAIN, KEYS = "plain", "keys"
NAMED = 20  # failures, of which there may be thousands: the count says how many

CHANGES = Metric("", "Changes", "Count", "Changes that are in the log now.")
FAILURES = Metric("", "Failures", "Count", "Records that are not, and are delivered again.")
LAG = Metric("", "Lag", "Seconds", "Age of the batch's newest change.")
BYTES = Metric("", "Bytes", "Bytes", "Size of the batch's keys and images.")
DURATION = Metric("", "Duration", "Milliseconds", "How long it took.")


def words() -> frozenset[str]:
    """What the environment asks for. UsageError for a word that means nothing."""
    given = frozenset(filter(None, (each.strip() for each in os.environ.get(VARIABLE, "").split(","))))
    if unknown := given - {PLAIN, KEYS}:
        raise UsageError(f"{VARIABLE} has {', '.join(sorted(unknown))}", hint=f"It may hold `{PLAIN}` and `{KEYS}`.")
    return given


class Line(msgspec.Struct, frozen=True):
    """When a batch's work began and ended (epoch seconds), and what is to be said of it."""

    began: float
    ended: float
    words: frozenset[str]

    def kept(self, delivery: Delivery, report: BatchReport) -> None:
        """Say what became of one table's records."""
        facts = _facts(delivery)
        failed = [
            {
                "position": delivery.positions[each],
                **_named(delivery, each, self.words),
                "error": type(error).__name__,
                "why": why(error),
            }
            for each, error in sorted(report.failures.items())[:NAMED]
        ]
        self._write(delivery.table, facts, report.captured, len(report.failures), report.changes, {"failed": failed})

    def refused(self, delivery: Delivery, error: Exception) -> None:
        """Say that nothing of one table's records was kept, and why."""
        self._write(delivery.table, _facts(delivery), 0, len(delivery.records), {}, _why(error))

    def passed_over(self, delivery: Delivery, variable: str) -> None:
        """Say that one table's records are not to be kept."""
        self._write(delivery.table, _facts(delivery), 0, 0, {}, {"passed_over": f"the table is not in {variable}"})

    def unread(self, error: Exception) -> None:
        """Say of an event that could not be looked into why."""
        _put({"table": None, "count": None, "captured": 0, "ms": self._ms, **_why(error)})

    @property
    def _ms(self) -> int:
        return round((self.ended - self.began) * 1000)

    def _write(
        self,
        table: str,
        facts: Mapping[str, Any],
        captured: int,
        failures: int,
        changes: Mapping[int, Change],
        rest: Mapping[str, Any],
    ) -> None:
        newest = max((change.micros for change in changes.values()), default=None)
        lag = None if newest is None else round(max(0.0, self.ended - newest / MICROS), 3)
        size = sum(len(each.keys) + len(each.new or b"") + len(each.old or b"") for each in changes.values())
        figures = [(CHANGES, captured), (FAILURES, failures), (LAG, lag), (BYTES, size), (DURATION, self._ms)]
        measured = Measured(table, self.ended, [(metric, value) for metric, value in figures if value is not None])
        line = {
            "table": table,
            **facts,
            "bytes": size,
            "lag": lag,
            "ms": self._ms,
            "captured": captured,
            "failures": failures,
            **rest,
        }
        _put(line | ({} if PLAIN in self.words else emf_fields(measured)))


def of_tail(table: str, wrote: Wrote, wanted: frozenset[str]) -> bytes:
    """A tail's line of one segment: the same fields."""
    lag, took = round(max(0.0, wrote.ended - wrote.newest), 3), round((wrote.ended - wrote.began) * 1000)
    line = {
        "table": table,
        "shard": wrote.shard,
        "first": wrote.first,
        "last": wrote.last,
        "count": wrote.count,
        "bytes": wrote.size,
        "lag": lag,
        "ms": took,
        "captured": wrote.count,
        "failures": 0,
        "failed": [],
    }
    figures = [(CHANGES, wrote.count), (FAILURES, 0), (LAG, lag), (BYTES, wrote.size), (DURATION, took)]
    measured = Measured(table, wrote.ended, [(metric, float(value)) for metric, value in figures])
    return msgspec.json.encode(line | ({} if PLAIN in wanted else emf_fields(measured)))


def _facts(delivery: Delivery) -> dict[str, Any]:
    """Of DynamoDB's own streams no event names the shard."""
    first, last = delivery.records[0], delivery.records[-1]
    return {
        "source": delivery.source,
        "shard": kinesis.shard(first) if kinesis.is_kinesis(first) else None,
        "first": deliveries.place_of(first),
        "last": deliveries.place_of(last),
        "count": len(delivery.records),
    }


def _named(delivery: Delivery, position: int, wanted: frozenset[str]) -> dict[str, Any]:
    named: dict[str, Any] = {"sequence": deliveries.place_of(delivery.records[position])}
    if KEYS in wanted and (keys := deliveries.keys_of(delivery.records[position])) is not None:
        named["keys"] = msgspec.Raw(keys)
    return named


def _why(error: Exception) -> dict[str, Any]:
    """Errors of the whole batch name tables, streams and settings; of others, which Lambda prints anyway, only the kind is told."""
    told = {"error": type(error).__name__}
    return told | ({"why": error.message, "hint": error.hint} if isinstance(error, BackstreamError) else {})


def _put(line: Mapping[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()
