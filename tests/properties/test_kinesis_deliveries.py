"""Kinesis deliveries against a dict: any order, any batches, anything again and again, and every second comes back as it was."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.kinesis import KinesisSource
from backstream.model.tables.setup import SetupStep
from backstream.model.values import wire
from backstream.operations.capture.batch import keep_batch
from backstream.operations.setup.init import InitOptions, init
from backstream.operations.setup.sources import label_of
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault
from kit import images
from kit.clock import ManualClock
from kit.kinesis import ARN, Record, Writes, record
from kit.states import state_at

BEGAN = 1_700_000_000
ITEMS = 3


class Write(msgspec.Struct, frozen=True):
    """`later`: microseconds after the one before, so that no item changes twice in one."""

    number: int
    later: int
    delete: bool


WRITES = st.lists(
    st.builds(Write, st.integers(0, ITEMS - 1), st.sampled_from([1, 2, 999, 400_000, 1_000_000, 3_600_000_000]), st.booleans()),
    min_size=1,
    max_size=14,
)


def written(writes: Sequence[Write]) -> Writes:
    made, now = Writes(), BEGAN * 1_000_000
    for write in writes:
        now += write.later
        if write.delete:
            made.delete(write.number, now)
        else:
            made.put(write.number, now)
    return made


def prepared(layout: Layout) -> tuple[TableVault, ManualClock]:
    clock = ManualClock(BEGAN)
    table, store = MemoryTable("flights", clock, images.SCHEMA), MemoryStore(clock)
    table.apply(SetupStep("", "dynamodb", "EnableKinesisStreamingDestination", {"TableName": "flights", "StreamArn": ARN}))
    init(store, table, InitOptions(layout=layout, kinesis=KinesisSource(ARN, 86_400)))
    clock.move(100_000)
    return TableVault.open(store, "flights", engines=LocalEngine), clock


@settings(max_examples=25, deadline=None)
@given(writes=WRITES, layout=st.sampled_from(list(Layout)), data=st.data())
def test_any_delivery_gives_the_state_of_every_second(writes: Sequence[Write], layout: Layout, data: st.DataObject) -> None:
    made = written(writes)
    twice = [*range(len(made.data)), *data.draw(st.lists(st.sampled_from(range(len(made.data))), max_size=6))] if made.data else []
    arrival = data.draw(st.permutations(twice))
    records: list[Record] = [record(made.data[which], place) for place, which in enumerate(arrival)]
    vault, clock = prepared(layout)
    with ThreadPoolExecutor(2) as pool:
        while records:
            size = data.draw(st.integers(1, 5))
            batch, records = records[:size], records[size:]
            report = keep_batch(
                vault, batch, label_of(vault.catalog, ARN), pool, writer="f", kind=SegmentKind.LAMBDA, now=clock.now
            )
            assert not report.failures
    seconds = {BEGAN - 1, *(second + more for second, _, _ in made.history for more in (-1, 0, 1))}
    assert {at: state_at(vault, at) for at in seconds} == {at: made.state(at) for at in seconds}
    for number in range(ITEMS):
        key = wire.key_of(images.SCHEMA, images.key("z", number))
        told = [entry.event_id for entry in vault.history(key)]
        assert told == [f"flights-{place}" for place, (_, of, _) in enumerate(made.history) if of == key], "each once, in order"


@settings(max_examples=30, deadline=None)
@given(writes=WRITES, layout=st.sampled_from(list(Layout)), data=st.data())
def test_a_batch_may_come_again_in_any_order(writes: Sequence[Write], layout: Layout, data: st.DataObject) -> None:
    """One name, whatever the order, and wherever a duplicate stands: the same changes are there already, and acknowledged."""
    made = written(writes)
    batch = data.draw(st.lists(st.sampled_from(made.data), min_size=1, max_size=6)) if made.data else []
    vault, clock = prepared(layout)
    with ThreadPoolExecutor(2) as pool:
        for arrived in (batch, data.draw(st.permutations(batch)), batch[::-1]):
            records = [record(each, place) for place, each in enumerate(arrived)]
            report = keep_batch(
                vault, records, label_of(vault.catalog, ARN), pool, writer="f", kind=SegmentKind.LAMBDA, now=clock.now
            )
            assert (report.captured, dict(report.failures)) == (len(batch), {})
    assert sum(each.segment is not None and each.segment.count for each in vault.log.listing()) == len(batch)
