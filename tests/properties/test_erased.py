"""Whatever happens beside it and wherever it dies: an erasure takes out its item, and changes nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from backstream.operations.inspect.check import CheckContext, check
from kit.erasing import ERASE_STEPS, EraseWorld
from kit.schedules import Step, drawn


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
@pytest.mark.parametrize("block", range(10))
def test_nothing_else_changes_in_a_thousand_histories(block: int, tmp_path: Path) -> None:
    nothing_else_changes(9_000_000 + block * 100, 100, 30 + block, tmp_path)


ONCE_WRONG = [
    pytest.param(
        9_000_516,
        [
            Step("write", 35_206, 57_785, 52_623),
            Step("erasure_beside", 32_131, 41_742, 13_399),
            Step("retained", 35_375, 61_917, 37_110),
        ],
        id="the last watermark was hidden by a set written anew",
    ),
    pytest.param(
        9_000_431,
        [
            Step("write", 36_668, 64_487, 8_963),
            Step("write", 49_389, 235, 20_837),
            Step("write", 33_891, 9_745, 64_089),
            Step("table_recreated", 50_970, 36_884, 51_581),
            Step("write", 61_948, 23_479, 40_211),
            Step("tail", 38_603, 16_111, 23_701),
            Step("write", 58_466, 1_495, 63_647),
            Step("erasure_beside", 41_458, 17_560, 56_315),
            Step("erased", 59_173, 37_144, 62_323),
        ],
        id="a set stood for a former checkpoint whose line is in another set",
    ),
    pytest.param(
        9_001_993,
        [
            Step("write", 63_945, 2_668, 23_091),
            Step("write", 9_939, 46_931, 19_365),
            Step("write", 5_580, 48_329, 55_211),
            Step("witness", 7_511, 23_746, 20_656),
            Step("time", 14_673, 60_129, 6_578),
            Step("retention_dies", 28_914, 45_282, 30_402),
            Step("erasure_dies", 28_596, 41_370, 53_212),
        ],
        id="a segment from before the horizon was named by the next one",
    ),
    pytest.param(
        9_000_891,
        [
            Step("write", 12_526, 5_247, 50_203),
            Step("write", 38_720, 21_651, 4_438),
            Step("erased", 62_794, 24_155, 15_656),
            Step("write", 45_034, 18_924, 39_930),
            Step("write", 63_316, 39_899, 2_828),
            Step("tail", 53_871, 307, 22_758),
            Step("retention_dies", 6, 11_918, 51_624),
            Step("erasure_dies", 5_281, 10_190, 40_303),
            Step("erasure_dies", 59_095, 16_802, 21_714),
            Step("write", 46_116, 19_609, 41_545),
            Step("function", 37_930, 9_398, 13_828),
            Step("erasure_dies", 33_429, 10_433, 25_840),
        ],
        id="only a segment from before the horizon held the item",
    ),
]


@pytest.mark.parametrize(("seed", "history"), ONCE_WRONG)
def test_a_history_that_once_went_wrong(seed: int, history: list[Step], tmp_path: Path) -> None:
    world = EraseWorld(seed, tmp_path)
    world.play(history)
    assert list(check(world.vault(), CheckContext(world.clock), percent=100.0).findings) == []
