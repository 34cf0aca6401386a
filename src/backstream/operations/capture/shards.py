"""Follows one shard of a stream: reads it, makes it durable, cuts it into segments. `tail` runs many of these side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import msgspec

from backstream.errors import BackstreamError, IteratorExpired, NotFound, RecordsTrimmed, Unavailable
from backstream.model import moment
from backstream.model.changes.change import MICROS, Change
from backstream.ports import ChangeStream, Clock, RecordsPage, Shard
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.log import DAY
from backstream.vault.log.positions import Position, Positions

OLDEST, AFTER_GAP = "oldest", "gap"
# Records show up in a stream "in near real time", without a promise: records of these last seconds may still be on their way.
SETTLING = 5
RETENTION_SLACK = 300  # how exactly a day is taken, where the clocks of several machines are compared


class Settings(msgspec.Struct, frozen=True):
    """The settings of a tail. Times are in seconds.

    A segment ends when its oldest change has waited `segment_age`, or at `segment_count` changes or `segment_bytes` of images.
    `quiet_reads`: the number of empty answers in a row that mean that a shard has been read to its end, since a single one does
    not. `children_wait`: the time without children in the stream's list after which an ended shard is taken to have none;
    `sibling_wait`: the time after which an only child is taken to have no sibling; `step`: the time after which the loop looks at
    its stop signal again, at most.
    """

    segment_age: float = 3.0
    segment_count: int = 5_000
    segment_bytes: int = 8 << 20
    poll: float = 0.3
    quiet_reads: int = 4
    topology_every: float = 10.0
    children_wait: float = 60.0
    sibling_wait: float = 60.0
    mark_busy: float = 10.0
    mark_idle: float = 60.0
    neighbours_every: float = 20.0
    settings_every: float = 300.0
    writers: int = 32
    readers: int = 8
    step: float = 0.05


class Wrote(msgspec.Struct, frozen=True):
    """Changes that became durable at once: from `first` to `last`, as positions of the shard.

    `size`: bytes of keys and images; `newest`: the time of the newest change; `began`, `ended`: the time of writing (epoch seconds,
    all three).
    """

    shard: str
    first: str
    last: str
    count: int
    size: int
    newest: float
    began: float
    ended: float


def wrote_of(shard: str, first: str, last: str, changes: Sequence[Change], began: float, ended: float) -> Wrote:
    """Returns the report of these changes."""
    size = sum(each.size for each in changes)
    newest = max(each.micros for each in changes) / MICROS
    return Wrote(shard, first, last, len(changes), size, newest, began, ended)


class ShardPosition(msgspec.Struct, frozen=True):
    """The progress in a shard: the position of its last kept record, and the second of the newest change.

    `late`: the seconds by which a change may come after later ones; `proven`: the second up to which another reader proved all of
    its changes durable, None if none did; `ended`: True if the shard is closed and `last` is its end (empty if it held nothing).
    """

    last: str
    seconds: int
    late: int = 0
    proven: int | None = None
    ended: bool = False

    @property
    def claim(self) -> int:
        """The second up to which all changes of the shard are durable: its own second may hold more."""
        own = self.seconds - 1 - self.late
        return own if self.proven is None else max(own, self.proven)


class DurablePrefix(msgspec.Struct, frozen=True):
    """The first `count` changes are durable; `failure` is why the next one is not."""

    count: int
    failure: BackstreamError | None = None


class Share(msgspec.Struct, frozen=True):
    """A table's share of the threads that several tables' tails have in common.

    `turns`: shards of the table that are read at a time; `writes`: threads that write its images at a time.
    """

    readers: ThreadPoolExecutor
    writers: ThreadPoolExecutor
    turns: int = 4
    writes: int = 8


def threads(common: ThreadPoolExecutor | None, own: int, name: str) -> AbstractContextManager[ThreadPoolExecutor]:
    """Returns the threads to work with: those in common, which stay; or so many of its own, which end with the block."""
    return ThreadPoolExecutor(own, thread_name_prefix=name) if common is None else nullcontext(common)


class ChangeSink(Protocol):
    """The sink of a stream's changes, which also notes the progress in each shard. Safe to call from many threads."""

    def keep(self, changes: Sequence[Change], shard: str, *, after: str) -> DurablePrefix:
        """Makes changes of a shard durable, in its order.

        `after`: the sequence number before them, or the word that replaces it.
        """

    def mark(self, seconds: int, positions: Positions, *, closing: bool) -> None:
        """Notes that every shard has been read up to this second, and the position in each.

        `closing`: True if nobody continues from here for now.
        """

    def look_around(self) -> None:
        """Called now and then, to see whether somebody else does the same work."""

    def miss(self, gap: Gap) -> None:
        """Notes that changes are lost."""


class SeenEnabled(msgspec.Struct):
    """The time (epoch seconds) of the last look at which the stream was enabled; before all times if there was none.

    A shard that answers nothing proves nothing of later: a stream that is disabled may take a while to close its shards.
    """

    at: float = float("-inf")


class FollowerContext(msgspec.Struct, frozen=True):
    """The context of every shard's follower."""

    stream: ChangeStream
    label: str
    keeper: ChangeSink
    clock: Clock
    settings: Settings
    known: int  # the second up to which earlier runs had read all of the stream, or recorded what is missing
    notice: Callable[[str], None]
    retention: int = DAY  # for how many seconds the stream keeps records
    closed: float = float("inf")  # the second by which the stream was disabled, as far as that is known
    wrote: Callable[[Wrote], None] = lambda _: None
    share: Share | None = None
    enabled: SeenEnabled = msgspec.field(default_factory=SeenEnabled)


class Follower:
    """Reads one shard in order. Not thread-safe: one turn at a time. `reached`: an earlier run's progress.

    `claim`: all changes of this shard up to that second are durable, None while nothing is known. `finished`: True if the closed
    shard has been read to its end, and all of it is durable.
    """

    def __init__(self, parts: FollowerContext, shard: Shard, reached: ShardPosition | None, claim: int | None) -> None:
        self._parts = parts
        self.shard = shard
        self._durable_to = None if reached is None else reached.last or None
        self._after = self._durable_to or OLDEST
        self._read_to = self._durable_to
        self._last_seconds = None if reached is None or self._durable_to is None else reached.seconds
        self._iterator: str | None = None
        self._buffer: list[Change] = []
        self._bytes = 0
        self._waiting_since = 0.0
        self._quiet = 0
        self._quiet_since = 0.0
        self._asked: float | None = None  # the service's time at the first answer
        self.first: int | None = None  # the second of the first change that was read in this run
        self._ended = reached is not None and (reached.ended or shard.last == reached.last)
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
        return Position(self._durable_to, self._last_seconds, self.claim, self.finished)

    @property
    def caught_up(self) -> bool:
        """True if everything that existed when this began to read is durable: nothing came for a while, or only newer records, as
        under load.
        """
        quiet = not self._buffer and self._quiet >= self._parts.settings.quiet_reads
        return quiet or (self.claim is not None and self._asked is not None and self.claim >= self._asked)

    def turn(self, *, hurry: bool) -> bool:
        """Reads once, and writes a segment if one is due (`hurry`: as soon as there is no more to read). Returns whether to read on
        at once.

        Raises the errors of reading and writing. Nothing is lost by them: the next turn continues at the same position.
        """
        more = False
        try:
            if not self._ended and len(self._buffer) < 2 * self._parts.settings.segment_count:
                more = self._read()
        finally:  # what was read before does not wait for a stream that does not answer now
            if self._due(hurry=hurry):
                self.flush()
        return more and not self.finished

    # --- reading ---

    def _read(self) -> bool:
        from_oldest = self._iterator is None and self._read_to is None
        try:
            if self._iterator is None:
                self._iterator = self._parts.stream.iterator(self.shard.id, self._read_to)
            page = self._parts.stream.read(self.shard.id, self._iterator)
        except IteratorExpired:
            self._iterator = None
            return True
        except (RecordsTrimmed, NotFound):  # a closed shard without remaining records is not found at all
            self.flush()  # what was read before them must not wait behind them
            page = self._pass_over_trimmed()
        else:
            if from_oldest and self._known < int(page.server_time) - DAY:
                self._miss(page)  # who asks for the oldest is not told of older ones that are gone
        self._take(page)
        return bool(page.changes)

    def _take(self, page: RecordsPage) -> None:
        self._iterator = page.next
        self._asked = self._asked or page.server_time
        self._append(page)
        self._ended = page.next is None  # only now: an end with nothing to be written means that the shard is finished

    def _append(self, page: RecordsPage) -> None:
        if page.changes:
            if not self._buffer:
                self._waiting_since = self._parts.clock.now()
            self.first = page.changes[0].seconds if self.first is None else self.first
            self._buffer.extend(page.changes)
            self._bytes += sum(change.image_bytes for change in page.changes)
            self._read_to = page.changes[-1].sequence
            self._quiet = 0
            return
        if self._quiet == 0:
            self._quiet_since = page.server_time
        self._quiet += 1
        if page.next is not None and self._quiet >= self._parts.settings.quiet_reads and not self._buffer:
            self._claim_quiet(int(self._quiet_since) - SETTLING)
            self._quiet_since = page.server_time

    # --- trimmed records ---

    def _pass_over_trimmed(self) -> RecordsPage:
        """Returns the oldest remaining records. Everything before them is a gap, unless only old, known records were trimmed."""
        page = self._oldest_left()
        retained = int(page.server_time) - DAY + RETENTION_SLACK
        if self._last_seconds is None or not self._last_seconds < retained <= self._known:
            self._miss(page)  # else nothing has come for a day, and that has been seen
        return page

    @property
    def _known(self) -> int:
        """Returns the second up to which everything that this shard held has been read."""
        return max(self._parts.known, self.claim or 0)

    def _oldest_left(self) -> RecordsPage:
        stream, shard = self._parts.stream, self.shard.id
        try:
            return stream.read(shard, stream.iterator(shard, None))
        except NotFound:
            return RecordsPage([], None, self._parts.clock.now())
        except RecordsTrimmed as error:
            raise Unavailable(f"records are trimmed while they are asked for: {error.message}") from error

    def _miss(self, page: RecordsPage) -> None:
        """Records the gap before this page."""
        since = max(self._last_seconds or 0, self._known)
        until = max(since, page.changes[0].seconds if page.changes else int(page.server_time))
        reason = "the stream had dropped records before they were read"
        self._parts.keeper.miss(Gap(reason=reason, since=since, until=until, stream=self._parts.label, shard=self.shard.id))
        self.gaps += 1
        self._parts.notice(f"GAP: changes of {moment.iso(since)} to {moment.iso(until)} are lost: {reason} ({self.shard.id})")
        self._after = AFTER_GAP

    # --- writing ---

    def _due(self, *, hurry: bool) -> bool:
        settings = self._parts.settings
        if not self._buffer:
            return False
        return (
            self._ended
            or len(self._buffer) >= settings.segment_count
            or self._bytes >= settings.segment_bytes
            or (hurry and self._quiet > 0)
            or self._parts.clock.now() - self._waiting_since >= settings.segment_age
        )

    def flush(self) -> None:
        """Makes the changes that were read durable. On failure keeps the unbroken part, and raises the error."""
        while self._buffer:
            self._write(self._buffer[: self._parts.settings.segment_count])

    def _write(self, changes: Sequence[Change]) -> None:
        parts, began = self._parts, self._parts.clock.now()
        taken = parts.keeper.keep(changes, self.shard.id, after=self._after)
        if taken.count:
            done = changes[: taken.count]
            self._acknowledge(taken.count, done[-1].sequence, done[-1].seconds)
            parts.wrote(wrote_of(self.shard.id, done[0].sequence, done[-1].sequence, done, began, parts.clock.now()))
        if taken.failure is not None:
            raise taken.failure

    def _acknowledge(self, count: int, last: str, seconds: int) -> None:
        del self._buffer[:count]
        self._bytes = sum(change.image_bytes for change in self._buffer)
        self._after = self._durable_to = last
        self._last_seconds = seconds
        self.captured += count
        self._claim(seconds - 1)  # its own second may hold more

    def _claim_quiet(self, seconds: int) -> None:
        if self._parts.enabled.at > 0:
            self._claim(int(min(seconds, self._parts.enabled.at)))

    def _claim(self, seconds: int) -> None:
        self.claim = seconds if self.claim is None else max(self.claim, seconds)
