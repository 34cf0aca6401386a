"""Retries requests: throttling, 5xx, lost connections, a wrong clock, a bucket in another region."""

from __future__ import annotations

import random
import re
import threading
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Protocol, TypeVar

import msgspec

from backstream.model import moment
from backstream.model.clocks import MOST_SKEW
from backstream.ports import Clock
from backstream.retries import Attempt, full_jitter, persistently
from backstream.transport.messages import Endpoint, HttpRequest, NoAnswer, Reply

Tag = TypeVar("Tag")

IN_FLIGHT = 32

_CODE = re.compile(rb'(?:<Code>|"__type"\s*:\s*"(?:[^"#]*#)?)([A-Za-z0-9]+)')
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html#Programming.Errors.RetryAndBackoff
BUSY = {
    b"SlowDown",
    b"Throttling",
    b"ThrottlingException",
    b"ThrottledException",
    b"RequestThrottled",
    b"RequestLimitExceeded",
    b"TooManyRequestsException",
    b"ProvisionedThroughputExceededException",
    b"RequestTimeout",
    b"RequestTimeoutException",
    b"TransactionInProgressException",
}
SKEWED = {b"RequestTimeTooSkewed", b"RequestExpired", b"InvalidSignatureException", b"SignatureDoesNotMatch"}
SKEW_SECONDS = 240.0  # AWS refuses signatures 5 minutes off (S3: 15): a clock this far off is what was wrong with one


class Policy(msgspec.Struct, frozen=True):
    """The limits of retries: the attempts of one request, and the seconds of waiting between them in total.

    `waits`: True if throttling, 5xx and lost connections are waited out. If not, only errors that can be corrected at once are
    retried.
    """

    attempts: int = 5
    budget: float = 20.0
    waits: bool = True


class Sender(Protocol):
    """Sends each request once: see `curl.Curl`."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that requests go to."""

    def move(self, endpoint: Endpoint) -> None:
        """Sends to another endpoint from now on."""

    def set_right(self, server_time: float) -> None:
        """Signs by the service's time from now on."""

    def send(self, request: HttpRequest) -> Reply:
        """Returns the answer. Raises NoAnswer if there is none."""

    def exchange(
        self, requests: Iterable[tuple[Tag, HttpRequest]], in_flight: int
    ) -> Generator[tuple[Tag, Reply | NoAnswer], None, None]:
        """Yields the answers as they come."""


class RetryingSender:
    """A sender that retries requests that may succeed, with full jitter, within its policy; the last answer counts.

    If a signature is refused because of this machine's clock, the next one uses the service's time. If the bucket is in another
    region, requests go there. Both cost an attempt, and hold for all later requests. `elsewhere`: returns the endpoint of a region,
    None if there is none.
    """

    def __init__(
        self,
        sender: Sender,
        clock: Clock,
        policy: Policy | None = None,
        *,
        elsewhere: Callable[[str], Endpoint | None] = lambda _: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._sender = sender
        self._clock = clock
        self._policy = policy or Policy()
        self._elsewhere = elsewhere
        self._jitter = jitter
        self._learning = threading.Lock()

    def hasty(self) -> RetryingSender:
        """Returns a sender over the same connections and the same learned corrections that does not wait for the service."""
        policy = msgspec.structs.replace(self._policy, waits=False)
        return RetryingSender(self._sender, self._clock, policy, elsewhere=self._elsewhere, jitter=self._jitter)

    def send(self, request: HttpRequest) -> Reply:
        """Returns the answer. Raises NoAnswer if there is none."""
        delays = self._delays()
        while True:
            asked = self._sender.endpoint
            outcome = self._try(request)
            if not self._worth_another(outcome, asked) or (delay := next(delays, None)) is None:
                if isinstance(outcome, NoAnswer):
                    raise outcome
                return outcome
            self._clock.sleep(delay)

    def exchange(
        self, requests: Iterable[tuple[Tag, HttpRequest]], in_flight: int = IN_FLIGHT
    ) -> Generator[tuple[Tag, Reply | NoAnswer], None, None]:
        """Yields the answers, or why there is none, as they come, each with its request's tag; at most `in_flight` requests at a
        time.

        A failed request is retried after the next few dozen requests, so that its waiting delays little.
        """
        asked = self._sender.endpoint

        def send(
            attempts: Iterator[Attempt[tuple[Tag, HttpRequest]]],
        ) -> Generator[tuple[Attempt[tuple[Tag, HttpRequest]], Reply | NoAnswer], None, None]:
            nonlocal asked
            asked = self._sender.endpoint
            with closing(self._sender.exchange(((each, each.item[1]) for each in attempts), in_flight)) as outcomes:
                for attempt, outcome in outcomes:
                    yield attempt, _checked(outcome)

        with closing(
            persistently(
                send,
                requests,
                worth_another=lambda outcome: self._worth_another(outcome, asked),
                delays=self._delays,
                sleep=self._clock.sleep,
            )
        ) as outcomes:
            for (tag, _), outcome in outcomes:
                yield tag, outcome

    def _delays(self) -> Iterator[float]:
        return full_jitter(self._jitter, attempts=self._policy.attempts - 1, budget=self._policy.budget)

    def _try(self, request: HttpRequest) -> Reply | NoAnswer:
        try:
            return _checked(self._sender.send(request))
        except NoAnswer as error:
            return error

    def _worth_another(self, outcome: Reply | NoAnswer, asked: Endpoint) -> bool:
        if isinstance(outcome, NoAnswer):
            return self._policy.waits and not outcome.permanent
        if outcome.fine:
            return False
        if _is_passing(outcome):
            return self._policy.waits
        return self._clock_was_wrong(outcome) or self._region_was_wrong(outcome, asked)

    def _clock_was_wrong(self, reply: Reply) -> bool:
        """True if the clock was wrong by more than signatures allow; then it is corrected."""
        if reply.status not in (400, 403) or (reply.body and error_code(reply) not in SKEWED):
            return False
        try:
            server_time = moment.parse_http(reply.headers.get("date", ""))
        except ValueError:
            return False
        with self._learning:
            if not SKEW_SECONDS <= abs(server_time - self._clock.now()) <= MOST_SKEW:
                return False
            self._sender.set_right(server_time)
        return True

    def _region_was_wrong(self, reply: Reply, asked: Endpoint) -> bool:
        """True if the bucket is in a region other than the one that was asked; then requests go there from now on."""
        region = reply.headers.get("x-amz-bucket-region")
        if region in (None, asked.region) or reply.status not in (301, 307, 400, 403):
            return False
        with self._learning:
            if region == self._sender.endpoint.region:
                return True  # learned meanwhile
            endpoint = self._elsewhere(region)
            if endpoint is not None:
                self._sender.move(endpoint)
            return endpoint is not None


def error_code(reply: Reply) -> bytes:
    """Returns the code in an error answer's XML or JSON; empty if there is none, as in the answer to a HEAD."""
    found = _CODE.search(reply.body)
    return b"" if found is None else found[1]


def _is_passing(reply: Reply) -> bool:
    """True if the same request may well succeed a moment later."""
    if reply.status in (429, 500, 502, 503, 504):
        return True
    return reply.status == 400 and error_code(reply) in BUSY


def _checked(outcome: Reply | NoAnswer) -> Reply | NoAnswer:
    """Checks the CRC-32 that DynamoDB states for its answers: an answer that differs was altered on its way."""
    told = None if isinstance(outcome, NoAnswer) else outcome.headers.get("x-amz-crc32")
    if told is None or isinstance(outcome, NoAnswer) or "content-encoding" in outcome.headers:
        return outcome
    found = zlib.crc32(outcome.body)
    if told != str(found):
        return NoAnswer(f"the answer's CRC-32 is {found}, its header says {told}", broken=True)
    return outcome
