"""DynamoDB's raw JSON protocol: the request's own bytes go out, the answer's own bytes come back. `RawApi` carries them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import msgspec

from backstream.errors import BackstreamError, Failed
from backstream.model import moment
from backstream.model.values.decoding import UNDECODABLE, reason

T = TypeVar("T")


class RawAnswer(msgspec.Struct, frozen=True):
    """An answer's bytes as received. `of`: a description of the call; `date`: the Date header, if it has one."""

    body: bytes
    of: str
    date: str | None

    @property
    def server_time(self) -> float:
        """Returns the service's time when it answered (epoch seconds, whole). Raises Failed if the answer does not state it."""
        try:
            return moment.parse_http(self.date or "")
        except ValueError as error:
            raise Failed(
                f"the answer to {self.of} carries no usable Date header: {self.date!r}",
                hint="Check the proxies between here and the endpoint: an answer's Date is how the service's time is known.",
            ) from error


class RawApi(Protocol):
    """Calls operations of one service, `dynamodb` or `dynamodbstreams`, in raw JSON. Safe to call from many threads."""

    def call(self, operation: str, body: bytes, subject: str) -> RawAnswer:
        """Returns the answer to `operation` (`BatchWriteItem`) with this JSON.

        Raises errors of `failures`, naming `subject` (`table orders`).
        """

    def call_each(self, calls: Sequence[tuple[str, bytes]], subject: str, in_flight: int) -> Sequence[RawAnswer | BackstreamError]:
        """Makes many calls, each an operation and its JSON, at most `in_flight` at a time and in no order.

        Returns each one's answer in the order of `calls`, or the error that `call` would raise.
        """


def ask(api: RawApi, operation: str, request: object, shape: type[T], subject: str) -> tuple[T, RawAnswer]:
    """Calls with a request given as objects (images in it as `msgspec.Raw`).

    Returns the answer read as `shape`, and as received.
    """
    answer = api.call(operation, msgspec.json.encode(request), subject)
    return decoded(answer.body, shape, operation, subject), answer


def decoded(body: bytes | msgspec.Raw, shape: type[T], operation: str, subject: str) -> T:
    """Returns an answer, or a part of it, read as `shape`. Raises Failed if it does not have that shape."""
    try:
        return msgspec.json.decode(body, type=shape)
    except UNDECODABLE as error:
        raise Failed(
            f"{operation} of {subject} answered what is not its answer ({reason(error)}): {bytes(body)[:200]!r}",
            hint="Check that the endpoint is DynamoDB.",
        ) from error
