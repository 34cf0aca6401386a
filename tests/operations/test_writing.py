"""The Writer alone, on a table that misbehaves by script: nothing is lost, what is left out is named, the rest is written."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence

import pytest

from backstream.clock import SystemClock
from backstream.errors import AccessDenied, BackstreamError, Failed, MissingTable, Unavailable
from backstream.model.values import wire
from backstream.operations.bulk import writer as writing
from backstream.operations.bulk.writer import Budget, BulkWriter
from backstream.ports import Delete, Put, Write
from backstream.tables.memory import MemoryTable
from kit.clock import ManualClock
from kit.images import SCHEMA, image, key

Script = Callable[[int, Sequence[Write]], Sequence[Write]]


class Unruly(MemoryTable):
    """Asks a script what becomes of its n-th batch: which of it is left undone, or what is raised."""

    def __init__(self, script: Script) -> None:
        super().__init__("unruly", ManualClock(), SCHEMA)
        self._script = script
        self._count = 0
        self._counting = threading.Lock()
        self.batches: list[Sequence[Write]] = []

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        with self._counting:
            self._count += 1
            turn = self._count
            self.batches.append(writes)
        left = self._script(turn, writes)
        super().write([write for write in writes if write not in left], took)
        return left

    def content(self) -> dict[bytes, bytes]:
        """Every item, by canonical key."""
        return {wire.key_of(SCHEMA, each): each for page in self.scan() for each in page}


ROWS = {wire.key_of(SCHEMA, each): each for each in (image("row", number, v={"S": "x" * number}) for number in range(333))}


def fill(table: Unruly, **words: float) -> BulkWriter[Write]:
    """Write all rows."""
    writer = BulkWriter(table, words.pop("clock", ManualClock()), **words)  # type: ignore[arg-type]
    for each in ROWS.values():
        writer.add(Put(each))
    writer.finish()
    return writer


def accounted(table: Unruly, writer: BulkWriter[Write]) -> None:
    """Each row is in the table or named, and none is both."""
    named = {wire.key_of(SCHEMA, each.write.image) for each in writer.left_out if isinstance(each.write, Put)}
    assert len(named) == len(writer.left_out)
    assert table.content().keys() | named == ROWS.keys()
    assert not table.content().keys() & named
    assert writer.written == len(table.content())


def is_poison(write: Write) -> bool:
    return isinstance(write, Put) and b'"N":"200"' in write.image


def test_unprocessed_items_and_throttling_are_tried_again_until_done() -> None:
    source = random.Random(1)

    def script(turn: int, writes: Sequence[Write]) -> Sequence[Write]:
        if turn % 5 == 0:
            raise Unavailable("slow down")
        return [write for write in writes if source.random() < 0.4]

    table = Unruly(script)
    writer = fill(table)
    assert table.content() == ROWS
    assert (writer.left_out, writer.written, writer.gave_up_reason) == ([], len(ROWS), "")


def test_batches_keep_to_the_limits_of_batch_write_item(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "BATCH_BYTES", 2_000)
    table = Unruly(lambda _, __: [])
    fill(table)
    assert table.content() == ROWS
    for batch in table.batches:
        assert len(batch) <= 25
        assert len(batch) == 1 or sum(len(write.image) for write in batch if isinstance(write, Put)) <= 2_000


def test_what_is_never_accepted_is_named_once_patience_ends() -> None:
    clock = ManualClock()
    table = Unruly(lambda _, writes: writes)
    writer = BulkWriter(table, clock, patience=5)
    for each in ROWS.values():
        writer.add(Put(each))
    writer.add(Delete(key("gone", 1)))
    writer.finish()
    assert table.content() == {}
    assert {each.write.image for each in writer.left_out if isinstance(each.write, Put)} == set(ROWS.values())
    assert [each.write.keys for each in writer.left_out if isinstance(each.write, Delete)] == [key("gone", 1)]
    assert all("unprocessed" in each.reason for each in writer.left_out)
    assert "unprocessed" in writer.gave_up_reason
    assert sum(clock.slept) > 5


def test_patience_is_counted_from_when_there_is_something_to_write() -> None:
    """Reading what is to be written may take longer than the writer's patience: that is not the table's fault."""
    clock = ManualClock()
    table = Unruly(lambda turn, writes: writes if turn == 1 else [])
    writer = BulkWriter(table, clock, patience=5)
    clock.move(3_600)
    writer.add(Put(image("row", 1)))
    writer.finish()
    assert (writer.written, writer.left_out) == (1, [])


def test_a_poisonous_item_is_named_and_the_others_of_its_batch_are_written() -> None:
    def script(_: int, writes: Sequence[Write]) -> Sequence[Write]:
        if any(map(is_poison, writes)):
            raise Failed("ValidationException: too large")
        return []

    table = Unruly(script)
    writer = fill(table)
    accounted(table, writer)
    (named,) = writer.left_out
    assert is_poison(named.write)
    assert "too large" in named.reason


def test_poison_and_throttling_together() -> None:
    source = random.Random(2)

    def script(_: int, writes: Sequence[Write]) -> Sequence[Write]:
        if source.random() < 0.3:
            raise Unavailable("slow down")
        if any(map(is_poison, writes)):
            raise Failed("ValidationException: too large")
        return [write for write in writes if source.random() < 0.3]

    table = Unruly(script)
    writer = fill(table)
    accounted(table, writer)
    assert [is_poison(each.write) for each in writer.left_out] == [True]


def test_access_that_never_was_is_raised_and_nothing_goes_on() -> None:
    for error in (AccessDenied("no"), MissingTable("none")):

        def script(_: int, __: Sequence[Write], error: BackstreamError = error) -> Sequence[Write]:
            raise error

        table = Unruly(script)
        with pytest.raises(type(error)):
            fill(table)
        assert table.content() == {}


def test_access_that_ends_in_the_middle_loses_nothing() -> None:
    def script(turn: int, _: Sequence[Write]) -> Sequence[Write]:
        if turn > 4:
            raise AccessDenied("the token has expired")
        return []

    table = Unruly(script)
    writer = fill(table)
    accounted(table, writer)
    assert writer.written >= 4 * 25 - 25
    assert {each.reason for each in writer.left_out} == {"the token has expired"}


def test_abandoned_it_sends_nothing_more() -> None:
    table = Unruly(lambda _, __: [])
    writer = BulkWriter(table, ManualClock())
    for each in list(ROWS.values())[:24]:
        writer.add(Put(each))
    writer.abandon()
    assert table.batches == []


def test_units_count_each_kilobyte_that_is_begun() -> None:
    clock = ManualClock()
    writer = BulkWriter(Unruly(lambda _, __: []), clock, max_units=9)
    for number in range(7):  # one after another: each waits for what the last one took
        writer.add(Put(image("big", number, v={"S": "x" * 2_500})))  # 3 units each, 9 a batch
        if number == 0:
            began = clock.now()
    writer.finish()
    assert writer.written == 7
    assert 2.0 <= clock.now() - began <= 3.0, "the third batch begins after 18 units; two that wait may both move this clock"


@pytest.mark.parametrize("larger", [0, 2_500], ids=["new items", "replacing larger ones"])
@pytest.mark.parametrize("unprocessed", [0.0, 0.3])
@pytest.mark.parametrize("per_second", [7.0, 40.0, 1_000.0])
def test_the_budget_is_kept_within_a_tenth_whatever_items_really_take(larger: int, unprocessed: float, per_second: float) -> None:
    source, clock = random.Random(9), ManualClock()
    table = Unruly(lambda _, writes: [write for write in writes if source.random() < unprocessed])
    rows = range(1_000)
    for number in rows if larger else ():
        MemoryTable.write(table, [Put(image("row", number, v={"S": "x" * larger}))])
    taken: list[float] = []
    budget, began = Budget(clock, per_second), clock.now()
    for first in range(0, len(rows), 5):
        spent = budget.spend([Put(image("row", number, v={"S": "x" * 900})) for number in rows[first : first + 5]])
        rest = table.write(
            batch := [Put(image("row", number, v={"S": "x" * 900})) for number in rows[first : first + 5]], spent.took
        )
        taken.append(sum(3 if larger else 1 for write in batch if write not in rest))
        spent.settle(rest)
    assert sum(taken[:-1]) / (clock.now() - began) == pytest.approx(per_second, rel=0.1)


@pytest.mark.parametrize(("large", "count"), [(False, 900), (True, 300)], ids=["as large as they say", "replacing larger ones"])
def test_in_real_time_the_writer_takes_no_more_than_it_may(*, large: bool, count: int) -> None:
    """A machine that is busy makes it slower, never faster."""
    source = random.Random(5)
    units = 300.0
    table = Unruly(lambda _, writes: [write for write in writes if source.random() < 0.2])
    small = [image("row", number, v={"S": "x" * 500}) for number in range(count)]
    if large:
        for number in range(0, count, 25):
            MemoryTable.write(table, [Put(image("row", each, v={"S": "x" * 2_500})) for each in range(number, number + 25)])
    clock = SystemClock()
    writer = BulkWriter(table, clock, max_units=units)
    began = clock.now()
    for each in small:
        writer.add(Put(each))
    writer.finish()
    took = clock.now() - began
    assert writer.written == count
    spent = count * (3 if large else 1) - 25 * (3 if large else 1)  # the last batch is not waited for
    assert spent / took <= units * 1.1


def test_waiting_for_its_turn_is_not_taken_for_a_table_that_does_not_answer() -> None:
    """400 units at 10 a second: the second item's turn comes after 40 s, later than patience ends; refused once, it is written."""

    def script(turn: int, _: Sequence[Write]) -> Sequence[Write]:
        if turn == 2:
            raise Unavailable("slow down")
        return []

    clock = ManualClock()
    writer = BulkWriter(Unruly(script), clock, patience=5, max_units=10)
    for number in range(2):
        writer.add(Put(image("big", number, v={"S": "x" * 400_000})))
    writer.finish()
    assert (writer.written, writer.left_out) == (2, [])
    assert sum(clock.slept) > 35
