"""What may be deleted or reverted in place: the rules of `restore.evidence` and `restore.deletes`, border by border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import NO_SEQUENCE, SCANNED, Entry
from backstream.model.window import KnownGap, Older, Start, Window
from backstream.operations.restore import InPlace, RestoreRequest
from backstream.operations.restore.states.deletes import needed
from backstream.operations.restore.states.evidence import AbsenceEvidence, LaterInLog, first_after
from backstream.operations.restore.states.row_states import RowCounts, RowState
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.feed import Feed
from kit.images import image, key

KEY = b'{"id":{"S":"a"}}'
AT = 100  # the moment
EMPTY = Start(0, 0)


def change(second: int, event: str = "MODIFY", number: int = 1) -> Entry:
    now = None if event == "REMOVE" else KEY
    return Entry("2026-01-01T00:00:00.000", str(number), second * MICROS, event, f"{number:032x}", None, KEY, image=now)


class Told:
    """`evidence.Later` that knows one change after the moment, or none."""

    def __init__(self, first: Entry | None) -> None:
        self._first = first

    def first(self, key: bytes) -> Entry | None:
        assert key == KEY
        return self._first


def evidence(
    window: Window,
    first: Entry | None = None,
    *,
    unreadable: Sequence[KnownGap] = (),
    lost: BrokenChain | None = None,
    **words: Any,
) -> AbsenceEvidence:
    request = RestoreRequest(at=AT, target=InPlace(), **words)
    return AbsenceEvidence(request, window, Told(first), lambda: unreadable, lambda _key, _then, _first: lost)


def window(
    *gaps: tuple[int, int], starts: Sequence[Start] = (EMPTY,), durable: int | None = AT, older: Older | None = None
) -> Window:
    return Window(starts=starts, durable=durable, gaps=[KnownGap(*each, "lost") for each in gaps], older=older)


def row(then: Entry | None = None) -> RowState:
    return RowState(KEY, then, live=KEY)


def words_of(found: Any) -> str:
    return "" if found is None else found.why


# --- to delete --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "then", "goes"),
    [
        pytest.param(window(), None, True, id="followed since it was empty"),
        pytest.param(window(durable=AT - 1), None, False, id="not proven, by a second"),
        pytest.param(window(durable=None), None, False, id="nothing is proven"),
        pytest.param(window(starts=[]), None, False, id="no base backup"),
        pytest.param(window(starts=[Start(50, AT, "base")]), None, True, id="a base backup that ended with the moment"),
        pytest.param(window(starts=[Start(50, AT + 1, "base")]), None, False, id="a base backup that ended a second later"),
        pytest.param(window((AT, AT)), None, False, id="a gap of the moment's second"),
        pytest.param(window((AT + 1, AT + 9)), None, True, id="a gap after it"),
        pytest.param(window((5, 6)), None, False, id="a gap long before, which nothing has closed"),
        pytest.param(window((5, 6), starts=[EMPTY, Start(7, 9, "base")]), None, True, id="a gap that a base backup has closed"),
        pytest.param(window(), change(20, "REMOVE"), True, id="deleted"),
        pytest.param(window((5, 19)), change(20, "REMOVE"), True, id="deleted after the gap"),
        pytest.param(window((5, 20)), change(20, "REMOVE"), False, id="deleted in the gap's last second: it may have come back"),
        pytest.param(window((30, 40)), change(20, "REMOVE"), False, id="a gap since it was deleted"),
        pytest.param(
            window(starts=[], durable=None, older=Older(10, AT)), change(20, "REMOVE"), True, id="an older tool knew its delete"
        ),
        pytest.param(window(starts=[], durable=None, older=Older(10, AT)), None, False, id="an older tool has never heard of it"),
        pytest.param(
            window(starts=[], durable=None, older=Older(10, AT - 1)), change(20, "REMOVE"), False, id="after an older tool's last"
        ),
    ],
)
def test_a_live_row_is_deleted_only_where_it_surely_did_not_exist(known: Window, then: Entry | None, goes: bool) -> None:  # noqa: FBT001
    found = evidence(known).against_deleting(row(then))
    assert (found is None) == goes, words_of(found)
    assert found is None or not found.accepted
    assert evidence(known, delete_unknown=True).against_deleting(row(then)) is None, "the user takes it on"


def test_an_object_that_cannot_be_read_proves_nothing() -> None:
    late = [KnownGap(20, 30, "an object that cannot be read")]
    assert "nothing tells whether it existed" in words_of(evidence(window(), unreadable=late).against_deleting(row()))
    assert evidence(window(), unreadable=late).against_deleting(row(change(31, "REMOVE"))) is None
    assert evidence(window(), unreadable=late).against_deleting(row(change(30, "REMOVE"))) is not None


def test_what_is_left_counts_as_accepted_only_where_somebody_said_so() -> None:
    gap = window((AT, AT))
    left = [evidence(gap), evidence(gap, allow_gap=True), evidence(gap, keep_unknown=True)]
    told = [each.against_deleting(row()) for each in left]
    assert [each and each.accepted for each in told] == [False, True, True]
    older = evidence(window(starts=[], durable=None, older=Older(10, AT)), allow_gap=True).against_deleting(row())
    assert older is not None
    assert not older.accepted, "an older tool does not know the rows that it never wrote: that is no gap"


@pytest.mark.parametrize(
    ("first", "gaps", "stays"),
    [
        pytest.param(None, (), "", id="the vault knows of no change since"),
        pytest.param(change(AT + 1, "INSERT"), (), "", id="created since"),
        pytest.param(change(AT + 9), (), "is a MODIFY of an existing item: it existed at", id="changed since: it was there"),
        pytest.param(
            change(AT + 9, "REMOVE"), (), "is a REMOVE of an existing item: it existed at", id="deleted since: it was there"
        ),
        pytest.param(change(AT + 9), [(AT + 9, AT + 20)], "its insert may lie in a gap", id="a gap from that second on"),
        pytest.param(
            change(AT + 9), [(AT + 10, AT + 20)], "is a MODIFY of an existing item", id="a gap that begins a second later"
        ),
        pytest.param(change(AT + 9), [(AT + 2, AT + 3)], "its insert may lie in a gap", id="a gap between"),
    ],
)
def test_a_later_change_tells_that_it_existed(first: Entry | None, gaps: Sequence[tuple[int, int]], stays: str) -> None:
    found = evidence(window(*gaps), first).against_deleting(row())
    assert (found is None) == (stays == "")
    assert stays in words_of(found)


def test_an_insert_that_may_lie_in_a_gap_is_accepted_with_the_gap() -> None:
    first, known = change(AT + 9), window((AT + 2, AT + 3))
    accepted = evidence(known, first, allow_gap=True).against_deleting(row())
    assert accepted is not None
    assert accepted.accepted
    assert evidence(known, first, delete_unknown=True).against_deleting(row()) is None
    before = evidence(window((AT, AT)), first, delete_unknown=True).against_deleting(row())
    assert "is a MODIFY" in words_of(before), "created in a gap that ends with the moment, it existed then"
    still = evidence(window(), first, delete_unknown=True).against_deleting(row())
    assert still is not None, "what shows that it existed counts whatever was accepted"
    assert not still.accepted


# --- to revert --------------------------------------------------------------------------------------------------------------------


def test_a_row_is_reverted_where_its_state_is_proven_or_it_was_changed_since() -> None:
    then = change(20)
    assert evidence(window()).against_reverting(row(then)) is None
    assert evidence(window(durable=AT - 1), change(AT + 1, number=2)).against_reverting(row(then)) is None
    unheard = evidence(window(durable=AT - 1)).against_reverting(row(then))
    assert "has not heard of its last change" in words_of(unheard)
    assert "everything up to 1970-01-01T00:01:39Z" in words_of(unheard)


@pytest.mark.parametrize(
    ("since", "until", "stays"),
    [(AT, AT + 1, True), (AT + 1, AT + 9, False), (AT - 9, AT + 1, True), (AT - 9, AT, False)],
)
def test_a_change_that_is_missing_around_the_moment_leaves_a_row_alone(since: int, until: int, stays: bool) -> None:  # noqa: FBT001
    """Missing before the moment's end and made before the next known change: nobody knows how the row was then."""
    lost, then, first = BrokenChain(KEY, since, until), change(20), change(AT + 9, number=2)
    judge = evidence(window(), first, lost=lost)
    found = judge.against_reverting(row(then))
    assert (found is not None) == stays
    assert judge.missing == ([lost] if stays else [])
    accepted = evidence(window(), first, lost=lost, allow_gap=True)
    assert accepted.against_reverting(row(then)) is None
    assert accepted.missing == ([lost] if stays else []), "it is named all the same"


def test_the_first_change_after_a_moment() -> None:
    before, first, second = change(AT, number=9), change(AT + 2, number=10), change(AT + 1, number=11)
    scanned = Entry("", NO_SEQUENCE, (AT + 1) * MICROS, SCANNED, "", None, KEY, image=KEY, began=AT + 1)
    assert first_after([second, scanned, first, before], AT) == first, "the first by its number, whatever its clock"
    assert first_after([before, scanned], AT) is None


@pytest.mark.parametrize("layout", Layout)
def test_later_changes_in_the_log_begin_a_second_after_the_moment(layout: Layout) -> None:
    began = 1_700_000_000
    feed = Feed(MemoryStore(ManualClock(began + 60)), "items", began=began, layout=layout)
    feed.put(began + 10, image("z", 1, v={"N": "1"}), image("z", 2))
    feed.put(began + 11, image("z", 1, v={"N": "2"}))
    feed.deliver()
    with LaterInLog(feed.vault, began + 10, partitions=2, buffer=1 << 16) as later:
        first = later.first(feed.vault.key_of(key("z", 1)))
        assert first is not None
        assert first.seconds == began + 11
        assert later.first(feed.vault.key_of(key("z", 2))) is None


# --- how many deletes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deletes", "live", "then", "number"),
    [
        (0, 10, 10, None),
        (5, 10, 5, None),
        (6, 10, 4, 6),
        (1, 2, 1, None),
        (1, 1, 1, 1),
        (1, 10, 0, 1),
        (0, 10, 0, None),
    ],
)
def test_most_of_a_table_is_more_than_half_or_any_row_of_a_moment_without_rows(
    deletes: int, live: int, then: int, number: int | None
) -> None:
    tally = RowCounts(deletes=deletes, live=live, then=then)
    assert needed(tally, RestoreRequest(at=AT, target=InPlace())) == number
    assert needed(tally, RestoreRequest(at=AT, target=InPlace(), keys=[KEY])) is None
