"""What a compaction decides: which sets are written anew, of how many objects, and which segments stay as signs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backstream.operations.base.compact import plan
from backstream.vault.log.compacted import Set
from backstream.vault.log.log import DAY, LogListing
from backstream.vault.log.segments import Segment, SegmentKind, mark

STREAM = "2026-11-23T04:15:33.123"
NOW = 1_795_406_400


def sets(*sizes: int, partitions: int = 1) -> list[Set]:
    return [Set(f"{number:08d}-aaaaaaaaaaaa", partitions, size, size, 0, 0) for number, size in enumerate(sizes)]


def sizes(found: list[Set]) -> list[int]:
    return [each.size for each in found]


# --- what is merged --------------------------------------------------------------------------------------------------------------


def test_small_sets_are_merged_and_large_ones_left() -> None:
    assert sizes(plan.to_merge(sets(1_000, 30), 10)) == [30]
    assert sizes(plan.to_merge(sets(1_000, 40), 10)) == []
    assert sizes(plan.to_merge(sets(1_000, 39, 190), 10)) == [39, 190], "with the first one the second is not so large any more"


def test_of_sets_that_shrink_fast_the_smallest_is_merged_all_the_same() -> None:
    """Else there would be one more with each compaction, and a history reads them all."""
    assert sizes(plan.to_merge(sets(64_000, 8_000, 1_000), 1)) == [1_000]
    assert sizes(plan.to_merge(sets(64_000, 8_000), 1)) == []


numbers = st.integers(1, 10**9)


@given(st.lists(numbers, max_size=8), numbers)
def test_there_are_never_too_many_and_the_smallest_go_first(of_sets: list[int], new: int) -> None:
    merged = sizes(plan.to_merge(sets(*of_sets), new))
    assert merged == sorted(of_sets)[: len(merged)]
    assert len(of_sets) - len(merged) + 1 <= plan.MOST_SETS
    left = sorted(of_sets)[len(merged) :]
    assert not left or left[0] >= plan.GROWTH * (new + sum(merged))


def test_no_line_is_written_many_times() -> None:
    """A compaction a day for a year, of as much each time: each line is written ten times on average, not 183."""
    now: list[int] = []
    written = 0
    for _ in range(365):
        merged = sizes(plan.to_merge(sets(*now), 10))
        now = [10 + sum(merged), *(each for each in sorted(now)[len(merged) :])]
        written += now[0]
    assert sum(now) == 3_650
    assert written < 10 * sum(now)


# --- of how many objects ---------------------------------------------------------------------------------------------------------


def test_objects_are_as_large_as_they_should_be() -> None:
    whole = plan.PART_BYTES
    assert [plan.partitions_for(size, []) for size in (0, 1, whole, whole + 1, 3 * whole, 9 * whole)] == [1, 1, 1, 2, 4, 16]
    assert plan.partitions_for(10**18, []) == plan.MOST_PARTITIONS


def test_there_are_never_fewer_than_of_what_is_merged() -> None:
    """A set is cut finer, not put together: so one object of it is read for each new one."""
    assert plan.partitions_for(1, [*sets(1, partitions=8), *sets(1, partitions=2)]) == 8


# --- what stays ------------------------------------------------------------------------------------------------------------------


def listed(segment: Segment | None, modified: float = NOW, name: str = "") -> LogListing:
    return LogListing(segment.path if segment is not None else name, 1, modified, segment)


def run_of(shard: str, last: int, seconds: int) -> Segment:
    return Segment(STREAM, shard, str(last - 1), str(last), 2, seconds, seconds)


def kept(*every: LogListing) -> set[str]:
    return set(plan.signs(every, NOW))


def test_a_tail_s_checkpoints_stay_one_of_each_shard() -> None:
    old, new = listed(run_of("a", 98, NOW - 50)), listed(run_of("a", 100, NOW - 50))
    other = listed(run_of("b", 7, NOW - 2 * DAY), modified=NOW - 2 * DAY)
    assert kept(new, old, other) == {new.name, other.name}, "by their numbers, not as text"
    stale = listed(run_of("c", 7, NOW - 4 * DAY), modified=NOW - 4 * DAY)
    assert kept(new, old, other, stale) == {new.name, other.name}


def test_a_lonely_old_checkpoint_stays_for_what_it_says_of_its_kind() -> None:
    stale = listed(run_of("c", 7, NOW - 40 * DAY))
    assert kept(stale) == {stale.name}


def test_of_each_kind_what_reaches_farthest_and_what_came_last() -> None:
    for kind in (SegmentKind.LAMBDA, SegmentKind.PARALLEL, SegmentKind.REPAIR, SegmentKind.REBUILT, SegmentKind.EXPORT):
        far = listed(run_of(f"{kind}.aaaaaaaaaaaa", 5, NOW - 10), modified=NOW - 9)
        late = listed(run_of(f"{kind}.bbbbbbbbbbbb", 3, NOW - 900), modified=NOW)
        neither = listed(run_of(f"{kind}.cccccccccccc", 4, NOW - 500), modified=NOW - 400)
        assert kept(far, late, neither) == {far.name, late.name}


def test_marks_with_which_tails_end_are_a_kind_of_their_own() -> None:
    """A mark that reaches farther must not hide that a tail has ended."""
    running = [listed(mark(STREAM, NOW - ago), modified=NOW - ago) for ago in (300, 200, 0)]
    ending = [listed(mark(STREAM, NOW - ago, f"host-{ago}"), modified=NOW - ago) for ago in (400, 100)]
    assert kept(*running, *ending) == {running[-1].name, ending[-1].name}


def test_foreign_objects_are_no_signs() -> None:
    assert kept(listed(None, name="readme.txt")) == set()
