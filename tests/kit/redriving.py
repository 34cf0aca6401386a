"""A table in memory whose stream goes to Lambda as a test says: kept, or given up and left in the on-failure destination."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.change import Change, stream_label
from backstream.model.window import Window
from backstream.operations.capture.batch import BatchReport, keep_batch
from backstream.operations.capture.redrive import Redriven, RedriveOptions, redrive
from backstream.operations.setup.init import InitOptions as InitWords
from backstream.operations.setup.init import init
from backstream.ports import ObjectStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.mapping import MappingSettings, Record, invocation_record
from kit.records import lambda_record
from kit.stage import Stage

FAILED = "s3://my-backups-failed"
FOLDER = "aws/lambda/5a5f0a9c/shardId-1/"


class FailingStage(Stage):
    """`destination`: the bucket in which the batches land. Nothing is delivered but what a test delivers."""

    def __init__(self, *, layout: Layout = Layout.LOG) -> None:
        self.manual = ManualClock()
        super().__init__(self.manual, layout=layout, shards=1)
        self.destination = MemoryStore(self.manual, versioned=False)
        self.manual.move(10)
        init(self.store, self.table, InitWords(failures=FAILED))

    def changes(self) -> Sequence[Change]:
        """Everything in the stream, in its order."""
        stream = self.table.stream
        (shard,) = stream.facts().shards
        return stream.read(shard.id, stream.iterator(shard.id, None)).changes

    def records(self, changes: Sequence[Change]) -> list[Record]:
        """As an event's."""
        return [lambda_record(change, self.table.stream.arn) for change in changes]

    def write(self, seconds: int = 1, items: Sequence[int] = (1, 2, 3)) -> list[Change]:
        """A new version of each of these items, so many times, a second apart; their changes."""
        before = len(self.changes())
        for _ in range(seconds):
            self.put(items)
            self.manual.move(1)
        return list(self.changes()[before:])

    def vault(self, store: ObjectStore | None = None, destination: ObjectStore | None = None) -> TableVault:
        """With the way to the destination."""
        return TableVault.open(
            store or self.store, self.table.name, lambda *_: destination or self.destination, engines=LocalEngine
        )

    def window(self) -> Window:
        """As if a reader had said that all before the newest change in the log has arrived, or is a gap."""
        newest = max((segment.max_time for segment in self.log() if segment.count), default=None)
        if newest is not None:
            self.vault().log.write_mark(self.vault().catalog.stream, newest - 1, writer="test")
        return self.vault().window(self.clock.now())

    def keep(self, changes: Sequence[Change], store: ObjectStore | None = None) -> BatchReport:
        """The function's work, done."""
        label = stream_label(self.table.stream.arn)
        with ThreadPoolExecutor(2) as pool:
            return keep_batch(
                self.vault(store), self.records(changes), label, pool, writer="f", kind=SegmentKind.LAMBDA, now=self.clock.now
            )

    def give_up(
        self, records: Sequence[Record], *, condition: str = "RetryAttemptsExhausted", name: str | None = None, arn: str = ""
    ) -> str:
        """Write the batch where Lambda would; the object's name."""
        settings = MappingSettings(arn or self.table.stream.arn)
        key = FOLDER + (name or uuid.uuid4().hex)
        self.destination.put(key, invocation_record(settings, "shardId-1", records, condition, 3, self.clock.now()))
        return key

    def redrive(
        self,
        *,
        store: ObjectStore | None = None,
        destination: ObjectStore | None = None,
        give_up: Sequence[str] = (),
        dry_run: bool = False,
    ) -> Redriven:
        """One run."""
        words = RedriveOptions(give_up=give_up, dry_run=dry_run)
        return redrive(self.vault(store, destination), words, self.clock, writer="redrive")

    def waiting(self) -> list[str]:
        """The objects that are in the destination now."""
        return [each.name for each in self.destination.list("")]
