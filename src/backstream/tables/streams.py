"""One DynamoDB stream over the raw JSON protocol: its shards, its iterators, its records with their images' own bytes."""

from __future__ import annotations

import msgspec

from backstream.model.changes.change import from_page, stream_label
from backstream.ports import RecordsPage, Shard, StreamFacts
from backstream.tables import answers
from backstream.tables.raw import RawApi, ask

RECORDS_PER_PAGE = 1000  # the most that GetRecords gives


class DynamoStream:
    """See `ports.ChangeStream`, for the stream `arn`; `api` is the API of `dynamodbstreams`."""

    def __init__(self, api: RawApi, arn: str) -> None:
        self._api = api
        self._arn = arn
        self._label = stream_label(arn)
        self._subject = f"stream {arn}"

    def facts(self) -> StreamFacts:
        """Returns the stream with all its shards, from all pages."""
        page = self._describe(None)
        shards = [_shard(each) for each in page.Shards]
        while page.LastEvaluatedShardId is not None:
            page = self._describe(page.LastEvaluatedShardId)
            shards += map(_shard, page.Shards)
        return StreamFacts(
            arn=self._arn,
            label=self._label,
            enabled=page.StreamStatus in ("ENABLED", "ENABLING"),
            view=page.StreamViewType,
            shards=shards,
        )

    def _describe(self, after: str | None) -> answers.StreamDescription:
        request = {"StreamArn": self._arn} | ({} if after is None else {"ExclusiveStartShardId": after})
        return ask(self._api, "DescribeStream", request, answers.StreamDescribed, self._subject)[0].StreamDescription

    def iterator(self, shard: str, after: str | None) -> str:
        """Returns the iterator to read on with: after that sequence number, or at the oldest record held."""
        start = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            start = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        request = {"StreamArn": self._arn, "ShardId": shard, **start}
        return ask(self._api, "GetShardIterator", request, answers.ShardIterator, self._shard_subject(shard))[0].ShardIterator

    def read(self, shard: str, iterator: str) -> RecordsPage:
        """Returns the next records of the iterator's shard."""
        request = msgspec.json.encode({"ShardIterator": iterator, "Limit": RECORDS_PER_PAGE})
        answer = self._api.call("GetRecords", request, self._shard_subject(shard))
        changes, following = from_page(answer.body, self._label)
        return RecordsPage(changes, following, answer.server_time)

    def _shard_subject(self, shard: str) -> str:
        return f"shard {shard} of {self._subject}"


def _shard(described: answers.DescribedShard) -> Shard:
    numbers = described.SequenceNumberRange
    return Shard(described.ShardId, described.ParentShardId, numbers.StartingSequenceNumber, numbers.EndingSequenceNumber)
