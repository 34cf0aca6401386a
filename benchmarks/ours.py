"""Backstream's side: the requests that its operations make, through the same ports; and the transport below them by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import botocore.session
import msgspec

from backstream.apps.config import Config
from backstream.ports import ObjectStore, Put, StoredObject, Table
from backstream.tables.raw_http import DYNAMODB
from backstream.transport.lines import Connections
from backstream.transport.messages import HttpRequest, NoAnswer, object_path
from backstream.transport.retrying import RetryingSender
from benchmarks import canned

if TYPE_CHECKING:  # stubs
    from mypy_boto3_s3 import S3Client

Work = Callable[[int], object]
THREADS = 16  # as many as the Lambda handler has


def store() -> ObjectStore:
    """A vault's store, as the command line gets it: S3 over libcurl, what fails tried again."""
    return Config(f"s3://{canned.BUCKET}").store


def table() -> Table:
    """A table, as the command line gets it."""
    return Config(f"s3://{canned.BUCKET}").table(canned.TABLE)


def put() -> Work:
    """Objects of 500 bytes, one after another."""
    bucket, body, numbers = store(), canned.body(), itertools.count()

    def work(count: int) -> None:
        for _ in range(count):
            bucket.put(canned.object_name(next(numbers)), body)

    return work


def put_from_threads() -> Work:
    """The same from 16 threads, as `tail` and the Lambda handler do."""
    return side_by_side(put())


def get() -> Work:
    """The same, read."""
    bucket, numbers = store(), itertools.count()

    def work(count: int) -> None:
        for _ in range(count):
            assert len(bucket.get(canned.object_name(next(numbers))).body) == canned.OBJECT_BYTES

    return work


def get_each() -> Work:
    """The same, many at a time, as restore, verify and snapshot read row images."""
    bucket, numbers = store(), itertools.count()

    def work(count: int) -> None:
        wanted = ((number, canned.object_name(number), None) for number in itertools.islice(numbers, count))
        for _, found in bucket.get_each(wanted):
            assert isinstance(found, StoredObject)
            assert len(found.body) == canned.OBJECT_BYTES

    return work


def versions() -> Work:
    """Pages of 1,000 versions; `count` is versions."""
    bucket = store()

    def work(count: int) -> None:
        assert sum(1 for _ in itertools.islice(bucket.versions(""), count)) == count

    return work


def write() -> Work:
    """Batches of 25 images; `count` is batches."""
    target, images = table(), canned.images(canned.BATCH)

    def work(count: int) -> None:
        for _ in range(count):
            assert not target.write([Put(image) for image in images])

    return work


def scan() -> Work:
    """Pages of 2,000 images; `count` is pages."""
    source = table()

    def work(count: int) -> None:
        for _ in range(count):
            assert len(source.page(0, 1, None).images) == canned.PAGE_ITEMS

    return work


# --- the transport by itself: one thread, 32 requests in flight -------------------------------------------------------------------


def exchange_puts() -> Work:
    """The same PUTs."""
    body, bucket = canned.body(), _to_bucket()
    return lambda count: _exchange(bucket, (HttpRequest("PUT", _path(number), "", {}, body) for number in range(count)))


def exchange_gets() -> Work:
    """The same GETs."""
    bucket = _to_bucket()
    return lambda count: _exchange(bucket, (HttpRequest("GET", _path(number)) for number in range(count)))


def exchange_writes() -> Work:
    """The same batches."""
    items = [{"PutRequest": {"Item": msgspec.Raw(image)}} for image in canned.images(canned.BATCH)]
    body = msgspec.json.encode({"RequestItems": {canned.TABLE: items}})
    headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"{DYNAMODB}.BatchWriteItem"}
    dynamodb = _to_dynamodb()
    return lambda count: _exchange(dynamodb, (HttpRequest("POST", "/", "", headers, body) for _ in range(count)))


def _exchange(sender: RetryingSender, requests: Iterable[HttpRequest]) -> None:
    for _, outcome in sender.exchange(enumerate(requests)):
        assert not isinstance(outcome, NoAnswer)
        assert outcome.fine


def _path(number: int) -> str:
    return object_path(canned.object_name(number))


def _session() -> botocore.session.Session:
    return botocore.session.Session()


def _to_bucket() -> RetryingSender:
    session = _session()
    sender = Connections(session, Config().clock).to_bucket(canned.BUCKET, lambda _: cast("S3Client", session.create_client("s3")))
    assert sender is not None
    return sender


def _to_dynamodb() -> RetryingSender:
    session = _session()
    return Connections(session, Config().clock).to_service(session.create_client("dynamodb"))


def side_by_side(work: Work) -> Work:
    """The same work, divided among 16 threads."""

    def divided(count: int) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(work, [count // THREADS] * THREADS))

    return divided
