"""One Kinesis stream that receives a table's changes, over the raw JSON protocol: its shards, and one table's changes in them."""

from __future__ import annotations

import msgspec

from backstream.errors import InvalidPosition, MalformedRecord, RecordsTrimmed, UsageError
from backstream.model.changes.change import VIEW
from backstream.model.changes.kinesis import KinesisSource, from_data, table_of
from backstream.ports import RecordsPage, Shard, StreamFacts
from backstream.tables.raw import RawApi, ask

HOUR = 3600
RECORDS_PER_PAGE = 10_000  # the most that GetRecords gives


class _StreamSummary(msgspec.Struct):
    StreamStatus: str
    RetentionPeriodHours: int
    StreamCreationTimestamp: float | None = None


class _Summarised(msgspec.Struct):
    StreamDescriptionSummary: _StreamSummary


class _Numbers(msgspec.Struct):
    StartingSequenceNumber: str
    EndingSequenceNumber: str | None = None


class _Hashes(msgspec.Struct):
    StartingHashKey: str
    EndingHashKey: str


class _KinesisShard(msgspec.Struct):
    ShardId: str
    SequenceNumberRange: _Numbers
    HashKeyRange: _Hashes | None = None
    ParentShardId: str | None = None
    AdjacentParentShardId: str | None = None


class _ListedShards(msgspec.Struct):
    Shards: list[_KinesisShard] = []
    NextToken: str | None = None


class _Iterator(msgspec.Struct):
    ShardIterator: str


class _Record(msgspec.Struct):
    SequenceNumber: str
    Data: bytes  # base64 in JSON, which msgspec reads
    ApproximateArrivalTimestamp: float


class _RecordsAnswer(msgspec.Struct):
    Records: list[_Record] = []
    NextShardIterator: str | None = None
    MillisBehindLatest: int = 0


class KinesisStream:
    """See `ports.ChangeStream`, for one table's changes in the Kinesis stream `arn`; `api` is the API of `kinesis`.

    `label`: the label of these changes in the vault. Records of other tables are skipped.
    """

    def __init__(self, api: RawApi, arn: str, table: str = "", label: str = "") -> None:
        self._api = api
        self._arn = check_arn(arn)
        self._table = table
        self._label = label
        self._subject = f"stream {arn}"

    def source(self) -> KinesisSource:
        """Returns the part that a catalog keeps. Raises NotFound, AccessDenied, Unavailable."""
        described = self._described()
        return KinesisSource(self._arn, described.RetentionPeriodHours * HOUR, _created(described))

    def _described(self) -> _StreamSummary:
        request = {"StreamARN": self._arn}
        return ask(self._api, "DescribeStreamSummary", request, _Summarised, self._subject)[0].StreamDescriptionSummary

    def facts(self) -> StreamFacts:
        """Returns the stream with all its shards, open and closed. A merged shard has two parents."""
        described = self._described()
        return StreamFacts(
            arn=self._arn,
            label=self._label,
            enabled=described.StreamStatus != "DELETING",
            view=VIEW,
            shards=self._shards(),
            created=_created(described),
        )

    def _shards(self) -> list[Shard]:
        found: list[Shard] = []
        request = {"StreamARN": self._arn}
        while True:
            page = ask(self._api, "ListShards", request, _ListedShards, self._subject)[0]
            found += map(_shard, page.Shards)
            if page.NextToken is None:
                return found
            request = {"NextToken": page.NextToken}

    def iterator(self, shard: str, after: str | None) -> str:
        """Returns the iterator to read on with: after the record at that position, or at the oldest record held."""
        start = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": after}
        request = {"StreamARN": self._arn, "ShardId": shard, **start}
        try:
            return ask(self._api, "GetShardIterator", request, _Iterator, self._shard_subject(shard))[0].ShardIterator
        except InvalidPosition as error:
            raise RecordsTrimmed(error.message, hint=error.hint) from error

    def read(self, shard: str, iterator: str) -> RecordsPage:
        """Returns the next records of the iterator's shard. Raises MalformedRecord if one is not a change of a table."""
        request = {"StreamARN": self._arn, "ShardIterator": iterator, "Limit": RECORDS_PER_PAGE}
        said, answer = ask(self._api, "GetRecords", request, _RecordsAnswer, self._shard_subject(shard))
        ours = [each for each in said.Records if self._is_ours(shard, each)]
        return RecordsPage(
            changes=[from_data(each.Data, self._label, each.SequenceNumber) for each in ours],
            next=said.NextShardIterator,
            server_time=answer.server_time,
            positions=[each.SequenceNumber for each in ours],
            arrivals=[each.ApproximateArrivalTimestamp for each in ours],
            reached=said.Records[-1].SequenceNumber if said.Records else None,
            behind=said.MillisBehindLatest / 1000,
        )

    def _is_ours(self, shard: str, record: _Record) -> bool:
        try:
            return table_of(record.Data) == self._table
        except MalformedRecord as error:
            where = f"record {record.SequenceNumber} of {self._shard_subject(shard)}"
            raise MalformedRecord(
                f"{where}: {error.message}",
                hint="Nothing else may write to this stream: a record that cannot be read may be a change of this table.",
                sequence=record.SequenceNumber,
            ) from error

    def _shard_subject(self, shard: str) -> str:
        return f"shard {shard} of {self._subject}"


def check_arn(arn: str) -> str:
    """Returns the same ARN. Raises UsageError if it is not a Kinesis stream's."""
    parts = arn.split(":")
    if len(parts) != 6 or parts[2] != "kinesis" or not parts[5].startswith("stream/"):
        raise UsageError(f"not the ARN of a Kinesis stream: {arn!r}", hint="It is like arn:aws:kinesis:REGION:ACCOUNT:stream/NAME.")
    return arn


def _created(described: _StreamSummary) -> int | None:
    return None if described.StreamCreationTimestamp is None else int(described.StreamCreationTimestamp)


def _shard(described: _KinesisShard) -> Shard:
    numbers = described.SequenceNumberRange
    return Shard(
        described.ShardId,
        described.ParentShardId,
        numbers.StartingSequenceNumber,
        numbers.EndingSequenceNumber,
        described.AdjacentParentShardId,
        _hashes(described.HashKeyRange),
    )


def _hashes(told: _Hashes | None) -> tuple[int, int] | None:
    """Returns the hash range; None if it is not stated, or is not numeric.

    Then time tells whether all children of a shard are listed.
    """
    if told is None or not (told.StartingHashKey.isdecimal() and told.EndingHashKey.isdecimal()):
        return None
    return int(told.StartingHashKey), int(told.EndingHashKey)
