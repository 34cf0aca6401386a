"""Two tails at once on one table: paid for twice, never wrong, and the second one says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from backstream.clock import SystemClock
from backstream.ports import ObjectStore
from backstream.stores.directory import DirectoryStore
from backstream.stores.memory import MemoryStore
from backstream.vault.catalog import Layout
from kit.chains import broken_links
from kit.stage import Stage, wait_for


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MemoryStore(SystemClock()) if request.param == "memory" else DirectoryStore(tmp_path, SystemClock())


def neighbours(notices: list[str]) -> list[str]:
    return [notice for notice in notices if notice.startswith("not alone")]


@pytest.mark.parametrize("layout", list(Layout))
def test_the_state_is_right_and_both_are_told(store: ObjectStore, layout: Layout) -> None:
    stage = Stage(SystemClock(), layout=layout, store=store)
    with stage.running(writer="one") as one:
        stage.put(range(30))
        wait_for(lambda: stage.captured() == stage.expected())
        with stage.running(writer="two") as two:
            for turn in range(4):
                stage.put(range(30))
                stage.delete(range(turn, 30, 3))
                if turn == 1:
                    stage.table.stream.split(stage.table.stream.facts().shards[0].id)
            wait_for(lambda: stage.captured() == stage.expected())
            wait_for(lambda: neighbours(two.notices), "the second is told that it is not alone")
    assert "(one)" in neighbours(two.notices)[0]
    assert len(neighbours(two.notices)) == 1, "once is enough"
    assert len(neighbours(one.notices)) <= 1
    assert stage.captured() == stage.expected()
    assert broken_links(stage.vault()) == []
    assert list(stage.vault().gaps.all()) == []
    stage.put(range(5))
    assert stage.follow(writer="three").captured == 5


def test_a_tail_that_was_stopped_cleanly_is_no_neighbour(store: ObjectStore) -> None:
    stage = Stage(SystemClock(), store=store)
    for writer in ("one", "two", "three"):
        with stage.running(writer=writer) as tail:
            stage.put(range(30))
            wait_for(lambda: stage.captured() == stage.expected())
        assert neighbours(tail.notices) == []
