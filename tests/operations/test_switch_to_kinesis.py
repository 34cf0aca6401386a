"""The source of a table's changes becomes a Kinesis stream, in the middle of a life: what was claimed before stays true."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from backstream.errors import Failed
from backstream.model.changes.kinesis import KinesisSource
from backstream.operations.capture.batch import keep_batch
from backstream.operations.setup.init import InitOptions, init
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from kit import images
from kit.clock import ManualClock
from kit.kinesis import ARN, data, record
from kit.stage import Stage
from operations.test_following_kinesis import SENT


def switch(stage: Stage) -> None:
    stage.table.apply(SENT)
    init(stage.store, stage.table, InitOptions(layout=stage.vault().catalog.layout, kinesis=KinesisSource(ARN, 86_400)))


@pytest.mark.parametrize("layout", list(Layout))
def test_a_backlog_of_the_kinesis_stream_changes_nothing_that_is_claimed(layout: Layout) -> None:
    """A function begins at the oldest record, so it brings old changes again, one after the other, under a later label."""
    clock = ManualClock()
    stage = Stage(clock, layout=layout, shards=1, store=MemoryStore(clock))
    began, old, contents = int(clock.now()), None, []
    for number in range(4):
        stage.put([1])
        (image,) = stage.expected().values()
        contents.append(
            data(
                "INSERT" if old is None else "MODIFY",
                int(clock.now()) * 1_000_000,
                keys=images.key("z", 1),
                old=old,
                new=image,
                event_id=f"{number}",
            )
        )
        old = image
        clock.move(100)
    stage.follow()
    before = {at: dict(stage.captured(at)) for at in range(began, int(clock.now()), 50)}
    assert before[began + 350] == stage.expected(began + 350)
    clock.move(10)
    switch(stage)
    clock.move(10)
    for number, content in enumerate(contents):
        vault = stage.vault()
        with ThreadPoolExecutor(2) as pool:
            said = [record(content, number)]
            keep_batch(vault, said, vault.catalog.stream, pool, writer="fn", kind=SegmentKind.LAMBDA, now=clock.now)
        claimed = [at for each in stage.vault().window(clock.now()).ranges for at in range(each.since, each.until + 1, 25)]
        assert claimed
        for at in claimed:
            assert dict(stage.captured(at)) == stage.expected(at), (number, at - began)
    assert len(list(stage.vault().history(stage.vault().key_of(images.key("z", 1))))) == len(contents), "each change is there once"
    again = stage.vault().catalog
    init(stage.store, stage.table, InitOptions(layout=layout, kinesis=KinesisSource(ARN, 172_800)))
    kinesis = stage.vault().catalog.kinesis
    assert (again.kinesis, kinesis) == (
        KinesisSource(ARN, 86_400, after=stage.vault().window(clock.now()).durable),
        KinesisSource(ARN, 172_800, after=stage.vault().window(clock.now()).durable),
    )


def test_a_tail_of_the_tables_own_stream_claims_nothing_more() -> None:
    """It runs on while `init` names the Kinesis stream, which is minutes behind: it ends with its next claim."""
    clock = ManualClock()
    stage = Stage(clock, layout=Layout.LOG, shards=1, store=MemoryStore(clock))
    stage.put([1])
    turns = 0

    class Switching(ManualClock):
        def now(self) -> float:
            return clock.now()

        def sleep(self, seconds: float) -> None:
            nonlocal turns
            turns += 1
            clock.move(max(seconds, 1.0))
            if turns == 100:
                switch(stage)
            assert turns < 4_000, "it goes on for ever"

    stage.machine = Switching()
    with pytest.raises(Failed, match="by now: nothing more is claimed"):
        stage.follow(until_caught_up=False)
    (gap,) = stage.vault().gaps.all()
    durable = stage.vault().window(clock.now()).durable
    assert durable is not None
    assert gap.since <= durable <= gap.until
