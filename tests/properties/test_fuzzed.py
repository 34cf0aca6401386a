"""Every reader of what lies in a bucket, given anything: only errors of ours come of it. `make fuzz` does the same for an hour."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import BackstreamError
from fuzz import files, newer_records
from fuzz.__main__ import groups_of
from fuzz.seeds import OF_FILES, OF_RECORDS, SEEDS
from fuzz.targets import TARGETS, Target, run
from kit.bombs import DEEP, DIGITS

ROOT = Path(__file__).parents[2]
ODD = [DEEP, DIGITS, b"null", b"1e999", b"-1", b"{}", b"[]", b'"9999-99-99"', b"\xff", b"99999999999999999999"]


@st.composite
def altered(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A good document in which one value or stretch is another."""
    seed = draw(st.sampled_from(seeds))
    begin = draw(st.integers(0, len(seed)))
    end = draw(st.integers(begin, min(len(seed), begin + 12)))
    return seed[:begin] + draw(st.sampled_from(ODD) | st.binary(max_size=8)) + seed[end:]


@pytest.mark.parametrize("name", [each for each in TARGETS if each not in (*newer_records.TARGETS, *files.TARGETS)])
@given(data=altered(SEEDS) | st.binary(max_size=200))
def test_only_errors_of_ours(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("name", newer_records.TARGETS)
@given(data=altered(OF_RECORDS) | st.binary(max_size=200))
def test_only_errors_of_ours_come_of_records(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("name", files.TARGETS)
@given(data=altered(OF_FILES) | st.binary(max_size=200))
def test_only_errors_of_ours_come_of_files(name: str, data: bytes) -> None:
    run(name, data)


@pytest.mark.parametrize("number", range(len(OF_FILES)))
def test_each_seed_is_read_by_some_reader(number: int) -> None:
    """Otherwise its alterations reach no further than the first line of any."""
    assert any(_is_read(read, OF_FILES[number]) for read in files.TARGETS.values())


def _is_read(read: Target, data: bytes) -> bool:
    try:
        read(data)
    except BackstreamError:
        return False
    return True


@pytest.mark.soak
@pytest.mark.skipif(find_spec("atheris") is None, reason="`make fuzz` installs it")
def test_a_minute_of_fuzzing() -> None:
    command = [sys.executable, "-m", "fuzz", "--seconds", "60"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4_000:]


@pytest.mark.parametrize("seconds", [1, 60, 600, 3_600, 100_000])
def test_each_reader_has_its_share_of_the_time(seconds: int) -> None:
    names = list(TARGETS)
    groups = groups_of(names, seconds)
    assert sorted(each for group in groups for each in group) == sorted(names)
    assert 1 <= len(groups) <= max(1, seconds // 120)
    assert max(map(len, groups)) <= 256, "the first byte tells the reader"
