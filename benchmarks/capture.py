"""Capturing a stream's batches, by the function that the Lambda handler uses: in both layouts, and the limit of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from backstream.clock import SystemClock
from backstream.model.changes.change import VIEW, from_page
from backstream.model.tables.naming import Naming
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.capture.batch import keep_batch
from backstream.operations.capture.sink import VaultKeeper
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


def new_rows() -> Work:
    """The rows layout, of items that are new and were inserted just now."""
    batch = [inserted(number) for number in range(canned.BATCH_RECORDS)]
    return _kept_in(Layout.ROWS, batch, now=lambda: BEGAN + canned.BATCH_RECORDS / 100)


def tail() -> Work:
    """What `tail` does with one shard's records in the log layout: an answer of GetRecords read, and a segment written."""
    vault = TableVault(store(), catalog(Layout.LOG))
    answer = msgspec.json.encode({"Records": batch_of_changes()})

    def work(count: int) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            sink = VaultKeeper(vault, LABEL, pool, SystemClock(), writer="bench", notice=lambda _: None)
            for _ in range(count):
                changes, _ = from_page(answer, LABEL)
                assert sink.keep(changes, "shardId-000", after="0").count == canned.BATCH_RECORDS

    return work


def limit() -> Work:
    """Both images of each record encoded with msgspec, and the whole compressed with zstd: no more can be left out."""
    batch = batch_of_changes()

    def work(count: int) -> None:
        for _ in range(count):
            lines = [msgspec.json.encode([each["dynamodb"]["OldImage"], each["dynamodb"]["NewImage"]]) for each in batch]
            Codec.ZSTD.compress(b"".join(lines))

    return work


def _kept_in(layout: Layout, records: list[dict[str, Any]] | None = None, now: Callable[[], float] | None = None) -> Work:
    vault, batch = TableVault(store(), catalog(layout)), batch_of_changes() if records is None else records
    clock = now or SystemClock().now

    def work(count: int) -> None:
        for _ in range(count):
            with ThreadPoolExecutor(THREADS) as pool:
                kept = keep_batch(vault, batch, LABEL, pool, writer="bench", kind=SegmentKind.LAMBDA, now=clock)
            assert kept.captured == canned.BATCH_RECORDS, kept.failures

    return work


def batch_of_changes() -> list[dict[str, Any]]:
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


def inserted(number: int) -> dict[str, Any]:
    """The same item when it was new."""
    made = record(number)
    del made["dynamodb"]["OldImage"]
    return {**made, "eventName": "INSERT"}


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
