"""An object of the log's lines, read when its turn comes: a segment, or a part of a compacted set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from backstream.vault.log.compacted import Compacted, Set
from backstream.vault.log.log import ChangeLog, LogListing
from backstream.vault.log.segments import SegmentHeader


class LineObject(msgspec.Struct, frozen=True):
    """An object of lines. `read`: returns its header and its bytes."""

    name: str
    size: int
    read: Callable[[], tuple[SegmentHeader, bytes]]


def of_set(compacted: Compacted, one: Set) -> Iterator[LineObject]:
    """Yields the objects of a set, in order. Raises Damaged if one is missing."""
    for part in compacted.parts(one):
        yield LineObject(part.name, part.size, partial(compacted.claim_and_body, part.name))


def of_segment(log: ChangeLog, listed: LogListing) -> LineObject:
    """Returns a segment of the log."""

    def read() -> tuple[SegmentHeader, bytes]:
        fetched = log.fetch(listed)
        return fetched.claim, fetched.body

    return LineObject(listed.name, listed.size, read)
