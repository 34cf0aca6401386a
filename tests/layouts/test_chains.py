"""The chains of a tail's segments: what names a predecessor that is nowhere lacks it; everything else is whole."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Unavailable
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.stores.memory import MemoryStore
from backstream.vault.log import chains
from backstream.vault.log.chains import Missing, Run, joined, missing, open_ends, run_of
from backstream.vault.log.compacted import Generation
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.links import Links
from backstream.vault.log.log import ChangeLog, LogListing
from backstream.vault.log.segments import Segment, mark
from kit.clock import ManualClock

STREAM = "2026-11-23T04:15:33.123"
SHARD = "shardId-00000001763871333000-0a1b2c3d"
OTHER = "shardId-00000001763871333000-ffffffff"
HOUR = 1_795_406_400  # 2026-11-23T04:00:00Z


def run(first: int, last: int, after: str | int, shard: str = SHARD) -> Run:
    """A run whose changes are a second apart: number 7 was made in second 7."""
    return Run(STREAM, shard, str(first), str(last), str(after), first, last)


def extents(runs: Sequence[Run]) -> list[tuple[int, int, str]]:
    return [(*each.bounds, each.after) for each in runs]


def test_runs_that_follow_each_other_are_one() -> None:
    assert joined([run(1, 5, "start"), run(6, 9, 5), run(12, 20, 9)]) == [run(1, 20, "start")]


def test_sequence_numbers_are_compared_as_numbers() -> None:
    assert joined([run(9, 10, "start"), run(11, 100, 10), run(101, 1_000, 100)]) == [run(9, 1_000, "start")]


def test_each_shard_has_its_own() -> None:
    assert len(joined([run(1, 5, "start"), run(6, 9, 5, OTHER)])) == 2
    assert [each.run.shard for each in missing([run(1, 5, "start"), run(6, 9, 5, OTHER)])] == [OTHER]


def test_the_runs_of_two_tails_overlap_and_nothing_is_missing() -> None:
    """Each named its own predecessor; which are in the middle of the other's runs."""
    one = [run(1, 5, "start"), run(6, 10, 5), run(11, 30, 10)]
    other = [run(1, 3, "start"), run(4, 8, 3), run(9, 12, 8), run(13, 20, 12)]
    assert joined([*one, *other]) == [run(1, 30, "start")]
    assert missing([*other, *one]) == []


def test_what_one_tail_lost_the_other_has() -> None:
    one = [run(1, 5, "start"), run(11, 15, 10)]
    assert missing(one)
    assert missing([*one, run(4, 12, 3)]) == []


def test_a_missing_segment_is_found_with_what_lies_around_it() -> None:
    assert missing([run(1, 5, "start"), run(11, 15, 10), run(16, 20, 15)]) == [Missing(run(11, 20, 10), 5)]


def test_the_first_of_all_may_be_missing() -> None:
    assert missing([run(6, 9, 5)]) == [Missing(run(6, 9, 5), None)]
    assert missing([run(6, 9, "gap"), run(10, 12, 9)]) == []


def test_whose_predecessor_was_not_asked_for_lacks_none() -> None:
    assert missing([run(1, 5, "start"), run(11, 15, chains.UNKNOWN), run(16, 20, 15)]) == []


def test_only_a_tail_s_segments_are_runs() -> None:
    segment = Segment(STREAM, SHARD, "1", "5", 5, 1, 5)
    assert run_of(segment, "start") == run(1, 5, "start")
    assert run_of(Segment(STREAM, "lambda.0a1b", "1", "5", 5, 1, 5)) is None
    assert run_of(mark(STREAM, HOUR)) is None


cuts = st.lists(st.integers(2, 99), unique=True, max_size=12).map(sorted)


@given(cuts=cuts, more=cuts, data=st.data())
def test_any_cut_of_a_shard_is_whole_until_a_piece_is_taken_out(cuts: list[int], more: list[int], data: st.DataObject) -> None:
    one, other = pieces(cuts), pieces(more)
    together = [*one, *other]
    random.Random(len(cuts)).shuffle(together)
    assert joined(together) == [run(1, 99, "start")]
    removed = data.draw(st.integers(0, len(one) - 1))
    found = missing([each for each in one if each is not one[removed]])
    later = one[removed + 1 :]
    assert [each.run.after for each in found] == ([one[removed].last] if later else [])
    assert [each.since for each in found] == ([one[removed - 1].until if removed else None] if later else [])


def pieces(cuts: list[int]) -> list[Run]:
    """The changes 1 to 99, cut before these numbers."""
    bounds = [1, *cuts, 100]
    afters: list[str | int] = ["start", *(cut - 1 for cut in cuts)]
    return [run(first, end - 1, after) for first, end, after in zip(bounds, bounds[1:], afters, strict=False)]


# --- what is remembered of runs that are listed no more ---------------------------------------------------------------------------


def test_what_a_later_run_may_follow_is_remembered() -> None:
    old, young = run(1, 100, "start"), run(150, 200, "start", OTHER)
    assert open_ends([old, young], since=150, newest=0) == [young]
    assert open_ends([old, young], since=100, newest=0) == [old, young]


def test_what_is_remembered_is_as_little_as_can_be() -> None:
    assert open_ends([run(1, 50, "start"), run(51, 90, 50), run(91, 99, 90)], since=0, newest=0) == [run(1, 99, "start")]


def test_a_missing_link_is_never_forgotten() -> None:
    broken = [run(1, 5, "start"), run(11, 15, 10)]
    kept = open_ends(broken, since=1_000, newest=0)
    assert kept == [run(11, 15, 10)]
    assert [each.run for each in missing(kept)] == [run(11, 15, 10)]
    assert open_ends([*kept, run(4, 10, 3)], since=1_000, newest=0) == [run(4, 15, 3)], (
        "and found again: but what came before that?"
    )


@given(cuts=cuts, places=st.integers(0, 12))
def test_what_is_remembered_says_the_same_of_all_that_comes_later(cuts: list[int], places: int) -> None:
    every = pieces(cuts)
    first, rest = every[: places + 1], every[places + 1 :]
    assert missing([*open_ends(first, since=0, newest=0), *rest]) == missing(every) == []
    assert [each.run.after for each in missing([*open_ends(first, since=0, newest=0), *rest[1:]])] == [
        each.last for each in rest[:1] if rest[1:]
    ]


# --- in a log -------------------------------------------------------------------------------------------------------------------


def entry(number: int, seconds: int) -> Entry:
    return Entry(STREAM, str(number), seconds * 1_000_000, "MODIFY", f"{number:032x}", None, b'{"id":{"S":"a"}}', image=b"{}")


@pytest.fixture
def log() -> ChangeLog:
    """Five runs of a shard, an hour apart, each of two changes, 1 to 10."""
    log = ChangeLog(MemoryStore(ManualClock()), "flights")
    after = "start"
    for number in range(5):
        entries = [entry(number * 2 + more, HOUR + number * 3600 + more) for more in (1, 2)]
        log.write_run(entries, SHARD, after=after, writer="one")
        after = entries[-1].sequence
    return log


def read(log: ChangeLog, found: Sequence[LogListing]) -> Links:
    links = Links(log)
    for listed in found:
        fetched = log.fetch(listed)
        assert fetched.run is not None
        links.note(fetched)
    return links


def inventory(listed: Sequence[LogListing], *runs: Run) -> Inventory:
    return Inventory(listed, [], listed, Generation(runs=list(runs)))


def test_a_whole_log_lacks_nothing(log: ChangeLog) -> None:
    found = list(log.listing())
    assert read(log, found).missing(inventory(found), since=None, until=HOUR * 2) == []


@pytest.mark.parametrize("removed", [1, 2, 3])
def test_a_removed_segment_s_seconds_are_lost(log: ChangeLog, removed: int) -> None:
    found = [each for place, each in enumerate(log.listing()) if place != removed]
    (gone,) = read(log, found).missing(inventory(found), since=None, until=HOUR * 2)
    assert gone.lost == (HOUR + (removed - 1) * 3600 + 2, HOUR + (removed + 1) * 3600 + 1)
    assert f"ends with {removed * 2 + 2}" in gone.name
    assert f"begins with {removed * 2 + 3}" in gone.why


def test_what_is_missing_after_the_moment_does_not_matter(log: ChangeLog) -> None:
    found = [each for place, each in enumerate(log.listing()) if place != 3]
    links = read(log, found)
    assert links.missing(inventory(found), since=None, until=HOUR + 4 * 3600) == []
    assert links.missing(inventory(found), since=None, until=HOUR + 4 * 3600 + 1)


def test_the_hours_before_are_looked_at_where_only_later_ones_were_read(log: ChangeLog) -> None:
    found = list(log.listing(since=HOUR + 3 * 3600))
    assert len(found) == 2
    assert read(log, found).missing(inventory(found), since=HOUR + 3 * 3600, until=HOUR * 2) == []


def test_what_a_set_stands_for_is_not_missing(log: ChangeLog) -> None:
    found = list(log.listing())[3:]
    compacted = run(1, 6, "start")
    assert read(log, found).missing(inventory(found, compacted), since=None, until=HOUR * 2) == []
    (gone,) = read(log, found).missing(inventory(found), since=None, until=HOUR * 2)
    assert gone.lost == (0, HOUR + 3 * 3600 + 1), "nobody knows since when"


def _linked(first: int, last: int, after: str, *, head: str, previous: str, writer: str = "one") -> Run:
    return Run("s", "shard", str(first), str(last), after, 0, 0, head, previous, writer)


def test_a_segment_that_was_replaced_does_not_fit_the_next_one() -> None:
    one, two = _linked(1, 5, "oldest", head="a", previous="none"), _linked(6, 9, "5", head="b", previous="a")
    assert chains.replaced([one, two]) == chains.replaced([*joined([one]), two]) == []
    other = _linked(1, 5, "oldest", head="x", previous="none")
    assert chains.replaced([other, two]) == chains.replaced([*joined([other]), two]) == [other]


def test_what_another_writer_or_an_older_version_wrote_is_not_compared() -> None:
    two = _linked(6, 9, "5", head="b", previous="a")
    for before in (
        _linked(1, 5, "oldest", head="x", previous="none", writer="another"),
        _linked(1, 5, "oldest", head="", previous=""),
    ):
        assert chains.replaced([before, two]) == []
    assert (
        chains.replaced([_linked(1, 5, "oldest", head="x", previous="none"), _linked(6, 9, "5", head="b", previous="none")]) == []
    )


def test_a_shard_that_was_read_again_has_two_segments_that_end_alike() -> None:
    one, again = _linked(3, 5, "2", head="a", previous="none"), _linked(1, 5, "oldest", head="x", previous="z")
    two = _linked(6, 9, "5", head="b", previous="a")
    assert chains.replaced([one, again, two]) == chains.replaced([*joined([one, again]), two]) == []


def test_a_run_that_its_writer_wrote_again_fits_the_next_one() -> None:
    """Killed after the log had it, it wrote the rows again: new versions of the same bytes, so that the lines differ."""
    store = MemoryStore(ManualClock())
    log = ChangeLog(store, "flights")
    versions = [store.put("flights/row", b'{"id":{"S":"a"}}', {}) for _ in range(2)]
    for version in versions:
        row = msgspec.structs.replace(entry(1, HOUR), image=None, place=ImagePlace("flights/row", version))
        log.write_run([row], SHARD, after="start", writer="one")
    log.write_run([entry(2, HOUR + 1)], SHARD, after="1", writer="one")
    found = list(log.listing())
    assert len(found) == 2
    assert read(log, found).missing(inventory(found), since=None, until=HOUR * 2) == []


def test_a_run_whose_predecessor_may_or_may_not_have_been_written_names_none() -> None:
    store = Uncertain(ManualClock())
    log = ChangeLog(store, "flights")
    log.write_run([entry(1, HOUR)], SHARD, after="start", writer="one")
    store.fails = True
    with pytest.raises(Unavailable):
        log.write_run([entry(2, HOUR + 1)], SHARD, after="1", writer="one")
    store.fails = False
    log.write_run([entry(3, HOUR + 2)], SHARD, after="2", writer="one")
    found = list(log.listing())
    assert len(found) == 3
    assert read(log, found).missing(inventory(found), since=None, until=HOUR * 2) == []


class Uncertain(MemoryStore):
    """Where it fails, what was to be written is there all the same."""

    fails = False

    def put(self, *words: Any, **more: Any) -> Any:
        written = super().put(*words, **more)
        if self.fails:
            raise Unavailable("no answer")
        return written
