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
from functools import cached_property, partial
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
OURS = ("AWS_", "BACKSTREAM_", "Backup", "ServerSideEncryption", "SSEKMSKeyId", *legacy_env.VARIABLES)
TABLES_VARIABLE = "BACKSTREAM_TABLES"
PARALLEL_VARIABLE = "BACKSTREAM_PARALLELIZATION"

# The vaults and streams for which this process has checked, or recorded, the changes lost before its first batch.
_looked: set[tuple[str, str, str]] = set()

# The time when a stream was last known to be the table's, by vault, table and stream: the second, the catalog's label then, and its
# own.
_recognised: dict[tuple[str, str, str], tuple[float, str, str]] = {}

# What the environment said at the last batch, by the variables and the time for an answer: see `_Prepared`.
_prepared: dict[tuple[object, ...], _Prepared] = {}


def handler(event: Mapping[str, Any], context: Context | None) -> dict[str, list[dict[str, str]]]:
    """Makes one batch durable. Returns `{"batchItemFailures":[{"itemIdentifier": SEQUENCE}]}` with the lowest sequence number that
    is not.

    Raises an error (the whole batch is delivered again) if nothing can be kept: no vault, no catalog, a stream without whole items.
    If only one of several tables cannot be kept, its records fail and the others' are kept.
    """
    return {"batchItemFailures": _Work().keep_event(event, context)}


class _Prepared:
    """Holds what a function's variables say, and the parts that are made of them. Batches share it until one of them changes.

    So a batch of a process that is warm reads no variable twice, makes no client, and opens no vault: it looks whether the catalog
    is still the same. `within`: seconds in which S3 must answer. Raises UsageError if the variables are invalid.
    """

    def __init__(self, within: float) -> None:
        self.words = words()
        older = legacy_env.of_backup(os.environ)
        self.older = None if older == Backup() else older
        self.tables = frozenset(filter(None, (each.strip() for each in os.environ.get(TABLES_VARIABLE, "").split(","))))
        factor = os.environ.get(PARALLEL_VARIABLE, "1")
        if not factor.isdecimal():
            raise UsageError(f"{PARALLEL_VARIABLE} is {factor!r}", hint="It is the mapping's ParallelizationFactor, 1 to 10.")
        self.kind = SegmentKind.PARALLEL if int(factor) > 1 else SegmentKind.LAMBDA
        self.writer = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "lambda")
        self.config = Config(older.vault, patience=invocation.LONGEST, answer_within=within)
        self.vaults: dict[str, TableVault] = {}

    @cached_property
    def url(self) -> str:
        """The vault's URL. Raises UsageError if none is given."""
        return self.config.url


class _Work:
    """One invocation. It begins nothing, and retries nothing, once its reserve is reached."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._line = BatchLine(self._clock.now(), self._clock.now, frozenset())

    def keep_event(self, event: Mapping[str, Any], context: Context | None) -> list[dict[str, str]]:
        """Makes the records of an event durable. Returns the identifiers of those that are not; see `handler`."""
        try:
            self._prepare(context)
            found = deliveries(event)
        except Exception as error:
            self._line.unread(error)
            raise
        failed = self._keep_all(found)
        return identifiers(event["Records"], failed) if failed else []

    def _prepare(self, context: Context | None) -> None:
        """Sets the time, and the parts: the last batch's if the settings are the same, since clients are expensive to make."""
        left = invocation.seconds_for_batch(context)
        reserve = min(RESERVE, left / 2)
        self._deadline = self._line.began + left - reserve
        # A call in flight at the deadline has a quarter of the reserve to finish.
        within = round(reserve / 4, 2)
        asked = (within, *invocation.settings(*OURS))
        if asked not in _prepared:
            _prepared.clear()
            _prepared[asked] = _Prepared(within)
        self._parts = _prepared[asked]
        self._parts.config.deadline = self._deadline
        self._line = msgspec.structs.replace(self._line, words=self._parts.words)

    def _keep_all(self, found: Sequence[Delivery]) -> list[tuple[str, int]]:
        """Keeps each table's records.

        Returns source and position in the event of those that failed. Raises an error if all tables are refused.
        """
        failed: list[tuple[str, int]] = []
        refusals: list[BackstreamError] = []
        positions: Sequence[int]
        wanted = [delivery for delivery in found if self._wants(delivery)]
        for delivery in found:
            if delivery not in wanted:
                self._line.passed_over(delivery, TABLES_VARIABLE)
                positions = delivery.unread
            else:
                try:
                    positions = self._keep(delivery)
                except BackstreamError as error:
                    refusals.append(error)
                    positions = delivery.positions
            failed += [(delivery.source, position) for position in positions]
        if refusals and len(refusals) == len(wanted):
            raise refusals[0]
        return failed

    def _wants(self, delivery: Delivery) -> bool:
        """True if the table is kept. A stream of its own is always kept."""
        tables = self._parts.tables
        return not tables or not is_kinesis(delivery.source) or delivery.table in tables

    def _keep(self, delivery: Delivery) -> list[int]:
        """Keeps one table's records, and logs that. Returns the positions in the event of those that could not be kept."""
        ours, others = delivery, list[Record]()
        if (older := self._parts.older) is not None:
            ours, others = delivery.divided(older.takes)
        try:
            report = self._kept(ours, others)
        except Exception as error:
            self._line.refused(delivery, error)
            raise
        if ours.records:
            self._line.kept(ours, report)
        return [ours.positions[each] for each in report.failures]

    def _kept(self, delivery: Delivery, others: Sequence[Record]) -> BatchReport:
        parts = self._parts
        vault, label = self._recognised(delivery)
        if parts.older is not None:
            parts.older.check(vault.catalog)
            parts.older.note(vault, label, others)
        looked = (parts.url, delivery.table, label)
        if looked not in _looked:
            record_absence(vault, label, self._clock.now())
            _looked.add(looked)
        with ThreadPoolExecutor(WRITERS) as pool:
            return keep_batch(
                vault,
                delivery.records,
                label,
                pool,
                writer=parts.writer,
                kind=parts.kind,
                now=self._clock.now,
                deadline=self._deadline,
            )

    def _recognised(self, delivery: Delivery) -> tuple[TableVault, str]:
        """Returns the vault that it belongs to, and its label.

        A stream that is not the catalog's is looked up about once a minute.
        """
        config, opened = self._parts.config, self._parts.vaults.get(delivery.table)
        vault = config.vault(delivery.table) if opened is None else opened.renewed()
        self._parts.vaults[delivery.table] = vault
        now, asked = self._clock.now(), (self._parts.url, delivery.table, delivery.source)
        seen = _recognised.get(asked)
        if seen is not None and now - seen[0] < RECOGNISED_FOR and seen[1] == vault.catalog.stream:
            return vault, seen[2]
        lookup = Lookup(partial(config.table, delivery.table), config.stream)
        done, label = recognise(vault, delivery.source, lookup, now, save=False)  # its role may not write the catalog
        _recognised[asked] = (now, vault.catalog.stream, label)
        return done.vault, label
