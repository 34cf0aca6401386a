"""Decides what a compaction merges, into how many objects, and which segments stay as the marks of their writers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from backstream.vault.log.compacted import Set
from backstream.vault.log.log import DAY, LogListing
from backstream.vault.log.segments import Segment, SegmentKind

MOST_SETS = 3  # of the log, and of the base backups: one item's history reads some 40 KB of each
GROWTH = 4  # a set is merged with what comes next unless it is so many times larger: each line is rewritten a few times at most
PART_BYTES = 4 << 20  # that an object of a set should have
MOST_PARTITIONS = 16_384
CHECKPOINT_DAYS = 3  # a tail looks back two


def to_merge(sets: Sequence[Set], size: int) -> list[Set]:
    """Returns the sets to rewrite together with this many new bytes: the small ones, and more if there would be too many."""
    merged: list[Set] = []
    left = sorted(sets, key=lambda each: (each.size, each.id))
    while left and (left[0].size < GROWTH * size or len(left) >= MOST_SETS):
        size += left[0].size
        merged.append(left.pop(0))
    return merged


def partitions_for(size: int, merged: Iterable[Set]) -> int:
    """Returns the number of objects for a set of about this many bytes: a power of two, not less than any merged set has."""
    least = max((each.partitions for each in merged), default=1)
    while least < MOST_PARTITIONS and least * PART_BYTES < size:
        least *= 2
    return least


def signs(listed: Sequence[LogListing], now: float) -> frozenset[str]:
    """Returns the names of segments that stay although a set may replace them, because a writer must find them again.

    These are a tail's checkpoint in each of its shards, as long as it may continue from there; the witness's last watermark; and
    for each kind of segment, and for the closing marks of tails, the one that reaches farthest and the one that came last.
    """
    kept: dict[object, LogListing] = {}
    for each in listed:
        segment = each.segment
        if segment is None:
            continue
        if segment.position is not None:
            _keep(kept, (segment.stream, segment.kinesis_shard), each, lambda one: int(_of(one).position or 0))
        if segment.kind is SegmentKind.TAIL and segment.max_time >= now - CHECKPOINT_DAYS * DAY:
            _keep(kept, (segment.stream, segment.shard), each, lambda one: int(_of(one).last))
        if segment.witnessed:
            _keep(kept, ("witness", segment.stream), each, lambda one: (_of(one).max_time, one.modified))
        kind = (segment.kind, segment.kind is SegmentKind.MARK and segment.shard != SegmentKind.MARK)
        _keep(kept, ("reaches", kind), each, lambda one: (_of(one).max_time, one.modified))
        _keep(kept, ("came", kind), each, lambda one: (one.modified, _of(one).max_time))
    return frozenset(each.name for each in kept.values())


def _of(listed: LogListing) -> Segment:
    assert listed.segment is not None  # noqa: S101 - foreign objects are no signs
    return listed.segment


def _keep(kept: dict[object, LogListing], what: object, each: LogListing, rank: Callable[[LogListing], object]) -> None:
    before = kept.get(what)
    if before is None or rank(each) > rank(before):  # type: ignore[operator]
        kept[what] = each
