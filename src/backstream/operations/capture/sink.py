"""The sink of a tail: images go into the vault, then a run of them into its log, which is the tail's checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.errors import BackstreamError
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry
from backstream.operations.capture import durable
from backstream.operations.capture.forgetting import LiveForgetting, passed_at_end, taken_over
from backstream.operations.capture.shards import DurablePrefix, ShardPosition
from backstream.operations.setup.sources import record_ties_in
from backstream.ports import Clock
from backstream.vault.gaps.gaps import Gap
from backstream.vault.images import images_for
from backstream.vault.log.log import LATE, arrived, reached
from backstream.vault.log.positions import Positions
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

NEIGHBOUR_RECENT = 90
NEIGHBOURS_ASKED = 6
HOUR = 3600


class VaultKeeper:
    """Keeps one stream's changes in a vault; see `shards.ChangeSink`.

    `writer` names this process in the log; `side_by_side`: the threads of the pool that one batch takes at most.
    """

    def __init__(
        self,
        vault: TableVault,
        label: str,
        pool: ThreadPoolExecutor,
        clock: Clock,
        *,
        writer: str,
        notice: Callable[[str], None],
        before_mark: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`before_mark` raises if a second may not be claimed."""
        self._before_mark = before_mark
        self._log = vault.log
        self._gaps = vault.gaps
        in_order = clock.now if vault.catalog.kinesis is None else None
        self._images = images_for(vault.store, vault.catalog, in_order)
        self._schema = vault.catalog.key_schema
        self._label = label
        self._pool = pool
        self._clock = clock
        self._writer = writer
        self._notice = notice
        self._told: set[str] = set()
        self.side_by_side = durable.SIDE_BY_SIDE
        self.forgetting = LiveForgetting(vault, notice)

    def reached(self) -> Mapping[str, ShardPosition]:
        """Returns the progress of earlier runs, by shard, from the log."""
        recent = self._log.recent(self._clock.now())
        return {shard: ShardPosition(each.last, each.max_time) for shard, each in reached(recent, self._label).items()}

    def arrived(self, retention: int) -> Mapping[str, ShardPosition]:
        """Returns the same for a Kinesis stream, which keeps records for `retention` seconds."""
        now = self._clock.now()
        found = arrived(self._log.recent(now, since=now - retention), self._label)
        return {
            shard: ShardPosition(each.position, each.max_time, LATE) for shard, each in found.items() if each.position is not None
        }

    def keep(self, changes: Sequence[Change], shard: str, *, after: str) -> DurablePrefix:
        """Writes one segment: images first, then the run of them. Raises the log's errors: nothing is acknowledged then."""
        kept = self.forgetting.kept(changes)
        run, failure = self._keep_images(kept)
        done = taken_over(changes, kept, len(run))
        passed = passed_at_end(changes[:done], kept[: len(run)])
        if run or passed:
            self._log.write_run(run, shard, after=after, writer=self._writer, passed=passed)
        return DurablePrefix(done, failure)

    def keep_arrivals(
        self, changes: Sequence[Change], shard: str, *, before: str | None, positions: Sequence[str]
    ) -> DurablePrefix:
        """Does the same for a Kinesis stream's changes."""
        kept = self.forgetting.kept(changes)
        run, failure = self._keep_images(kept)
        done = taken_over(changes, kept, len(run))
        if run:
            self._log.write_arrivals(run, shard, before=before, position=positions[done - 1], writer=self._writer)
        return DurablePrefix(done, failure)

    def _keep_images(self, changes: Sequence[Change]) -> tuple[list[Entry], BackstreamError | None]:
        """Returns the entries up to the first change whose image could not be kept, and its error."""
        kept = durable.keep(changes, self._images, self._schema, self._pool, self.side_by_side)
        return kept.unbroken(len(changes)), kept.failures[min(kept.failures)] if kept.failures else None

    def note_ties(self, changes: Sequence[Change]) -> int:
        """Records gaps in the vault, except for items whose changes are discarded."""
        return record_ties_in(self._gaps, self._label, self.forgetting.not_forgotten(changes))

    def mark(self, seconds: int, positions: Positions, *, closing: bool) -> None:  # noqa: ARG002 - the segments tell how far each is
        """Writes a mark in the log."""
        self._before_mark(seconds)
        self._log.write_mark(self._label, seconds, writer=self._writer, now=self._clock.now(), closing=closing)

    def miss(self, gap: Gap) -> None:
        """Records a gap in the vault."""
        self._gaps.record(gap)

    def look_around(self) -> None:
        """Reports other tails on the same table: they are harmless, but paid for twice."""
        ours, now = (SegmentKind.TAIL, SegmentKind.KINESIS, SegmentKind.MARK), self._clock.now()
        # Active writers write under this hour, or the one before: two days of a busy table's log would be too long a list.
        recent = [each for each in self._log.listing(since=int(now) - HOUR) if each.segment and each.segment.kind in ours]
        newest = sorted((each for each in recent if now - each.modified < NEIGHBOUR_RECENT), key=lambda each: -each.modified)
        seen = [(each, self._log.metadata(each)) for each in newest[:NEIGHBOURS_ASKED]]
        silent = {self._writer, *self._told, *(meta.get("writer") for _, meta in seen if "closing" in meta)}
        for each, metadata in seen:
            other = metadata.get("writer", "")
            if other in silent:
                continue
            silent.add(other)
            self._told.add(other)
            ago = max(0, int(now - each.modified))
            self._notice(
                f"not alone: another tail of this table ({other}) wrote {ago} s ago. Two do no harm, but cost twice; "
                "one that was just killed looks the same."
            )
