"""Lost changes against a dict: any life of some items, any of its changes lost, in any order and any number of times.

Each loss whose item is changed or read again is found, with the item and the seconds; where nothing was lost nothing is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstream.model.changes import item_chain
from backstream.model.changes.change import MICROS, Change
from backstream.model.changes.entry import Entry, Scanned, of_change, of_scanned
from backstream.model.changes.item_chain import Break, ChainEvidence, ItemChain, Judge, WholeTableRead, losses

KEYS = b'{"id":{"S":"a"}}'
STREAMS = ("2026-01-01T00:00:00.000", "2026-02-01T00:00:00.000")
TTL = "dynamodb.amazonaws.com"
LATER = 10**9


def image(value: int) -> bytes:
    return KEYS[:-1] + b',"v":{"N":"%d"}}' % value


class Life(msgspec.Struct):
    """One item's: its changes with what was lost of them, and its state second by second."""

    changes: list[Change]
    lost: list[Change]
    scans: list[Entry]
    readings: list[WholeTableRead]


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 2)),
    st.tuples(st.just("put"), st.integers(0, 2)),
    st.tuples(st.just("delete"), st.booleans()),
    st.tuples(st.just("time"), st.integers(1, 3)),
    st.tuples(st.just("base"), st.integers(0, 2)),
    st.tuples(st.just("stream"), st.just(0)),
)


def lived(script: Sequence[tuple[str, Any]], *, empty: bool) -> Life:
    """The changes and the scans of a script. An idempotent put makes no record, as in DynamoDB."""
    now, state, stream, number = 10, None if empty else 9, 0, 0
    life = Life([], [], [], [WholeTableRead(8, 10)] if empty else [])
    for what, value in script:
        if what == "time":
            now += value
        elif what == "stream":
            now, stream = now + 1, 1
        elif what == "base":
            life.readings.append(WholeTableRead(now - 2, now + 2 + value))
            if state is not None:
                scanned = Scanned(KEYS, image(state), now - 2, (now + 2) * MICROS)
                life.scans.append(of_scanned(scanned, None))
            now += value
        else:
            after = value if what == "put" else None
            if after != state:
                number += 1
                event = "INSERT" if state is None else "REMOVE" if after is None else "MODIFY"
                actor = TTL if what == "delete" and value else None
                old, new = (None if each is None else image(each) for each in (state, after))
                life.changes.append(Change(STREAMS[stream], str(number), now * MICROS, event, "", actor, KEYS, old, new))
                state = after
    return life


def entries_of(life: Life, kept: Sequence[Change]) -> list[Entry]:
    return [*(of_change(each, None) for each in kept), *life.scans]


def judge_of(life: Life, gaps: Sequence[tuple[int, int]] = ()) -> Judge:
    return Judge(ChainEvidence(readings=life.readings, settled=LATER, gaps=gaps))


scripts = st.lists(steps, max_size=14)


@settings(max_examples=400)
@given(scripts, st.booleans(), st.data())
def test_nothing_is_found_where_nothing_is_lost(script: list[tuple[str, Any]], empty: bool, data: st.DataObject) -> None:  # noqa: FBT001
    life = lived(script, empty=empty)
    entries = entries_of(life, life.changes)
    entries += data.draw(st.lists(st.sampled_from(entries), max_size=3)) if entries else []
    old_lines = data.draw(st.sets(st.integers(0, 20)))
    entries = [
        msgspec.structs.replace(each, before=None, after=None) if place in old_lines else each for place, each in enumerate(entries)
    ]
    assert losses(data.draw(st.permutations(entries)), judge_of(life)) == []


@settings(max_examples=600)
@given(scripts, st.booleans(), st.data())
def test_each_loss_is_found_where_the_item_changes_again(script: list[tuple[str, Any]], empty: bool, data: st.DataObject) -> None:  # noqa: FBT001
    life = lived(script, empty=empty)
    lost = data.draw(st.sets(st.integers(0, 14)))
    kept = [each for place, each in enumerate(life.changes) if place not in lost]
    found = losses(data.draw(st.permutations(entries_of(life, kept))), judge_of(life))
    for run in runs(life.changes, lost):
        if is_seen(life, run, empty=empty):
            assert any(each.since <= run[0].seconds and run[-1].seconds <= each.until for each in found), (run, found)
    for each in found:
        assert any(each.since <= change.seconds <= each.until for place, change in enumerate(life.changes) if place in lost)


def runs(changes: Sequence[Change], lost: set[int]) -> list[list[Change]]:
    """Neighbours that were lost together."""
    found: list[list[Change]] = []
    for place, change in enumerate(changes):
        if place in lost:
            if place - 1 in lost and found:
                found[-1].append(change)
            else:
                found.append([change])
    return found


def is_seen(life: Life, run: Sequence[Change], *, empty: bool) -> bool:
    """Whether a loss leaves a trace: the next change says another state than the one before does."""
    first, last = life.changes.index(run[0]), life.changes.index(run[-1])
    if last + 1 == len(life.changes) or (first == 0 and not empty):
        return False
    following = life.changes[last + 1]
    changed = (run[0].old is None) != (run[-1].new is None) or run[0].old != run[-1].new
    before = life.changes[first - 1].seconds if first else 10
    apart = first > 0 or following.seconds > 10  # else it may have been made before the table was seen empty
    streams = first > 0 and life.changes[first - 1].stream != following.stream and following.seconds <= before
    return changed and following.actor is None and apart and not streams


@given(scripts, st.booleans(), st.data())
def test_a_gap_explains_what_is_missing_in_it(script: list[tuple[str, Any]], empty: bool, data: st.DataObject) -> None:  # noqa: FBT001
    life = lived(script, empty=empty)
    lost = data.draw(st.sets(st.integers(0, 14)))
    kept = [each for place, each in enumerate(life.changes) if place not in lost]
    gaps = [(each.seconds, each.seconds) for place, each in enumerate(life.changes) if place in lost]
    assert losses(entries_of(life, kept), judge_of(life, gaps)) == []


@given(scripts, st.booleans(), st.data())
def test_what_may_still_arrive_is_no_loss(script: list[tuple[str, Any]], empty: bool, data: st.DataObject) -> None:  # noqa: FBT001
    """Whatever has not come yet, once it comes all is well; and what is older than the settled second has come."""
    life = lived(script, empty=empty)
    settled = data.draw(st.integers(0, 60))
    late = data.draw(st.sets(st.integers(0, 14)))
    there = [each for place, each in enumerate(life.changes) if place not in late or each.seconds <= settled]
    judge = Judge(ChainEvidence(readings=life.readings, settled=settled))
    assert losses(entries_of(life, there), judge) == []


@given(scripts, st.booleans(), st.data())
def test_order_repetition_and_joining_change_nothing(script: list[tuple[str, Any]], empty: bool, data: st.DataObject) -> None:  # noqa: FBT001
    life = lived(script, empty=empty)
    lost = data.draw(st.sets(st.integers(0, 14)))
    entries = entries_of(life, [each for place, each in enumerate(life.changes) if place not in lost])
    expected = losses(entries, judge_of(life))
    again = entries + (data.draw(st.lists(st.sampled_from(entries), max_size=5)) if entries else [])
    assert losses(data.draw(st.permutations(again)), judge_of(life)) == expected
    slowly = ItemChain()
    for each in again:
        slowly.add(each)
    assert slowly.losses(judge_of(life)) == expected, "the short way says what the long way says"


def test_a_hot_item_is_judged_in_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_chain, "MOST_LINKS", 10)
    script = [each for number in range(200) for each in (("put", number), ("time", 1))]
    life = lived(script, empty=True)
    chain = ItemChain()
    for place, each in enumerate(life.changes):
        if place != 100:
            chain.add(of_change(each, None))
            assert len(chain._links) <= 12
    for each in life.changes[:100]:
        chain.add(of_change(each, None))
    lost = life.changes[100].seconds
    assert chain.losses(judge_of(life)) == [Break(lost - 1, lost + 1)]
