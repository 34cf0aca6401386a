"""The Lambda handler while S3 fails: it reports in time, the window ends before what failed, delivering again mends it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.apps import aws_lambda
from backstream.apps.config import VAULT_VARIABLE
from backstream.clock import SystemClock
from backstream.errors import Unavailable
from backstream.model.changes.change import Change, stream_label
from backstream.operations.capture.batch import keep_batch
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit.aws import Aws
from kit.clock import ManualClock
from kit.faulty_store import FaultyStore
from kit.invocations import LONG, Invocation, LambdaStage, Record, object_of, timed_by
from kit.proxy import FaultProxy, Forward, Request, Response, answer, delay, first
from kit.records import lambda_record
from kit.stage import Stage

UNWELL = answer(500, "<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>")


@pytest.fixture
def proxy(aws: Aws, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Between the handler and S3."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    with FaultProxy(aws.url) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        monkeypatch.setenv(VAULT_VARIABLE, f"s3://{bucket}/vault")
        yield between


@pytest.fixture
def stage(proxy: FaultProxy) -> LambdaStage:
    """Ten items, ten seconds apart, of which the fourth changes once more; the vault behind the proxy."""
    assert proxy.url
    made = LambdaStage(layout=Layout.ROWS)
    for number in (*range(10), 3):
        made.put([number])
        made.manual.move(10)
    return made


def numbers(records: list[Record]) -> list[str]:
    return [record["dynamodb"]["SequenceNumber"] for record in records]


def test_a_passing_fault_is_waited_out(stage: LambdaStage, proxy: FaultProxy) -> None:
    faults = proxy.on(UNWELL, method="PUT", when=first(5))
    assert stage.deliver(stage.records()) == []
    assert faults.fired == 5
    assert stage.captured() == stage.expected()


def test_one_item_that_cannot_be_written(stage: LambdaStage, proxy: FaultProxy) -> None:
    records = stage.records()
    fault = proxy.on(UNWELL, method="PUT", path=object_of(3))
    assert stage.deliver(records) == [numbers(records)[3]]
    assert fault.fired > 2, "tried again while there was time"
    assert stage.window_until() == stage.changes()[3].seconds - 1
    assert sorted(gap.sequence or "" for gap in stage.vault().coverage.lost()) == sorted(
        [numbers(records)[3], numbers(records)[10]]
    )
    others = {key: image for key, image in stage.expected().items() if b'"3"' not in key}
    assert stage.captured() == others, "the others are in the log"
    proxy.clear()
    assert stage.redeliver(records, [numbers(records)[3]]) == []
    assert stage.vault().coverage.lost() == []
    assert stage.window_until() == stage.changes()[-1].seconds - 1
    assert stage.captured() == stage.expected()


@pytest.fixture
def one_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps beside another: by a clock that stands unless somebody sleeps, that would be one after the other."""
    monkeypatch.setattr(aws_lambda, "WRITERS", 1)


@pytest.mark.usefixtures("one_writer")
def test_s3_is_down_for_writes(stage: LambdaStage, proxy: FaultProxy) -> None:
    proxy.on(UNWELL, method="PUT")
    records = stage.records()
    assert stage.deliver(records) == numbers(records)[:1]
    assert stage.log() == []
    proxy.clear()
    assert stage.deliver(records) == []
    assert stage.captured() == stage.expected()


def test_s3_is_down(stage: LambdaStage, proxy: FaultProxy) -> None:
    proxy.on(UNWELL)
    invocation = Invocation(LONG, stage.time)
    with pytest.raises(Unavailable), timed_by(stage.time):
        aws_lambda.handler({"Records": stage.records()}, invocation)
    assert invocation.left > 0


@pytest.mark.usefixtures("one_writer")
def test_s3_does_not_answer(stage: LambdaStage, proxy: FaultProxy) -> None:
    """Who waited for the answers would find the record written."""
    fault = proxy.on(delay(20), method="PUT")
    records = stage.records()[:1]
    assert stage.deliver(records, seconds=10) == numbers(records)
    assert fault.fired > 2, "tried again while there was time"
    assert stage.log() == []


def test_s3_is_slow_and_the_batch_large(stage: LambdaStage, proxy: FaultProxy) -> None:
    """What could not be begun in time is delivered again; each invocation gets further, and none is cut off."""

    def slowly(request: Request, forward: Forward) -> Response:
        stage.time.move(2.5)
        return forward(request)

    stage.put(range(150))
    left = stage.records()
    slow = proxy.on(slowly, method="PUT", path="/vault/flights/")
    deliveries = 0
    while left:
        failed = stage.deliver(left)
        begin = numbers(left).index(failed[0]) if failed else len(left)
        assert begin, "it gets further each time"
        assert (stage.window_until() or 0) < (stage.changes()[-len(left) :][begin].seconds if failed else time.time())
        left = left[begin:]
        deliveries += 1
    assert deliveries > 1
    assert slow.fired >= 150
    assert stage.captured() == stage.expected()
    assert stage.vault().coverage.lost() == []


def test_a_gap_that_cannot_be_recorded_holds_back_what_is_behind_it(stage: LambdaStage, proxy: FaultProxy) -> None:
    """Were they logged, and the failed one given up by Lambda, nobody would know that it is missing."""
    records = stage.records()
    proxy.on(UNWELL, method="PUT", path=object_of(3))
    proxy.on(UNWELL, method="PUT", path="/gaps/")
    assert stage.deliver(records) == [numbers(records)[3]]
    (segment,) = stage.segments(SegmentKind.LAMBDA)
    assert segment.last == numbers(records)[2]
    proxy.clear()
    assert stage.redeliver(records, [numbers(records)[3]]) == []
    assert stage.captured() == stage.expected()


# --- the window, whatever fails ---------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), batch=st.integers(1, 12), faults=st.floats(0, 0.4), layout=st.sampled_from(list(Layout)))
def test_the_window_never_reaches_beyond_what_failed(seed: int, batch: int, faults: float, layout: Layout) -> None:
    """A mapping over one shard, with malformed records, a failing store, and a mapping that gives up after some tries."""
    source, clock = random.Random(seed), ManualClock()
    stage = Stage(clock, layout=layout, shards=1)
    for _ in range(30):
        clock.move(source.choice([0, 0, 1, 60]))
        stage.put([source.randrange(6)])
    stream = stage.table.stream
    changes = list(stream.read("", stream.iterator(stream.facts().shards[0].id, None)).changes)
    poison = {change.sequence for change in changes if source.random() < faults / 4}
    store = FaultyStore(stage.store, lambda _: source.random() < faults)
    clock.move(10)
    with ThreadPoolExecutor(2) as pool:
        at = tries = 0
        while at < len(changes):
            here = changes[at : at + batch]
            records = [lambda_record(change, stream.arn) for change in here]
            for record in records:
                if record["dynamodb"]["SequenceNumber"] in poison:
                    record["dynamodb"]["Keys"] = {}
            report = keep_batch(
                stage.vault(store), records, stream_label(stream.arn), pool, writer="f", kind=SegmentKind.LAMBDA, now=clock.now
            )
            done = min(report.failures, default=len(here))
            at, tries = (at + done, 0) if done else (at, tries + 1)
            _check_window(stage, clock, {change.sequence: change.seconds for change in changes})
            if tries == 5:  # given up, where the vault knows of all that is missing then; else Lambda's destination has to tell
                at, tries = at + (len(here) if _known_of(stage, here) else 0), 0


def _known_of(stage: Stage, changes: Sequence[Change]) -> bool:
    """Whether each of them is in the log, or stands as a gap of its own: one of another change says nothing of it."""
    vault = stage.vault()
    logged = {entry.sequence for listed in vault.log.listing() for entry in vault.log.read(listed)}
    return {change.sequence for change in changes} <= logged | {gap.sequence for gap in vault.coverage.lost() if gap.sequence}


def _check_window(stage: Stage, clock: ManualClock, made: dict[str, int]) -> None:
    """Up to the end of the window every change is in the log."""
    vault = stage.vault()
    known = {entry.sequence for listed in vault.log.listing() for entry in vault.log.read(listed)}
    missing = [seconds for sequence, seconds in made.items() if sequence not in known]
    until = vault.window(clock.now()).until
    assert until is None or not missing or until < min(missing)


def test_the_stage_is_on_the_machines_time(stage: LambdaStage) -> None:
    assert 0 < SystemClock().now() - stage.clock.now() < 7200
