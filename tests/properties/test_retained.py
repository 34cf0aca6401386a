"""Whatever happens beside it and wherever it dies: after `retain`, what is still claimed is exact, and the claims stay."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.retained import RETAIN_STEPS, THIN_STEPS, RetainWorld, ThinWorld
from kit.schedules import Step, drawn, shortest

STEPS = 30
BLOCK = 8


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For temporary files: each that is made looks for what others have left beside it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def claims_hold(first: int, count: int, steps: int, folder: Path) -> None:
    promised = removed = 0
    for seed in range(first, first + count):
        world, history = RetainWorld(seed, folder), drawn(seed, steps, RETAIN_STEPS)
        try:
            world.play(history)
        except AssertionError:
            raise AssertionError(told(seed, history, folder)) from None
        promised, removed = promised + world.promised, removed + world.removed
    assert promised > count, "hardly anything was claimed: nothing was tested"
    assert removed > count, "hardly anything was removed"


def kept_states_hold(first: int, count: int, steps: int, folder: Path) -> None:
    kept = 0
    for seed in range(first, first + count):
        world, history = ThinWorld(seed, folder), drawn(seed, steps, THIN_STEPS)
        try:
            world.play([*history, Step("look_at_kept", 0, 1, 2), Step("look", 0, 1, 2)])
        except AssertionError:
            raise AssertionError(told(seed, [*history, Step("look_at_kept", 0, 1, 2)], folder, ThinWorld)) from None
        kept += world.kept
    assert kept > count // 2, "hardly any state was kept"


def told(seed: int, history: Sequence[Step], folder: Path, world: type[RetainWorld] = RetainWorld) -> str:
    """The seed, what is wrong, and the steps that it takes."""

    def fails(steps: Sequence[Step]) -> AssertionError | None:
        try:
            world(seed, folder).play(steps)
        except AssertionError as error:
            return error
        return None

    short = shortest(history, fails)
    return f"seed {seed}: {fails(short)}\n" + "\n".join(map(str, short))


@pytest.mark.parametrize("block", range(4))
def test_what_is_claimed_after_a_retention_is_exact(block: int, tmp_path: Path) -> None:
    claims_hold(5_000_000 + block * BLOCK, BLOCK, STEPS, tmp_path)


@pytest.mark.parametrize(
    ("seed", "steps"),
    [
        (6_002_315, 33),  # a base backup that began before the horizon was noted in the catalog after it
        (6_002_804, 38),  # a removal died after the plan of a base backup, and its parts counted again
        (6_003_617, 46),  # a base backup began in the second of the horizon
        (6_003_702, 47),  # a change that is missing before the horizon, in a gap that was removed, was still reported
        (6_004_909, 39),  # the same, where the item had changed again after the horizon
        (6_000_662, 36),  # a state's line without an image, which it needs none of, was damage to `check --read-data`
        (6_003_567, 45),  # a witness that was behind looked for newer versions only down to its own last one
    ],
)
def test_what_once_was_wrong(seed: int, steps: int, tmp_path: Path) -> None:
    RetainWorld(seed, tmp_path).play(drawn(seed, steps, RETAIN_STEPS))


@pytest.mark.parametrize("block", range(2))
def test_single_states_from_before_the_horizon_are_exact(block: int, tmp_path: Path) -> None:
    kept_states_hold(7_000_000 + block * BLOCK, BLOCK, 45, tmp_path)


@pytest.mark.parametrize(
    ("seed", "steps"),
    [
        (7_100_099, 45),  # a run died before it published, and a later one took a day's changes for the whole table
        (8_001_707, 47),  # the horizon's own state was written anew as changes, without what was deleted
    ],
)
def test_what_a_kept_state_once_got_wrong(seed: int, steps: int, tmp_path: Path) -> None:
    ThinWorld(seed, tmp_path).play([*drawn(seed, steps, THIN_STEPS), Step("look_at_kept", 0, 1, 2)])


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("block", range(4))
def test_single_states_from_before_the_horizon_are_exact_in_four_hundred_histories(block: int, tmp_path: Path) -> None:
    kept_states_hold(8_000_000 + block * 100, 100, STEPS + block % 20, tmp_path)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("block", range(10))
def test_what_is_claimed_after_a_retention_is_exact_in_a_thousand_histories(block: int, tmp_path: Path) -> None:
    claims_hold(6_000_000 + block * 100, 100, STEPS + block % 20, tmp_path)
