"""The Lambda handler: `backstream.apps.aws_lambda.handler`, on a DynamoDB or Kinesis stream, configured by `BACKSTREAM_VAULT`.

If that is not set, the older tools' variables are read: see `legacy_env`.

Use it with `ReportBatchItemFailures`: records that are not durable are reported by their lowest sequence number, and delivered
again from there. `BACKSTREAM_PARALLELIZATION`: set it to the mapping's ParallelizationFactor if that is greater than 1, so that the
recovery window does not claim an order between batches that there is not. `BACKSTREAM_TABLES`: the tables to keep, separated by
commas, if a Kinesis stream carries others too. `BACKSTREAM_LOG`: see `batch_log`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec

from backstream.apps.config import Config
from backstream.apps.lambdas import invocation, legacy_env
from backstream.apps.lambdas.batch_log import BatchLine, words
from backstream.apps.lambdas.failed_records import identifiers
from backstream.apps.lambdas.invocation import Context
from backstream.apps.lambdas.legacy_env import Backup
from backstream.clock import SystemClock
from backstream.errors import BackstreamError, UsageError
from backstream.model.changes.deliveries import Delivery, Record, deliveries, is_kinesis
from backstream.operations.capture.batch import BatchReport, keep_batch
from backstream.operations.capture.outage import record_absence
from backstream.operations.setup.identity import Lookup, recognise
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

WRITERS = 16
RECOGNISED_FOR = 60.0  # seconds: a Kinesis stream does not tell that the table behind it was made again
RESERVE = 4.5  # seconds kept back to record and report what was not done, or half of what there is if that is less
OURS = ("AWS_", "BACKSTREAM_", "Backup", "ServerSideEncryption", "SSEKMSKeyId")
TABLES_VARIABLE = "BACKSTREAM_TABLES"
PARALLEL_VARIABLE = "BACKSTREAM_PARALLELIZATION"

# The vaults and streams for which this process has checked, or recorded, the changes lost before its first batch.
_looked: set[tuple[str, str, str]] = set()

# The time when a stream was last known to be the table's, by vault, table and stream: the second, the catalog's label then, and its
# own.
_recognised: dict[tuple[str, str, str], tuple[float, str, str]] = {}

# The parts of the last batch, by the settings that they were made of.
_configs: dict[tuple[object, ...], Config] = {}


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, list[dict[str, str]]]:
    """Makes one batch durable. Returns `{"batchItemFailures":[{"itemIdentifier": SEQUENCE}]}` with the lowest sequence number that
    is not.

    Raises an error (the whole batch is delivered again) if nothing can be kept: no vault, no catalog, a stream without whole items.
    If only one of several tables cannot be kept, its records fail and the others' are kept.
    """
    work = _Work(context)
    try:
        found = deliveries(event)
        work.read_environment()
    except Exception as error:
        work.line().unread(error)
        raise
    return {"batchItemFailures": identifiers(event["Records"], _keep_all(found, work))}


def _keep_all(found: Sequence[Delivery], work: _Work) -> list[tuple[str, int]]:
    """Keeps each table's records.

    Returns source and position in the event of those that failed. Raises an error if all tables are refused.
    """
    failed: list[tuple[str, int]] = []
    refusals: list[BackstreamError] = []
    positions: Sequence[int]
    wanted = [delivery for delivery in found if work.wants(delivery)]
    for delivery in found:
        if delivery not in wanted:
            work.line().passed_over(delivery, TABLES_VARIABLE)
            positions = delivery.unread
        else:
            try:
                positions = work.keep(delivery)
            except BackstreamError as error:
                refusals.append(error)
                positions = delivery.positions
        failed += [(delivery.source, position) for position in positions]
    if refusals and len(refusals) == len(wanted):
        raise refusals[0]
    return failed


class _Work:
    """One invocation. It begins nothing, and retries nothing, once its reserve is reached."""

    def __init__(self, context: Context | None) -> None:
        self._clock = SystemClock()
        self._began = self._clock.now()
        left = invocation.seconds_for_batch(context)
        self._reserve = min(RESERVE, left / 2)
        self._deadline = self._began + left - self._reserve
        self._older = Backup()
        self._words: frozenset[str] = frozenset()
        self._tables: frozenset[str] = frozenset()
        self._kind = SegmentKind.LAMBDA

    def read_environment(self) -> None:
        """Reads the environment. Raises UsageError if it is invalid."""
        self._words = words()
        self._older = legacy_env.of_backup(os.environ)
        self._tables = frozenset(filter(None, (each.strip() for each in os.environ.get(TABLES_VARIABLE, "").split(","))))
        factor = os.environ.get(PARALLEL_VARIABLE, "1")
        if not factor.isdecimal():
            raise UsageError(f"{PARALLEL_VARIABLE} is {factor!r}", hint="It is the mapping's ParallelizationFactor, 1 to 10.")
        self._kind = SegmentKind.PARALLEL if int(factor) > 1 else SegmentKind.LAMBDA

    def line(self) -> BatchLine:
        """Returns the line of the log for this batch, as of now."""
        return BatchLine(self._began, self._clock.now(), self._words)

    def wants(self, delivery: Delivery) -> bool:
        """True if the table is kept. A stream of its own is always kept."""
        return not self._tables or not is_kinesis(delivery.source) or delivery.table in self._tables

    def keep(self, delivery: Delivery) -> list[int]:
        """Keeps one table's records, and logs that. Returns the positions in the event of those that could not be kept."""
        mine = [each for each, record in enumerate(delivery.records) if self._older.takes(record)]
        others = [record for record in delivery.records if not self._older.takes(record)]
        ours = delivery
        if others:
            positions, records = [delivery.positions[each] for each in mine], [delivery.records[each] for each in mine]
            ours = msgspec.structs.replace(delivery, positions=positions, records=records)
        try:
            report = self._keep(ours, others)
        except Exception as error:
            self.line().refused(delivery, error)
            raise
        if mine:
            self.line().kept(ours, report)
        return [ours.positions[each] for each in report.failures]

    def _config(self) -> Config:
        """Returns this process's parts, reused from the last batch if the settings are the same: clients are expensive to make."""
        # A call in flight at the deadline has a quarter of the reserve to finish.
        within = round(self._reserve / 4, 2)
        asked = (within, *invocation.settings(*OURS))
        if asked not in _configs:
            _configs.clear()
            _configs[asked] = Config(self._older.vault, patience=invocation.LONGEST, answer_within=within)
        config = _configs[asked]
        config.deadline = self._deadline
        return config

    def _recognised(self, config: Config, delivery: Delivery) -> tuple[TableVault, str]:
        """Returns the vault that it belongs to, and its label.

        A stream that is not the catalog's is looked up about once a minute.
        """
        vault, now = config.vault(delivery.table), config.clock.now()
        asked = (config.url, delivery.table, delivery.source)
        seen = _recognised.get(asked)
        if seen is not None and now - seen[0] < RECOGNISED_FOR and seen[1] == vault.catalog.stream:
            return vault, seen[2]
        lookup = Lookup(partial(config.table, delivery.table), config.stream)
        done, label = recognise(vault, delivery.source, lookup, now, save=False)  # its role may not write the catalog
        _recognised[asked] = (now, vault.catalog.stream, label)
        return done.vault, label

    def _keep(self, delivery: Delivery, others: Sequence[Record]) -> BatchReport:
        config = self._config()
        vault, label = self._recognised(config, delivery)
        self._older.check(vault.catalog)
        self._older.note(vault, label, others)
        looked = (config.url, delivery.table, label)
        if looked not in _looked:
            record_absence(vault, label, config.clock.now())
            _looked.add(looked)
        with ThreadPoolExecutor(WRITERS) as pool:
            return keep_batch(
                vault,
                delivery.records,
                label,
                pool,
                writer=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "lambda"),
                kind=self._kind,
                now=config.clock.now,
                deadline=self._deadline,
            )
