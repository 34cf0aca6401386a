"""What is tried again, for how long, and what is learned from a refusal."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterable
from email.utils import formatdate
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.retries import TOGETHER
from backstream.transport.curl import Curl, Wire
from backstream.transport.messages import Credentials, Endpoint, HttpRequest, NoAnswer, Reply
from backstream.transport.retrying import Policy, RetryingSender, Tag
from kit.clock import ManualClock
from kit.http_server import Says, Seen, Server

HERE, THERE = Endpoint("http://here", "us-east-1", "s3"), Endpoint("http://there", "eu-west-1", "s3")
GET = HttpRequest("GET", "/k")
FINE = Reply(200, {}, b"fine")


class Scripted:
    """`retrying.Sender` that gives these outcomes, one a request, and notes what it was told and asked."""

    def __init__(self, *outcomes: Reply | NoAnswer) -> None:
        self.endpoint = HERE
        self.asked: list[tuple[HttpRequest, str]] = []
        self.set_to: list[float] = []
        self._outcomes = iter(outcomes)

    def move(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    def set_right(self, server_time: float) -> None:
        self.set_to.append(server_time)

    def send(self, request: HttpRequest) -> Reply:
        self.asked.append((request, self.endpoint.region))
        outcome = next(self._outcomes)
        if isinstance(outcome, NoAnswer):
            raise outcome
        return outcome

    def exchange(
        self, requests: Iterable[tuple[Tag, HttpRequest]], in_flight: int
    ) -> Generator[tuple[Tag, Reply | NoAnswer], None, None]:
        del in_flight
        for tag, request in requests:
            try:
                yield tag, self.send(request)
            except NoAnswer as error:
                yield tag, error


def patient(sender: Scripted, clock: ManualClock | None = None, policy: Policy | None = None) -> RetryingSender:
    return RetryingSender(sender, clock or ManualClock(), policy, elsewhere=lambda _: THERE, jitter=lambda: 1.0)


def json(code: str) -> bytes:
    return b'{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"said it"}' % code.encode()


def xml(code: str) -> bytes:
    return b'<?xml version="1.0"?><Error><Code>%s</Code></Error>' % code.encode()


PASSING = [
    *(Reply(status, {}, b"<html>unwell</html>") for status in (429, 500, 502, 503, 504)),
    Reply(503, {}, xml("SlowDown")),
    Reply(400, {}, xml("RequestTimeout")),
    *(
        Reply(400, {}, json(code))
        for code in ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded")
    ),
    Reply(200, {"x-amz-crc32": "1"}, b"altered"),
    NoAnswer("reset"),
    NoAnswer("cut off", broken=True),
]
FINAL = [
    *(Reply(status, {}, b"") for status in (304, 403, 404, 405, 409, 412)),
    Reply(400, {}, json("ValidationException")),
    Reply(400, {}, json("ResourceNotFoundException")),
    Reply(403, {}, xml("AccessDenied")),
]


@pytest.mark.parametrize("outcome", PASSING, ids=str)
def test_what_may_pass_is_tried_again(outcome: Reply | NoAnswer) -> None:
    sender, clock = Scripted(outcome, outcome, FINE), ManualClock()
    assert patient(sender, clock).send(GET) == FINE
    assert clock.slept == [0.05, 0.1]  # full jitter at its most


@pytest.mark.parametrize("outcome", FINAL, ids=str)
def test_what_will_not_pass_is_the_answer(outcome: Reply) -> None:
    assert patient(Scripted(outcome)).send(GET) == outcome


def test_a_hopeless_connection_is_tried_once() -> None:
    sender = Scripted(NoAnswer("an unknown certificate", permanent=True))
    with pytest.raises(NoAnswer, match="certificate"):
        patient(sender).send(GET)
    assert len(sender.asked) == 1


def test_patience_ends_with_the_attempts_or_with_the_budget() -> None:
    unwell = Reply(500, {}, b"")
    for policy, attempts in ((Policy(attempts=3), 3), (Policy(attempts=100, budget=1.0), 5), (Policy(attempts=1), 1)):
        sender = Scripted(*[unwell] * 100)
        assert patient(sender, policy=policy).send(GET) == unwell
        assert len(sender.asked) == attempts, policy
        sender = Scripted(*[NoAnswer("reset")] * 100)
        with pytest.raises(NoAnswer):
            patient(sender, policy=policy).send(GET)
        assert len(sender.asked) == attempts, policy


@pytest.mark.parametrize("outcome", PASSING, ids=str)
def test_a_hasty_one_leaves_the_waiting_to_its_caller(outcome: Reply | NoAnswer) -> None:
    sender, clock = Scripted(outcome), ManualClock()
    hasty = patient(sender, clock).hasty()
    if isinstance(outcome, NoAnswer) or outcome.status == 200:
        with pytest.raises(NoAnswer):
            hasty.send(GET)
    else:
        assert hasty.send(GET) == outcome
    assert (len(sender.asked), clock.slept) == (1, [])


def test_a_hasty_one_sets_a_wrong_clock_right_all_the_same() -> None:
    clock = ManualClock()
    refused = Reply(400, {"date": formatdate(clock.now() + 3600, usegmt=True)}, json("InvalidSignatureException"))
    sender = Scripted(refused, FINE)
    assert patient(sender, clock).hasty().send(GET) == FINE
    assert sender.set_to


def test_a_checksum_that_holds_is_no_reason() -> None:
    whole = Reply(200, {"x-amz-crc32": str(zlib.crc32(b"whole"))}, b"whole")
    assert patient(Scripted(whole)).send(GET) == whole


# --- what is learned -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [(403, xml("RequestTimeTooSkewed")), (400, json("InvalidSignatureException")), (403, b"")],
    ids=["S3", "DynamoDB", "HEAD"],
)
def test_a_wrong_clock_is_set_right(refusal: tuple[int, bytes]) -> None:
    clock = ManualClock()
    status, body = refusal
    refused = Reply(status, {"date": formatdate(clock.now() + 3600, usegmt=True)}, body)
    sender = Scripted(refused, FINE)
    assert patient(sender, clock).send(GET) == FINE
    assert sender.set_to == [clock.now() - sum(clock.slept) + 3600]


AWAY = [ManualClock().now() + seconds for seconds in (100, 86_500, -86_500, 10**9)]  # a day at most is believed


@pytest.mark.parametrize("date", [{}, {"date": "yesterday"}, *({"date": formatdate(each, usegmt=True)} for each in AWAY)])
def test_a_clock_that_is_right_is_left_alone(date: dict[str, str]) -> None:
    sender = Scripted(Reply(403, date, xml("SignatureDoesNotMatch")))
    assert patient(sender).send(GET).status == 403
    assert not sender.set_to


def test_after_a_wrong_clock_requests_are_signed_by_the_servers_time() -> None:
    clock = ManualClock()

    def check(seen: Seen) -> Says:
        good = seen.headers["x-amz-date"] == "20231114T231320Z"
        return Says(200) if good else Says(403, xml("RequestTimeTooSkewed"), {"Date": "Tue, 14 Nov 2023 23:13:20 GMT"})

    with Server(check) as server:
        curl = Curl(Endpoint(server.url, "r", "s3"), Wire(trusted=None), lambda: Credentials("a", "b"), clock)
        still = RetryingSender(curl, clock, jitter=lambda: 0.0)
        assert [still.send(GET).status, still.send(GET).status] == [200, 200]
        assert len(server.seen) == 3  # learned once


@pytest.mark.parametrize("status", [301, 307, 400, 403])
def test_a_bucket_in_another_region_is_followed_there(status: int) -> None:
    sender = Scripted(Reply(status, {"x-amz-bucket-region": "eu-west-1"}, b""), FINE, FINE)
    still = patient(sender)
    assert [still.send(GET), still.send(GET)] == [FINE, FINE]
    assert [region for _, region in sender.asked] == ["us-east-1", "eu-west-1", "eu-west-1"]


def test_a_refusal_in_the_right_region_stands() -> None:
    denied = Reply(403, {"x-amz-bucket-region": "us-east-1"}, xml("AccessDenied"))
    assert patient(Scripted(denied)).send(GET) == denied
    moved = Reply(301, {"x-amz-bucket-region": "mars-1"}, b"")
    assert RetryingSender(Scripted(moved), ManualClock()).send(GET) == moved  # there is no endpoint for it


# --- many in flight --------------------------------------------------------------------------------------------------------------


class Random(Scripted):
    """The n-th request fails as often as the test says, then goes through."""

    def __init__(self, failures: list[int], failure: Callable[[], Reply | NoAnswer]) -> None:
        super().__init__()
        self._left = dict(enumerate(failures))
        self._failure = failure

    def send(self, request: HttpRequest) -> Reply:
        self.asked.append((request, ""))
        number = int(request.path[1:])
        self._left[number] -= 1
        if self._left[number] < 0:
            return Reply(200, {}, request.path.encode())
        outcome = self._failure()
        if isinstance(outcome, NoAnswer):
            raise outcome
        return outcome


@given(
    failures=st.lists(st.integers(0, 7), max_size=2 * TOGETHER + 20),
    failure=st.sampled_from([lambda: Reply(503, {}, b""), lambda: NoAnswer("reset")]),
)
def test_an_exchange_gives_each_request_one_outcome(failures: list[int], failure: Callable[[], Reply | NoAnswer]) -> None:
    sender = Random(failures, failure)
    requests = ((number, HttpRequest("GET", f"/{number}")) for number in range(len(failures)))
    came = list(patient(sender, policy=Policy(attempts=5)).exchange(requests))
    assert sorted(tag for tag, _ in came) == list(range(len(failures)))
    for tag, outcome in came:
        if failures[tag] < 5:
            assert outcome == Reply(200, {}, b"/%d" % tag)
        else:
            assert isinstance(outcome, NoAnswer) or outcome.status == 503
    assert len(sender.asked) == sum(min(count + 1, 5) for count in failures)


def test_an_endless_exchange_tries_again_before_its_end() -> None:
    sender = Random(list(chain([1], repeat(0, 10 * TOGETHER))), lambda: NoAnswer("reset"))
    came = patient(sender).exchange((number, HttpRequest("GET", f"/{number}")) for number in range(10 * TOGETHER))
    assert next(tag for tag, _ in zip((tag for tag, _ in came), range(TOGETHER), strict=False) if tag == 0) == 0
