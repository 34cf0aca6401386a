"""A whole table backed up and restored: by Backstream, and by a script of plain boto3. `count` is how many items it has."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

import backstream
from backstream.vault.catalog import Layout
from benchmarks import canned
from benchmarks.ours import Work


def fill(table: str) -> Work:
    """A new table of so many items."""

    def work(count: int) -> None:
        _create(table)
        _write(table, (canned.item(number) for number in range(count)))

    return work


# --- Backstream -------------------------------------------------------------------------------------------------------------------


def our_backup(table: str, vault: str) -> Work:
    """The catalog, a base backup in the log layout, and the stream followed until it has been read: then restores are exact."""

    def work(count: int) -> None:
        opened = backstream.open(vault)
        opened.create()
        kept = opened.table(table)
        kept.init(layout=Layout.LOG, enable_stream=True)
        assert kept.backfill().rows == count
        kept.tail(until_caught_up=True)

    return work


def our_restore(table: str, vault: str, target: str) -> Work:
    """To a new table."""

    def work(count: int) -> None:
        assert backstream.open(vault).table(table).restore(at="now", to=target).put == count

    return work


# --- plain boto3 ------------------------------------------------------------------------------------------------------------------


def plain_backup(table: str, file: str) -> Work:
    """The paginator of scan into a file of lines."""

    def work(count: int) -> None:
        pages = boto3.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        with Path(file).open("w") as lines:
            written = [lines.write(json.dumps(item) + "\n") for page in pages for item in page["Items"]]
        assert len(written) == count

    return work


def plain_restore(file: str, target: str) -> Work:
    """batch_write_item of each 25 lines, into a new table."""

    def work(count: int) -> None:
        _create(target)
        with Path(file).open() as lines:
            assert _write(target, map(json.loads, lines)) == count

    return work


def _create(table: str) -> None:
    dynamodb = boto3.client("dynamodb")
    dynamodb.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    dynamodb.get_waiter("table_exists").wait(TableName=table, WaiterConfig={"Delay": 1})


def _write(table: str, items: Iterator[Any]) -> int:
    dynamodb, written = boto3.client("dynamodb"), 0
    while batch := [{"PutRequest": {"Item": item}} for item in itertools.islice(items, canned.BATCH)]:
        left: Any = {table: batch}
        while left:
            left = dynamodb.batch_write_item(RequestItems=left)["UnprocessedItems"]
        written += len(batch)
    return written
