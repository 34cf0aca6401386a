"""DynamoDB's raw JSON protocol over the project's own transport."""

from __future__ import annotations

from typing import Protocol

import msgspec

from backstream.boto_errors import boto_errors
from backstream.tables import failures
from backstream.tables.raw import RawAnswer
from backstream.transport.messages import HttpRequest, NoAnswer, Reply

# The first half of X-Amz-Target: the service and the version of its API.
DYNAMODB = "DynamoDB_20120810"
STREAMS = "DynamoDBStreams_20120810"
KINESIS = "Kinesis_20131202"
VERSIONS = {KINESIS: "1.1"}  # of the JSON protocol; 1.0 elsewhere


class DynamoSender(Protocol):
    """Sends requests and retries them: see `transport.retrying.RetryingSender`."""

    def send(self, request: HttpRequest) -> Reply:
        """Returns the answer. Raises NoAnswer if there is none."""


class HttpRaw:
    """See `raw.RawApi`, for the service `target`."""

    def __init__(self, sender: DynamoSender, target: str) -> None:
        self._sender = sender
        self._target = target
        self._version = VERSIONS.get(target, "1.0")

    def call(self, operation: str, body: bytes, subject: str) -> RawAnswer:
        headers = {"content-type": f"application/x-amz-json-{self._version}", "x-amz-target": f"{self._target}.{operation}"}
        try:
            reply = self._sender.send(HttpRequest("POST", "/", "", headers, body))
        except NoAnswer as error:
            raise failures.no_answer(error.message, operation, subject, permanent=error.permanent) from error
        except boto_errors() as error:  # where credentials come from
            raise failures.named(error, operation, subject) from error
        if not reply.fine:
            said = _said(reply)
            raise failures.of_answer(said.code.rpartition("#")[2], said.message, reply.status, operation, subject)
        return RawAnswer(reply.body, f"{operation} of {subject}", reply.headers.get("date"))


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
