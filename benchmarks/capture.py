"""Capturing a stream's batches, by the function that the Lambda handler uses: in both layouts, and as plain boto3 would do it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import msgspec

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.change import VIEW
from backstream.model.tables.naming import Naming
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.capture.batch import keep_batch
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog, Layout, Way
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import TableVault
from benchmarks import canned
from benchmarks.ours import THREADS, Work, store

LABEL = "2026-11-23T00:00:00.000"
ARN = f"arn:aws:dynamodb:{canned.REGION}:123456789012:table/{canned.TABLE}/stream/{LABEL}"
BEGAN = 1_795_406_400  # 2026-11-23T04:00:00Z


def rows() -> Work:
    """The rows layout; `count` is batches."""
    return _kept_in(Layout.ROWS)


def log() -> Work:
    """The log layout."""
    return _kept_in(Layout.LOG)


def plain() -> Work:
    """put_object of each record's new image under the item's key, one after another: what a handler in twenty lines does."""
    s3, batch = boto3.client("s3"), _batch()

    def work(count: int) -> None:
        for record in batch * count:
            key, image = record["dynamodb"]["Keys"]["id"]["S"], record["dynamodb"]["NewImage"]
            s3.put_object(Bucket=canned.BUCKET, Key=f"{canned.TABLE}/{key}", Body=json.dumps(image).encode())

    return work


def _kept_in(layout: Layout) -> Work:
    vault, batch = TableVault(store(), catalog(layout), engines=LocalEngine), _batch()

    def work(count: int) -> None:
        for _ in range(count):
            with ThreadPoolExecutor(THREADS) as pool:
                kept = keep_batch(vault, batch, LABEL, pool, writer="bench", kind=SegmentKind.LAMBDA, now=SystemClock().now)
            assert kept.captured == canned.BATCH_RECORDS, kept.failures

    return work


def _batch() -> list[dict[str, Any]]:
    """The same batch again is as much work as another: the stub keeps nothing, and nothing is remembered between batches."""
    return [record(number) for number in range(canned.BATCH_RECORDS)]


def record(number: int) -> dict[str, Any]:
    """A change of an item of its own, as Lambda gives it."""
    item = canned.item(number)
    body = {
        "ApproximateCreationDateTime": BEGAN + number // 100,
        "Keys": {"id": item["id"]},
        "OldImage": {**item, "status": {"S": "departed"}},
        "NewImage": item,
        "SequenceNumber": f"{100_000_000_000_000_000_000 + number}",
        "SizeBytes": 900,
        "StreamViewType": VIEW,
    }
    return {
        "eventID": f"{number:032x}",
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": canned.REGION,
        "dynamodb": body,
        "eventSourceARN": ARN,
    }


def catalog(layout: Layout) -> Catalog:
    return Catalog(
        format=catalogs.FORMAT,
        table=canned.TABLE,
        table_arn=ARN.partition("/stream/")[0],
        table_id="11111111-2222-3333-4444-555555555555",
        key_schema=KeySchema(KeyAttribute("id", "S")),
        layout=layout,
        naming=Naming.SHA256,
        tenant_attribute=None,
        compress=Codec.ZSTD,
        stream=LABEL,
        stream_arn=ARN,
        initialised="2026-11-23T00:00:00Z",
        complete_from=None,
        settings=msgspec.Raw(b"{}"),
        ways=(Way("2026-11-23T00:00:00Z", layout, Naming.SHA256, None),),
    )
