"""Conditional writes of one batch, many at a time: each is done, a conflict, or left to be tried again, whatever the others are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from backstream.errors import AccessDenied, BackstreamError, Unavailable
from backstream.model.values import wire
from backstream.operations.bulk.journal import Journal
from backstream.operations.bulk.writer import BulkWriter
from backstream.operations.restore.targets.conditional_writer import ConditionalWriter
from backstream.operations.restore.targets.kept import UndoHead, UndoJournal, UndoRecorder, begin
from backstream.ports import MOST_AT_ONCE, ConditionalWrite, Put
from backstream.tables.memory import MemoryTable
from kit.clock import ManualClock
from kit.images import SCHEMA, image

HEAD = UndoHead(restore="r", table="t", began=1, arn="arn", table_id="id")


class Keys:
    """Knows the table's key schema."""

    def key_of(self, body: bytes) -> bytes:
        return wire.key_of(SCHEMA, body)


class Unsteady(MemoryTable):
    """At the first call, `fails` of its items are not written, `lost` are written without an answer, `taken` are somebody else's by
    then.
    """

    fails: Sequence[int] = ()
    lost: Sequence[int] = ()
    taken: Sequence[int] = ()
    error: BackstreamError = Unavailable("busy")

    def write_each(self, writes: Sequence[ConditionalWrite]) -> list[bool | BackstreamError]:
        fails, lost, taken = self.fails, self.lost, self.taken
        self.fails = self.lost = self.taken = ()
        self.write([Put(theirs(each)) for each in taken])
        outcomes: list[bool | BackstreamError] = []
        for each in writes:
            number = int(wire.decode(each.body)["number"]["N"])
            outcomes.append(self.error if number in fails else self.write_if(each.write, each.before))
            if number in lost:
                outcomes[-1] = self.error
        return outcomes


def ours(number: int) -> bytes:
    return image("z", number, v={"S": "ours"})


def theirs(number: int) -> bytes:
    return image("z", number, v={"S": "theirs"})


def table_of(**words: Sequence[int]) -> Unsteady:
    table = Unsteady("flights", ManualClock(), SCHEMA)
    for name, numbers in words.items():
        setattr(table, name, numbers)
    return table


def creating(*numbers: int) -> list[ConditionalWrite]:
    return [ConditionalWrite(Put(ours(each)), None) for each in numbers]


def held(table: MemoryTable) -> dict[bytes, bytes]:
    return {wire.key_of(SCHEMA, each): each for page in table.scan() for each in page}


def by_key(*bodies: bytes) -> dict[bytes, bytes]:
    return {wire.key_of(SCHEMA, each): each for each in bodies}


def recording(folder: Path) -> tuple[Journal[UndoHead], UndoRecorder]:
    kept = begin(folder / "undo.ndjson", HEAD)
    return kept, UndoRecorder(Keys(), kept)


def test_a_batch_is_done_but_for_what_failed_and_what_is_somebody_elses(tmp_path: Path) -> None:
    table = table_of(fails=[2], lost=[3], taken=[4])
    kept, recorder = recording(tmp_path)
    writer = ConditionalWriter(Keys(), table, recorder)
    writes = creating(1, 2, 3, 4, 5)
    left = writer.write(writes)
    assert left == [writes[1], writes[2]]
    assert [each.write for each in writer.conflicts] == [writes[3]]
    assert writer.write(left) == []
    assert len(writer.conflicts) == 1, "a write whose answer was lost is done, and no conflict"
    assert held(table) == by_key(ours(1), ours(2), ours(3), theirs(4), ours(5))
    kept.close()
    undone = {Keys().key_of(each.key) for each in UndoJournal(tmp_path / "undo.ndjson").last_changes()}
    assert undone == by_key(ours(1), ours(2), ours(3), ours(5)).keys(), "what is somebody else's is not taken back"


def test_what_differs_already_is_not_sent() -> None:
    table = table_of()
    table.write([Put(theirs(1))])
    writer = ConditionalWriter(Keys(), table)
    assert writer.write(creating(1)) == []
    assert len(writer.conflicts) == 1
    assert held(table) == by_key(theirs(1))


def test_an_error_of_all_is_raised() -> None:
    table = table_of(fails=[1, 2])
    table.error = AccessDenied("denied, as told")
    with pytest.raises(AccessDenied):
        ConditionalWriter(Keys(), table).write(creating(1, 2))
    assert held(table) == {}


def test_two_writes_of_one_item_are_done_one_after_the_other() -> None:
    table = table_of()
    conditional = ConditionalWriter(Keys(), table)
    one, follows, beside = ours(1), theirs(1), image("z", 1, v={"S": "beside"})
    writes = [ConditionalWrite(Put(one), None), ConditionalWrite(Put(follows), one), ConditionalWrite(Put(beside), None)]
    assert conditional.write(writes) == writes[1:]
    assert held(table) == by_key(one)
    assert conditional.write(writes[1:]) == writes[2:]
    assert conditional.write(writes[2:]) == []
    assert [each.write for each in conditional.conflicts] == writes[2:]
    assert held(table) == by_key(follows)


def test_a_bulk_writer_brings_all_of_it_to_an_end() -> None:
    numbers = range(3 * MOST_AT_ONCE)
    table = table_of(fails=[*numbers[:20]], lost=[21, 22], taken=[23, 24])
    conditional = ConditionalWriter(Keys(), table)
    writer = BulkWriter(conditional, ManualClock(), at_once=MOST_AT_ONCE)
    for each in creating(*numbers):
        writer.add(each)
    writer.finish()
    assert writer.left_out == []
    assert {each.write.body for each in conditional.conflicts} == {ours(23), ours(24)}
    assert held(table) == by_key(*(theirs(n) if n in (23, 24) else ours(n) for n in numbers))
