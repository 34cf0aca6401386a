"""A table's changes, in a DynamoDB stream or in a Kinesis stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from backstream.model.changes.change import Change


class Shard(msgspec.Struct, frozen=True):
    """One shard in DescribeStream's list.

    `last` is set once the shard is closed: it will get no more records. `adjacent`: the other parent of a Kinesis shard that was
    made by merging two; `hashes`: a Kinesis shard's first and last hash key.
    """

    id: str
    parent: str | None
    first: str | None
    last: str | None
    adjacent: str | None = None
    hashes: tuple[int, int] | None = None

    @property
    def parents(self) -> Sequence[str]:
        """The shards whose keys it took over; they are read before it."""
        return [each for each in (self.parent, self.adjacent) if each is not None]


class StreamFacts(msgspec.Struct, frozen=True):
    """A stream and all its shards (every page). `label` names the stream and orders it among the table's streams.

    `created`: the second of a Kinesis stream's creation, because its ARN does not tell whether it is still the same one.
    """

    arn: str
    label: str
    enabled: bool
    view: str
    shards: Sequence[Shard]
    created: int | None = None


class RecordsPage(msgspec.Struct, frozen=True):
    """One GetRecords answer. `server_time`: epoch seconds by the service's clock. `next` is None at the end of a closed shard.

    For a Kinesis stream only: `positions` are the changes' places in the shard, which are not their sequence numbers, and
    `arrivals` the times when they came there (epoch seconds); `reached`: the place of the last record, of whatever table, None if
    there was none; `behind`: seconds from there to the newest record, 0 at the shard's end.
    """

    changes: Sequence[Change]
    next: str | None
    server_time: float
    positions: Sequence[str] = ()
    arrivals: Sequence[float] = ()
    reached: str | None = None
    behind: float | None = None


class ChangeStream(Protocol):
    """One table's changes in a DynamoDB stream, or in a Kinesis stream. Raises the errors of `Table`, and those named below."""

    def facts(self) -> StreamFacts:
        """Returns the stream with all its shards, open and closed, that it still lists."""

    def iterator(self, shard: str, after: str | None) -> str:
        """Returns the iterator to read on with: after that sequence number (in Kinesis: position), or at the oldest record held
        (None).

        Raises `RecordsTrimmed` if the stream no longer holds the records after `after`.
        """

    def read(self, shard: str, iterator: str) -> RecordsPage:
        """Returns the next records, in the shard's order.

        Raises `IteratorExpired`, `RecordsTrimmed`, `WrongStreamView` (no whole images).
        """
