"""One Kinesis stream that a table's changes go to, over the raw JSON protocol: what it is, and its shards."""

from __future__ import annotations

import msgspec

from backstream.errors import UsageError
from backstream.model.kinesis import Source
from backstream.ports import Shard
from backstream.tables.raw import RawApi, ask

HOUR = 3600


class _Summary(msgspec.Struct):
    StreamStatus: str
    RetentionPeriodHours: int


class _Summarised(msgspec.Struct):
    StreamDescriptionSummary: _Summary


class _Numbers(msgspec.Struct):
    StartingSequenceNumber: str
    EndingSequenceNumber: str | None = None


class _Shard(msgspec.Struct):
    ShardId: str
    SequenceNumberRange: _Numbers
    ParentShardId: str | None = None
    AdjacentParentShardId: str | None = None


class _Listed(msgspec.Struct):
    Shards: list[_Shard] = []
    NextToken: str | None = None


class KinesisStream:
    """The stream `arn`; `api`: that of `kinesis`."""

    def __init__(self, api: RawApi, arn: str) -> None:
        self._api = api
        self._arn = check_arn(arn)
        self._subject = f"stream {arn}"

    def source(self) -> Source:
        """What a catalog keeps of it. NotFound, AccessDenied, Unavailable."""
        said = ask(self._api, "DescribeStreamSummary", {"StreamARN": self._arn}, _Summarised, self._subject)[0]
        return Source(self._arn, said.StreamDescriptionSummary.RetentionPeriodHours * HOUR)

    def shards(self) -> list[Shard]:
        """All shards, open and closed, that it still lists. A merged one has two parents, of which the first is named."""
        found: list[Shard] = []
        request = {"StreamARN": self._arn}
        while True:
            page = ask(self._api, "ListShards", request, _Listed, self._subject)[0]
            found += map(_shard, page.Shards)
            if page.NextToken is None:
                return found
            request = {"NextToken": page.NextToken}


def check_arn(arn: str) -> str:
    """The same. UsageError where it is no Kinesis stream's."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "kinesis" or not parts[5].startswith("stream/"):
        raise UsageError(f"not the ARN of a Kinesis stream: {arn!r}", hint="It is like arn:aws:kinesis:REGION:ACCOUNT:stream/NAME.")
    return arn


def _shard(described: _Shard) -> Shard:
    numbers = described.SequenceNumberRange
    return Shard(described.ShardId, described.ParentShardId, numbers.StartingSequenceNumber, numbers.EndingSequenceNumber)
