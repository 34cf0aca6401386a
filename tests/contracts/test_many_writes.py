"""The contract of `ports.ManyWrites`, on S3's protocol over real HTTP, alone and through the stores that stand before it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from backstream.clock import SystemClock
from backstream.errors import AlreadyExists, BackstreamError, Failed
from backstream.ports import ManyWrites, NewObject
from backstream.stores.memory import MemoryStore
from backstream.stores.retrying import RetryingStore
from backstream.stores.s3.store import S3Store
from backstream.stores.signed import SigningStore
from kit.aws import Aws
from kit.transports import s3_store


@pytest.fixture
def store(aws: Aws, bucket: str) -> S3Store:
    return s3_store(aws, bucket, "vault", "curl")


def test_each_is_written_or_comes_as_the_error_that_one_put_would_raise(store: S3Store) -> None:
    many = SigningStore(RetryingStore(store, SystemClock()), lambda *_: None)
    assert isinstance(many, ManyWrites)
    assert many.writes_many
    there = store.put("a/3", b"there")
    wanted = [(n, NewObject(f"a/{n}", b"%d" % n, {"n": str(n)}, if_absent=n % 2 == 1)) for n in range(40)]
    wanted[7] = (7, NewObject("a/7", b"", {"n": "é"}))
    outcomes = dict(many.put_each(iter(wanted)))
    assert sorted(outcomes) == list(range(40))
    assert {n: type(one) for n, one in outcomes.items() if isinstance(one, BackstreamError)} == {3: AlreadyExists, 7: Failed}
    for n, version in outcomes.items():
        if isinstance(version, str):
            found = store.get(f"a/{n}")
            assert (found.info.version, found.body, found.info.metadata) == (version, b"%d" % n, {"n": str(n)})
    assert store.get("a/3").info.version == there
    assert list(many.put_each([])) == []


def test_objects_are_taken_little_by_little_and_nothing_goes_on_after_the_end(store: S3Store) -> None:
    taken, threads = 0, threading.active_count()

    def endless() -> Iterator[tuple[int, NewObject]]:
        nonlocal taken
        while True:
            taken += 1
            yield taken, NewObject(f"b/{taken}", b"", {})

    coming = store.put_each(endless())
    for given in range(1, 80):
        next(coming)
        assert taken - given < 64
    coming.close()
    assert (len(list(store.list("b/"))) <= taken, threading.active_count()) == (True, threads)
    assert store.put("b", b"") != ""


def test_a_store_that_gains_nothing_by_it_says_so(aws: Aws, bucket: str) -> None:
    memory, boto = RetryingStore(MemoryStore(SystemClock()), SystemClock()), s3_store(aws, bucket, "", "boto3")
    assert not memory.writes_many
    assert not boto.writes_many
    assert not SigningStore(memory, lambda *_: None).writes_many
