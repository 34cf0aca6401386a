"""boto3's side: the same requests by plain boto3, as its manual shows them, in its default configuration."""

from __future__ import annotations

import itertools
import json
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer

from benchmarks import canned
from benchmarks.capture import batch_of_changes
from benchmarks.ours import Work, side_by_side


def put() -> Work:
    """put_object, one after another."""
    s3, body, numbers = boto3.client("s3"), canned.body(), itertools.count()

    def work(count: int) -> None:
        for _ in range(count):
            s3.put_object(Bucket=canned.BUCKET, Key=canned.object_name(next(numbers)), Body=body)

    return work


def put_from_threads() -> Work:
    """put_object from 16 threads."""
    return side_by_side(put())


def get() -> Work:
    """get_object."""
    s3, numbers = boto3.client("s3"), itertools.count()

    def work(count: int) -> None:
        for _ in range(count):
            answer = s3.get_object(Bucket=canned.BUCKET, Key=canned.object_name(next(numbers)))
            assert len(answer["Body"].read()) == canned.OBJECT_BYTES

    return work


def get_from_threads() -> Work:
    """get_object from 16 threads."""
    return side_by_side(get())


def versions() -> Work:
    """The paginator of list_object_versions; `count` is versions."""
    pages = boto3.client("s3").get_paginator("list_object_versions").paginate(Bucket=canned.BUCKET)

    def work(count: int) -> None:
        listed = (version for page in pages for version in page["Versions"])
        assert sum(1 for _ in itertools.islice(listed, count)) == count

    return work


def write() -> Work:
    """batch_write_item of items that are already the dicts that it wants: the least that boto3 can be asked to do."""
    dynamodb = boto3.client("dynamodb")
    requests: list[Any] = [{"PutRequest": {"Item": json.loads(image)}} for image in canned.images(canned.BATCH)]

    def work(count: int) -> None:
        for _ in range(count):
            assert not dynamodb.batch_write_item(RequestItems={canned.TABLE: requests})["UnprocessedItems"]

    return work


def write_by_resource() -> Work:
    """What boto3's manual shows: the images read into Python's types, and a Table's batch_writer."""
    table, images = boto3.resource("dynamodb").Table(canned.TABLE), canned.images(canned.BATCH)
    read = TypeDeserializer().deserialize

    def work(count: int) -> None:
        for _ in range(count):
            with table.batch_writer() as batch:
                for image in images:
                    batch.put_item(Item={name: read(value) for name, value in json.loads(image).items()})

    return work


def scan() -> Work:
    """Scan; `count` is pages."""
    dynamodb = boto3.client("dynamodb")

    def work(count: int) -> None:
        for _ in range(count):
            assert len(dynamodb.scan(TableName=canned.TABLE, ConsistentRead=True)["Items"]) == canned.PAGE_ITEMS

    return work


def capture() -> Work:
    """put_object of each record's new image under the item's key, one after another: what a handler in twenty lines does."""
    s3, batch = boto3.client("s3"), batch_of_changes()

    def work(count: int) -> None:
        for record in batch * count:
            key, image = record["dynamodb"]["Keys"]["id"]["S"], record["dynamodb"]["NewImage"]
            s3.put_object(Bucket=canned.BUCKET, Key=f"{canned.TABLE}/{key}", Body=json.dumps(image).encode())

    return work
