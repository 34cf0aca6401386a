"""A Lambda function that takes over from a tail: what the stream dropped between them is a gap; its own silence is not."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backstream.model.changes.change import stream_label
from backstream.operations.capture.batch import keep_batch
from backstream.operations.capture.outage import record_absence
from backstream.vault.log.segments import SegmentKind
from kit.clock import ManualClock
from kit.records import lambda_record
from kit.stage import Stage

DAY = 86_400


@pytest.fixture
def stage() -> Stage:
    """Rows that a tail has brought into the vault, and its last mark, a minute later."""
    stage = Stage(ManualClock(), shards=1)
    stage.put(range(3))
    stage.follow()
    stage.clock.sleep(60)
    stage.follow()
    return stage


def deliver(stage: Stage) -> None:
    """One batch of all that the stream still has, as a function new to the table gets it."""
    vault, stream = stage.vault(), stage.table.stream
    label = stream_label(stream.arn)
    record_absence(vault, label, stage.clock.now())
    iterator = stream.iterator(stream.facts().shards[0].id, None)
    changes = stream.read(stream.facts().shards[0].id, iterator).changes
    with ThreadPoolExecutor(2) as pool:
        records = [lambda_record(change, stream.arn) for change in changes]
        keep_batch(vault, records, label, pool, writer="fn", kind=SegmentKind.LAMBDA, now=stage.clock.now)


def lose(stage: Stage) -> None:
    """Three days on, of which the stream has kept the last."""
    stage.put([1])
    stage.clock.sleep(3 * DAY)
    stage.table.stream.trim(stage.table.stream.facts().shards[0].id)
    stage.put([2])
    stage.clock.sleep(60)


def test_what_was_lost_before_a_function_took_over_is_a_gap(stage: Stage) -> None:
    marked = stage.vault().window(stage.clock.now()).durable
    lose(stage)
    deliver(stage)
    (gap,) = stage.vault().coverage.lost()
    assert (gap.since, gap.until) == (marked, int(stage.clock.now()) - DAY)
    assert "stopped for longer than the stream keeps records" in gap.reason
    assert stage.vault().window(stage.clock.now()).until == gap.since - 1


def test_a_function_that_has_nothing_to_say_for_days_has_lost_nothing(stage: Stage) -> None:
    stage.put([1])
    deliver(stage)
    stage.clock.sleep(5 * DAY)
    stage.put([2])
    deliver(stage)
    assert stage.vault().coverage.lost() == []


def test_a_tail_that_was_there_just_now_or_yesterday_leaves_no_gap(stage: Stage) -> None:
    deliver(stage)
    assert stage.vault().coverage.lost() == []
    stage.clock.sleep(DAY - 3_600)
    stage.put([1])
    deliver(stage)
    assert stage.vault().coverage.lost() == []


def test_a_vault_in_which_nothing_was_written_yet_leaves_no_gap() -> None:
    stage = Stage(ManualClock(), shards=1)
    stage.clock.sleep(3 * DAY)
    stage.put([1])
    deliver(stage)
    assert stage.vault().coverage.lost() == []
