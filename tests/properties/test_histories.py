"""Whatever happens to a table, its followers and its vault: what is claimed is exact, and nothing that existed is deleted in place.

See `kit.histories` and `kit.more_histories`. A failure prints the seed and the shortest list of steps that fails.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.more_histories import MORE_STEPS, MoreWorld
from kit.schedules import Step, drawn, shortest

STEPS = 30


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For temporary files: each that is made looks for what others have left beside it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


BLOCK = 8  # histories in one test, so that workers share them; ten thousand others are in `make soak`


def claims_hold(first: int, count: int, steps: int, folder: Path) -> None:
    """Play so many histories; the first that fails is told in as few steps as fail."""
    promised = deleted = 0
    for seed in range(first, first + count):
        world, history = MoreWorld(seed, folder), drawn(seed, steps, MORE_STEPS)
        try:
            world.play(history)
        except AssertionError:
            raise AssertionError(told(seed, history, folder)) from None
        promised, deleted = promised + world.promised, deleted + world.deleted
    assert promised > count, "hardly anything was claimed: nothing was tested"
    assert deleted > 0 or count < 100, "no row was ever deleted in place"


def told(seed: int, history: Sequence[Step], folder: Path) -> str:
    """The seed, what is wrong, and the steps that it takes."""

    def fails(steps: Sequence[Step]) -> AssertionError | None:
        try:
            MoreWorld(seed, folder).play(steps)
        except AssertionError as error:
            return error
        return None

    short = shortest(history, fails)
    return f"seed {seed}: {fails(short)}\n" + "\n".join(map(str, short))


@pytest.mark.parametrize("block", range(38))
def test_what_is_claimed_is_exact(block: int, tmp_path: Path) -> None:
    claims_hold(block * BLOCK, BLOCK, STEPS, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("block", range(100))
def test_what_is_claimed_is_exact_in_ten_thousand_histories(block: int, tmp_path: Path) -> None:
    claims_hold(1_000_000 + block * 100, 100, STEPS + block % 20, tmp_path)
