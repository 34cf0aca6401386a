"""A Lambda function beside a stage's stream: batches per shard, as an event source mapping brings them, or fails to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.model.changes.change import Change
from backstream.operations.capture.batch import keep_batch
from backstream.vault.log.segments import SegmentKind
from kit.records import lambda_record
from kit.stage import Stage

BATCH = 10


class Function:
    """`position`: the last record of each shard that the mapping is done with."""

    def __init__(self, stage: Stage, kind: SegmentKind = SegmentKind.LAMBDA) -> None:
        self.stage = stage
        self.kind = kind
        self.position: dict[str, str] = {}

    def run(self, *, stuck: Sequence[str] = (), lost: Callable[[Change], bool] = lambda _: False) -> None:
        """Deliver what came since. `stuck` shards are not read; what is `lost` is passed over, and nobody is told."""
        stream = self.stage.table.stream
        for shard in stream.facts().shards:
            if shard.id in stuck:
                continue
            changes = list(self._new(shard.id))
            for start in range(0, len(changes), BATCH):
                batch = changes[start : start + BATCH]
                self.deliver([change for change in batch if not lost(change)])
                self.position[shard.id] = batch[-1].sequence

    def deliver(self, batch: Sequence[Change]) -> None:
        """One invocation."""
        vault, arn = self.stage.vault(), self.stage.table.stream.arn
        if not batch:
            return
        with ThreadPoolExecutor(2) as pool:
            records = [lambda_record(change, arn) for change in batch]
            report = keep_batch(
                vault, records, vault.catalog.stream, pool, writer="function", kind=self.kind, now=self.stage.clock.now
            )
        assert not report.failures

    def _new(self, shard: str) -> list[Change]:
        stream, found = self.stage.table.stream, list[Change]()
        iterator: str | None = stream.iterator(shard, self.position.get(shard))
        while iterator is not None:
            page = stream.read(shard, iterator)
            found.extend(page.changes)
            iterator = page.next if page.changes else None
        return found
