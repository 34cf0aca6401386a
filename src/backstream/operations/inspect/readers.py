"""Finds the present readers of the table's stream, as far as the log shows. DynamoDB has no list of a stream's readers.

A shard serves two readers; with more, all are throttled. Source:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html#Streams.Processing
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backstream.vault.log.log import DAY, LogListing
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

RECENT = 900  # seconds: who wrote within them is at work; a tail says every minute that it lives
MOST_ASKED = 20  # of the newest segments, who wrote them
ALLOWED = 2  # readers of a shard
WITNESS = "the witness"
FUNCTION = "a function"
_TAILS = (SegmentKind.TAIL, SegmentKind.KINESIS, SegmentKind.MARK)
_FUNCTIONS = (SegmentKind.LAMBDA, SegmentKind.PARALLEL)


def recent_writers(vault: TableVault, listed: Sequence[LogListing], now: float) -> list[tuple[LogListing, Mapping[str, str]]]:
    """Returns the segments written just now, newest first, with their writers' metadata: a request each, 20 at most."""
    recent = sorted((each for each in listed if each.modified >= now - RECENT), key=lambda each: -each.modified)
    return [(each, vault.log.metadata(each)) for each in recent[:MOST_ASKED] if each.segment is not None]


def ended(written: Sequence[tuple[LogListing, Mapping[str, str]]]) -> set[str]:
    """Returns the writers that have announced their end."""
    return {said.get("writer", "") for _, said in written if "closing" in said}


def readers_at_work(vault: TableVault, listed: Sequence[LogListing], now: float) -> list[str]:
    """Returns each tail by its name, a function, and the witness, if they have read the stream within the last 15 minutes."""
    written = recent_writers(vault, listed, now)
    stopped, found = ended(written), set[str]()
    for each, said in written:
        segment = each.segment
        if segment is None:
            continue
        if segment.witnessed:
            found.add(WITNESS)
        elif segment.kind in _FUNCTIONS:
            found.add(FUNCTION)
        elif segment.kind in _TAILS and said.get("writer") and said["writer"] not in stopped:
            found.add(f"the tail {said['writer']}")
    return sorted(found)


def readers_of(vault: TableVault, now: float) -> list[str]:
    """Returns the same for the log's last day: a reader may be as far behind as the stream keeps records."""
    return readers_at_work(vault, list(vault.log.listing(since=int(now) - DAY)), now)


def too_many(readers: Sequence[str]) -> str:
    """Returns the warning about too many readers of one stream; empty if there are not."""
    if len(readers) <= ALLOWED:
        return ""
    return f"{len(readers)} read the stream: {', '.join(readers)}; a shard serves two at a time, and of more all are slowed down"
