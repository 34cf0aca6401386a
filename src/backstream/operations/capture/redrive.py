"""`redrive`: brings discarded batches back into the vault, from Lambda's on-failure destination, and marks finished ones there.

A batch is marked only after all of it is durable. After a crash in between, or beside another redrive, a batch is kept once more,
which changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import AccessDenied, BackstreamError, Damaged, MalformedRecord, MissingObject, Refused, UsageError
from backstream.model.changes.change import stream_label
from backstream.model.changes.deliveries import Record, deliveries
from backstream.model.changes.invocation_record import StreamKind
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.capture.batch import BatchReport, keep_batch, why
from backstream.operations.capture.discarded import record_waiting
from backstream.operations.capture.outage import record_absence
from backstream.operations.inspect.explained_gaps import try_to_note
from backstream.operations.setup.identity import NOBODY, Lookup, recognise
from backstream.ports import Clock
from backstream.vault.gaps.failure_destination import Destination, FailedBatch
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

WRITERS = 16
GIVEN_UP = "given up by `redrive --give-up`"


class WaitingBatch(msgspec.Struct, frozen=True):
    """A batch that still waits, and why. `batch`: the object in the destination; `sequence`: the one record's number, None for all
    of it.

    Either may be given to `--give-up`.
    """

    batch: str
    sequence: str | None
    why: str


class Redriven(msgspec.Struct, frozen=True):
    """The result of a redrive. `source`: the bucket; `batches`: the number of the table's batches that waited there.

    `redriven`: the finished batches; `records`: their records, as far as they were read; `captured`: those that are in the
    vault's log now; `given_up`: those declared lost; `not_found`: names that should have been declared lost and no longer wait;
    `left`: batches that still wait. With `dry_run`, nothing was done. `notes`: more notes for an operator.
    `forgotten`: records that were discarded, because their items were erased with `--forget-future`.
    """

    table: str
    source: str
    batches: int
    records: int
    redriven: int
    captured: int
    given_up: list[str]
    not_found: list[str]
    left: list[WaitingBatch]
    dry_run: bool
    notes: list[str] = []
    forgotten: int = 0


class RedriveOptions(msgspec.Struct, frozen=True):
    """The options of a redrive. `source`: the bucket, None for the catalog's; `give_up`: see `WaitingBatch`."""

    source: str | None = None
    give_up: Collection[str] = ()
    dry_run: bool = False


def redrive(
    vault: TableVault,
    words: RedriveOptions,
    clock: Clock,
    *,
    writer: str,
    progress: Progress | None = None,
    lookup: Lookup | None = None,
) -> Redriven:
    """Takes every waiting batch of the table, oldest first, and keeps it as the Lambda handler would have.

    It is idempotent, and safe beside a running function, tail or another redrive. Raises UsageError if no destination is known, and
    the errors of the destination's listing. If a store fails after that, it ends: the remaining batches are in `left`.
    """
    url = words.source or vault.catalog.failures
    destination = None if url is None else vault.destination_at(url)
    if destination is None:
        table = vault.catalog.table
        raise UsageError(
            f"where does what Lambda gives up of {table} land?",
            hint=f"Say it once, `backstream init {table} --failures s3://bucket`, or now, --from s3://bucket.",
        )
    return _Redrive(vault, destination, words, clock, writer, progress or Silent(), lookup or NOBODY).run()


class _Redrive:
    def __init__(
        self,
        vault: TableVault,
        destination: Destination,
        words: RedriveOptions,
        clock: Clock,
        writer: str,
        progress: Progress,
        lookup: Lookup,
    ) -> None:
        self._lookup = lookup
        self._vault = vault
        self._destination = destination
        self._words = words
        self._clock = clock
        self._writer = writer
        self._progress = progress
        self._left: list[WaitingBatch] = []
        self._given_up: list[str] = []
        self._notes: list[str] = []
        self._records = self._captured = self._redriven = self._forgotten = 0

    def run(self) -> Redriven:
        batches = self._waiting()
        self._progress.phase("redriving batches", len(batches))
        try:
            if not self._words.dry_run:
                self._record_absences(batches)
                record_waiting(self._vault, self._destination)
        except BackstreamError as error:
            self._left += [WaitingBatch(each.name, None, f"not redriven: {error.message}") for each in batches]
        else:
            with ThreadPoolExecutor(WRITERS, thread_name_prefix="redrive") as pool:
                self._take(batches, pool)
        if self._captured:
            try_to_note(self._vault, self._clock.now(), self._notes.append)
        return Redriven(
            table=self._vault.catalog.table,
            source=self._destination.url,
            batches=len(batches),
            records=self._records,
            redriven=self._redriven,
            captured=self._captured,
            given_up=self._given_up,
            not_found=[] if self._words.dry_run else sorted(set(self._words.give_up) - set(self._given_up)),
            left=self._left,
            dry_run=self._words.dry_run,
            notes=self._notes,
            forgotten=self._forgotten,
        )

    def _record_absences(self, batches: Sequence[FailedBatch]) -> None:
        """Records outages, as the handler does before its first batch, which it may never have reached: as of Lambda's first
        discarded batch.
        """
        first: dict[str, int] = {}
        for each in batches:
            if each.record is not None and each.record.source is StreamKind.DYNAMODB:
                arn = each.record.stream_arn
                told = each.until if each.record.given_up is None else each.record.given_up
                first[arn] = min(told, first.get(arn, told))
        for arn, second in first.items():
            if self._is_known(arn):
                record_absence(self._vault, stream_label(arn), second)

    def _is_known(self, arn: str) -> bool:
        """True if a stream is the table's. Nothing is recorded for any other; its batches are left, each with the reason."""
        try:
            self._vault = recognise(self._vault, arn, self._lookup, self._clock.now())[0].vault
        except Refused:
            return False
        return True

    def _take(self, batches: Sequence[FailedBatch], pool: ThreadPoolExecutor) -> None:
        for position, batch in enumerate(batches):
            try:
                self._one(batch, pool)
            except MissingObject:
                pass  # another redrive was here: then everything of it is in the vault
            except (Damaged, MalformedRecord, Refused) as error:
                self._leave_whole(batch, error)
            except BackstreamError as error:
                self._left += [WaitingBatch(each.name, None, f"not redriven: {error.message}") for each in batches[position:]]
                return  # a store that fails for one would fail for all, each after some patience
            self._progress.advance(1)

    def _one(self, batch: FailedBatch, pool: ThreadPoolExecutor) -> None:
        if batch.record is None:
            raise Damaged(batch.why)
        records = self._destination.records(batch)
        if batch.record.source is StreamKind.KINESIS:
            records = self._ours(records)
        self._records += len(records)
        if self._words.dry_run:
            return
        report = self._keep(records, batch.record.stream_arn, pool)
        self._captured += report.captured
        self._forgotten += report.forgotten
        left = list(self._failed(batch, report))
        self._left += left
        if not left:
            self._done(batch)

    def _waiting(self) -> Sequence[FailedBatch]:
        try:
            return self._destination.waiting()
        except AccessDenied as error:
            if not self._vault.accept_settings:
                error.hint += " A bucket of another account than the table's is read only with --accept-settings."
            raise

    def _ours(self, records: Sequence[Record]) -> Sequence[Record]:
        """Returns the table's records, and those that may be its, from a Kinesis stream that may carry other tables' too."""
        try:
            found = [each for each in deliveries({"Records": records}) if each.table == self._vault.catalog.table]
        except UsageError as error:
            raise Damaged(f"not records of a stream: {error.message}") from error
        return [record for each in found for record in each.records]

    def _keep(self, records: Sequence[Record], arn: str, pool: ThreadPoolExecutor) -> BatchReport:
        """Keeps the records through the handler's path.

        They count as from a mapping with several invocations per shard, because late records prove nothing about earlier ones. A
        former stream of the table is kept under its own label; only a Kinesis stream's label comes from the catalog.
        """
        now, writer = self._clock.now, self._writer
        done, label = recognise(self._vault, arn, self._lookup, now())
        self._vault = done.vault
        return keep_batch(self._vault, records, label, pool, writer=writer, kind=SegmentKind.PARALLEL, now=now)

    def _failed(self, batch: FailedBatch, report: BatchReport) -> Iterator[WaitingBatch]:
        """Yields the records of a batch that are not kept, without those given up. Raises an error that is not a record's fault."""
        for position, error in sorted(report.failures.items()):
            if not isinstance(error, MalformedRecord):
                raise error
            sequence = error.sequence or None
            told = next((each for each in (sequence, batch.name) if each in self._words.give_up), None)
            if told is not None:
                self._give_up(batch, told, sequence, why(error))
            else:
                where = "" if sequence else f"record {position + 1} of the batch: "
                yield WaitingBatch(batch.name, sequence, where + why(error))

    def _leave_whole(self, batch: FailedBatch, error: BackstreamError) -> None:
        """Leaves a batch that cannot be read at all, or that nothing can be kept of."""
        if batch.name not in self._words.give_up or self._words.dry_run:
            self._left.append(WaitingBatch(batch.name, None, error.message))
            return
        self._give_up(batch, batch.name, None, error.message)
        self._done(batch)

    def _give_up(self, batch: FailedBatch, what: str, sequence: str | None, reason: str) -> None:
        """Records a gap before the batch is marked: from now on only the vault says that it is missing."""
        gap = self._destination.gap(batch)
        named = f"{GIVEN_UP}: {batch.name}: {reason}"
        self._vault.gaps.record(msgspec.structs.replace(gap, reason=named, sequence=sequence, batch=None))
        self._given_up.append(what)

    def _done(self, batch: FailedBatch) -> None:
        self._destination.done(batch)
        self._redriven += 1
