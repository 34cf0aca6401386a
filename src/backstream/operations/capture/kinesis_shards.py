"""Follows one shard of a Kinesis stream into one table's vault. `tail` runs many of these side by side.

Changes come in the order of their arrival, not in the order in which they were made, with records of other tables between them. So
a segment is not a run of sequence numbers. Its name states instead the record of the shard up to which everything is durable; a
tail continues there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from backstream.errors import IteratorExpired, NotFound, RecordsTrimmed, Unavailable
from backstream.model import moment
from backstream.model.changes.change import Change
from backstream.operations.capture.shards import (
    ChangeSink,
    DurablePrefix,
    FollowerContext,
    ShardPosition,
    wrote_of,
)
from backstream.ports import RecordsPage, Shard
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.log import LATE
from backstream.vault.log.positions import Position


class ArrivalKeeper(ChangeSink, Protocol):
    """The sink of a Kinesis stream's changes. Safe to call from many threads."""

    def keep_arrivals(
        self, changes: Sequence[Change], shard: str, *, before: str | None, positions: Sequence[str]
    ) -> DurablePrefix:
        """Makes changes durable in the order of arrival.

        `positions`: Kinesis' own numbers of their records; `before`: the number before them.
        """

    def note_ties(self, changes: Sequence[Change]) -> int:
        """Records times whose order is uncertain, see note 14, and returns their number."""


class _ShardRead(msgspec.Struct, frozen=True):
    """A change that waits to be written. `position`: Kinesis' own number of its record; `arrived`: when it came to the stream."""

    change: Change
    position: str
    arrived: float


class KinesisFollower:
    """Reads one shard in order. Not thread-safe: one turn at a time. See `shards.Follower` for the terms."""

    def __init__(
        self, keeper: ArrivalKeeper, parts: FollowerContext, shard: Shard, reached: ShardPosition | None, claim: int | None
    ) -> None:
        self._keeper = keeper
        self._parts = parts
        self.shard = shard
        self._durable_to = None if reached is None else reached.last or None
        self._seconds = None if reached is None or self._durable_to is None else reached.seconds
        self._passed_to = self._durable_to  # records of other tables included
        self._read_to = self._durable_to
        self._iterator: str | None = None
        self._buffer: list[_ShardRead] = []
        self._waiting_since = 0.0
        self._at_its_end = False
        self._quiet_since: float | None = None
        self._ended = reached is not None and reached.ended
        self.first: int | None = None  # the second in which the first record came that was read in this run
        self.caught_up = False  # all that had arrived at the look before the last is durable
        self.claim = claim
        self.captured = 0
        self.gaps = 0

    @property
    def finished(self) -> bool:
        """True if it is read to its end and durable."""
        return self._ended and not self._buffer

    @property
    def position(self) -> Position:
        """The position up to which everything is durable."""
        return Position(self._passed_to, self._seconds, self.claim, self.finished)

    def turn(self, *, hurry: bool) -> bool:
        """Reads once, and writes a segment if one is due. It never asks for another turn at once: a shard answers five times a
        second, to all readers together.

        Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
        """
        try:
            if not self._ended and len(self._buffer) < 2 * self._parts.settings.segment_count:
                self._read()
        finally:  # what was read before does not wait for a stream that does not answer now
            if self._due(hurry=hurry):
                self.flush()
        return False

    # --- reading ---

    def _read(self) -> None:
        stream, shard = self._parts.stream, self.shard.id
        from_oldest = self._iterator is None and self._read_to is None
        try:
            if self._iterator is None:
                self._iterator = stream.iterator(shard, self._read_to)
            page = stream.read(shard, self._iterator)
        except IteratorExpired:
            self._iterator = None
            return
        except (RecordsTrimmed, NotFound):  # a closed shard without remaining records is not found at all
            self.flush()
            page, from_oldest = self._oldest_left(), True
        if from_oldest and self._known < int(page.server_time) - self._parts.retention:
            self._miss(page)
        self._take(page)

    def _take(self, page: RecordsPage) -> None:
        if page.changes and not self._buffer:
            self._waiting_since = self._parts.clock.now()
        if page.arrivals and self.first is None:
            self.first = int(page.arrivals[0])
        self._buffer += map(_ShardRead, self._labelled(page.changes), page.positions, page.arrivals)
        self._iterator, self._read_to = page.next, page.reached or self._read_to
        if not self._buffer:
            self._passed_to = self._read_to
        self._ended = page.next is None
        self._at_its_end = page.behind == 0
        self._claim_quiet(page)

    def _labelled(self, changes: Sequence[Change]) -> Sequence[Change]:
        """Returns the changes with the label that the vault gives them by now: it changes if the stream was created again."""
        label = self._parts.label
        return [each if each.stream == label else msgspec.structs.replace(each, stream=label) for each in changes]

    def _claim_quiet(self, page: RecordsPage) -> None:
        """Notes that an open shard that was read completely holds nothing older than that look. A closed one says nothing about its
        children.

        The look after it shows that it was open then.
        """
        self.caught_up = self._quiet_since is not None and self._at_its_end and not self._buffer
        if self._quiet_since is not None and self.caught_up and not self._ended:
            self._claim(int(self._quiet_since) - 1 - LATE)
        self._quiet_since = page.server_time if self._at_its_end and not self._buffer else None

    def _oldest_left(self) -> RecordsPage:
        stream, shard = self._parts.stream, self.shard.id
        try:
            return stream.read(shard, stream.iterator(shard, None))
        except NotFound:
            return RecordsPage([], None, self._parts.clock.now(), behind=0)
        except RecordsTrimmed as error:
            raise Unavailable(f"records are trimmed while they are asked for: {error.message}") from error

    @property
    def _known(self) -> int:
        return max(self._parts.known, self.claim or 0)

    def _miss(self, page: RecordsPage) -> None:
        """Records a gap for everything that the stream dropped before it was read, as far back as it keeps records."""
        since, until = self._known, int(page.server_time) - self._parts.retention
        reason = "the stream had dropped records before they were read"
        self._keeper.miss(Gap(reason=reason, since=since, until=until, stream=self._parts.label, shard=self.shard.id))
        self.gaps += 1
        self._parts.notice(f"GAP: changes of {moment.iso(since)} to {moment.iso(until)} are lost: {reason} ({self.shard.id})")

    # --- writing ---

    def _due(self, *, hurry: bool) -> bool:
        settings = self._parts.settings
        if not self._buffer:
            return False
        return (
            self._ended
            or len(self._buffer) >= settings.segment_count
            or sum(each.change.image_bytes for each in self._buffer) >= settings.segment_bytes
            or (hurry and self._at_its_end)
            or self._parts.clock.now() - self._waiting_since >= settings.segment_age
        )

    def flush(self) -> None:
        """Makes the changes that were read durable. On failure keeps the unbroken part, and raises the error."""
        while self._buffer:
            self._write(self._buffer[: self._parts.settings.segment_count])

    def _write(self, waiting: list[_ShardRead]) -> None:
        parts, began = self._parts, self._parts.clock.now()
        changes, positions = [each.change for each in waiting], [each.position for each in waiting]
        self.gaps += self._keeper.note_ties(changes)
        taken = self._keeper.keep_arrivals(changes, self.shard.id, before=self._durable_to, positions=positions)
        if taken.count:
            last = waiting[taken.count - 1]
            del self._buffer[: taken.count]
            self._durable_to = self._passed_to = last.position
            self._seconds = last.change.seconds
            self.captured += taken.count
            self._claim(int(last.arrived) - 1 - LATE)
            done = changes[: taken.count]
            parts.wrote(wrote_of(self.shard.id, positions[0], last.position, done, began, parts.clock.now()))
        if taken.failure is not None:
            raise taken.failure

    def _claim(self, seconds: int) -> None:
        self.claim = seconds if self.claim is None else max(self.claim, seconds)
