"""The shapes of DynamoDB's answers, as far as they are read: items and keys stay the bytes they are (`msgspec.Raw`).

Names are the API's: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import msgspec

from backstream.errors import Failed
from backstream.model.values.schema import KeyAttribute, KeySchema

# --- DescribeTable ----------------------------------------------------------------------------------------------------------------


class Described(msgspec.Struct, frozen=True):
    """DescribeTable's whole answer: the description's own bytes."""

    Table: msgspec.Raw


class KeyElement(msgspec.Struct, frozen=True):
    """One line of a table's KeySchema: HASH or RANGE."""

    AttributeName: str
    KeyType: str


class AttributeDefinition(msgspec.Struct, frozen=True):
    """The type of one key attribute."""

    AttributeName: str
    AttributeType: str


class StreamSpecification(msgspec.Struct, frozen=True):
    """The state of a table's stream: enabled or not, and its contents."""

    StreamEnabled: bool = False
    StreamViewType: str | None = None


class DescribedTable(msgspec.Struct, frozen=True):
    """A table."""

    TableName: str
    TableArn: str
    TableStatus: str
    KeySchema: list[KeyElement]
    AttributeDefinitions: list[AttributeDefinition]
    TableId: str = ""
    ItemCount: int = 0
    LatestStreamArn: str = ""
    StreamSpecification: StreamSpecification = StreamSpecification()


def key_schema(table: DescribedTable) -> KeySchema:
    """Returns the key schema of a description. Raises Failed if it names no type for a key attribute."""
    types = {each.AttributeName: each.AttributeType for each in table.AttributeDefinitions}
    try:
        roles = {each.KeyType: KeyAttribute(each.AttributeName, types[each.AttributeName]) for each in table.KeySchema}
        return KeySchema(roles["HASH"], roles.get("RANGE"))
    except KeyError as error:
        raise Failed(f"DescribeTable of table {table.TableName} answered a key schema without {error}") from error


# --- Scan, BatchGetItem, BatchWriteItem -------------------------------------------------------------------------------------------


class ConsumedCapacity(msgspec.Struct, frozen=True):
    """The capacity that a call consumed."""

    CapacityUnits: float | None = None


class ScanAnswer(msgspec.Struct, frozen=True):
    """Some items, and the key to continue from; LastEvaluatedKey is empty at the end."""

    Items: list[msgspec.Raw] = []
    LastEvaluatedKey: msgspec.Raw = msgspec.Raw()
    ConsumedCapacity: ConsumedCapacity | None = None


class UnprocessedKeys(msgspec.Struct, frozen=True):
    """The keys of one table that BatchGetItem did not read."""

    Keys: list[msgspec.Raw]


class BatchGetAnswer(msgspec.Struct, frozen=True):
    """BatchGetItem's answer, by table."""

    Responses: dict[str, list[msgspec.Raw]] = {}
    UnprocessedKeys: dict[str, UnprocessedKeys] = {}


class PutRequest(msgspec.Struct, frozen=True):
    """A put, with its whole item."""

    Item: msgspec.Raw


class DeleteRequest(msgspec.Struct, frozen=True):
    """A delete."""

    Key: msgspec.Raw


class WriteRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """One write of a batch: a put or a delete."""

    PutRequest: PutRequest | None = None
    DeleteRequest: DeleteRequest | None = None


class Written(msgspec.Struct, frozen=True):
    """BatchWriteItem's answer, by table."""

    UnprocessedItems: dict[str, list[WriteRequest]] = {}
    ConsumedCapacity: list[ConsumedCapacity] = []


class Ignored(msgspec.Struct, frozen=True):
    """An answer that nothing is read from."""


# --- DescribeStream, GetShardIterator ---------------------------------------------------------------------------------------------


class SequenceNumberRange(msgspec.Struct, frozen=True):
    """The beginning of a shard and, once it is closed, its end."""

    StartingSequenceNumber: str | None = None
    EndingSequenceNumber: str | None = None


class DescribedShard(msgspec.Struct, frozen=True):
    """A shard."""

    ShardId: str
    ParentShardId: str | None = None
    SequenceNumberRange: SequenceNumberRange = SequenceNumberRange()


class StreamDescription(msgspec.Struct, frozen=True):
    """A stream and some of its shards."""

    StreamArn: str
    StreamStatus: str
    StreamViewType: str = ""
    Shards: list[DescribedShard] = []
    LastEvaluatedShardId: str | None = None


class StreamDescribed(msgspec.Struct, frozen=True):
    """DescribeStream's answer."""

    StreamDescription: StreamDescription


class ShardIterator(msgspec.Struct, frozen=True):
    """GetShardIterator's answer."""

    ShardIterator: str
