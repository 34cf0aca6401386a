"""What DynamoTable does over time: waiting for tables and streams, and reading past empty pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backstream.errors import MissingTable, Unavailable, WrongStreamView
from backstream.model.tables.creation import on_demand
from backstream.ports import Put
from backstream.tables.dynamodb import WAIT_SECONDS, DynamoTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from kit import images
from kit.aws import Aws
from kit.clock import ManualClock
from kit.proxy import FaultProxy, Request, Response, answer, first, pass_on, rewrite

NOT_FOUND = answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"not found"}')


@pytest.fixture
def proxy(aws: Aws) -> Iterator[FaultProxy]:
    """Between the table and its server."""
    with FaultProxy(aws.url) as proxy:
        yield proxy


@pytest.fixture
def clock() -> ManualClock:
    """Time that costs nothing."""
    return ManualClock()


@pytest.fixture
def absent(aws: Aws, proxy: FaultProxy, table_name: str, clock: ManualClock) -> DynamoTable:
    """A table that does not exist yet, behind the proxy."""
    return DynamoTable(BotoRaw(aws.client("dynamodb", url=proxy.url, config=recommended_config())), table_name, clock)


@pytest.fixture
def table(absent: DynamoTable, clock: ManualClock) -> DynamoTable:
    """It exists."""
    absent.create(on_demand(images.SCHEMA))
    clock.slept.clear()
    return absent


def creating(_: Request, response: Response) -> Response:
    """A description of a table that is not ready."""
    return response.with_body(response.body.replace(b'"ACTIVE"', b'"CREATING"', 1))


def without_stream(_: Request, response: Response) -> Response:
    """A description that does not know of the stream yet."""
    return response.with_body(
        response.body.replace(b'"StreamSpecification"', b'"NotYet"').replace(b'"LatestStreamArn"', b'"Neither"')
    )


def test_a_new_table_is_waited_for(proxy: FaultProxy, absent: DynamoTable, clock: ManualClock) -> None:
    proxy.on(NOT_FOUND, operation="DescribeTable", when=first(2))
    proxy.on(rewrite(creating), operation="DescribeTable", when=first(3))
    absent.create(on_demand(images.SCHEMA))
    assert len(clock.slept) == 5
    assert absent.facts().status == "ACTIVE"


def test_a_table_that_never_becomes_active(proxy: FaultProxy, absent: DynamoTable, clock: ManualClock) -> None:
    clock.sleep = lambda seconds: clock.move(100 * seconds)  # type: ignore[method-assign] # the test is not to ask 1,200 times
    began = clock.now()
    proxy.on(rewrite(creating), operation="DescribeTable")
    with pytest.raises(Unavailable, match="not ready"):
        absent.create(on_demand(images.SCHEMA))
    assert clock.now() - began >= WAIT_SECONDS


def test_a_table_that_is_being_created_is_deleted_once_that_can_be(
    proxy: FaultProxy, table: DynamoTable, clock: ManualClock
) -> None:
    busy = answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ResourceInUseException","message":"being created"}')
    refused = proxy.on(busy, operation="DeleteTable", when=first(3))
    table.delete()
    assert refused.matched == 4
    assert len(clock.slept) == 3
    with pytest.raises(MissingTable):
        table.facts()


def test_a_table_that_takes_its_time_to_go_is_waited_for(proxy: FaultProxy, table: DynamoTable, clock: ManualClock) -> None:
    described = proxy.on(answer(200, _deleting(table)), operation="DescribeTable", when=first(2))
    table.delete()
    assert (described.matched, len(clock.slept)) == (3, 2)


def _deleting(table: DynamoTable) -> bytes:
    return b'{"Table":' + table.facts().description.replace(b'"ACTIVE"', b'"DELETING"', 1) + b"}"


def test_a_new_stream_is_waited_for(proxy: FaultProxy, table: DynamoTable, clock: ManualClock) -> None:
    proxy.on(rewrite(without_stream), operation="DescribeTable", when=first(4))
    table.enable_stream()
    assert len(clock.slept) == 3, "the first look came before the stream was asked for"


def test_a_stream_that_is_on_already_is_left_alone(proxy: FaultProxy, table: DynamoTable) -> None:
    table.enable_stream()
    table.enable_stream()
    assert proxy.passed["UpdateTable"] == 1


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE"])
def test_a_stream_of_another_view_is_refused_with_the_remedy(aws: Aws, table: DynamoTable, view: str) -> None:
    specification = {"StreamEnabled": True, "StreamViewType": view}
    aws.client("dynamodb").update_table(TableName=table.name, StreamSpecification=specification)  # type: ignore[arg-type] # a str
    with pytest.raises(WrongStreamView, match=view) as caught:
        table.enable_stream()
    assert f"--table-name {table.name} --stream-specification StreamEnabled=false" in caught.value.hint


def test_an_empty_page_is_not_an_empty_table(proxy: FaultProxy, table: DynamoTable) -> None:
    table.write([Put(images.image("a", 1))])

    def emptied(_: Request, response: Response) -> Response:
        return response.with_json({"Items": [], "LastEvaluatedKey": {"zone": {"S": " "}, "number": {"N": "0"}}})

    pages = proxy.on(rewrite(emptied), operation="Scan", when=first(2))
    assert not table.is_empty()[0]
    assert pages.matched == 3


def test_a_table_is_empty_once_its_last_page_is(proxy: FaultProxy, table: DynamoTable) -> None:
    def emptied(_: Request, response: Response) -> Response:
        return response.with_json({"Items": [], "LastEvaluatedKey": {"zone": {"S": " "}, "number": {"N": "0"}}})

    proxy.on(rewrite(emptied), operation="Scan", when=first(2))
    assert table.is_empty()[0]
    assert proxy.passed["Scan"] == 3


def test_every_read_is_strongly_consistent(proxy: FaultProxy, table: DynamoTable) -> None:
    consistent = proxy.on(pass_on, body=rb'"ConsistentRead":true')
    table.is_empty()
    list(table.scan())
    table.fetch([images.key("a", 1)])
    assert consistent.matched == proxy.passed["Scan"] + proxy.passed["BatchGetItem"] == 3
