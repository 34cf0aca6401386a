"""Segments of changes that are lines already: the same names and the same bytes as of the changes' entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backstream.model.changes.change import MICROS
from backstream.model.changes.plain_batch import PlainLine
from backstream.vault.log.segments import NO_STREAM, Codec, Segment, SegmentKind, digest_of

HOUR_MICROS = 3_600 * MICROS


def segments_of(
    lines: Sequence[PlainLine], stream: str, kind: SegmentKind, codec: Codec
) -> Iterator[tuple[Segment, bytes, list[bytes]]]:
    """Yields the same segments and bodies as `segments.of_batch` and `segments.pack`, one for each hour, and the lines' keys."""
    hours: dict[int, list[PlainLine]] = {}
    for line in lines:
        hours.setdefault(line.micros // HOUR_MICROS, []).append(line)
    for part in hours.values():
        yield (
            _segment(part, stream, kind, codec),
            codec.compress(b"".join([line.line for line in part])),
            [line.keys for line in part],
        )


def _segment(lines: Sequence[PlainLine], stream: str, kind: SegmentKind, codec: Codec) -> Segment:
    ordered = sorted([line.sequence for line in lines], key=int)
    times = [line.micros for line in lines]
    return Segment(
        stream=stream or NO_STREAM,
        shard=f"{kind.value}.{digest_of(number.encode() for number in ordered)}",
        first=ordered[0],
        last=ordered[-1],
        count=len(lines),
        min_time=min(times) // MICROS,
        max_time=max(times) // MICROS,
        codec=codec,
    )
