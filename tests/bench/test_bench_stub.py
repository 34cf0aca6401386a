"""The stub answers what both clients understand: a benchmark of answers that nobody could use would measure nothing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from backstream.errors import MissingObject
from backstream.ports import Put
from backstream.tables.dynamodb import DynamoTable
from benchmarks import canned, cores
from benchmarks.stub import Stub
from kit import transports
from kit.aws import Aws

NAME = canned.object_name(1)


@pytest.fixture(scope="module")
def stub() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


@pytest.fixture
def aws(stub: Stub) -> Aws:
    stub.counts()
    return Aws(stub.environment())


@pytest.mark.parametrize("transport", transports.TRANSPORTS)
def test_objects(stub: Stub, aws: Aws, transport: str) -> None:
    store = transports.s3_store(aws, canned.BUCKET, transport=transport)
    store.check()
    assert store.put(NAME, canned.body(), {"a": "b"}) == canned.VERSION
    assert len(store.get(NAME).body) == canned.OBJECT_BYTES
    assert store.delete(NAME) == canned.VERSION
    with pytest.raises(MissingObject):
        store.head(NAME)
    assert not list(store.list(""))
    counts = stub.counts()
    assert [counts[f"{verb}Object"] for verb in ("Put", "Get", "Delete", "Head")] == [1, 1, 1, 1]


@pytest.mark.parametrize("transport", transports.TRANSPORTS)
def test_listings_go_on_for_ever(stub: Stub, aws: Aws, transport: str) -> None:
    store = transports.s3_store(aws, canned.BUCKET, transport=transport)
    versions = list(itertools.islice(store.versions(""), 2 * canned.PAGE_VERSIONS + 1))
    assert versions[1] == versions[canned.PAGE_VERSIONS + 1]
    first = min(canned.object_name(number) for number in range(canned.PAGE_VERSIONS))
    assert (versions[0].name, versions[0].version, versions[0].size) == (first, canned.VERSION, canned.OBJECT_BYTES)
    assert stub.counts()["ListObjectVersions"] == 3


@pytest.mark.parametrize("transport", transports.TRANSPORTS)
def test_tables(stub: Stub, aws: Aws, transport: str) -> None:
    table = DynamoTable(transports.dynamodb(aws, transport), canned.TABLE, transports.CLOCK)
    assert table.facts().schema.names == ("id",)
    assert table.write([Put(image) for image in canned.images(canned.BATCH)]) == []
    page = table.page(0, 1, None)
    assert page.images == canned.images(canned.PAGE_ITEMS)
    assert page.after is not None
    assert stub.counts() == {"DescribeTable": 1, "BatchWriteItem": 1, "Scan": 1}


def test_what_a_plain_client_makes_of_it(aws: Aws) -> None:
    s3, dynamodb = aws.client("s3"), aws.client("dynamodb")
    assert s3.put_object(Bucket=canned.BUCKET, Key=NAME, Body=canned.body())["VersionId"] == canned.VERSION
    assert len(s3.get_object(Bucket=canned.BUCKET, Key=NAME)["Body"].read()) == canned.OBJECT_BYTES
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=canned.BUCKET)
    assert [len(page["Versions"]) for page in itertools.islice(pages, 2)] == [canned.PAGE_VERSIONS] * 2
    answer = dynamodb.scan(TableName=canned.TABLE)
    assert (len(answer["Items"]), answer["LastEvaluatedKey"]) == (canned.PAGE_ITEMS, {"id": answer["Items"][-1]["id"]})
    written = dynamodb.batch_write_item(RequestItems={canned.TABLE: [{"PutRequest": {"Item": canned.item(1)}}]})
    assert not written["UnprocessedItems"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system decides on cores")
def test_cores_are_given_back(stub: Stub) -> None:
    usual = os.sched_getaffinity(0)
    with cores.together() as others:
        (here,) = os.sched_getaffinity(0)
        with cores.apart(stub.process, others):
            assert (here in os.sched_getaffinity(stub.process)) == (not others)
        assert os.sched_getaffinity(stub.process) == {here}
    assert os.sched_getaffinity(0) == usual


def test_sizes_are_those_that_are_claimed() -> None:
    assert len(canned.image(1)) == pytest.approx(500, abs=20)
    assert len(canned.scan_page()) == pytest.approx(1_000_000, rel=0.05)
