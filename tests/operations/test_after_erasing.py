"""A vault after an erasure: compaction and retention go on, and everything that they keep is as it was."""

from __future__ import annotations

from typing import Any

import pytest

from backstream.errors import Damaged, Failed
from backstream.operations.base.compact import compact
from backstream.operations.retain import RetainContext, retain, shortening
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.clock import ManualClock
from kit.crashing import CrashingStore
from kit.lived import SMALL, live, state
from kit.stage import Stage
from kit.stepping import copy_of
from operations.test_erase import delete, no_findings, put, run


def erased_at_both_ends(layout: Layout) -> tuple[Stage, list[int]]:
    """A stage whose first and last change are of the subject, which is erased; and a second of each round between them."""
    stage = Stage(ManualClock(), layout=layout)
    put(stage, "first")
    stage.clock.sleep(60)
    seconds = live(stage, 3)
    delete(stage)
    stage.follow()
    stage.clock.sleep(3_600)
    stage.follow()
    report = run(stage)
    assert (list(report.left), report.late) == ([], 0)
    return stage, seconds


def goes_on(stage: Stage, seconds: list[int]) -> None:
    """All moments are whole, and a tail and a compaction find nothing in their way."""
    later = [*seconds, *live(stage, 1, first=5)]
    compact(stage.vault(), stage.clock, memory=SMALL)
    no_findings(stage)
    assert [state(stage.vault(), at) for at in later] == [without_subject(stage, at) for at in later]


def without_subject(stage: Stage, at: int) -> dict[bytes, bytes]:
    return {key: image for key, image in stage.expected(at).items() if b"canary" not in key}


@pytest.mark.parametrize("layout", Layout)
def test_a_retention_after_an_erasure_of_the_last_change(layout: Layout) -> None:
    """The compacted set ends before its record says. It once was taken for one that nobody had made, and the log was removed."""
    stage, seconds = erased_at_both_ends(layout)
    remover: Any = stage.store
    retain(stage.vault(), int(stage.clock.now()) - seconds[1], RetainContext(stage.clock, remover, SMALL))
    no_findings(stage)
    goes_on(stage, seconds[1:])


def test_a_retention_of_which_only_erased_lines_are_left() -> None:
    stage, seconds = erased_at_both_ends(Layout.LOG)
    remover: Any = stage.store
    retain(stage.vault(), int(stage.clock.now()) - seconds[-1] - 1_000, RetainContext(stage.clock, remover, SMALL))
    no_findings(stage)
    goes_on(stage, [])


def test_nothing_of_the_log_is_removed_if_readers_would_not_believe_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    stage, seconds = erased_at_both_ends(Layout.LOG)
    before = {(each.name, each.version) for each in stage.store.versions("")}
    monkeypatch.setattr(shortening, "lacking", lambda new, _: new)  # as it once was
    remover: Any = stage.store
    with pytest.raises(Damaged, match="that no compaction made"):
        retain(stage.vault(), int(stage.clock.now()) - seconds[1], RetainContext(stage.clock, remover, SMALL))
    assert before <= {(each.name, each.version) for each in stage.store.versions("")}


def test_a_compaction_that_dies_after_an_erasure_of_the_first_change() -> None:
    """Its record is in force, also if nothing has been hidden yet: the next compaction goes on from there."""
    stage, seconds = erased_at_both_ends(Layout.LOG)
    seconds += live(stage, 3, first=5)
    whole, writes = stage.store, 0
    assert isinstance(whole, MemoryStore)
    while True:
        writes, stage.store = writes + 1, copy_of(whole, stage.clock)
        try:
            compact(stage.vault(CrashingStore(stage.store, writes, after=True)), stage.clock, memory=SMALL)
        except Failed:
            assert stage.vault().compacted.in_force().planted == []
        else:
            break
    assert writes > 4
    goes_on(stage, seconds)
