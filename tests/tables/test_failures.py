"""Each way in which AWS says no, over real HTTP, becomes the error that tells the caller what to do."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from botocore import exceptions as aws_errors

from backstream.clock import SystemClock
from backstream.errors import (
    AccessDenied,
    BackstreamError,
    Failed,
    IteratorExpired,
    MissingTable,
    NotFound,
    RecordsTrimmed,
    TargetNotEmpty,
    Throttled,
    Unavailable,
)
from backstream.model.tables.creation import on_demand
from backstream.ports import Put
from backstream.tables.dynamodb import DynamoTable
from backstream.tables.failures import named, of_answer
from backstream.tables.streams import DynamoStream
from kit import images
from kit.aws import Aws
from kit.proxy import Action, FaultProxy, answer, cut, delay, drop
from kit.transports import TRANSPORTS, dynamodb, streams

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-23T04:15:33.123"
CALLER = Aws({"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})


class Calls:
    """One call of every operation."""

    def __init__(self, url: str, transport: str) -> None:
        self._table = DynamoTable(dynamodb(CALLER, transport, url=url, hasty=True), "orders", SystemClock())
        self._stream = DynamoStream(streams(CALLER, transport, url=url, hasty=True), ARN)
        self.by_operation: dict[str, Callable[[], object]] = {
            "DescribeTable": self._table.facts,
            "Scan": lambda: list(self._table.scan()),
            "BatchWriteItem": lambda: self._table.write([Put(images.image("a", 1))]),
            "CreateTable": lambda: self._table.create(on_demand(images.SCHEMA)),
            "DescribeStream": self._stream.facts,
            "GetShardIterator": lambda: self._stream.iterator("shard-1", None),
            "GetRecords": lambda: self._stream.read("shard-1", "iterator"),
        }


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A server that only says what the test has it say: behind it there is nothing."""
    with FaultProxy("http://127.0.0.1:9") as proxy:
        yield proxy


def refusal(code: str, status: int = 400, message: str = "the service's own words") -> Action:
    """DynamoDB's error answer."""
    return answer(status, f'{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"}}')


@pytest.mark.parametrize(
    ("operation", "code", "error"),
    [
        ("DescribeTable", "ResourceNotFoundException", MissingTable),
        ("Scan", "ResourceNotFoundException", MissingTable),
        ("DescribeStream", "ResourceNotFoundException", NotFound),
        ("GetShardIterator", "ResourceNotFoundException", NotFound),
        ("GetRecords", "ResourceNotFoundException", NotFound),
        ("Scan", "AccessDeniedException", AccessDenied),
        ("GetRecords", "AccessDeniedException", AccessDenied),
        ("Scan", "UnrecognizedClientException", AccessDenied),
        ("Scan", "InvalidSignatureException", AccessDenied),
        ("Scan", "ExpiredTokenException", AccessDenied),
        ("Scan", "MissingAuthenticationTokenException", AccessDenied),
        ("BatchWriteItem", "ProvisionedThroughputExceededException", Throttled),
        ("BatchWriteItem", "ThrottlingException", Throttled),
        ("BatchWriteItem", "RequestLimitExceeded", Throttled),
        ("GetRecords", "LimitExceededException", Throttled),
        ("GetRecords", "ExpiredIteratorException", IteratorExpired),
        ("GetRecords", "TrimmedDataAccessException", RecordsTrimmed),
        ("GetShardIterator", "TrimmedDataAccessException", RecordsTrimmed),
        ("CreateTable", "ResourceInUseException", TargetNotEmpty),
        ("BatchWriteItem", "ValidationException", Failed),
        ("BatchWriteItem", "SomethingNewException", Failed),
    ],
)
def test_each_code(proxy: FaultProxy, transport: str, operation: str, code: str, error: type[BackstreamError]) -> None:
    proxy.on(refusal(code))
    with pytest.raises(error) as caught:
        Calls(proxy.url, transport).by_operation[operation]()
    assert type(caught.value) is error
    assert operation in caught.value.message
    assert "orders" in caught.value.message
    assert f"{code}: the service's own words" in caught.value.message
    assert caught.value.hint or error is Failed


@pytest.mark.parametrize(("service", "a_day"), [("dynamodb", True), ("kinesis", False)])
def test_a_kinesis_stream_that_is_gone_is_not_told_the_rules_of_dynamodbs(service: str, *, a_day: bool) -> None:
    subject = f"shard 1 of stream arn:aws:{service}:us-east-1:123456789012:stream/orders"
    error = of_answer("ResourceNotFoundException", "", 400, "GetRecords", subject)
    assert (type(error), "24 hours" in error.hint) == (NotFound, a_day)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("operation", ["Scan", "GetRecords"])
def test_servers_that_are_unwell(proxy: FaultProxy, transport: str, operation: str, status: int) -> None:
    proxy.on(answer(status, "<html>upstream is unwell</html>"))
    with pytest.raises(Unavailable, match=operation):
        Calls(proxy.url, transport).by_operation[operation]()


def test_an_internal_error_by_name(proxy: FaultProxy, transport: str) -> None:
    proxy.on(refusal("InternalServerError", 500))
    with pytest.raises(Unavailable):
        Calls(proxy.url, transport).by_operation["Scan"]()


@pytest.mark.parametrize("operation", ["Scan", "GetRecords"])
def test_connections_that_break(proxy: FaultProxy, transport: str, operation: str) -> None:
    proxy.on(drop)
    with pytest.raises(Unavailable, match=operation):
        Calls(proxy.url, transport).by_operation[operation]()


def test_answers_that_break_off(aws: Aws, table_name: str, transport: str) -> None:
    with FaultProxy(aws.url) as proxy:
        proxy.on(cut(10), operation="CreateTable")
        table = DynamoTable(dynamodb(aws, transport, url=proxy.url, hasty=True), table_name, SystemClock())
        with pytest.raises(Unavailable, match="CreateTable"):
            table.create(on_demand(images.SCHEMA))


def test_servers_that_do_not_answer(proxy: FaultProxy, transport: str) -> None:
    proxy.on(delay(1.5, drop))
    with pytest.raises(Unavailable, match="Scan"):
        Calls(proxy.url, transport).by_operation["Scan"]()


def test_servers_that_are_not_there(transport: str) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and nobody listens
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(Unavailable, match="endpoint") as caught:
            Calls(url, transport).by_operation["Scan"]()
    assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (aws_errors.NoCredentialsError(), AccessDenied),
        (aws_errors.PartialCredentialsError(provider="env", cred_var="secret"), AccessDenied),
        (aws_errors.CredentialRetrievalError(provider="sso", error_msg="expired"), AccessDenied),
        (aws_errors.UnauthorizedSSOTokenError(), AccessDenied),
        (aws_errors.ConnectTimeoutError(endpoint_url="http://x"), Unavailable),
        (aws_errors.NoRegionError(), Failed),
    ],
)
def test_what_fails_before_anything_is_sent(raised: aws_errors.BotoCoreError, error: type[BackstreamError]) -> None:
    ours = named(raised, "Scan", "table orders")
    assert type(ours) is error
    assert ours.message.startswith("Scan of table orders failed: ")
