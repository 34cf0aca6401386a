"""DynamoDB's raw JSON protocol over the project's own transport."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from typing import Protocol, TypeVar

import msgspec

from backstream.boto_errors import boto_errors
from backstream.errors import BackstreamError
from backstream.tables import failures
from backstream.tables.raw import RawAnswer
from backstream.transport.messages import HttpRequest, NoAnswer, Reply

# The first half of X-Amz-Target: the service and the version of its API.
DYNAMODB = "DynamoDB_20120810"
STREAMS = "DynamoDBStreams_20120810"
KINESIS = "Kinesis_20131202"
VERSIONS = {KINESIS: "1.1"}  # of the JSON protocol; 1.0 elsewhere

_Place = TypeVar("_Place")


class DynamoSender(Protocol):
    """Sends requests and retries them: see `transport.retrying.RetryingSender`."""

    def send(self, request: HttpRequest) -> Reply:
        """Returns the answer. Raises NoAnswer if there is none."""

    def exchange(
        self, requests: Iterable[tuple[_Place, HttpRequest]], in_flight: int
    ) -> Generator[tuple[_Place, Reply | NoAnswer], None, None]:
        """Yields the answers, or why there is none, as they come, each with its request's tag."""


class HttpRaw:
    """See `raw.RawApi`, for the service `target`."""

    def __init__(self, sender: DynamoSender, target: str) -> None:
        self._sender = sender
        self._target = target
        self._version = VERSIONS.get(target, "1.0")

    def call(self, operation: str, body: bytes, subject: str) -> RawAnswer:
        try:
            outcome: Reply | NoAnswer = self._sender.send(self._request(operation, body))
        except NoAnswer as error:
            outcome = error
        except boto_errors() as error:  # where credentials come from
            raise failures.named(error, operation, subject) from error
        answer = _answer(outcome, operation, subject)
        if isinstance(answer, BackstreamError):
            raise answer
        return answer

    def call_each(self, calls: Sequence[tuple[str, bytes]], subject: str, in_flight: int) -> Sequence[RawAnswer | BackstreamError]:
        answers: dict[int, RawAnswer | BackstreamError] = {}
        requests = ((place, self._request(*call)) for place, call in enumerate(calls))
        try:
            with closing(self._sender.exchange(requests, in_flight)) as outcomes:
                for place, outcome in outcomes:
                    answers[place] = _answer(outcome, calls[place][0], subject)
        except boto_errors() as error:  # where credentials come from: what was under way has been broken off
            broken_off = {place: failures.named(error, call[0], subject) for place, call in enumerate(calls)}
            answers = broken_off | answers
        return [answers[place] for place in range(len(calls))]

    def _request(self, operation: str, body: bytes) -> HttpRequest:
        headers = {"content-type": f"application/x-amz-json-{self._version}", "x-amz-target": f"{self._target}.{operation}"}
        return HttpRequest("POST", "/", "", headers, body)


def _answer(outcome: Reply | NoAnswer, operation: str, subject: str) -> RawAnswer | BackstreamError:
    if isinstance(outcome, NoAnswer):
        error = failures.no_answer(outcome.message, operation, subject, permanent=outcome.permanent)
        error.__cause__ = outcome
        return error
    if not outcome.fine:
        said = _said(outcome)
        return failures.of_answer(said.code.rpartition("#")[2], said.message, outcome.status, operation, subject)
    return RawAnswer(outcome.body, f"{operation} of {subject}", outcome.headers.get("date"))


class _ErrorBody(msgspec.Struct):
    """An error answer. DynamoDB writes `message`, the services around it sometimes `Message`."""

    code: str = msgspec.field(name="__type", default="")
    message: str = ""
    other_message: str = msgspec.field(name="Message", default="")


def _said(reply: Reply) -> _ErrorBody:
    """Returns the code and the message of an error answer; its status if it is not JSON."""
    try:
        said = msgspec.json.decode(reply.body, type=_ErrorBody)
    except msgspec.DecodeError:
        said = _ErrorBody()
    return _ErrorBody(said.code or str(reply.status), said.message or said.other_message)
