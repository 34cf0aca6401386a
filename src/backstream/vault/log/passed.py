"""Segments without lines, for changes that a tail has read and does not keep: its checkpoint moves on all the same."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry
from backstream.vault.log.segments import NO_STREAM, Codec, Segment

HOUR = 3_600


def passed_over(changes: Sequence[Change], shard: str, codec: Codec) -> list[tuple[Segment, list[Entry]]]:
    """Returns a segment for each hour of these changes, in the shard's order, with a count of 0, and its lines: none."""
    parts = (list(part) for _, part in groupby(changes, key=lambda each: each.seconds // HOUR))
    return [(_segment(part, shard, codec), []) for part in parts]


def _segment(changes: Sequence[Change], shard: str, codec: Codec) -> Segment:
    seconds = [each.seconds for each in changes]
    first, last = changes[0], changes[-1]
    return Segment(first.stream or NO_STREAM, shard, first.sequence, last.sequence, 0, min(seconds), max(seconds), codec)
