"""Makes one delivered batch durable: the Lambda handler's work, independent of Lambda.

A batch is not a run of a shard (several invocations may work on one), so its segments are nobody's checkpoint. A record that cannot
be kept is reported, to be delivered again, and recorded as a gap until it has arrived: the window never reaches beyond it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from backstream.errors import BackstreamError, MalformedRecord, Unavailable
from backstream.model.changes import plain_batch
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.deliveries import change_of, made_within
from backstream.model.changes.entry import Entry
from backstream.operations.capture import durable
from backstream.operations.capture.forgetting import Forgetting
from backstream.operations.setup.sources import record_ties
from backstream.ports import Images, ManyImages, Tag
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.images import images_for
from backstream.vault.log.log import DAY
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

HOUR = 3600


class BatchReport(msgspec.Struct, frozen=True):
    """The result of a batch. `captured`: the number of its changes in the log now; `failures`: the errors of the others, by
    position in the batch.

    Over the readable records: `size` is the bytes of keys and images; `newest` is the second of the newest change, None if there is
    none. `forgotten`: the number of changes that were discarded, because their items were erased with `--forget-future`.
    """

    captured: int
    failures: Mapping[int, BackstreamError]
    size: int
    newest: float | None
    forgotten: int = 0


def keep_batch(
    vault: TableVault,
    records: Sequence[Mapping[str, Any]],
    stream: str,
    pool: ThreadPoolExecutor,
    *,
    writer: str,
    kind: SegmentKind,
    now: Callable[[], float],
    deadline: float = float("inf"),
) -> BatchReport:
    """Makes the records of one batch durable: images, then the log. Malformed records do not hide the others.

    Nothing is begun after `deadline` (epoch seconds), but the log of the images kept by then is written, so repeated timeouts still
    make progress. Raises WrongStreamView (the stream carries no whole items) for the batch as a whole.
    """
    time = _Time(now, deadline)
    if (report := _plain(vault, records, stream, kind, writer, time)) is not None:
        return report
    changes, failures = _parse(records, stream)
    changes, forgotten = _without_forgotten(vault, changes)
    record_ties(vault, changes.values())
    positions = list(changes)
    in_order = now if kind is SegmentKind.LAMBDA and vault.catalog.kinesis is None else None
    images = _InTime(images_for(vault.store, vault.catalog, in_order), time)
    kept = durable.keep(list(changes.values()), images, vault.catalog.key_schema, pool)
    failures |= {positions[each]: error for each, error in kept.failures.items()}
    entries = {positions[each]: entry for each, entry in kept.entries.items()}
    captured = _log(vault, entries, failures, _Batch(records, stream, changes, writer, kind, time, pool))
    return _report(captured, failures, list(changes.values()), forgotten)


def _without_forgotten(vault: TableVault, changes: Mapping[int, Change]) -> tuple[dict[int, Change], int]:
    """Returns the changes to keep by position, and the number of the others."""
    forgetting = Forgetting(vault)
    kept = set(map(id, forgetting.kept(changes.values())))
    return {position: each for position, each in changes.items() if id(each) in kept}, forgetting.count


def why(error: BackstreamError) -> str:
    """Returns the failure without a word of an item.

    A store's errors name objects, whose names may be keys: only their hint is used.
    """
    return error.message if isinstance(error, MalformedRecord) else error.hint


def _plain(
    vault: TableVault, records: Sequence[Mapping[str, Any]], stream: str, kind: SegmentKind, writer: str, time: _Time
) -> BatchReport | None:
    """Keeps a batch that needs only lines, as nearly every one in the log layout.

    Returns None, and does nothing, for any other, and if no time is left.
    """
    catalog = vault.catalog
    if catalog.layout is not Layout.LOG or catalog.kinesis or catalog.forgotten or not records or time.is_up:
        return None
    lines = plain_batch.lines(records, stream, catalog.key_schema)
    if lines is None:
        return None
    size, newest = sum([each.size for each in lines]), max([each.micros for each in lines]) / MICROS
    try:
        vault.log.write_plain(lines, stream, kind, writer=writer)
    except BackstreamError as error:
        return BatchReport(0, dict.fromkeys(range(len(lines)), error), size, newest)
    return BatchReport(len(lines), {}, size, newest)


def _report(captured: int, failures: Mapping[int, BackstreamError], read: Sequence[Change], forgotten: int = 0) -> BatchReport:
    newest = max((each.micros for each in read), default=None)
    return BatchReport(captured, failures, sum(each.size for each in read), None if newest is None else newest / MICROS, forgotten)


class _Time(msgspec.Struct, frozen=True):
    now: Callable[[], float]
    deadline: float

    @property
    def is_up(self) -> bool:
        """True if no time is left."""
        return self.now() >= self.deadline

    def check(self) -> None:
        """Raises Unavailable if no time is left."""
        if self.is_up:
            raise Unavailable("no time left", hint="Give the function more time or memory, or the mapping smaller batches.")


class _InTime:
    """A `ports.Images` that works while there is time."""

    def __init__(self, images: Images, time: _Time) -> None:
        self._images = images
        self._time = time

    def keep(self, change: Change) -> Entry:
        """Does the same as the images' `keep`. Raises Unavailable, and does nothing, once time is up."""
        self._time.check()
        return self._images.keep(change)

    @property
    def keeps_many(self) -> bool:
        return isinstance(self._images, ManyImages) and self._images.keeps_many

    def keep_each(self, changes: Iterable[tuple[Tag, Change]]) -> Generator[tuple[Tag, Entry | BackstreamError | None], None, None]:
        """Does as the images' own. Once time is up it takes no more changes, and `keep` refuses the rest."""
        late = list[Tag]()

        def in_time() -> Iterator[tuple[Tag, Change]]:
            for tag, change in changes:
                if self._time.is_up:
                    late.append(tag)
                else:
                    yield tag, change

        if isinstance(self._images, ManyImages):
            yield from self._images.keep_each(in_time())
        for tag in late:
            yield tag, None


class _Batch(msgspec.Struct, frozen=True):
    records: Sequence[Mapping[str, Any]]
    stream: str
    changes: Mapping[int, Change]
    writer: str
    kind: SegmentKind
    time: _Time
    pool: ThreadPoolExecutor


def _parse(records: Sequence[Mapping[str, Any]], stream: str) -> tuple[dict[int, Change], dict[int, BackstreamError]]:
    changes: dict[int, Change] = {}
    failures: dict[int, BackstreamError] = {}
    for position, record in enumerate(records):
        try:
            changes[position] = change_of(record, stream)
        except MalformedRecord as error:
            failures[position] = error
    return changes, failures


def _log(vault: TableVault, entries: Mapping[int, Entry], failures: dict[int, BackstreamError], batch: _Batch) -> int:
    """Writes the log. Entries behind a failure may only be logged once that failure is recorded as a gap."""
    first_failed = min(failures, default=len(batch.records))
    safe = [entry for position, entry in sorted(entries.items()) if position < first_failed]
    try:
        _record_gaps(vault, failures, batch)
        safe = [entry for _, entry in sorted(entries.items())]
    except BackstreamError as error:
        failures |= {position: error for position in entries if position > first_failed}
    try:
        vault.log.write_batch(safe, batch.kind, writer=batch.writer)
    except BackstreamError as error:
        failures |= dict.fromkeys(entries, error)
        return 0
    return len(safe)


def _record_gaps(vault: TableVault, failures: Mapping[int, BackstreamError], batch: _Batch) -> None:
    """Records gaps.

    The first one is recorded whatever the time: if nobody comes back to this batch, the window at least ends before it.
    """
    gaps = [_gap(batch, position, failures[position]) for position in sorted(failures)]

    def record(gap: Gap) -> None:
        batch.time.check()
        vault.gaps.record(gap)

    for first in gaps[:1]:
        vault.gaps.record(first)
    for _ in batch.pool.map(record, gaps[1:]):
        pass


def _gap(batch: _Batch, position: int, error: BackstreamError) -> Gap:
    change = batch.changes.get(position)
    since, until = _bounds(batch, position)
    sequence = change.sequence if change else getattr(error, "sequence", "") or None
    reason = f"not kept: {type(error).__name__}: {why(error)}"
    return Gap(reason=reason, since=since, until=until, stream=batch.stream, sequence=sequence)


def _bounds(batch: _Batch, position: int) -> tuple[int, int]:
    """Returns the seconds between which the change was made. Without a time of its own, these are its neighbours' in the batch,
    which is in the shard's order.

    The first one of a batch has no neighbour before it. It is younger than a stream's day before the one that follows it, or before
    now. The bound is rounded to the hour, so that the same record delivered again makes the same gap.
    """
    if position in batch.changes:
        return batch.changes[position].seconds, batch.changes[position].seconds
    if (told := made_within(batch.records[position])) is not None:
        return told
    now = int(batch.time.now())
    before = [change.seconds for at, change in batch.changes.items() if at < position]
    after = [change.seconds for at, change in batch.changes.items() if at > position]
    until = after[0] if after else now
    since = before[-1] if before else (until - DAY) // HOUR * HOUR
    return since, max(since, until)
