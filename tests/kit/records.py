"""Changes as a Lambda function gets them."""

from __future__ import annotations

import json
from typing import Any

from backstream.model.changes.change import MICROS, VIEW, Change
from backstream.ports import ChangeStream


def lambda_record(change: Change, arn: str) -> dict[str, Any]:
    """One of `event["Records"]`, as the event source mapping delivers this change."""
    body: dict[str, Any] = {
        "ApproximateCreationDateTime": change.micros / MICROS,
        "Keys": json.loads(change.keys),
        "SequenceNumber": change.sequence,
        "StreamViewType": VIEW,
    }
    for name, image in (("OldImage", change.old), ("NewImage", change.new)):
        if image is not None:
            body[name] = json.loads(image)
    by = {} if change.actor is None else {"userIdentity": {"type": "Service", "principalId": change.actor}}
    return {
        **by,
        "eventID": change.event_id,
        "eventName": change.event,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": body,
        "eventSourceARN": arn,
    }


def stream_records(stream: ChangeStream) -> list[dict[str, Any]]:
    """All that there is in a stream, as an event's `Records`."""
    found: list[Change] = []
    facts = stream.facts()
    for shard in facts.shards:
        found += stream.read(shard.id, stream.iterator(shard.id, None)).changes
    return [lambda_record(change, facts.arn) for change in found]
