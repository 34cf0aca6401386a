"""Parses the records of an event from any service: each record's table, its change, and its place in its shard.

`event["Records"]` of a DynamoDB stream, or of a Kinesis stream that one or more tables are written to. Records that arrive in
another way (from an on-failure destination) are read here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from backstream.errors import MalformedRecord, UsageError
from backstream.model.changes import change, kinesis
from backstream.model.changes.change import Change
from backstream.model.values.decoding import MISSHAPEN

Record = Mapping[str, Any]
OF_A_TABLE = "Map the function to a table's stream, or to a Kinesis stream that tables are written to."


class Delivery(msgspec.Struct, frozen=True):
    """One event's records of one table. `source`: the ARN of the stream; `positions`: the indexes of the records in the event.

    A record whose table cannot be read is in the deliveries of all tables, since it may belong to any: `unread` holds the positions
    of those. `first`, `last`: the sequence numbers of the first and the last record, see `place_of`; `shard`: None if the records
    do not name it.
    """

    source: str
    table: str
    positions: Sequence[int]
    records: Sequence[Record]
    unread: Sequence[int] = ()
    first: str = ""
    last: str = ""
    shard: str | None = None

    def divided(self, takes: Callable[[Record], bool]) -> tuple[Delivery, list[Record]]:
        """Returns the delivery of the records that are taken, and the other records."""
        taken = [takes(record) for record in self.records]
        if all(taken):
            return self, []
        positions = [position for position, mine in zip(self.positions, taken, strict=True) if mine]
        records = [record for record, mine in zip(self.records, taken, strict=True) if mine]
        others = [record for record, mine in zip(self.records, taken, strict=True) if not mine]
        return _of_records(self.source, self.table, positions, records, self.unread), others


def deliveries(event: object) -> list[Delivery]:
    """Splits an event by table.

    Raises UsageError if it is not an event of a stream, and MalformedRecord if no record can be read.
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise UsageError("not an event of a stream: it has no Records", hint=OF_A_TABLE)
    tables: dict[tuple[str, str], list[int]] = {}
    unread: dict[int, MalformedRecord] = {}
    for position, source in enumerate(_sources(records)):
        try:
            tables.setdefault((source, _table(records[position], source)), []).append(position)
        except MalformedRecord as error:
            unread[position] = error
    if unread and not tables:
        raise unread[min(unread)]
    return [_delivery(records, source, table, found, list(unread)) for (source, table), found in tables.items()]


def _delivery(records: Sequence[Record], source: str, table: str, found: Sequence[int], unread: Sequence[int]) -> Delivery:
    positions = sorted([*found, *unread])
    return _of_records(source, table, positions, [records[each] for each in positions], unread)


def _of_records(source: str, table: str, positions: Sequence[int], records: Sequence[Record], unread: Sequence[int]) -> Delivery:
    if not records:
        return Delivery(source, table, positions, records, unread)
    shard = kinesis.shard(records[0]) if _is_of_kinesis(records[0]) else None
    return Delivery(source, table, positions, records, unread, place_of(records[0]), place_of(records[-1]), shard)


def _sources(records: Sequence[Any]) -> list[str]:
    """Returns the stream of each record.

    A mapping delivers one stream, so records without a stream get the one that others name.
    """
    named = [_source(record) for record in records]
    first = next((source for source in named if source is not None), None)
    if records and first is None:
        raise UsageError("no record names its eventSourceARN", hint=OF_A_TABLE)
    return [source or first or "" for source in named]


def _source(record: Any) -> str | None:
    if not isinstance(record, Mapping):
        return None
    service = record.get("eventSource", record.get("EventSource"))
    if service not in (None, "aws:dynamodb", "aws:kinesis"):
        raise UsageError(f"not an event of a stream: an event of {service!r:.60}", hint=OF_A_TABLE)
    arn = record.get("eventSourceARN")
    return arn if isinstance(arn, str) else None


def _table(record: Any, source: str) -> str:
    if not is_kinesis(source):
        return _table_of_stream(source)
    if not _is_of_kinesis(record):
        raise MalformedRecord("a Kinesis record without 'kinesis'")
    return kinesis.table_of(kinesis.data_of(record))


_table_of_stream = lru_cache(maxsize=64)(change.table_name)  # the records of a batch all name one stream


def is_kinesis(arn: str) -> bool:
    """True if an ARN belongs to a Kinesis stream."""
    return arn.split(":")[2:3] == ["kinesis"]


def _is_of_kinesis(record: object) -> bool:
    """True if an event's record is from a Kinesis stream."""
    return isinstance(record, Mapping) and isinstance(record.get("kinesis"), Mapping)


def change_of(record: Record, source: str) -> Change:
    """Returns the change in a record.

    `source` is the label of its stream. Raises MalformedRecord and WrongStreamView: see `from_record`.
    """
    return kinesis.from_record(record, source) if _is_of_kinesis(record) else change.from_record(record, source)


def place_of(record: Record) -> str:
    """Returns the sequence number by which the event source mapping identifies a record; empty if it has no usable one."""
    if _is_of_kinesis(record):
        return kinesis.position(record)
    body = record.get("dynamodb") if isinstance(record, Mapping) else None
    sequence = body.get("SequenceNumber") if isinstance(body, Mapping) else None
    return sequence if isinstance(sequence, str) and sequence.isascii() and sequence.isdigit() else ""


def made_within(record: Record) -> tuple[int, int] | None:
    """Returns the seconds between which the change of a malformed record was made; None if the record does not state them."""
    if _is_of_kinesis(record):
        return kinesis.made_within(record)
    body = record.get("dynamodb") if isinstance(record, Mapping) else None
    created = body.get("ApproximateCreationDateTime") if isinstance(body, Mapping) else None
    return (int(created), int(created)) if isinstance(created, int | float) and 0 < created < 1e11 else None


def keys_of(record: Record) -> bytes | None:
    """Returns the keys that a record names, as JSON, for a user who asked to see them; None if it names none."""
    try:
        body = msgspec.json.decode(kinesis.data_of(record))["dynamodb"] if _is_of_kinesis(record) else record["dynamodb"]
        return msgspec.json.encode(body["Keys"])
    except (*MISSHAPEN, MalformedRecord):
        return None
