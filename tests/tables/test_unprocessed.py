"""What DynamoDB leaves undone - usual, not an error - is handed back or asked for again, and never lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from backstream.errors import Failed, Unavailable
from backstream.model.tables.creation import on_demand
from backstream.model.values import numbers, wire
from backstream.ports import Delete, Put, Write
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.raw_boto import BotoRaw, recommended_config
from kit import images
from kit.aws import Aws
from kit.clock import ManualClock
from kit.proxy import Action, FaultProxy, Forward, Request, Response, rewrite

# Bytes that no encoder of ours would write: what comes back is seen to be these, not a copy.
ODD_PUT = b'{ "zone" : {"S":"\\u0061"}, "v": {"B":"AAE="},\t"number":{"N":"1.50"} }'
ODD_DELETE = b'{ "number" : {"N":"2"}, "zone":{"S":"\\u0061"} }'
PLAIN = [Put(images.image("b", n, v={"N": str(n)})) for n in range(8)]


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
def table(aws: Aws, proxy: FaultProxy, table_name: str, clock: ManualClock) -> DynamoTable:
    """A new table behind the proxy."""
    table = DynamoTable(BotoRaw(aws.client("dynamodb", url=proxy.url, config=recommended_config())), table_name, clock)
    table.create(on_demand(images.SCHEMA))
    return table


def do_only(count: int) -> Action:
    """Do the first so many writes of a batch and give the others back, last first, spelled as DynamoDB may spell them."""

    def act(request: Request, forward: Forward) -> Response:
        ((table, writes),) = request.json()["RequestItems"].items()
        done = writes[:count]
        response = Response(200, headers={"Date": formatdate(usegmt=True)})
        if done:
            response = forward(replace(request, body=json.dumps({"RequestItems": {table: done}}).encode()))
        return response.with_json({"UnprocessedItems": {table: [respelled(write) for write in reversed(writes[count:])]}})

    return act


def respelled(value: Any) -> Any:
    """The same JSON, attributes in alphabetical order and numbers in plain notation."""
    if isinstance(value, dict):
        return {name: numbers.canonical(each) if name == "N" else respelled(each) for name, each in sorted(value.items())}
    return value


def read_only(count: int) -> Action:
    """Read the first so many keys of a batch, and leave the others unprocessed."""

    def act(request: Request, forward: Forward) -> Response:
        ((table, wanted),) = request.json()["RequestItems"].items()
        keys = wanted["Keys"]
        response = Response(200, headers={"Date": formatdate(usegmt=True)})
        body: dict[str, Any] = {"Responses": {table: []}}
        if keys[:count]:
            response = forward(replace(request, body=json.dumps({"RequestItems": {table: {"Keys": keys[:count]}}}).encode()))
            body = response.json()
        left = {table: {"Keys": keys[count:], "ConsistentRead": True}} if keys[count:] else {}
        return response.with_json({**body, "UnprocessedKeys": left})

    return act


def answering(unprocessed: list[dict[str, Any]]) -> Action:
    """Do the batch, and claim that these were not done."""

    def claim(request: Request, response: Response) -> Response:
        return response.with_json({"UnprocessedItems": dict.fromkeys(request.json()["RequestItems"], unprocessed)})

    return rewrite(claim)


# --- writes -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [0, 1, 5, 9])
def test_the_very_writes_that_were_not_done_come_back(proxy: FaultProxy, table: DynamoTable, done: int) -> None:
    proxy.on(do_only(done), operation="BatchWriteItem")
    batch: list[Write] = [Put(ODD_PUT), *PLAIN, Delete(ODD_DELETE)]
    left = table.write(batch)
    assert len(left) == len(batch) - done
    assert {id(write) for write in left} == {id(write) for write in batch[done:]}


def test_trying_again_until_nothing_is_left_does_it_all(proxy: FaultProxy, table: DynamoTable) -> None:
    table.write([Put(images.image("a", 2))])
    proxy.on(do_only(2), operation="BatchWriteItem")
    left = table.write([Delete(ODD_DELETE), *PLAIN, Put(ODD_PUT)])
    while left:
        left = table.write(left)
    (found,) = table.scan()
    expected = {wire.key_of(images.SCHEMA, image): image for image in (ODD_PUT, *(put.image for put in PLAIN))}
    assert {wire.key_of(images.SCHEMA, image) for image in found} == expected.keys()
    assert all(wire.same_image(expected[wire.key_of(images.SCHEMA, image)], image) for image in found)


@pytest.mark.parametrize(
    "unprocessed",
    [
        pytest.param([{"PutRequest": {"Item": {"zone": {"S": "z"}, "number": {"N": "9"}}}}], id="another key"),
        pytest.param([{"DeleteRequest": {"Key": {"zone": {"S": "b"}, "number": {"N": "1"}}}}], id="a delete of what was put"),
        pytest.param([{"PutRequest": {"Item": {"zone": {"S": "b"}, "number": {"N": "1"}}}}] * 2, id="one write twice"),
        pytest.param([{"PutRequest": {"Item": {"zone": {"S": "b"}}}}], id="half a key"),
        pytest.param([{}], id="neither put nor delete"),
    ],
)
def test_an_unprocessed_write_that_was_not_sent(proxy: FaultProxy, table: DynamoTable, unprocessed: list[dict[str, Any]]) -> None:
    proxy.on(answering(unprocessed), operation="BatchWriteItem")
    with pytest.raises(Failed, match="not sent"):
        table.write(PLAIN)


# --- reads ------------------------------------------------------------------------------------------------------------------------


def test_unprocessed_keys_are_asked_for_until_there_are_none(proxy: FaultProxy, table: DynamoTable, clock: ManualClock) -> None:
    table.write(PLAIN)
    reads = proxy.on(read_only(3), operation="BatchGetItem")
    found = table.fetch([images.key("b", n) for n in range(10)])
    assert {wire.key_of(images.SCHEMA, image) for image in found} == {wire.key_of(images.SCHEMA, put.image) for put in PLAIN}
    assert len(found) == len(PLAIN)
    assert reads.matched == 4
    assert len(clock.slept) == 3


def test_keys_that_are_never_processed(proxy: FaultProxy, table: DynamoTable, clock: ManualClock) -> None:
    table.write(PLAIN)
    proxy.on(read_only(0), operation="BatchGetItem")
    with pytest.raises(Unavailable, match="8 keys unprocessed"):
        table.fetch([put.image for put in PLAIN])
    assert 5 < len(clock.slept) < 20
    assert 0 < max(clock.slept) <= 5
