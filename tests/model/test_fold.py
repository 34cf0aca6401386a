"""The fold: what tells an item's state does not depend on the order, the repetition or the grouping in which it became known."""

from __future__ import annotations

import functools
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import NO_SEQUENCE, SCANNED, Entry
from backstream.model.changes.fold import BEGINNING, FoldState, in_order, known_at, newest, read_order, scans_first_in_order

KEYS = b'{"id":{"S":"a"}}'
END = 10**9
STREAMS = ("2026-01-01T00:00:00.000", "2026-02-01T00:00:00.000")


def change(sequence: int, second: int, *, stream: str = STREAMS[0], removed: bool = False) -> Entry:
    event = "REMOVE" if removed else "MODIFY"
    image = b'{"id":{"S":"a"},"change":{"N":"%d"}}' % sequence
    old, new = (image, None) if removed else (None, image)
    return Entry(stream, str(sequence), second * MICROS, event, f"{sequence:032x}", None, KEYS, image=new, old=old)


def scan(began: int, until: int, value: str = "", *, event: str = SCANNED) -> Entry:
    """Read between two seconds."""
    image = None if event == "REMOVE" else b'{"id":{"S":"a"},"scan":{"S":"%s"}}' % value.encode()
    return Entry("", NO_SEQUENCE, until * MICROS, event, "", None, KEYS, image=image, began=began)


NUMBERS = st.sampled_from([1, 2, 3, 8, 9, 10, 11, 100])  # as texts they would be in another order
CHANGES = st.builds(
    change, NUMBERS, st.integers(0, 6), stream=st.sampled_from(STREAMS), removed=st.booleans()
)  # seconds of any order, many equal
SCANS = st.builds(
    lambda began, took, event: scan(began, began + took, event=event),
    st.integers(0, 6),
    st.integers(0, 3),
    st.sampled_from([SCANNED, SCANNED, "REMOVE"]),
)


def _each_once(entries: list[Entry]) -> list[Entry]:
    """One entry for each change and each read: a sequence number belongs to one change only."""
    return list(
        {(each.scanned, each.order, each.began, each.scanned and (each.micros, each.event)): each for each in entries}.values()
    )


ENTRIES = st.lists(CHANGES | SCANS, max_size=9).map(_each_once)


def fold(entries: list[Entry]) -> FoldState:
    return functools.reduce(FoldState.with_entry, entries, FoldState())


# --- order, repetition, grouping --------------------------------------------------------------------------------------------------


@given(ENTRIES, st.data())
def test_any_order_any_number_of_times_any_grouping(entries: list[Entry], data: st.DataObject) -> None:
    known = fold(entries)
    shuffled = data.draw(st.permutations(entries))
    assert fold(shuffled) == known
    repeated = [*shuffled, *data.draw(st.lists(st.sampled_from(entries))), *entries] if entries else []
    assert fold(data.draw(st.permutations(repeated))) == known
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
    pieces = [fold(shuffled[since:until]) for since, until in itertools.pairwise([0, *cuts, len(shuffled)])]
    assert functools.reduce(FoldState.with_known, pieces, FoldState()) == known
    assert functools.reduce(lambda later, earlier: earlier.with_known(later), reversed(pieces), FoldState()) == known
    assert known.with_known(known) == known


@given(ENTRIES, st.integers(-1, 10))
def test_what_wins(entries: list[Entry], floor: int) -> None:
    """The rule in words: a scan loses to every change of the second in which its read began, or of a later one."""
    found = fold(entries).newest(floor)
    changes, scans = [each for each in entries if not each.scanned], [each for each in entries if each.scanned]
    last_read = max((each.since for each in scans), default=BEGINNING)
    if any(each.seconds >= max(last_read, floor) for each in changes):
        assert found == max(changes, key=lambda each: each.order)
    elif scans and last_read >= floor:
        assert found is not None
        assert found.scanned
        assert found.since == last_read
    else:
        assert found is None


@given(ENTRIES, st.integers(-1, 10))
def test_a_moment_knows_nothing_of_what_came_later(entries: list[Entry], at: int) -> None:
    assert known_at(entries, at) == fold([each for each in entries if each.seconds <= at])
    assert newest(entries, at) == known_at(entries, at).newest()


# --- the truth --------------------------------------------------------------------------------------------------------------------


@given(st.data())
def test_a_scan_and_the_changes_since_it_began_tell_the_truth(data: st.DataObject) -> None:
    """An item's life, its changes stamped a second off; a scan of it, and whatever of the log reaches the vault."""
    life = [change(number + 1, 0, removed=data.draw(st.booleans())) for number in range(data.draw(st.integers(0, 6)))]
    times = sorted(data.draw(st.lists(st.integers(5, 15), min_size=len(life), max_size=len(life))))
    stamps = [second + data.draw(st.integers(-1, 1)) for second in times]
    life = [change(int(each.sequence), stamp, removed=each.removed) for each, stamp in zip(life, stamps, strict=True)]
    read = data.draw(st.integers(4, 17))  # when it was read; in the same second before or after its changes
    seen = data.draw(st.integers(sum(second < read for second in times), sum(second <= read for second in times)))
    found = scan(read - 2, read + 2, f"as after {seen} changes")
    there = seen == 0 or not life[seen - 1].removed  # a scan has no line for what is not there

    first = next((place for place, stamp in enumerate(stamps) if stamp >= found.since), len(life))
    older = data.draw(st.lists(st.sampled_from(life[:first]))) if first else []
    arrived = [*older, *life[first:], *([found] if there else [])]
    at = data.draw(st.integers(found.seconds, 20))
    known = known_at(data.draw(st.permutations(arrived)), at)

    true = max((each for each in life if each.seconds <= at), key=lambda each: each.order, default=None)
    told = known.newest(found.since)  # the base backup that the scan belongs to began with it
    if true is None:
        assert told == found
    elif told is None:
        assert true.removed
    elif told.scanned:
        assert (int(true.sequence), true.removed) == (seen, False)
    else:
        assert told == true


@pytest.mark.parametrize(
    ("entries", "wins"),
    [
        pytest.param([change(1, 4), scan(5, 9)], 1, id="a change before the read"),
        pytest.param([change(1, 5), scan(5, 9)], 0, id="a change in the second in which it began"),
        pytest.param([change(1, 7), scan(5, 9)], 0, id="a change meanwhile"),
        pytest.param([change(1, 4), change(2, 7, removed=True), scan(5, 9)], 1, id="deleted meanwhile, it stays deleted"),
        pytest.param([change(2, 4), change(1, 7), scan(5, 9)], 0, id="the newest change has the smaller second"),
        pytest.param([scan(5, 9), scan(6, 8)], 1, id="the read that began last"),
        pytest.param([scan(5, 9), scan(5, 8)], 0, id="began together: the one that ended last"),
        pytest.param([change(9, 4), change(1, 4, stream=STREAMS[1])], 1, id="a newer stream"),
        pytest.param([change(9, 4), change(10, 4)], 1, id="ten is more than nine"),
    ],
)
def test_by_example(entries: list[Entry], wins: int) -> None:
    for each in itertools.permutations(entries):
        assert newest(each, END) == entries[wins]


def test_what_a_base_backup_did_not_find_was_not_there() -> None:
    known = fold([change(1, 3), scan(2, 4)])
    assert known.newest() == change(1, 3)
    assert known.newest(floor=3) == change(1, 3)
    assert known.newest(floor=4) is None
    assert fold([scan(2, 4)]).newest(floor=2) == scan(2, 4)
    assert fold([scan(2, 4)]).newest(floor=3) is None


# --- an item's history ------------------------------------------------------------------------------------------------------------


@given(ENTRIES, st.data())
def test_in_order_is_each_once_and_ends_with_the_newest(entries: list[Entry], data: st.DataObject) -> None:
    ordered = in_order(data.draw(st.permutations([*entries, *entries])))
    assert len(ordered) == len(entries)
    assert all(each in ordered for each in entries)
    changes = [each for each in ordered if not each.scanned]
    assert changes == sorted(changes, key=lambda each: each.order)
    reads = [(each.since, each.micros) for each in ordered if each.scanned]
    assert reads == sorted(reads)
    for place, each in enumerate(ordered):
        if each.scanned:
            assert not any(before.since >= each.since for before in ordered[:place] if not before.scanned)
            after = next((later for later in ordered[place:] if not later.scanned), None)
            assert after is None or after.since >= each.since, "it stands before the first change that beats it"
    assert newest(entries, END) == (ordered[-1] if ordered else None)


@given(ENTRIES)
def test_one_by_one_they_are_in_the_same_order(entries: list[Entry]) -> None:
    ordered = in_order(entries)
    scans = sorted((each for each in ordered if each.scanned), key=read_order)
    assert list(scans_first_in_order([*scans, *(each for each in ordered if not each.scanned)])) == ordered
