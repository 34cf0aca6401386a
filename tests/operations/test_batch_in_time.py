"""A batch whose time is up, and a window that is read while others write: nobody claims what is not there."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.change import Change, stream_label
from backstream.operations.capture.batch import BatchReport, keep_batch
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock
from kit.lived import all_changes
from kit.records import lambda_record
from kit.stage import Stage


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=list(Layout))
def stage(request: pytest.FixtureRequest, clock: ManualClock) -> Stage:
    return six_changes(clock, request.param)


def six_changes(clock: ManualClock, layout: Layout) -> Stage:
    """Ten seconds apart."""
    stage = Stage(clock, layout=layout, shards=1)
    for number in range(6):
        clock.move(10)
        stage.put([number])
    clock.move(10)
    return stage


def deliver(stage: Stage, changes: Sequence[Change], *, lost: Sequence[Change] = (), deadline: float = float("inf")) -> BatchReport:
    """One batch, as to a function; of those that are `lost` there is no more than the number."""
    stream = stage.table.stream
    records = [lambda_record(change, stream.arn) for change in changes]
    for record in records:
        if record["dynamodb"]["SequenceNumber"] in {each.sequence for each in lost}:
            record["dynamodb"]["Keys"] = {}
    label = stream_label(stream.arn)
    with ThreadPoolExecutor(2) as pool:
        return keep_batch(
            stage.vault(), records, label, pool, writer="f", kind=SegmentKind.LAMBDA, now=stage.clock.now, deadline=deadline
        )


def recorded(stage: Stage) -> Mapping[str | None, tuple[int, int]]:
    return {gap.sequence: (gap.since, gap.until) for gap in stage.vault().gaps.all()}


def test_when_time_is_up_the_first_gap_is_recorded_all_the_same(stage: Stage, clock: ManualClock) -> None:
    """Should nobody come back to the batch, the window ends before it."""
    changes = all_changes(stage)
    assert deliver(stage, changes[:2]).captured == 2
    report = deliver(stage, changes[2:], deadline=clock.now())
    assert (report.captured, sorted(report.failures)) == (0, [0, 1, 2, 3])
    assert recorded(stage) == {changes[2].sequence: (changes[2].seconds, changes[2].seconds)}
    assert deliver(stage, changes[2:]).captured == 4
    assert stage.captured() == stage.expected()
    assert stage.vault().coverage.lost() == []


class Meanwhile:
    """A store at whose call of that number, from 1, somebody else does something first."""

    def __init__(self, inner: object, turn: int, happens: Callable[[], object]) -> None:
        self._inner = inner
        self._turn = turn
        self._happens = happens
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*words: Any, **more: Any) -> Any:
            self.calls += 1
            if self.calls == self._turn:
                self._happens()
            return found(*words, **more)

        return call


def test_a_window_that_is_read_while_a_batch_is_kept_claims_nothing_that_is_missing(clock: ManualClock) -> None:
    """A gap is recorded before a watermark goes beyond it: so the log is read before the gaps, whenever that happens."""
    for turn in itertools.count(1):
        stage = six_changes(clock, Layout.LOG)
        changes = all_changes(stage)
        deliver(stage, changes[:2])
        proven(stage, changes[1])
        store: Any = Meanwhile(stage.store, turn, functools.partial(deliver_and_prove, stage, changes[2:]))
        window = TableVault.open(store, "flights", engines=LocalEngine).window(clock.now())
        assert window.until is not None
        assert window.until < changes[2].seconds, f"somebody was at work at call {turn} of {store.calls}"
        if store.calls < turn:
            break
        after = stage.vault().window(clock.now())
        assert after.durable is not None
        assert after.durable >= changes[2].seconds > (after.until or 0), "only the gap stands in the way now"
    assert turn > 2


def deliver_and_prove(stage: Stage, changes: Sequence[Change]) -> None:
    """A batch whose first change is lost; then all is known to have arrived but what is recorded as a gap."""
    deliver(stage, changes, lost=changes[:1])
    proven(stage, changes[-1])


def proven(stage: Stage, change: Change) -> None:
    stage.vault().log.write_mark(stage.vault().catalog.stream, change.seconds, writer="witness")
