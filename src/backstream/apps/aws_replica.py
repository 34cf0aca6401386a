"""The replicator's Lambda handler: `backstream.apps.aws_replica.handler`, on a table's stream; it keeps another table like it.

`BACKSTREAM_REPLICA` names that table, `BACKSTREAM_REPLICA_REGION` and `BACKSTREAM_REPLICA_ENDPOINT` its place,
`BACKSTREAM_REPLICA_DELETES` the deletes that reach it (`all`, `not-ttl`, `none`). If the first is not set, the older tools'
variables are read: see `legacy_env`. Use it with `ReportBatchItemFailures`. Records that come again, late or in any order do no
harm: see docs/replicate.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from backstream.apps.aws.locations import TablePlace
from backstream.apps.config import Config
from backstream.apps.lambdas import invocation, legacy_env
from backstream.apps.lambdas.batch_log import NAMED, lag_of, put
from backstream.apps.lambdas.failed_records import identifiers
from backstream.apps.lambdas.invocation import Context
from backstream.apps.lambdas.legacy_env import Turnover
from backstream.apps.monitoring.emf import Measured, Metric, emf_fields
from backstream.clock import SystemClock
from backstream.errors import BackstreamError, MalformedRecord, Unavailable, UsageError
from backstream.model.changes.change import Change
from backstream.model.changes.deliveries import Delivery, change_of, deliveries
from backstream.model.values.schema import KeySchema
from backstream.operations.bulk.table_pair import pair_of
from backstream.operations.capture.batch import why
from backstream.operations.replicate import Deletes, Reconciler, bring
from backstream.operations.replicate.source import SourceTable
from backstream.ports import Table

TABLE, REGION, ENDPOINT, DELETES = (f"BACKSTREAM_REPLICA{each}" for each in ("", "_REGION", "_ENDPOINT", "_DELETES"))
RESERVE = 2.0  # seconds kept back to report what was not done
TOGETHER = 500  # changes between two looks at the clock

CHANGES = Metric("", "ReplicaChanges", "Count", "Changes whose items are in the replica as they are in the table.")
FAILURES = Metric("", "ReplicaFailures", "Count", "Records whose items are not, and that are delivered again.")
LAG = Metric("", "ReplicaLag", "Seconds", "Age of the batch's newest change.")


class ReplicaEnvironment(msgspec.Struct, frozen=True):
    """The settings in the environment."""

    table: str
    place: TablePlace
    deletes: Deletes
    turnover: Turnover | None


class _Known(msgspec.Struct, frozen=True):
    """A pair of tables that this process has checked."""

    source: SourceTable
    target: Table
    schema: KeySchema


# By the environment that they were made of: clients are expensive to make, and a table's identity does not change.
_known: dict[tuple[object, ...], _Known] = {}


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, list[dict[str, str]]]:
    """Brings one batch into the replica. Returns `{"batchItemFailures":[{"itemIdentifier": SEQUENCE}]}` with the lowest failed
    number.

    Raises an error if nothing can be done, so that the whole batch is delivered again. Variables are missing or wrong, tables do
    not fit each other, or the stream has no whole items.
    """
    clock = SystemClock()
    left = invocation.seconds_for_batch(context)
    stop = clock.now() + left - min(RESERVE, left / 2)
    words = words_of(os.environ)
    failed: list[tuple[str, int]] = []
    for delivery in deliveries(event):
        began = clock.now()
        known = _tables(delivery, words)
        changes, failures = _parse(delivery, words.turnover)
        failures |= known.source.of_before(changes)
        changes = {position: change for position, change in changes.items() if position not in failures}
        replica = Reconciler(known.source.table, known.target, known.schema, words.deletes, source_id=known.source.id)
        for part in _parts(changes):
            failures |= _bring(part, replica, known.schema, in_time=clock.now() < stop)
        _tell(delivery, words, changes, failures, replica, began, clock.now())
        failed += [(delivery.source, delivery.positions[each]) for each in failures]
    return {"batchItemFailures": identifiers(event["Records"], failed)}


def words_of(environment: Mapping[str, str]) -> ReplicaEnvironment:
    """Returns the settings. Raises UsageError if no replica is named, or if the variables contradict one another."""
    older, named = legacy_env.of_replica(environment), environment.get(TABLE)
    if older is None and not named:
        raise UsageError(f"the replica is not named: {TABLE} is not set", hint=f"Set it, and {REGION} where it is elsewhere.")
    if older is not None and named and named != older.table:
        raise UsageError(f"{TABLE} is {named}, and ReplicaTable is {older.table}", hint="Take one of them away.")
    deletes = environment.get(DELETES) or Deletes.ALL
    if deletes not in list(Deletes):
        raise UsageError(f"{DELETES} is {deletes!r}", hint=f"It is one of {', '.join(Deletes)}.")
    region = environment.get(REGION) or (older.region if older else None)
    endpoint = environment.get(ENDPOINT) or (older.endpoint if older else None)
    table = named or (older.table if older else "")
    return ReplicaEnvironment(table, TablePlace(None, region, endpoint), Deletes(deletes), older.turnover if older else None)


def _tables(delivery: Delivery, words: ReplicaEnvironment) -> _Known:
    asked = (delivery.table, words.table, words.place, *invocation.settings("AWS_", "BACKSTREAM_"))
    if asked in _known and not _known[asked].source.delivers(delivery.source):
        del _known[asked]  # another stream: the table is looked at again
    if asked not in _known:
        here = Config()
        source, target = here.table(delivery.table), here.elsewhere(words.place).table(words.table)
        pair = pair_of(source, target)
        known = _Known(SourceTable(source, pair.source, delivery.source), target, pair.schema)
        known.source.check()
        _known[asked] = known
    return _known[asked]


def _parse(delivery: Delivery, turnover: Turnover | None) -> tuple[dict[int, Change], dict[int, BackstreamError]]:
    """Returns the changes, and the errors of malformed records, by position in the delivery.

    Another function's records are in neither.
    """
    changes: dict[int, Change] = {}
    failures: dict[int, BackstreamError] = {}
    label = delivery.source.rpartition("/")[2]
    for position, record in enumerate(delivery.records):
        if turnover is not None and not turnover.takes(record):
            continue
        try:
            changes[position] = change_of(record, label)
        except MalformedRecord as error:
            failures[position] = error
    return changes, failures


def _parts(changes: Mapping[int, Change]) -> Iterator[dict[int, Change]]:
    positions = list(changes)
    for start in range(0, len(positions), TOGETHER):
        yield {each: changes[each] for each in positions[start : start + TOGETHER]}


def _bring(part: Mapping[int, Change], replica: Reconciler, schema: KeySchema, *, in_time: bool) -> dict[int, BackstreamError]:
    if not in_time:
        late = Unavailable("no time left", hint="Give the function more time or memory, or the mapping smaller batches.")
        return dict.fromkeys(part, late)
    positions = list(part)
    return {positions[each]: error for each, error in bring(list(part.values()), replica, schema).items()}


def _tell(
    delivery: Delivery,
    words: ReplicaEnvironment,
    changes: Mapping[int, Change],
    failures: Mapping[int, BackstreamError],
    replica: Reconciler,
    began: float,
    ended: float,
) -> None:
    """Writes one log line for a batch, which is CloudWatch's metrics too. It contains nothing of an item."""
    lag = lag_of(changes.values(), ended)
    figures: Sequence[tuple[Metric, float | None]] = [
        (CHANGES, len(changes.keys() - failures.keys())),
        (FAILURES, len(failures)),
        (LAG, lag),
    ]
    measured = Measured(delivery.table, ended, [(metric, value) for metric, value in figures if value is not None])
    counts = replica.counts
    line = {
        "table": delivery.table,
        "target": words.table,
        "count": len(delivery.records),
        "put": counts.put,
        "deleted": counts.deleted,
        "unchanged": counts.unchanged,
        "lag": lag,
        "ms": round((ended - began) * 1000),
        "failures": len(failures),
        "failed": [
            {"position": delivery.positions[each], "error": type(error).__name__, "why": why(error)}
            for each, error in sorted(failures.items())[:NAMED]
        ],
        **emf_fields(measured),
    }
    put(line)
