"""Whatever happens beside it and wherever it dies: an erasure takes out its item, and changes nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from kit.erasing import ERASE_STEPS, EraseWorld
from kit.schedules import drawn


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For temporary files: each that is made looks for what others have left beside it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def nothing_else_changes(first: int, count: int, steps: int, folder: Path) -> None:
    promised = erasures = removed = 0
    for seed in range(first, first + count):
        world = EraseWorld(seed, folder)
        try:
            world.play(drawn(seed, steps, ERASE_STEPS))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {steps} steps: {error}") from error
        promised, erasures, removed = promised + world.promised, erasures + world.erasures, removed + world.removed
    assert promised > count, "hardly anything was claimed: nothing was tested"
    assert erasures > count // 2, "hardly anything was erased"
    assert removed > count, "hardly anything was removed by a retention"


@pytest.mark.parametrize("block", range(2))
def test_nothing_else_changes(block: int, tmp_path: Path) -> None:
    nothing_else_changes(10 + block * 5, 5, 40, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("block", range(20))
def test_nothing_else_changes_in_two_thousand_histories(block: int, tmp_path: Path) -> None:
    nothing_else_changes(9_000_000 + block * 100, 100, 30 + block % 20, tmp_path)
