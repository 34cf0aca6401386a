"""Compaction beside readers and writers: who has listed the log reads on, and who follows the stream notices nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backstream.clock import SystemClock
from backstream.engine.local.state import State
from backstream.errors import Failed
from backstream.model.changes.change import stream_label
from backstream.model.window import Window
from backstream.operations.base.compact import compact, plan
from backstream.operations.capture.outage import record_absence
from backstream.operations.inspect import history
from backstream.operations.restore import NewTable, RestoreContext, RestoreRequest, restore
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault.catalog import Layout
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.segments import SegmentKind
from kit.clock import ManualClock
from kit.lived import LOG, SMALL, all_changes, changes, deliver, hidden, key, live, lived, state
from kit.losing import lose
from kit.spoil import spoil
from kit.stage import Stage, wait_for
from kit.watched import WatchedStore

DAY = 86_400
MOST_LISTS = 40


def run(stage: Stage) -> None:
    compact(stage.vault(), stage.clock, memory=SMALL)


# --- readers ---------------------------------------------------------------------------------------------------------------------


class Interrupted:
    """A store in which, once the `number`-th listing is at its end, other things happen before the reader goes on."""

    def __init__(self, inner: ObjectStore, number: int, happens: Callable[[], object]) -> None:
        self._left = number
        self._happens = happens
        self.store = WatchedStore(inner, after_list=self._listed)

    def _listed(self, _: str) -> None:
        self._left -= 1
        if self._left == 0:
            self._happens()

    @property
    def happened(self) -> bool:
        """Whether there were so many listings."""
        return self._left <= 0


def twice_compacted(stage: Stage) -> Callable[[], None]:
    """Whole compactions, the second of which merges and hides the sets of the first."""

    def happen() -> None:
        run(stage)
        stage.put([0])
        stage.follow()
        run(stage)

    return happen


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("before", [0, 1])
def test_a_state_is_right_wherever_compactions_come_between(layout: Layout, before: int) -> None:
    """Between any two listings, and what is read afterwards."""
    for number in range(1, MOST_LISTS):
        stage, seconds = lived(2, layout=layout)
        for _ in range(before):
            run(stage)
            seconds += live(stage, 1)
        interrupted = Interrupted(stage.store, number, twice_compacted(stage))
        found = {at: state(stage.vault(interrupted.store), at) for at in seconds[-1:]}
        assert found == {at: stage.expected(at) for at in seconds[-1:]}, f"listing {number}"
        if not interrupted.happened:
            break
    assert number > 3


@pytest.mark.parametrize("before", [0, 1])
def test_a_history_is_right_wherever_compactions_come_between(before: int) -> None:
    for number in range(1, MOST_LISTS):
        stage, _ = lived(2)
        for _ in range(before):
            run(stage)
            live(stage, 1)
        expected = history.history(stage.vault(), key(1))
        interrupted = Interrupted(stage.store, number, twice_compacted(stage))
        assert history.history(stage.vault(interrupted.store), key(1)) == expected, f"listing {number}"
        if not interrupted.happened:
            break
    assert number > 2


@pytest.mark.parametrize("before", [0, 1])
def test_each_change_counts_once_wherever_compactions_come_between(before: int) -> None:
    """Also where the log was listed before one that is over when the generation is asked for."""
    for number in range(1, MOST_LISTS):
        stage, _ = lived(2)
        for _ in range(before):
            run(stage)
            live(stage, 1)
        made = len(stage.model)
        interrupted = Interrupted(stage.store, number, twice_compacted(stage))
        assert changes(stage.vault(interrupted.store)) in (made, made + 1), f"listing {number}"
        if not interrupted.happened:
            break
    assert number > 2


def test_a_compaction_takes_nothing_twice_wherever_others_come_between() -> None:
    """Not even where a set has become so large that it would not merge it, and so not see that a line is in it."""
    for number in range(1, MOST_LISTS):
        stage, _ = lived(8)
        run(stage)
        stage.put([1, 2])
        stage.follow()
        interrupted = Interrupted(stage.store, number, merging(stage))
        try:
            compact(stage.vault(interrupted.store), stage.clock, memory=SMALL)
        except Failed as error:
            assert "another compaction" in error.message  # noqa: PT017 - it may fail, but only so
        assert changes(stage.vault()) == len(stage.model), f"listing {number}"
        run(stage)
        assert changes(stage.vault()) == len(stage.model), f"after listing {number}"
        if not interrupted.happened:
            break
    assert number > 5


def merging(stage: Stage) -> Callable[[], None]:
    """A whole compaction that merges all there is."""

    def happen() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plan, "GROWTH", 10**9)
            run(stage)

    return happen


@pytest.mark.parametrize("layout", Layout)
def test_a_restore_is_right_wherever_compactions_come_between(layout: Layout) -> None:
    for number in range(1, MOST_LISTS):
        stage, seconds = lived(layout=layout)
        interrupted = Interrupted(stage.store, number, twice_compacted(stage))
        target = MemoryTable("restored", stage.clock)
        around = RestoreContext(lambda _, target=target: target, stage.clock, Path(), memory=SMALL)  # type: ignore[misc]
        report = restore(stage.vault(interrupted.store), RestoreRequest(seconds[-2], NewTable(target.name)), around)
        assert (report.failed, report.failures, report.warnings) == (0, [], []), f"listing {number}"
        assert images_of(target) == sorted(stage.expected(seconds[-2]).values())
        if not interrupted.happened:
            break
    assert number > 5


def images_of(table: MemoryTable) -> list[bytes]:
    return sorted(image for page in table.scan() for image in page)


@pytest.mark.parametrize("in_folder", [False, True])
def test_who_has_listed_the_log_reads_every_segment(tmp_path: Path, *, in_folder: bool) -> None:
    stage, _ = lived(store=DirectoryStore(tmp_path, ManualClock()) if in_folder else None)
    listed, made = stage.vault().inventory(), len(stage.model)
    twice_compacted(stage)()
    assert len(hidden(stage.store)) > 3
    log = stage.vault().log
    assert len([entry for each in listed.segments for entry in log.read(each)]) == made
    assert {log.metadata(each)["writer"] for each in listed.segments} == {"one"}


# --- a tail ----------------------------------------------------------------------------------------------------------------------


def test_a_tail_goes_on_from_its_checkpoint_and_names_its_predecessor() -> None:
    stage, _ = lived()
    reached = lasts(stage)
    run(stage)
    assert hidden(stage.store)
    made = len(stage.model)
    live(stage, 1)
    assert stage.follow().captured == 0
    new = [
        each for each in stage.vault().inventory().segments if each.segment is not None and each.segment.kind is SegmentKind.TAIL
    ]
    assert sum(each.segment.count for each in new if each.segment is not None) == len(stage.model) - made, "nothing is read twice"
    firsts = {each.segment.shard: stage.vault().log.metadata(each)["after"] for each in reversed(new) if each.segment is not None}
    assert firsts == {shard: reached[shard] for shard in firsts}
    state(stage.vault(), int(stage.clock.now()))
    run(stage)
    assert changes(stage.vault()) == len(stage.model)
    assert stage.notices == []


def lasts(stage: Stage) -> Mapping[str, str]:
    """The last number of each shard that is in the vault."""
    return {each.shard: each.last for each in stage.segments()}


def test_a_segment_missing_after_a_compaction_is_found() -> None:
    """The chain goes on through what is compacted."""
    stage, _ = lived()
    run(stage)
    stage.put(range(8))
    stage.follow()
    (victim, *_) = [each for each in stage.vault().inventory().segments if each.segment and each.segment.count]
    after = stage.vault().log.metadata(victim)["after"]
    stage.clock.sleep(60)
    stage.put(range(8))
    stage.follow()
    kept = stage.store.get(victim.name)
    lose(stage.store, victim.name)
    lost = f"ends with {victim.segment.last}" if victim.segment else ""
    assert [lost in name for name in unreadable(stage)] == [True]
    run(stage)
    assert [lost in name for name in unreadable(stage)] == [True], "nor is it forgotten once all is compacted"
    spoil(stage.store, victim.name, kept.body, {"after": after})
    run(stage)
    assert unreadable(stage) == []


def unreadable(stage: Stage) -> list[str]:
    with State(stage.vault(), int(stage.clock.now()), memory=SMALL) as found:
        return [each.name for each in found.unreadable]


def below(stage: Stage, name: str) -> str:
    """The version below the delete marker."""
    return next(each.version for each in stage.store.versions_of(name) if not each.marker)


def test_neighbours_are_looked_for_among_hidden_segments() -> None:
    """A tail asks who wrote the newest segments, and they are hidden before it can."""
    stage, _ = lived(1)
    stage.put([1])
    stage.follow(writer="other")
    stage.clock.sleep(1)
    compacting = WatchedStore(stage.store, after_list=lambda prefix: run(stage) if prefix == LOG else None)
    stage.follow(writer="third", store=compacting)
    assert not [each for each in stage.notices if "cannot be seen" in each]
    assert hidden(stage.store)


def test_a_tail_that_runs_through_many_compactions() -> None:
    stage = Stage(SystemClock())
    with stage.running() as tail:
        for number in range(12):
            stage.put(range(number, number + 6))
            wait_for(lambda: compacted_by(stage) == len(stage.model), "the tail's segments did not come")
    assert tail.notices == []
    assert tail.report is not None
    assert tail.report.captured == len(stage.model) == 12 * 6
    run(stage)
    assert changes(stage.vault()) == len(stage.model)
    assert state(stage.vault(), int(stage.clock.now())) == stage.expected()
    assert stage.vault().compacted.current().number > 12


def compacted_by(stage: Stage) -> int:
    """Compact, and say how many changes there are then in sets."""
    run(stage)
    return sum(each.lines for each in stage.vault().compacted.current().changes)


def test_deliveries_that_go_on_through_many_compactions() -> None:
    stage = Stage(SystemClock(), shards=1)
    batches = 25

    def write_and_deliver() -> None:
        for number in range(batches):
            stage.put([number % 7, 7 + number % 3])
            deliver(stage, all_changes(stage)[-2:])

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_and_deliver)
        while not writing.done():
            run(stage)
        writing.result()
    run(stage)
    assert changes(stage.vault()) == len(stage.model) == batches * 2
    assert state(stage.vault(), int(stage.clock.now())) == stage.expected()


# --- what may be claimed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [None, SegmentKind.LAMBDA, SegmentKind.PARALLEL])
def test_the_window_is_the_same(kind: SegmentKind | None) -> None:
    """Of a tail's vault, and of a function's beside the witness."""
    stage = Stage(ManualClock(), shards=1)
    for number in range(4):
        stage.put(range(number, number + 3))
        if kind is None:
            stage.follow()
        else:
            deliver(stage, all_changes(stage)[-3:], kind)
            stage.witness()
        stage.clock.sleep(1_800)
    before = windows(stage)
    assert all(window.until is not None for window in before)
    run(stage)
    assert len(hidden(stage.store)) > 1
    assert windows(stage) == before


def windows(stage: Stage) -> list[Window]:
    """As of now, in two days, and in forty."""
    vault, now = stage.vault(), stage.clock.now()
    return [vault.window(now + days * DAY) for days in (0, 2, 40)]


def test_a_gap_that_a_late_change_closed_stays_closed() -> None:
    """Once the change is in a set there is no segment that would say so."""
    stage, _ = lived(1)
    known = all_changes(stage)
    stage.put([1, 2])
    (late, other) = [each for each in all_changes(stage) if each not in known]
    gaps = stage.vault().gaps
    for each in (late, other):
        gaps.record(Gap("not kept", each.seconds, each.seconds, each.stream, None, each.sequence))
    stage.clock.sleep(7_200)
    deliver(stage, [late])
    open_gaps = [each.sequence for each in stage.vault().coverage.lost()]
    assert open_gaps == [other.sequence]
    run(stage)
    assert [each.sequence for each in stage.vault().coverage.lost()] == [other.sequence]
    deliver(stage, [other])
    assert stage.vault().coverage.lost() == []
    run(stage)
    assert stage.vault().coverage.lost() == []


@pytest.mark.parametrize("last", ["tail", "function"])
def test_who_wrote_last_is_still_known(last: str) -> None:
    """A function that comes back after days of nothing to do is told from one that takes over from a tail."""
    stage = Stage(ManualClock(), shards=1)
    stage.put([1])
    deliver(stage, all_changes(stage), SegmentKind.LAMBDA) if last == "tail" else stage.follow()
    stage.clock.sleep(600)
    stage.put([2])
    stage.follow() if last == "tail" else deliver(stage, all_changes(stage)[-1:], SegmentKind.LAMBDA)
    stage.clock.sleep(600)
    run(stage)
    stage.clock.sleep(5 * DAY)
    gap = record_absence(stage.vault(), stream_label(stage.table.stream.arn), stage.clock.now())
    assert (gap is not None) == (last == "tail")
