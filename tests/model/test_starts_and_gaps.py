"""The recovery window: what may be promised of each second, by what is known, what is missing and what makes up for it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backstream.model.window import AFTER_ALL, IncrementalExport, KnownGap, Range, Start, SupersededRange, Window

END = 14  # the time line: 0 to END
SECONDS = st.integers(0, END)
SPANS = st.tuples(SECONDS, SECONDS).map(lambda pair: (min(pair), max(pair)))


@st.composite
def windows(draw: st.DrawFn, *, most_bridges: int = 4) -> Window:
    """Any window on a small time line."""
    starts = [Start(begin, end, f"base {n}") for n, (begin, end) in enumerate(draw(st.lists(SPANS, max_size=3)))]
    if draw(st.booleans()):
        empty = draw(SECONDS)
        starts.append(Start(empty, empty))
    gaps = [KnownGap(since, until, "lost") for since, until in sorted(draw(st.lists(SPANS, max_size=3)))]
    bridges = [IncrementalExport(since, until) for since, until in draw(st.lists(SPANS, max_size=most_bridges)) if since < until]
    return Window(starts=starts, durable=draw(st.none() | SECONDS), gaps=gaps, bridges=bridges)


def exported(window: Window, at: int) -> set[int]:
    """The seconds of which an export tells that had ended by then."""
    return {second for each in window.bridges if each.until <= at + 1 for second in range(each.since, each.until)}


def missing(window: Window, gap: KnownGap, at: int) -> set[int]:
    """The seconds of a gap that the state at a moment would need, but neither a base backup nor an export tells of."""
    ended = [(start.begin, start.end) for start in window.starts if start.end <= at]
    if ended and gap.until < max(ended)[0]:
        return set()
    return set(range(gap.since, min(gap.until, at) + 1)) - exported(window, at)


def is_exact(window: Window, at: int) -> bool:
    """What a promise means: it has arrived, all items were known by then, and no change is missing since."""
    arrived = window.durable is not None and at <= window.durable
    known = any(start.end <= at for start in window.starts)
    return arrived and known and not any(missing(window, gap, at) for gap in window.gaps)


def promised(window: Window) -> set[int]:
    return {second for each in window.ranges for second in range(each.since, each.until + 1)}


# --- for every second -------------------------------------------------------------------------------------------------------------


@given(windows(most_bridges=0))
def test_the_ranges_are_the_seconds_that_are_exact(window: Window) -> None:
    assert promised(window) == {second for second in range(END + 2) if is_exact(window, second)}


@given(windows())
@example(Window([Start(0, 0)], END, [KnownGap(5, 5, "lost"), KnownGap(8, 9, "lost")], [IncrementalExport(4, 8)]))
def test_no_second_is_promised_of_which_something_is_missing(window: Window) -> None:
    """Of exports not all that would be exact is claimed: only what is built on an exact state where they begin."""
    assert promised(window) <= {second for second in range(END + 2) if is_exact(window, second)}


@given(windows())
def test_ranges_start_and_gaps_agree(window: Window) -> None:
    by_second = {second for second in range(END + 2) if window.start(second) is not None and not window.gaps_before(second)}
    assert promised(window) == {second for second in by_second if window.durable is not None and second <= window.durable}
    assert by_second == {second for second in range(END + 2) if window.path(second) is not None}


@given(windows())
def test_ranges_are_in_order_and_none_next_to_another(window: Window) -> None:
    assert all(each.since <= each.until for each in window.ranges)
    assert all(one.until + 1 < other.since for one, other in itertools.pairwise(window.ranges))
    newest = window.ranges[-1] if window.ranges else None
    assert window.until == (None if newest is None else newest.until)
    assert newest is None or window.since == newest.since


@given(windows())
@example(Window([Start(0, 0), Start(5, 6, "base")], None, [KnownGap(4, 4, "lost")]))
@example(Window([Start(0, 3, "one"), Start(5, 6, "two")], None, [KnownGap(5, 5, "lost")]))
def test_earlier_starts_are_as_good_where_the_log_between_is_whole(window: Window) -> None:
    for at in range(END + 2):
        path = window.path(at)
        best = window.start(at) if path is None else path.start
        ended = [each for each in window.starts if best is not None and each.end <= at and each.begin < best.begin]
        broken = [each for each in ended for gap in window.gaps if best and gap.since < best.begin and gap.until >= each.begin]
        whole = sorted(((each.begin, each.end) for each in ended if each not in broken), reverse=True)
        found = window.starts_for(at)
        assert found[:1] == ([] if best is None else [best])
        assert [(each.begin, each.end) for each in found[1:]] == whole


@given(windows(most_bridges=0))
def test_the_gaps_before_a_moment_are_those_of_which_something_is_missing(window: Window) -> None:
    for at in range(END + 2):
        assert window.gaps_before(at) == [gap for gap in window.gaps if missing(window, gap, at)]
    assert window.open_gaps == window.gaps_before(AFTER_ALL)


@given(windows())
@example(Window([Start(0, 0)], None, [KnownGap(1, 1, "lost")], [IncrementalExport(1, 2), IncrementalExport(2, 3)]))
def test_only_what_an_export_tells_is_void(window: Window) -> None:
    for at in range(END + 2):
        for void in window.superseded(at):
            assert set(range(void.since, void.until + 1)) <= exported(window, at)
            assert any(bridge.since == void.since for bridge in window.bridges)
            assert any(gap.since <= void.until and gap.until >= void.since for gap in window.gaps)


@given(windows(), SECONDS)
def test_more_knowledge_never_takes_a_promise_away(window: Window, at: int) -> None:
    """An export that is taken in, or a base backup that was made where nothing was known."""
    bridged = Window(window.starts, window.durable, window.gaps, [*window.bridges, IncrementalExport(at, at + 3)])
    assert promised(window) <= promised(bridged)
    based = Window([*window.starts, Start(at, at, "another")], window.durable, window.gaps, window.bridges)
    assert promised(window) <= promised(based)


# --- a base backup and a gap ------------------------------------------------------------------------------------------------------

BASE = Start(10, 15, "base")
EMPTY = Start(0, 0)


def window(*starts: Start, gap: tuple[int, int] | None = None, bridges: list[IncrementalExport] | None = None) -> Window:
    gaps = [] if gap is None else [KnownGap(*gap, "lost")]
    return Window(starts=starts, durable=30, gaps=gaps, bridges=bridges or [])


@pytest.mark.parametrize(
    ("given", "ranges"),
    [
        pytest.param(window(), [], id="nothing known"),
        pytest.param(window(EMPTY), [(0, 30)], id="empty at init"),
        pytest.param(window(BASE), [(15, 30)], id="from the end of a base backup"),
        pytest.param(window(EMPTY, BASE), [(0, 30)], id="a base backup in a whole log changes nothing"),
        pytest.param(window(EMPTY, gap=(5, 7)), [(0, 4)], id="a gap"),
        pytest.param(window(EMPTY, BASE, gap=(5, 7)), [(0, 4), (15, 30)], id="a gap before a base backup"),
        pytest.param(window(EMPTY, BASE, gap=(5, 9)), [(0, 4), (15, 30)], id="a gap that ends just before a base backup"),
        pytest.param(window(EMPTY, BASE, gap=(5, 10)), [(0, 4)], id="a gap that ends with its first second"),
        pytest.param(window(EMPTY, BASE, gap=(12, 13)), [(0, 11)], id="a gap in a base backup"),
        pytest.param(window(EMPTY, BASE, gap=(20, 22)), [(0, 19)], id="a gap after a base backup"),
        pytest.param(window(BASE, gap=(15, 15)), [], id="a gap in its last second"),
        pytest.param(window(BASE, Start(20, 25, "next"), gap=(17, 19)), [(15, 16), (25, 30)], id="closed by the next one"),
        pytest.param(window(BASE, Start(10, 12, "short")), [(12, 30)], id="two that began together"),
        pytest.param(window(Start(10, 28, "long"), Start(12, 14, "short"), gap=(11, 11)), [(14, 30)], id="one within another"),
        pytest.param(window(BASE, Start(25, 35, "not yet")), [(15, 30)], id="one that ends after all that has arrived"),
    ],
)
def test_base_backups_and_gaps(given: Window, ranges: list[tuple[int, int]]) -> None:
    assert given.ranges == [Range(*each) for each in ranges]


@pytest.mark.parametrize(
    ("bridges", "ranges"),
    [
        pytest.param([(5, 8)], [(0, 4), (8, 30)], id="over the gap, no more: exact from its end on"),
        pytest.param([(3, 12)], [(0, 4), (12, 30)], id="from before to after it"),
        pytest.param([(6, 12)], [(0, 4)], id="begins a second too late"),
        pytest.param([(3, 7)], [(0, 4)], id="ends a second too early"),
        pytest.param([(3, 6), (6, 9)], [(0, 4), (9, 30)], id="two that meet"),
        pytest.param([(6, 9), (3, 7)], [(0, 4)], id="two that overlap: what was where the second begins is not known"),
        pytest.param([(3, 6), (7, 9)], [(0, 4)], id="two with a second between"),
        pytest.param([(3, 40)], [(0, 4)], id="ends after all that has arrived"),
        pytest.param([(9, 12)], [(0, 4)], id="after the gap"),
    ],
)
def test_exports_over_a_gap(bridges: list[tuple[int, int]], ranges: list[tuple[int, int]]) -> None:
    found = window(EMPTY, gap=(5, 7), bridges=[IncrementalExport(*each) for each in bridges])
    assert _joined(found.ranges) == _joined([Range(*each) for each in ranges])


def _joined(ranges: list[Range]) -> set[int]:
    return {second for each in ranges for second in range(each.since, each.until + 1)}


def test_a_void_reaches_from_where_the_export_begins_to_the_end_of_the_gap() -> None:
    found = window(EMPTY, gap=(5, 7), bridges=[IncrementalExport(3, 6, "one"), IncrementalExport(6, 12, "two")])
    assert found.superseded(4) == []
    assert found.superseded(11) == [], "the second has not ended"
    assert found.superseded(12) == [SupersededRange(3, 5, "one"), SupersededRange(6, 7, "two")]


def test_a_void_ends_with_the_gap_of_its_own_export() -> None:
    """A gap that begins where the export ends is the next one's."""
    gaps = [KnownGap(5, 7, "lost"), KnownGap(12, 13, "lost")]
    found = Window([EMPTY], 30, gaps, [IncrementalExport(3, 12, "one"), IncrementalExport(12, 15, "two")])
    assert found.superseded(15) == [SupersededRange(3, 7, "one"), SupersededRange(12, 13, "two")]


def test_an_export_is_built_on_a_base_backup_of_its_beginning_and_of_no_later_moment() -> None:
    full = Start(3, 7, "full", exact=5)
    assert Window([full], 30, [KnownGap(5, 20, "lost")], [IncrementalExport(5, 25)]).ranges == [Range(25, 30)]
    assert Window([full], 30, [KnownGap(5, 20, "lost")], [IncrementalExport(4, 25)]).ranges == []
    scanned = Start(3, 7, "scan")
    assert Window([scanned], 30, [KnownGap(9, 20, "lost")], [IncrementalExport(7, 25)]).ranges == [Range(7, 8)]
    assert Window([scanned], 30, [KnownGap(9, 20, "lost")], [IncrementalExport(8, 25)]).ranges == [Range(7, 8), Range(25, 30)]


def test_what_is_said_of_it() -> None:
    assert str(window()) == "recovery window: no base backup: the table was not empty at `init`"
    waiting = Window([BASE], None, [])
    assert (waiting.since, waiting.until) == (15, None)
    assert str(waiting) == "recovery window: from 1970-01-01T00:00:15Z, once the stream has been read up to there"
    assert str(window(EMPTY, BASE, gap=(5, 7))) == (
        "recovery window: 1970-01-01T00:00:00Z to 1970-01-01T00:00:04Z, and 1970-01-01T00:00:15Z to 1970-01-01T00:00:30Z"
    )
    assert (window(EMPTY).starts_empty, window(BASE).starts_empty) == (True, False)


def test_lost_for_good_nothing_is_left_to_promise() -> None:
    """Starts that have ended, but not one exact second: no words of a window that is not there."""
    found = window(BASE, gap=(12, 13))
    assert (found.ranges, found.since, found.until) == ([], None, None)
    assert str(found) == "recovery window: none, since changes are missing: 1970-01-01T00:00:12Z to 1970-01-01T00:00:13Z: lost"
    assert found.open_gaps == list(found.gaps)


@pytest.mark.parametrize(("gap", "known"), [((3, 4), False), ((1, 2), False), ((2, 7), False), ((0, 1), True), ((9, 9), True)])
def test_a_moment_builds_on_no_base_backup_that_began_before_a_gap_ended(gap: tuple[int, int], known: bool) -> None:  # noqa: FBT001
    """It began in second 2, and had ended with second 5: what it read before the gap's end may lack what the gap lacks."""
    window = Window(starts=[Start(2, 5, "base")], durable=20, gaps=[KnownGap(*gap, "lost")])
    assert (window.path(8) is not None) == known
