"""`replicate`: the target becomes and stays like the source, whatever order, how late and how often its changes come."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import MissingTable, Refused, Unavailable
from backstream.model.changes.change import Change
from backstream.model.values import wire
from backstream.operations.replicate import Deletes, Reconciler, Replicated, ReplicateOptions, Replicating, bring, replicate
from backstream.ports import Clock, Delete, Put, Table, Write
from backstream.tables.memory import MemoryTable
from kit.clock import ManualClock
from kit.images import SCHEMA, image, key
from kit.one_at_a_time import OneAtATime
from kit.stage import QUICK

ITEMS = 4


def changes_of(table: MemoryTable) -> list[Change]:
    stream = table.stream
    return [c for s in stream.facts().shards for c in stream.read(s.id, stream.iterator(s.id, None)).changes]


def held(table: Table) -> dict[bytes, bytes]:
    return {wire.key_of(SCHEMA, each): each for page in table.scan() for each in page}


class Pair:
    """Two tables with one clock: what is written to `source` is in its stream."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.source = MemoryTable("flights", clock, SCHEMA, shards=2)
        self.source.enable_stream()
        self.target = MemoryTable("copy", clock, SCHEMA)
        self.notices: list[str] = []
        self._version = 0

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self._version += 1
            self.source.write([Put(image("z", number, v={"N": str(self._version)}))])

    def delete(self, *numbers: int) -> None:
        for number in numbers:
            self.source.write([Delete(key("z", number))])

    def replica(self, deletes: Deletes = Deletes.ALL, target: Table | None = None) -> Reconciler:
        return Reconciler(self.source, target or self.target, SCHEMA, deletes)

    def run(self, state: Path, stop: threading.Event | None = None, **words: Any) -> Replicated:
        around = Replicating(
            source=self.source,
            target=self.target,
            streams=lambda _: self.source.stream,
            clock=self.clock,
            stop=stop or threading.Event(),
            notice=self.notices.append,
            say=lambda _: None,
            settings=QUICK,
        )
        return replicate(around, ReplicateOptions(state, until_caught_up=stop is None, **words))


@pytest.fixture
def pair() -> Pair:
    return Pair(ManualClock())


WRITES = st.lists(st.tuples(st.integers(0, ITEMS - 1), st.sampled_from(["put", "delete", "same"])), max_size=12)


@given(WRITES, WRITES, st.randoms(use_true_random=False))
def test_any_order_and_any_number_of_deliveries(
    first: Sequence[tuple[int, str]], second: Sequence[tuple[int, str]], chance: random.Random
) -> None:
    pair = Pair(ManualClock())
    replica = pair.replica()
    for writes in (first, second):
        for number, what in writes:
            if what == "same":
                pair.source.write([Put(image("z", number))])
            else:
                (pair.put if what == "put" else pair.delete)(number)
        delivered = changes_of(pair.source)
        batches = [chance.sample(delivered, chance.randint(0, len(delivered))) for _ in range(3)] + [delivered]
        chance.shuffle(batches)
        for batch in batches:
            chance.shuffle(batch)
            assert bring(batch, replica, SCHEMA) == {}
        assert held(pair.target) == held(pair.source)


def test_a_stale_change_that_comes_again_does_no_harm_even_where_the_target_looks_as_before_it(pair: Pair) -> None:
    """A toggle: A, B, A. The change to B comes again, and the target is at the A that it was made from."""
    for value in ("A", "B", "A"):
        pair.source.write([Put(image("z", 1, v={"S": value}))])
    replica = pair.replica()
    changes = changes_of(pair.source)
    assert bring(changes, replica, SCHEMA) == {}
    assert bring([changes[1]], replica, SCHEMA) == {}
    assert held(pair.target) == held(pair.source)
    assert (replica.counts.put, replica.counts.unchanged) == (1, 1)


class Meddled(OneAtATime):
    """A target where, just before a conditional write, `meddle` happens: once."""

    def __init__(self, inner: Table, meddle: Callable[[], None]) -> None:
        self._inner = inner
        self._meddle: Callable[[], None] | None = meddle

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write_if(self, write: Write, before: bytes | None) -> bool:
        meddle, self._meddle = self._meddle, None
        if meddle is not None:
            meddle()
        return self._inner.write_if(write, before)


def test_two_at_the_same_item_at_the_same_time_agree_on_the_newest(pair: Pair) -> None:
    """One has looked at the source and is slow to write; meanwhile the source moves on, and another one brings that."""
    pair.put(1)

    def another() -> None:
        pair.put(1)
        assert bring(changes_of(pair.source), pair.replica(), SCHEMA) == {}

    slow = pair.replica(target=Meddled(pair.target, another))
    assert bring(changes_of(pair.source)[:1], slow, SCHEMA) == {}
    assert held(pair.target) == held(pair.source)


def test_a_target_that_looks_untouched_though_it_was_changed_and_changed_back(pair: Pair) -> None:
    """The condition of the slow one's write holds, and what it writes is old: it sees so when it looks at the source again."""
    first = image("z", 1, v={"S": "A"})
    pair.target.write([Put(first)])
    pair.put(1)

    def back_to_a() -> None:
        pair.source.write([Put(first)])
        assert bring(changes_of(pair.source), pair.replica(), SCHEMA) == {}
        assert held(pair.target) == {wire.key_of(SCHEMA, first): first}

    slow = pair.replica(target=Meddled(pair.target, back_to_a))
    assert bring(changes_of(pair.source)[:1], slow, SCHEMA) == {}
    assert held(pair.target) == held(pair.source)


def test_what_cannot_be_written_is_named_by_its_place_and_the_rest_is_done(pair: Pair) -> None:
    pair.put(1, 2, 1)

    class Refusing(Meddled):
        def write_if(self, write: Write, before: bytes | None) -> bool:
            if isinstance(write, Put) and wire.key_of(SCHEMA, write.image) == wire.key_of(SCHEMA, key("z", 1)):
                raise Unavailable("throttled")
            return super().write_if(write, before)

    target = Refusing(pair.target, lambda: None)
    delivered = sorted(changes_of(pair.source), key=lambda each: int(each.sequence))
    failures = bring(delivered, pair.replica(target=target), SCHEMA)
    assert sorted(failures) == [0, 2]
    assert held(pair.target).keys() == {wire.key_of(SCHEMA, key("z", 2))}
    assert bring(delivered, pair.replica(), SCHEMA) == {}
    assert held(pair.target) == held(pair.source)


# --- deletes ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("deletes", "left"), [(Deletes.ALL, set()), (Deletes.NOT_TTL, {2}), (Deletes.NONE, {1, 2})], ids=str)
def test_deletes_by_choice(pair: Pair, deletes: Deletes, left: set[int]) -> None:
    pair.put(1, 2, 1, 2)
    before = held(pair.source)
    pair.delete(1)
    pair.source.expire([key("z", 2)])
    replica = pair.replica(deletes)
    delivered = changes_of(pair.source)
    assert bring(delivered, replica, SCHEMA) == {}
    expected = {name: each for name, each in before.items() if name in {wire.key_of(SCHEMA, key("z", n)) for n in left}}
    assert held(pair.target) == expected
    for change in delivered:  # each again, the oldest first: nothing older than the last comes back
        assert bring([change], replica, SCHEMA) == {}
    assert held(pair.target) == expected


def test_an_item_that_comes_back_after_a_delete_that_was_not_replicated(pair: Pair) -> None:
    replica = pair.replica(Deletes.NONE)
    pair.put(1)
    pair.delete(1)
    assert bring(changes_of(pair.source), replica, SCHEMA) == {}
    pair.put(1)
    assert bring(changes_of(pair.source), replica, SCHEMA) == {}
    assert held(pair.target) == held(pair.source)


# --- following --------------------------------------------------------------------------------------------------------------------


def test_it_follows_and_goes_on_where_it_stopped(pair: Pair, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    pair.put(1, 2, 3)
    first = pair.run(state)
    assert (first.changes, first.put, first.gaps, first.caught_up) == (3, 3, 0, True)
    assert any("--repair" in notice for notice in pair.notices), "it says that the rest is not looked at"
    pair.put(2)
    pair.delete(3)
    again = pair.run(state)
    assert (again.changes, again.put, again.deleted) == (2, 1, 1)
    assert held(pair.target) == held(pair.source)
    assert again.lag_seconds is not None


def test_what_was_there_before_is_copied_if_wanted(pair: Pair, tmp_path: Path) -> None:
    pair.put(*range(250))
    pair.source.disable_stream()
    pair.source.enable_stream()
    pair.put(3)
    report = pair.run(tmp_path / "state.json", copy=True)
    assert (report.copied, report.copied_whole) == (250, True)
    assert held(pair.target) == held(pair.source)
    assert len(held(pair.target)) == 250


def test_a_replaced_stream_and_a_long_absence_are_gaps(pair: Pair, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    pair.put(1)
    pair.run(state)
    pair.source.disable_stream()
    pair.put(2)
    pair.source.enable_stream()
    pair.put(3)
    assert pair.run(state).gaps == 1
    assert pair.run(state).gaps == 0
    assert any("GAP" in notice and "replaced" in notice for notice in pair.notices)
    pair.clock.sleep(2 * 86_400)
    assert pair.run(state).gaps >= 1
    assert any("GAP" in notice and "for longer than it keeps records" in notice for notice in pair.notices)


def test_beside_a_writer_until_it_is_stopped(tmp_path: Path) -> None:
    from backstream.clock import SystemClock  # noqa: PLC0415 - this one in real time

    pair, stop = Pair(SystemClock()), threading.Event()
    done: list[Replicated] = []
    thread = threading.Thread(target=lambda: done.append(pair.run(tmp_path / "state.json", stop)))
    thread.start()
    chance = random.Random(3)
    for _ in range(300):
        number = chance.randrange(20)
        if wire.key_of(SCHEMA, key("z", number)) in held(pair.source) and chance.random() < 0.3:
            pair.delete(number)
        else:
            pair.put(number)
    stop.set()
    thread.join(240)
    assert done, "it has not ended"
    last = pair.run(tmp_path / "state.json")
    assert held(pair.target) == held(pair.source)
    assert last.changes <= 300


# --- refused ----------------------------------------------------------------------------------------------------------------------


def other_keys(pair: Pair) -> None:
    from backstream.model.values.schema import KeyAttribute, KeySchema  # noqa: PLC0415

    pair.target = MemoryTable("copy", pair.clock, KeySchema(KeyAttribute("other", "S")))


def one_table(pair: Pair) -> None:
    pair.target = pair.source


def missing(pair: Pair) -> None:
    pair.target = MemoryTable("copy", pair.clock)


def no_stream(pair: Pair) -> None:
    pair.source.disable_stream()


REFUSED: Mapping[str, tuple[Callable[[Pair], None], type[Exception], str]] = {
    "other keys": (other_keys, Refused, "different key schemas"),
    "one table": (one_table, Refused, "the same table"),
    "missing": (missing, MissingTable, "copy"),
    "no stream": (no_stream, Refused, "stream"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_and_nothing_written(pair: Pair, tmp_path: Path, case: str) -> None:
    spoil, error, said = REFUSED[case]
    pair.put(1)
    target = pair.target
    spoil(pair)
    with pytest.raises(error, match=said):
        pair.run(tmp_path / "state.json")
    assert held(target) == {}
    assert not (tmp_path / "state.json").exists()


@pytest.mark.parametrize("text", ["", "{}", '{"head":{"source":"a","target":"b","stream":"c"},"shards":{}}'])
def test_a_file_that_is_no_state_of_this_replica(pair: Pair, tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(Refused, match=r"state\.json"):
        pair.run(tmp_path / "state.json")
    assert (tmp_path / "state.json").read_text() == text
