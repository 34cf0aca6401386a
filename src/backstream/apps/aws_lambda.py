"""The Lambda handler: `backstream.apps.aws_lambda.handler`, on a DynamoDB stream, configured by `BACKSTREAM_VAULT`.

Where that is not set, the older tools' variables are understood: see `older_words`.

Use it with `ReportBatchItemFailures`: what is not durable is reported by its lowest sequence number and delivered again from there.
`BACKSTREAM_PARALLELIZATION`: set it to the mapping's ParallelizationFactor if that is greater than 1, so that the recovery window
does not claim an order between batches that there is not.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from backstream.apps import older_words
from backstream.apps.config import Config
from backstream.apps.older_words import Backup
from backstream.clock import SystemClock
from backstream.errors import UsageError
from backstream.layouts.segments import Kind
from backstream.model.change import stream_label, table_name
from backstream.operations.absence import record_absence
from backstream.operations.batch import BatchReport, keep_batch, why

WRITERS = 16
RESERVE = 4.5  # seconds kept back to record and report what was not done, or half of what there is if that is less
NO_CONTEXT_SECONDS = 30.0

# The vaults and streams for which this process has seen that nothing was lost before its first batch, or has recorded what was.
_looked: set[tuple[str, str]] = set()


class Context(Protocol):
    """What the handler needs of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends this invocation."""


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, list[dict[str, str]]]:
    """Make one batch durable; `{"batchItemFailures":[{"itemIdentifier": SEQUENCE}]}` with the lowest sequence number that is not.

    Raises (the whole batch is delivered again) where nothing can be kept: no vault, no catalog, a stream without whole items.
    """
    records = event.get("Records")
    if not isinstance(records, list):
        raise UsageError("not an event of a DynamoDB stream: it has no Records", hint="Map the function to a table's stream.")
    failed = []
    words = older_words.of_backup(os.environ)
    for arn, delivered in _by_stream(records).items():
        batch, others = words.parted(delivered)
        report = _keep(arn, batch, _seconds_left(context), words, others)
        if batch:
            _log(arn, batch, report)
        failed.extend(_identifiers(batch, report))
    return {"batchItemFailures": failed}


def _by_stream(records: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """A mapping delivers one stream; records that do not say which belong to the one that the others name."""
    named = [arn for record in records if isinstance(record, Mapping) and isinstance(arn := record.get("eventSourceARN"), str)]
    if records and not named:
        raise UsageError("no record names its eventSourceARN", hint="Map the function to a table's stream.")
    streams: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        arn = record.get("eventSourceARN") if isinstance(record, Mapping) else None
        streams.setdefault(arn if isinstance(arn, str) else named[0], []).append(record)
    return streams


def _keep(
    arn: str, batch: Sequence[Mapping[str, Any]], seconds_left: float, words: Backup, others: Sequence[Mapping[str, Any]]
) -> BatchReport:
    """Begin nothing, and try nothing again, once the reserve is reached; a call in flight then has a quarter of it to end in."""
    reserve = min(RESERVE, seconds_left / 2)
    deadline = SystemClock().now() + seconds_left - reserve
    config = Config(words.vault, patience=seconds_left, deadline=deadline, answer_within=reserve / 4)
    parallel = int(os.environ.get("BACKSTREAM_PARALLELIZATION", "1")) > 1
    vault = config.vault(table_name(arn))
    words.check(vault.catalog)
    words.note(vault, stream_label(arn), others)
    if (config.url, arn) not in _looked:
        record_absence(vault, stream_label(arn), config.clock.now())
        _looked.add((config.url, arn))
    with ThreadPoolExecutor(WRITERS) as pool:
        return keep_batch(
            vault,
            batch,
            stream_label(arn),
            pool,
            writer=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "lambda"),
            kind=Kind.PARALLEL if parallel else Kind.LAMBDA,
            now=config.clock.now,
            deadline=deadline,
        )


def _seconds_left(context: Context | None) -> float:
    return NO_CONTEXT_SECONDS if context is None else max(0.3, context.get_remaining_time_in_millis() / 1000)


def _identifiers(batch: Sequence[Mapping[str, Any]], report: BatchReport) -> list[dict[str, str]]:
    """The lowest failed sequence number. Lambda retries from there on, so one is enough.

    A record that has no usable number is delivered again by naming the record before it; where there is none, an empty identifier
    makes Lambda deliver the whole batch again.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    """
    if not report.failures:
        return []
    numbers = [_number_to_retry_from(batch, position) for position in report.failures]
    return [{"itemIdentifier": "" if "" in numbers else min(numbers, key=int)}]


def _number_to_retry_from(batch: Sequence[Mapping[str, Any]], position: int) -> str:
    return next((sequence for each in reversed(batch[: position + 1]) if (sequence := _sequence(each))), "")


def _sequence(record: Mapping[str, Any]) -> str:
    body = record.get("dynamodb") if isinstance(record, Mapping) else None
    sequence = body.get("SequenceNumber") if isinstance(body, Mapping) else None
    return sequence if isinstance(sequence, str) and sequence.isascii() and sequence.isdigit() else ""


def _log(arn: str, batch: Sequence[Mapping[str, Any]], report: BatchReport) -> None:
    """One line a batch. Records are named by sequence number: what is in an item, its key too, is not for a function's log."""
    line = {
        "table": table_name(arn),
        "first": _sequence(batch[0]),
        "last": _sequence(batch[-1]),
        "count": len(batch),
        "captured": report.captured,
        "failed": [
            {"position": position, "sequence": _sequence(batch[position]), "error": type(error).__name__, "why": why(error)}
            for position, error in sorted(report.failures.items())[:20]
        ],
    }
    sys.stdout.write(json.dumps(line) + "\n")
