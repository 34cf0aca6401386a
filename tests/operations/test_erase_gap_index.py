"""`erase` and the index of gaps: it is written anew without the subject, and says the same of everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from backstream.errors import Failed
from backstream.operations.base.compact import compact
from backstream.operations.erase import EraseContext, Erased, erase
from backstream.ports import ObjectVersion, Removal, VersionLock
from backstream.vault.catalog import Layout
from backstream.vault.gaps import gaps as gaps_module
from backstream.vault.gaps.gap import DifferingRow
from backstream.vault.gaps.gaps import Gap
from kit.canary import found_in
from kit.crashing import CrashingStore
from kit.lived import SMALL
from kit.stage import Stage
from operations.test_erase import REQUEST, SUBJECT, no_findings, with_subject

OTHER = b'{"zone":{"S":"z"},"number":{"N":"1"}}'.decode()
NAME = SUBJECT.decode()


def differing(second: int, *keys: str) -> Gap:
    rows = tuple(DifferingRow(each, "a" * 32, "b" * 32, second, second) for each in sorted(keys))
    return Gap("differs", second, second, "s", differing=rows)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Three indexes with gaps of the subject: its own, standing ones with rows of it, and one that is explained."""
    monkeypatch.setattr(gaps_module, "FOLDED_TOGETHER", 2)
    stage, seconds = with_subject(Layout.LOG)
    gaps = stage.vault().gaps
    explained = differing(seconds[1], NAME, OTHER)
    gaps.record(explained)
    gaps.record(Gap("lost", seconds[0] - 5, seconds[0], "s", key=NAME))
    gaps.arrived(explained.evidence)
    compact(stage.vault(), stage.clock, memory=SMALL)
    for second in (seconds[2], seconds[3]):
        gaps.record(differing(second, NAME, OTHER))
        gaps.record(Gap("lost", second - 5, second, "s", key=OTHER))
        compact(stage.vault(), stage.clock, memory=SMALL)
    assert [each for each in found_in(stage.store) if "compacted/gaps/" in each]
    return stage


def run(stage: Stage, remover: Any = None, store: Any = None) -> Erased:
    removes: Any = remover or stage.store
    return erase(lambda: stage.vault(store), REQUEST, EraseContext(stage.clock, removes, SMALL))


def assert_erased(stage: Stage) -> None:
    assert found_in(stage.store) == []
    keys = {row.key for gap in stage.vault().gaps.all() for row in gap.differing or ()}
    assert keys == {OTHER}
    assert {gap.key for gap in stage.vault().gaps.all()} == {None, OTHER}
    assert len({each.name for each in stage.store.versions("_backstream/flights/compacted/gaps/")}) >= 3
    no_findings(stage)


def test_it_is_written_anew_and_everything_else_is_as_before(stage: Stage) -> None:
    before = stage.vault().window(stage.clock.now())
    report = run(stage)
    assert (list(report.left), list(report.blocked)) == ([], [])
    assert_erased(stage)
    after = stage.vault().window(stage.clock.now())
    assert (after.gaps, after.ranges) == (before.gaps, before.ranges)


def test_a_crash_at_any_write_is_finished_by_the_next_run(stage: Stage) -> None:
    for write in range(1, 200):
        store = CrashingStore(stage.store, write, after=bool(write % 2))
        try:
            run(stage, store=store)
        except Failed:
            continue
        break
    assert write > 3
    assert_erased(stage)


class Locked:
    """Keeps the indexes of gaps locked."""

    def __init__(self, store: Any, until: float) -> None:
        self._store, self._until = store, until

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        return VersionLock(self._until) if "compacted/gaps/" in version.name else None

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        for each in wanted:
            lock = self.lock_of(each)
            yield from [Removal(each, lock)] if lock is not None else self._store.remove_each([each])


def test_a_locked_one_stays_as_it_is_and_is_named(stage: Stage) -> None:
    report = run(stage, Locked(stage.store, stage.clock.now() + 3_600))
    assert {each.object for each in report.blocked} == {
        f"_backstream/flights/compacted/gaps/0000000{number}.json.zst" for number in (1, 2, 3)
    }
    no_findings(stage)
    run(stage)
    assert_erased(stage)
