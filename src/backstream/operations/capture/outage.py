"""Finds the changes lost between a tail and a Lambda function that takes over, if the tail had stopped for too long.

A tail writes at least every minute; a function writes nothing while nothing changes. So only the silence of a tail is evidence.
"""

from __future__ import annotations

from backstream.operations.setup.identity import proven_until
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.log import DAY
from backstream.vault.log.segments import Segment, SegmentKind
from backstream.vault.table_vault import TableVault

RECENT = 3600


def record_absence(vault: TableVault, stream: str, now: float) -> Gap | None:
    """Records and returns the gap before a function's first batch, if the last writer was a tail, more than a day ago.

    (With a Kinesis stream: longer ago than it keeps records.) Call it before the batch is logged: from then on the log looks as if
    somebody had followed all the time. Costs one LIST if somebody wrote within the last hour.
    """
    if any(each.segment is not None for each in vault.log.listing(since=int(now) - RECENT)):
        return None
    newest = _newest(vault, now)
    if newest is None or not _is_tails(newest):
        return None
    retention = DAY if vault.catalog.kinesis is None else vault.catalog.kinesis.retention
    # With several shards the slowest counts: not the last segment, but the second up to which a watermark proves everything.
    since, until = min(newest.max_time, proven_until(vault, now)), int(now) - retention
    if since >= until:
        return None
    reason = "the tail had stopped for longer than the stream keeps records when the Lambda function took over"
    gap = Gap(reason=reason, since=since, until=until, stream=stream)
    vault.gaps.record(gap)
    return gap


def _newest(vault: TableVault, now: float) -> Segment | None:
    """Returns the segment that was written last; of several at once, a function's."""
    for piece in vault.log.newest_first_days(now, 0):
        written = [(each.modified, not _is_tails(each.segment), each.segment) for each in piece if each.segment is not None]
        if written:
            return max(written, key=lambda each: each[:2])[2]
    return None


def _is_tails(segment: Segment) -> bool:
    return segment.kind in (SegmentKind.TAIL, SegmentKind.KINESIS, SegmentKind.MARK)
