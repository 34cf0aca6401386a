"""Rows that are written many at a time: in their order, once each, and no look at what is there where none is needed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.errors import AccessDenied, BackstreamError, Failed, Unavailable
from backstream.model.changes.change import Change, stream_label
from backstream.model.values import wire
from backstream.operations.capture.batch import BatchReport, keep_batch
from backstream.ports import NewObject, Tag, Written
from backstream.stores.memory import MemoryStore
from backstream.vault.log.segments import SegmentKind
from backstream.vault.rows.rows import NEW_SECONDS
from kit.clock import ManualClock
from kit.records import lambda_record
from kit.rows import SCHEMA, Rows, same, scripted, state

Fate = Callable[[str], str]


class ManyStore(MemoryStore):
    """Writes eight objects at a time, which end in any order. `fate` of each: `""`, `lost` (its answer), `away`, `denied`.

    `knows`: whether it has create-only PUTs; `calls`: how often what was called, rows and log apart.
    """

    def __init__(self, clock: ManualClock, fate: Fate = lambda _: "", source: random.Random | None = None) -> None:
        super().__init__(clock)
        self.fate = fate
        self.knows: bool | None = True
        self.calls = Counter[str]()
        self._source = source or random.Random(0)

    writes_many = True

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        coming, flight = iter(wanted), list[tuple[Tag, NewObject]]()
        while True:
            while len(flight) < 8 and (one := next(coming, None)) is not None:
                assert one[1].name not in {new.name for _, new in flight}, "one change of an item at a time"
                flight.append(one)
            if not flight:
                return
            tag, new = flight.pop(self._source.randrange(len(flight)))
            yield tag, self._written(new)

    def _written(self, new: NewObject) -> str | BackstreamError:
        fate = self.fate(new.name)
        if fate in ("away", "denied"):
            return Unavailable("away") if fate == "away" else AccessDenied("denied")
        try:
            version = self.put(new.name, new.body, new.metadata, if_absent=new.if_absent)
            return self.put(new.name, new.body, new.metadata, if_absent=new.if_absent) if fate == "lost" else version
        except BackstreamError as error:
            return error

    def put(self, name: str, body: bytes, metadata: Any = None, *, if_absent: bool = False, if_match: str | None = None) -> str:
        self.calls["put" if name.startswith("users/") else "log"] += 1
        if if_absent and self.knows is None and name.startswith("users/"):
            raise Failed("501")
        return super().put(name, body, metadata, if_absent=if_absent and bool(self.knows), if_match=if_match)

    def head(self, name: str, version: str | None = None) -> Any:
        self.calls["look"] += 1
        return super().head(name, version)

    def versions_of(self, name: str) -> Iterator[Any]:
        self.calls["look"] += 1
        return super().versions_of(name)


def deliver(rows: Rows, changes: Sequence[Change], kind: SegmentKind = SegmentKind.LAMBDA) -> BatchReport:
    """To a function that remembers nothing of earlier batches."""
    records = [lambda_record(change, rows.table.stream.arn) for change in changes]
    label = stream_label(rows.table.stream.arn)
    with ThreadPoolExecutor(2) as pool:
        return keep_batch(rows.vault, records, label, pool, writer="f", kind=kind, now=rows.clock.now)


def current(rows: Rows) -> dict[bytes, bytes]:
    return {wire.key_of(SCHEMA, body): body for body in rows.listed().values()}


def of_items(count: int, store: ManyStore) -> Rows:
    rows = Rows(store=store)
    for number in range(count):
        rows.put(number, "new")
    return rows


def is_kept(rows: Rows) -> None:
    """Whatever happened: what plain tools see is the live table, and the log tells every second."""
    live = rows.expected(10**11)
    assert same(current(rows), live)
    assert len(rows.listed()) == len(live)
    for second in {second for second, _, _ in rows.model}:
        assert same(state(rows.vault, second), rows.expected(second))


def test_new_items_take_one_request_each_and_one_for_the_log() -> None:
    store = ManyStore(ManualClock())
    rows = of_items(60, store)
    changes = rows.changes()
    assert deliver(rows, changes[:10]).captured == 10  # the first of all is how it is seen that the store knows conditions
    store.calls.clear()
    assert deliver(rows, changes[10:]).captured == 50
    assert store.calls == {"put": 50, "log": 1}
    is_kept(rows)


def test_changes_of_one_item_are_written_in_their_order() -> None:
    store = ManyStore(ManualClock(), source=random.Random(3))
    rows = Rows(store=store)
    for turn in range(40):
        rows.put(turn % 5, f"turn {turn}")
    assert deliver(rows, rows.changes()).captured == 40
    is_kept(rows)
    for name in rows.listed():
        times = [store.head(name, each.version).metadata["sequence"] for each in store.versions_of(name)]
        assert times == sorted(times, key=int, reverse=True)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_gets_lost_on_the_way_comes_again_and_is_kept(seed: int) -> None:
    source = random.Random(seed)
    store = ManyStore(ManualClock(), source=source)
    rows, _ = scripted(seed, {"store": store})
    store.fate = lambda _: source.choice(["", "", "", "lost", "away"])
    changes, at = list(rows.changes()), 0
    while at < len(changes):
        batch = changes[at : at + source.randrange(1, 9)]
        report = deliver(rows, batch)
        assert all(isinstance(error, Unavailable) for error in report.failures.values())
        at += min(report.failures, default=source.randrange(1, len(batch) + 1))  # more than must be comes again
    is_kept(rows)


def test_after_a_failure_the_items_later_changes_wait() -> None:
    store = ManyStore(ManualClock())
    rows = of_items(1, store)
    assert deliver(rows, rows.changes()).captured == 1
    for turn, number in enumerate((1, 2, 1, 2, 1)):
        rows.put(number, f"turn {turn}")
    changes = rows.changes()[1:]
    fates = iter(["", "", "denied"])
    store.fate = lambda _: next(fates, "")
    report = deliver(rows, changes)
    assert sorted(report.failures) in ([2, 4], [3])
    assert {type(error) for error in report.failures.values()} == {AccessDenied}
    assert deliver(rows, changes).failures == {}
    is_kept(rows)


@pytest.mark.parametrize("knows", [False, None])
def test_a_server_that_does_not_know_create_only_loses_nothing(knows: bool | None) -> None:  # noqa: FBT001
    """It ignores the condition, or answers that it does not implement it."""
    store = ManyStore(ManualClock())
    store.knows = knows
    rows = of_items(6, store)
    rows.put(0, "newer")
    changes = rows.changes()
    assert deliver(rows, changes[6:], SegmentKind.PARALLEL).captured == 1  # it lies there when the first of all comes
    for _ in range(2):
        assert deliver(rows, changes).failures == {}
        is_kept(rows)


def test_who_is_late_looks_before_an_item_is_created() -> None:
    """An item that is gone again stays hidden, whoever comes with the change that made it."""
    rows = of_items(3, ManyStore(ManualClock()))
    rows.clock.move(10)
    rows.delete(1)
    changes = rows.changes()
    assert deliver(rows, changes).failures == {}
    assert len(rows.listed()) == 2
    for kind in (SegmentKind.PARALLEL, SegmentKind.LAMBDA):
        assert deliver(rows, changes[1:2], kind).failures == {}
        is_kept(rows)
        rows.clock.move(NEW_SECONDS)


def test_a_row_that_is_there_is_no_failure() -> None:
    """As after a crash between the rows and the log, or beside another writer."""
    store = ManyStore(ManualClock())
    rows = of_items(20, store)
    assert deliver(rows, rows.changes()).captured == 20
    before = Counter(each.name for each in store.versions("users/"))
    assert deliver(rows, rows.changes()).captured == 20
    assert Counter(each.name for each in store.versions("users/")) == before
    is_kept(rows)
