"""Patience: which errors are tried again, for how long, and what a listing that breaks off looks like to its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from random import Random
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.clock import SystemClock
from backstream.errors import AccessDenied, AlreadyExists, Failed, MissingObject, Unavailable
from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.retries import full_jitter
from backstream.stores.many import one_by_one
from backstream.stores.memory import MemoryStore
from backstream.stores.retrying import RetryingStore
from kit.aws import Aws
from kit.clock import ManualClock
from kit.each import get_one
from kit.proxy import FaultProxy, every, first, lose_answer
from kit.transports import TRANSPORTS, s3_store

# --- delays ----------------------------------------------------------------------------------------------------------------------


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    assert list(full_jitter(lambda: 1.0, base=0.1, cap=2.0, attempts=7)) == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert list(full_jitter(lambda: 0.0, attempts=3)) == [0.0, 0.0, 0.0]
    assert list(full_jitter(lambda: 1.0, attempts=0)) == []


def test_delays_without_a_limit_never_end() -> None:
    assert len(list(islice(full_jitter(lambda: 1.0), 5_000))) == 5_000


@given(st.integers(), st.floats(0.001, 1), st.floats(0.001, 60), st.floats(0, 300))
def test_a_budget_is_kept_and_each_delay_is_below_its_ceiling(seed: int, base: float, cap: float, budget: float) -> None:
    delays = list(islice(full_jitter(Random(seed).random, base=base, cap=cap, budget=budget), 1_000))
    assert sum(delays) <= budget * 1.000001
    assert all(0 <= delay <= min(cap, base * 2.0 ** min(turn, 64)) for turn, delay in enumerate(delays))


# --- a store that fails when told ------------------------------------------------------------------------------------------------


Row = TypeVar("Row")


class Flaky:
    """A store in memory. Each failure in `failures` ends one call; in a listing, after `rows_before_failure` rows."""

    def __init__(self, clock: ManualClock) -> None:
        self.memory = MemoryStore(clock)
        self.failures: list[Exception] = []
        self.rows_before_failure = 0
        self.between: Callable[[], object] = lambda: None  # what others do, or time does, before a failure

    @property
    def url(self) -> str:
        return self.memory.url

    def check(self) -> None:
        self._fail()

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        self._fail()
        return self.memory.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        self._fail()
        return self.memory.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._fail()
        return self.memory.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        self._fail()
        return self.memory.head(name, version)

    def delete(self, name: str) -> str:
        self._fail()
        return self.memory.delete(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        yield from self._broken(self.memory.list(prefix, after=after))

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        yield from self._broken(self.memory.versions(prefix, after=after))

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        yield from self._broken(self.memory.versions_of(name))

    def _broken(self, rows: Iterator[Row]) -> Iterator[Row]:
        yield from islice(rows, self.rows_before_failure)
        self._fail()
        yield from rows

    def _fail(self) -> None:
        if self.failures:
            self.between()
            raise self.failures.pop(0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def flaky(clock: ManualClock) -> Flaky:
    return Flaky(clock)


def patient(
    flaky: Flaky, clock: ManualClock, *, budget: float = 60.0, deadline: Callable[[], float] | None = None
) -> RetryingStore:
    return RetryingStore(flaky, clock, budget=budget, deadline=deadline, jitter=lambda: 1.0)


CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "check": lambda store: store.check(),
    "put": lambda store: store.put("b", b"1", {"k": "v"}, if_absent=True),
    "get": lambda store: store.get("a"),
    "get_each": lambda store: get_one(store, "a"),
    "head": lambda store: store.head("a"),
    "delete": lambda store: store.delete("a"),
    "list": lambda store: list(store.list("")),
    "versions": lambda store: list(store.versions("")),
    "versions_of": lambda store: list(store.versions_of("a")),
}
every_call = pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in CALLS.items()])


# --- which errors, how long ------------------------------------------------------------------------------------------------------


@every_call
def test_what_is_unavailable_is_tried_again(flaky: Flaky, clock: ManualClock, call: Callable[[ObjectStore], object]) -> None:
    flaky.memory.put("a", b"1")
    flaky.failures = [Unavailable("busy")] * 5
    call(patient(flaky, clock))
    assert clock.slept == [0.05, 0.1, 0.2, 0.4, 0.8]


@every_call
@pytest.mark.parametrize("error", [AccessDenied("no"), AlreadyExists("there"), MissingObject("not there"), Failed("why ever")])
def test_nothing_else_is(flaky: Flaky, clock: ManualClock, call: Callable[[ObjectStore], object], error: Failed) -> None:
    flaky.failures = [error]
    with pytest.raises(type(error)) as raised:
        call(patient(flaky, clock))
    assert raised.value is error
    assert clock.slept == []


@every_call
def test_patience_ends_with_the_budget(flaky: Flaky, clock: ManualClock, call: Callable[[ObjectStore], object]) -> None:
    flaky.failures = [Unavailable(f"attempt {number}") for number in range(1, 100)]
    with pytest.raises(Unavailable, match="attempt 8"):
        call(patient(flaky, clock, budget=10.0))
    assert clock.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2]  # the next, 6.4, would end after the tenth second


@every_call
def test_a_deadline_shortens_it(flaky: Flaky, clock: ManualClock, call: Callable[[ObjectStore], object]) -> None:
    flaky.failures = [Unavailable("busy")] * 100
    last_moment = clock.now() + 1.0
    with pytest.raises(Unavailable):
        call(patient(flaky, clock, budget=10.0, deadline=lambda: last_moment))
    assert clock.slept == [0.05, 0.1, 0.2, 0.4]


def test_time_spent_in_the_call_counts(flaky: Flaky, clock: ManualClock) -> None:
    flaky.failures = [Unavailable("after its own retries")] * 100
    flaky.between = lambda: clock.move(4.0)
    with pytest.raises(Unavailable):
        patient(flaky, clock, budget=10.0).check()
    assert len(clock.slept) == 2


# --- many objects ----------------------------------------------------------------------------------------------------------------


def test_of_many_objects_only_those_that_failed_are_asked_for_again(flaky: Flaky, clock: ManualClock) -> None:
    versions = {number: flaky.memory.put("a", b"%d" % number) for number in range(1_000)}
    flaky.failures = [Unavailable("busy")] * 100
    found = dict(patient(flaky, clock).get_each((number, "a", version) for number, version in versions.items()))
    assert {number: one.body for number, one in found.items() if isinstance(one, StoredObject)} == {
        number: b"%d" % number for number in range(1_000)
    }
    assert len(clock.slept) <= 3, "one wait is for many"


def test_an_outage_ends_patience_object_by_object_and_takes_few_at_a_time(flaky: Flaky, clock: ManualClock) -> None:
    flaky.failures = [Unavailable("busy")] * 100_000
    taken, given, most = 0, 0, 0

    def wanted() -> Iterator[tuple[int, str, None]]:
        nonlocal taken
        for number in range(500):
            taken += 1
            yield number, "a", None

    for _, outcome in patient(flaky, clock).get_each(wanted()):
        most = max(most, taken - given)
        given += 1
        assert isinstance(outcome, Unavailable)
    assert given == 500
    assert most <= 200


# --- listings --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_before_failure", [0, 1, 7, 20])
def test_a_broken_listing_shows_each_row_once(flaky: Flaky, clock: ManualClock, rows_before_failure: int) -> None:
    for number in range(20):
        flaky.memory.put(f"{number:02d}", b"")
    flaky.rows_before_failure = rows_before_failure
    flaky.failures = [Unavailable("busy")] * 2
    assert [row.name for row in patient(flaky, clock).list("", after="03")] == [f"{number:02d}" for number in range(4, 20)]


@pytest.mark.parametrize("rows_before_failure", [0, 1, 3, 6, 7, 9])
def test_a_broken_version_listing_shows_each_version_once(flaky: Flaky, clock: ManualClock, rows_before_failure: int) -> None:
    """While it is broken off, a new version comes on top of each name: it is shown where the listing had not been yet."""
    for name in "abc":
        for _ in range(3):
            flaky.memory.put(name, b"")
    expected = [row.version for row in flaky.memory.versions("")]
    flaky.rows_before_failure = rows_before_failure
    flaky.failures = [Unavailable("busy")]
    flaky.between = lambda: [flaky.memory.put(name, b"") for name in "abc"]
    shown = [row.version for row in patient(flaky, clock).versions("")]
    assert len(set(shown)) == len(shown)
    assert [version for version in shown if version in expected] == expected


def test_a_listing_that_gets_further_is_given_more_time(flaky: Flaky, clock: ManualClock) -> None:
    for number in range(40):
        flaky.memory.put(f"{number:02d}", b"")
    flaky.rows_before_failure = 2
    flaky.failures = [Unavailable("busy")] * 15
    flaky.between = lambda: clock.move(1.0)
    assert len(list(patient(flaky, clock, budget=2.0).list(""))) == 40


# --- on real servers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_store_whose_every_third_answer_is_lost(aws: Aws, bucket: str, transport: str) -> None:
    direct = s3_store(aws, bucket)
    with FaultProxy(aws.url) as proxy:
        faults = proxy.on(lose_answer, when=every(3))
        store = RetryingStore(s3_store(aws, bucket, "", transport, url=proxy.url, hasty=True), SystemClock())
        created = {f"{number:02d}": store.put(f"{number:02d}", b"1", if_absent=True) for number in range(20)}
        assert {row.name: row.version for row in store.versions("")} == created
        for name in created:
            with pytest.raises(AlreadyExists):
                store.put(name, b"1", if_absent=True)
        assert faults.fired >= 20
    assert {row.name: row.version for row in direct.versions("")} == created


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_last_error_is_the_one_raised(aws: Aws, bucket: str, transport: str) -> None:
    with FaultProxy(aws.url) as proxy:
        proxy.on(lose_answer, when=first(1_000))
        clock = ManualClock()
        store = RetryingStore(s3_store(aws, bucket, "", transport, url=proxy.url, hasty=True), clock, budget=5.0)
        with pytest.raises(Unavailable, match=f"PutObject of s3://{bucket}/a failed") as raised:
            store.put("a", b"1")
        assert "AWS_ENDPOINT_URL_S3" in raised.value.hint
