"""Records of Kinesis Data Streams for DynamoDB, as AWS documents them, and a table whose writes make them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from backstream.model.values import wire
from kit import images
from kit.aws import Aws

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/changes"
SHARD = "shardId-000000000000"
Record = dict[str, Any]


def data(
    event: str,
    micros: int,
    *,
    keys: bytes,
    old: bytes | None = None,
    new: bytes | None = None,
    event_id: str,
    table: str = "flights",
    precision: str | None = "MICROSECOND",
    size: int = 37,
) -> bytes:
    """One record's data. Without a precision the time is in milliseconds, as it was before there was a choice."""
    created = micros if precision == "MICROSECOND" else micros // 1000
    body: dict[str, Any] = {"ApproximateCreationDateTime": created, "Keys": json.loads(keys), "SizeBytes": size}
    if precision is not None:
        body["ApproximateCreationDateTimePrecision"] = precision
    for name, image in (("OldImage", old), ("NewImage", new)):
        if image is not None:
            body[name] = json.loads(image)
    return json.dumps(
        {
            "awsRegion": "us-east-1",
            "eventID": event_id,
            "eventName": event,
            "userIdentity": None,
            "recordFormat": "application/json",
            "tableName": table,
            "dynamodb": body,
            "eventSource": "aws:dynamodb",
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def record(content: bytes, number: int, *, arn: str = ARN, arrived: float = 1_700_000_000.0) -> Record:
    """One of `event["Records"]`, the `number`th to arrive."""
    sequence = str(49_600_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000 + number)
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "F1C8",
            "sequenceNumber": sequence,
            "data": base64.b64encode(content).decode(),
            "approximateArrivalTimestamp": arrived,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{SHARD}:{sequence}",
        "eventName": "aws:kinesis:record",
        "awsRegion": "us-east-1",
        "eventSourceARN": arn,
    }


def active_stream(aws: Aws, name: str) -> str:
    """The ARN of a Kinesis stream, once it is there."""
    client = aws.client("kinesis")
    while (said := client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"])["StreamStatus"] != "ACTIVE":
        time.sleep(0.05)
    return said["StreamARN"]


class Writes:
    """Writes to a table of the kit's images: `data` of each in the order in which they were made, and the state that a dict has."""

    def __init__(self, table: str = "flights") -> None:
        self.table = table
        self.data: list[bytes] = []
        self.history: list[tuple[int, bytes, bytes | None]] = []
        self._now: dict[int, bytes] = {}

    def put(self, number: int, micros: int, *, precision: str | None = "MICROSECOND", **attributes: dict[str, Any]) -> None:
        """Put an item."""
        old, new = self._now.get(number), images.image("z", number, v={"N": str(len(self.data))}, **attributes)
        self._write("INSERT" if old is None else "MODIFY", number, micros, old, new, precision)
        self._now[number] = new

    def delete(self, number: int, micros: int, *, precision: str | None = "MICROSECOND") -> None:
        """Delete an item, where it exists: otherwise nothing is written to a stream."""
        if number in self._now:
            self._write("REMOVE", number, micros, self._now.pop(number), None, precision)

    def _write(self, event: str, number: int, micros: int, old: bytes | None, new: bytes | None, precision: str | None) -> None:
        keys = images.key("z", number)
        event_id = f"{self.table}-{len(self.data)}"
        made = data(event, micros, keys=keys, old=old, new=new, event_id=event_id, table=self.table, precision=precision)
        self.data.append(made)
        self.history.append((micros // 1_000_000, wire.key_of(images.SCHEMA, keys), new))

    def state(self, at: int) -> Mapping[bytes, bytes]:
        """What the table held at the end of that second."""
        state = {key: image for second, key, image in self.history if second <= at}
        return {key: image for key, image in state.items() if image is not None}

    def records(self) -> list[Record]:
        """As an event's, in order."""
        return [record(each, number) for number, each in enumerate(self.data)]
