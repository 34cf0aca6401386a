"""The sink of the witness: each record is checked against the log, and missing ones are written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import BackstreamError, Damaged, MalformedRecord
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry
from backstream.operations.capture import durable
from backstream.operations.capture.batch import why
from backstream.operations.capture.log_index import LogIndex
from backstream.operations.capture.shards import DurablePrefix, ShardPosition
from backstream.operations.capture.sink import VaultKeeper
from backstream.ports import Clock
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.log import LATE
from backstream.vault.log.positions import Position, Positions
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault


class WitnessFindings(msgspec.Struct):
    """The findings of a witness so far.

    `missing`: the number of records that the log did not hold and holds now; `oldest`: the second of the oldest of them; `lost`:
    the number of records that could not be kept; each is a recorded gap; `watermark`: the second of the last watermark written.
    """

    missing: int = 0
    oldest: int | None = None
    lost: int = 0
    watermark: int | None = None


class WitnessKeeper(VaultKeeper):
    """Checks one stream's changes against a vault; see `shards.ChangeSink`. `findings` is kept up to date."""

    def __init__(
        self,
        vault: TableVault,
        label: str,
        pool: ThreadPoolExecutor,
        clock: Clock,
        *,
        writer: str,
        notice: Callable[[str], None],
        findings: WitnessFindings,
        before_mark: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(vault, label, pool, clock, writer=writer, notice=notice, before_mark=before_mark)
        self._vault = vault
        self._index = LogIndex(vault, pool, notice)
        self._findings = findings
        self._lock = threading.Lock()

    # --- where to go on ---

    def reached(self) -> Mapping[str, ShardPosition]:
        """Returns the progress of an earlier witness or tail, by shard."""
        return _farthest(super().reached(), self._stood(0))

    def arrived(self, retention: int) -> Mapping[str, ShardPosition]:
        """Returns the same for a Kinesis stream, which keeps records for `retention` seconds."""
        return _farthest(super().arrived(retention), self._stood(retention, LATE))

    def _stood(self, retention: int, late: int = 0) -> Mapping[str, ShardPosition]:
        try:
            positions = self._log.positions(self._label, self._clock.now(), retention)
        except Damaged as error:
            self._notice(f"{error.message}: all that the stream still holds is read again")
            return {}
        return {shard: _reached(each, late) for shard, each in positions.items() if each.last is not None or each.ended}

    # --- what was read ---

    def keep(self, changes: Sequence[Change], shard: str, *, after: str) -> DurablePrefix:  # noqa: ARG002 - what it writes is no run
        """Writes the changes that the log lacks."""
        return self._check(changes, shard)

    def keep_arrivals(
        self,
        changes: Sequence[Change],
        shard: str,
        *,
        before: str | None,  # noqa: ARG002 - the watermark says where the witness stood
        positions: Sequence[str],  # noqa: ARG002
    ) -> DurablePrefix:
        """Does the same for a Kinesis stream's changes."""
        return self._check(changes, shard)

    def _check(self, changes: Sequence[Change], shard: str) -> DurablePrefix:
        missing = self._index.missing(self.forgetting.kept(changes), shard)
        if not missing:
            return DurablePrefix(len(changes))
        kept = durable.keep(missing, self._images, self._schema, self._pool)
        permanent = {at: error for at, error in kept.failures.items() if isinstance(error, MalformedRecord)}
        end = min(kept.failures.keys() - permanent.keys(), default=len(missing))
        for at, error in permanent.items():
            if at < end:
                self._lose(missing[at], error)  # before anything behind it is in the log
        self._write(missing[:end], [kept.entries[at] for at in range(end) if at in kept.entries])
        if end == len(missing):
            return DurablePrefix(len(changes))
        return DurablePrefix(changes.index(missing[end]), kept.failures[end])

    def _lose(self, change: Change, error: BackstreamError) -> None:
        reason = f"not kept: {type(error).__name__}: {why(error)}"
        self.miss(Gap(reason=reason, since=change.seconds, until=change.seconds, stream=self._label, sequence=change.sequence))
        with self._lock:
            self._findings.lost += 1

    def _write(self, changes: Sequence[Change], entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._log.write_batch(entries, SegmentKind.WITNESS, writer=self._writer)
        with self._lock:
            self._findings.missing += len(entries)
            oldest = min(change.seconds for change in changes)
            self._findings.oldest = oldest if self._findings.oldest is None else min(self._findings.oldest, oldest)

    # --- what is proven ---

    def mark(self, seconds: int, positions: Positions, *, closing: bool) -> None:  # noqa: ARG002 - each may be the last
        """Writes a watermark in the log. Its body holds the positions from which the next run continues."""
        self._before_mark(seconds)
        self._log.write_watermark(self._label, seconds, positions, writer=self._writer, now=self._clock.now())
        self._findings.watermark = seconds

    def look_around(self) -> None:
        """Does nothing: the witness exists beside other readers."""


def _reached(position: Position, late: int) -> ShardPosition:
    return ShardPosition(position.last or "", position.seconds or 0, late, position.claim, position.ended)


def _farthest(tails: Mapping[str, ShardPosition], witnesses: Mapping[str, ShardPosition]) -> Mapping[str, ShardPosition]:
    """Returns for each shard the position that reaches farther: either one proves that everything before it is in the vault, or in
    a recorded gap.
    """
    found = dict(tails)
    for shard, reached in witnesses.items():
        before = found.get(shard)
        if before is None or reached.ended or int(reached.last or 0) >= int(before.last):
            found[shard] = reached
    return found
