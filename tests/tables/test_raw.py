"""The raw protocol: bytes go out and come back untouched, and botocore still does the rest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec
import pytest
from botocore.exceptions import ParamValidationError

from backstream.clock import SystemClock
from backstream.errors import Failed, MissingTable
from backstream.model.tables.creation import on_demand
from backstream.ports import MOST_AT_ONCE, ConditionalWrite, Put
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from kit import images
from kit.aws import Aws
from kit.proxy import FaultProxy, Forward, Request, Response, answer, first, nth, pass_on, rewrite
from kit.transports import TRANSPORTS, dynamodb

# Escapes, spaces and a number that every encoder would write differently.
ODD = b'{ "zone" : {"S":"\\u0061\\ud83d\\ude00"},\t"number":{"N":"1.50"} , "v":{"N":"1E+2"}}'


@pytest.fixture
def proxy(aws: Aws) -> Iterator[FaultProxy]:
    """Between the client and its server."""
    with FaultProxy(aws.url) as proxy:
        yield proxy


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def table(aws: Aws, proxy: FaultProxy, table_name: str, transport: str) -> DynamoTable:
    """A new table behind the proxy."""
    table = DynamoTable(dynamodb(aws, transport, url=proxy.url), table_name, SystemClock())
    table.create(on_demand(images.SCHEMA))
    return table


def test_an_image_goes_out_as_the_bytes_it_is(proxy: FaultProxy, table: DynamoTable) -> None:
    sent: list[Request] = []

    def keep(request: Request, forward: Forward) -> Response:
        sent.append(request)
        return forward(request)

    proxy.on(keep, operation="BatchWriteItem")
    table.write([Put(ODD)])
    (request,) = sent
    assert ODD in request.body
    assert request.headers["content-length"] == str(len(request.body))
    assert "Signature=" in request.headers["authorization"]


def test_an_image_comes_back_as_the_bytes_it_is(proxy: FaultProxy, table: DynamoTable) -> None:
    body = b'{"Count": 1, "Items" : [ ' + ODD + b" ]}"
    proxy.on(rewrite(lambda _, response: response.with_body(body)), operation="Scan")
    assert list(table.scan()) == [[ODD]]


def test_where_a_scan_goes_on_is_told_in_the_servers_own_bytes(proxy: FaultProxy, table: DynamoTable) -> None:
    last = b'{"zone": {"S":"\\u0061"},  "number":{"N":"1.50"}}'
    proxy.on(
        rewrite(lambda _, response: response.with_body(b'{"LastEvaluatedKey" : ' + last + b"}")), operation="Scan", when=first(1)
    )
    second = proxy.on(pass_on, operation="Scan", body=b'"ExclusiveStartKey":' + last.replace(b"\\", b"\\\\"))
    assert list(table.scan()) == []
    assert second.matched == 1


def test_the_description_is_the_answers_own_bytes(proxy: FaultProxy, table: DynamoTable) -> None:
    odd = b'{ "TableName":"t", "TableArn":"arn:t", "TableStatus":"ACTIVE", "New" : [1.0],"KeySchema":[], "AttributeDefinitions":[]}'
    proxy.on(rewrite(lambda _, response: response.with_body(b'{"Table":' + odd + b"}")), operation="DescribeTable")
    with pytest.raises(Failed, match="without 'HASH'"):
        table.facts()
    proxy.clear()
    keyed = odd.replace(b'"KeySchema":[]', b'"KeySchema":[{"AttributeName":"a", "KeyType":"HASH"}]')
    keyed = keyed.replace(b'"AttributeDefinitions":[]', b'"AttributeDefinitions":[{"AttributeType":"S", "AttributeName":"a"}]')
    proxy.on(rewrite(lambda _, response: response.with_body(b'{"Table":' + keyed + b"}")), operation="DescribeTable")
    assert table.facts().description == keyed


def test_calls_at_once_do_not_mix_their_bodies(table: DynamoTable) -> None:
    items = [images.image("a", n, v={"S": str(n) * 100}) for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(lambda item: table.write([Put(item)]), items))
        found = list(pool.map(lambda item: table.fetch([item]), items))
    assert [msgspec.json.decode(image) for (image,) in found] == [msgspec.json.decode(item) for item in items]


def test_a_call_is_tried_again(proxy: FaultProxy, table: DynamoTable) -> None:
    table.write([Put(ODD)])
    unwell = proxy.on(answer(503, "unwell"), operation="Scan", when=first(1))
    assert not table.is_empty()[0]
    assert (unwell.fired, unwell.matched) == (1, 2)


def test_an_answers_checksum_is_checked(proxy: FaultProxy, table: DynamoTable) -> None:
    table.write([Put(ODD)])
    damaged = rewrite(lambda _, response: replace(response, body=response.body.replace(b'"zone"', b'"zome"')))
    damage = proxy.on(damaged, operation="Scan", when=nth(1))
    assert b'"zone"' in next(table.scan())[0]
    assert (damage.fired, damage.matched) == (1, 2)


def test_the_servers_time(aws: Aws, proxy: FaultProxy, transport: str) -> None:
    client = dynamodb(aws, transport, url=proxy.url)
    assert abs(client.call("ListTables", b"{}", "this account").server_time - time.time()) < 60
    proxy.on(answer(200, "{}", {"Date": "Mon, 23 Nov 2026 04:15:33 GMT"}), when=nth(1))
    assert client.call("ListTables", b"{}", "this account").server_time == 1_795_407_333
    proxy.on(answer(200, "{}"), when=nth(1))
    answered = client.call("ListTables", b"{}", "this account")
    with pytest.raises(Failed, match="Date"):
        _ = answered.server_time


@pytest.mark.parametrize("body", ["<html>log in first</html>", "[]", '{"Items":{}}', ""])
def test_an_answer_that_is_none(proxy: FaultProxy, table: DynamoTable, body: str) -> None:
    proxy.on(answer(200, body, {"Date": "Mon, 23 Nov 2026 04:15:33 GMT"}), operation="Scan")
    with pytest.raises(Failed, match="Scan of table"):
        list(table.scan())


@pytest.mark.parametrize("body", ["{}", '{"Table":{}}', '{"Table":null}', '{"Table":[]}'])
def test_a_description_that_is_none(proxy: FaultProxy, table: DynamoTable, body: str) -> None:
    proxy.on(rewrite(lambda _, response: response.with_body(body.encode())), operation="DescribeTable")
    with pytest.raises(Failed, match="DescribeTable of table"):
        table.facts()


def test_a_client_of_raw_calls_refuses_ordinary_ones(aws: Aws) -> None:
    client = aws.client("dynamodb", config=recommended_config())
    raw, another = BotoRaw(client), BotoRaw(client)
    assert raw.call("ListTables", b"{}", "x").body.startswith(b'{"TableNames"')
    assert another.call("ListTables", b'{"Limit":1}', "x").body.startswith(b'{"TableNames"')
    with pytest.raises(TypeError, match="BotoRaw"):
        client.list_tables()


def test_a_client_without_the_recommended_configuration(aws: Aws) -> None:
    alone = aws.client("dynamodb", url=aws.endpoint("dynamodb"))  # not the one that all tests share: it would take no other calls
    with pytest.raises((Failed, ParamValidationError)):
        BotoRaw(alone).call("DescribeTable", b'{"TableName":"t"}', "table t")


def test_many_conditional_writes_end_each_in_its_own_way(proxy: FaultProxy, table: DynamoTable) -> None:
    """One of them is refused for good; the others are done, and the answers are told in the order of the writes."""
    body = b'{"__type":"com.amazon.coral.validate#ValidationException","message":"too large, as told"}'
    proxy.on(answer(400, body), operation="PutItem", body=b'"number":{"N":"7"}')
    writes = [ConditionalWrite(Put(images.image("a", n)), None) for n in range(MOST_AT_ONCE + 4)]
    outcomes = table.write_each(writes)
    (error,) = [each for each in outcomes if not isinstance(each, bool)]
    assert outcomes.index(error) == 7
    assert "too large, as told" in error.message
    assert [each for each in outcomes if isinstance(each, bool)] == [True] * (len(writes) - 1)
    assert sum(map(len, table.scan())) == len(writes) - 1


def test_an_unknown_table_fails_every_one_of_many_writes(aws: Aws, transport: str) -> None:
    table = DynamoTable(dynamodb(aws, transport), "no-such-table", SystemClock())
    outcomes = table.write_each([ConditionalWrite(Put(images.image("a", n)), None) for n in range(3)])
    assert [type(each) for each in outcomes] == [MissingTable] * 3
