"""A long run goes on where it stopped, as long as no file has changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pathlib, pytest

@pytest.mark.parametrize("number", range(3))
def test_good(number):
    pass

def test_may_fail():
    assert pathlib.Path("build/mended").exists()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "build").mkdir()
    return tmp_path


def run(project: Path, *words: str) -> str:
    """Returns what the run says in its last lines (the note, and pytest's own summary) and its exit code."""
    kit = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-p", "kit.going_on", "--passed", "build/passed.txt", "-q", *words]
    ran = subprocess.run(command, cwd=project, env={"PYTHONPATH": str(kit)}, capture_output=True, text=True, check=False)
    said = [line for line in ran.stdout.splitlines() if " in " in line or "before" in line]
    return " ".join([*said, f"exit code {ran.returncode}"])


@pytest.mark.parametrize("spread", [(), ("-n", "2")])
def test_what_has_passed_is_not_run_again(project: Path, spread: tuple[str, ...]) -> None:
    first = run(project, *spread)
    assert "0 tests had passed on these files before, 3 passed now: build/passed.txt" in first
    assert "1 failed, 3 passed" in first
    (project / "build/mended").touch()
    assert "3 tests had passed on these files before, 1 passed now" in run(project, *spread)


def test_when_all_has_passed_nothing_fails(project: Path) -> None:
    (project / "build/mended").touch()
    run(project)
    again = run(project)
    assert "4 tests had passed on these files before, 0 passed now" in again
    assert again.endswith("exit code 0")


@pytest.mark.parametrize("changed", ["test_some.py", "docs.md"])
def test_on_other_files_everything_runs_again(project: Path, changed: str) -> None:
    run(project)
    with (project / changed).open("a") as file:
        file.write("\n")
    assert "0 tests had passed on these files before, 3 passed now" in run(project)
