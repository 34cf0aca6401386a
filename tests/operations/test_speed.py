"""How fast it writes: what the controller concludes, and what a table behind a throttling server sees of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.clock import SystemClock
from backstream.model.tables.creation import on_demand
from backstream.model.values import wire
from backstream.operations.bulk import writer as writing
from backstream.operations.bulk.rate import FIRST, LEAST, MOST, SETTLING, Congestion, Pace
from backstream.operations.bulk.writer import BulkWriter
from backstream.ports import Put
from backstream.tables.dynamodb import DynamoTable
from kit.aws import Aws
from kit.clock import ManualClock
from kit.images import SCHEMA, image
from kit.proxy import FaultProxy, Forward, Request, Response
from kit.transports import dynamodb

BUSY = b'{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"slow down"}'


# --- the controller, alone --------------------------------------------------------------------------------------------------------


def grown(congestion: Congestion, calls: int, now: float) -> int:
    """The limit after so many calls that went well, as many under way as may be."""
    for _ in range(calls):
        congestion.went_well(now, congestion.limit)
    return congestion.limit


def test_it_grows_by_one_a_round_up_to_the_most() -> None:
    congestion = Congestion()
    assert congestion.limit == FIRST
    assert grown(congestion, FIRST + 1, 1.0) == FIRST + 1
    assert grown(congestion, 10_000, 1.0) == MOST


def test_it_does_not_grow_where_less_is_under_way_than_may_be() -> None:
    congestion = Congestion()
    for _ in range(1_000):
        congestion.went_well(1.0, FIRST - 1)
    assert congestion.limit == FIRST


def test_one_burst_of_refusals_is_one_back_off() -> None:
    congestion = Congestion()
    grown(congestion, 10_000, 1.0)
    for each in range(MOST):
        congestion.was_throttled(1.0, 1.1 + each / 1_000)
    assert congestion.limit == MOST // 2
    congestion.was_throttled(1.1 + SETTLING / 2, 5.0)  # sent before the back-off could show, answered late
    assert congestion.limit == MOST // 2
    congestion.was_throttled(1.1 + SETTLING, 5.0)
    assert congestion.limit == MOST // 4


def test_what_is_throttled_for_ever_comes_down_to_the_least_and_recovers() -> None:
    congestion = Congestion()
    for second in range(100):
        congestion.was_throttled(float(second), float(second))
    assert congestion.limit == LEAST
    assert grown(congestion, 10, 100.0) > LEAST
    assert grown(congestion, 10_000, 100.0) == MOST


def test_a_clock_that_is_set_back_does_not_end_the_judging() -> None:
    congestion = Congestion()
    congestion.was_throttled(10_000.0, 10_000.0)
    assert grown(congestion, 10_000, 5_000.0) == MOST


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.integers(0, MOST)), max_size=200))
def test_it_stays_within_bounds_and_halves_at_most_once_while_it_settles(calls: list[tuple[bool, float, int]]) -> None:
    congestion, now, backed_off = Congestion(), 0.0, []
    for fine, later, under_way in calls:
        sent, now, before = now, now + later, congestion.limit
        if fine:
            congestion.went_well(sent, under_way)
            assert before <= congestion.limit <= before + 1
        else:
            congestion.was_throttled(sent, now)
            assert max(LEAST, before // 2) <= congestion.limit <= before
            if congestion.limit < before:
                backed_off.append(now)
        assert LEAST <= congestion.limit <= MOST
    assert all(later - earlier >= SETTLING for earlier, later in pairwise(backed_off))


# --- the pace ---------------------------------------------------------------------------------------------------------------------


def test_the_pace_holds_for_all_threads_together() -> None:
    clock = ManualClock()
    pace = Pace(clock, 100)
    began = clock.now()
    for _ in range(10):
        pace.spend(50)
    assert clock.now() - began == pytest.approx(4.5), "the last of ten times 50 units begins after 450 units' time"
    real = SystemClock()
    began, pace = real.now(), Pace(real, 500)
    threads = [threading.Thread(target=pace.spend, args=(50,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert real.now() - began >= 0.45


# --- a server that throttles ------------------------------------------------------------------------------------------------------

PHASE = 240  # calls


class Throttle:
    """Refuses a third of the first calls, then none, then half of all; notes how many came together."""

    def __init__(self) -> None:
        self.together: list[int] = []
        self.refused = 0
        self._here = 0
        self._lock = threading.Lock()
        self._pause = threading.Event()

    def __call__(self, request: Request, forward: Forward) -> Response:
        with self._lock:
            count = len(self.together)
            self._here += 1
            self.together.append(self._here)
            refuse = count % 3 == 0 if count < PHASE else count >= 2 * PHASE and count % 2 == 0
            self.refused += refuse
        try:
            self._pause.wait(0.02)  # long enough for calls to be together
            return Response(400, BUSY) if refuse else forward(request)
        finally:
            with self._lock:
                self._here -= 1

    def mean(self, first: int, last: int) -> float:
        """How many calls came together, on average of these."""
        seen = self.together[first:last]
        return sum(seen) / len(seen)


@pytest.fixture
def proxy(aws: Aws) -> Iterator[FaultProxy]:
    with FaultProxy(aws.endpoint("dynamodb")) as proxy:
        yield proxy


@pytest.mark.parametrize("transport", [pytest.param("boto3", marks=pytest.mark.soak), "curl"])
def test_a_throttling_server_is_survived_with_nothing_lost(
    aws: Aws, proxy: FaultProxy, table_name: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH_ITEMS", 3)
    throttle = throttled(aws, proxy, table_name, transport)
    assert throttle.refused >= PHASE // 3 + 50


@pytest.mark.soak  # how many calls come together is a matter of the machine, too
def test_under_a_throttling_server_the_rate_recovers(
    aws: Aws, proxy: FaultProxy, table_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH_ITEMS", 3)
    throttle = throttled(aws, proxy, table_name, "curl")
    refused, recovered = throttle.mean(PHASE // 2, PHASE), throttle.mean(2 * PHASE - 60, 2 * PHASE)
    again = throttle.mean(2 * PHASE + 60, len(throttle.together) - 20)
    assert recovered > 1.5 * refused, (refused, recovered, again)
    assert recovered > 1.2 * again, (refused, recovered, again)


def throttled(aws: Aws, proxy: FaultProxy, table_name: str, transport: str) -> Throttle:
    """What a server saw of a writer whose rows have all arrived, through all three phases."""
    clock = SystemClock()
    table = DynamoTable(dynamodb(aws, transport), table_name, clock, writing=dynamodb(aws, transport, url=proxy.url, hasty=True))
    table.create(on_demand(SCHEMA))
    throttle = Throttle()
    proxy.on(throttle, operation="BatchWriteItem")
    rows = {wire.key_of(SCHEMA, each): each for each in (image("row", number) for number in range(3 * 2 * PHASE + 300))}
    writer = BulkWriter(table, clock)
    for each in rows.values():
        writer.add(Put(each))
    writer.finish()
    assert (writer.written, writer.left_out, writer.gave_up_reason) == (len(rows), [], "")
    assert {wire.key_of(SCHEMA, each) for page in table.scan() for each in page} == rows.keys()
    assert len(throttle.together) > 2 * PHASE + 100, "it went through all three phases"
    return throttle
