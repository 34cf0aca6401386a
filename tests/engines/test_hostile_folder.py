"""A working directory that somebody else can write to: nothing in it is imported, by no process of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backstream.engines.crew import Crew
from backstream.engines.taking import Task
from backstream.model.schema import KeyAttribute, KeySchema

HOSTILE = ("zstandard.py", "msgspec.py", "struct.py", "backstream/__init__.py", "backstream/engines/worker.py", "typer.py")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules that say that they were run."""
    folder = tmp_path / "hostile"
    for name in HOSTILE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"open({str(folder / 'ran')!r}, 'a').write({name!r})\n")
    monkeypatch.chdir(folder)
    return folder


def test_workers_do_not_run_what_lies_there(hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(hostile), "", *sys.path])  # as after `python -m`
    schema = KeySchema(KeyAttribute("id", "S"))
    task = Task(schema, 0, 1, None, [], 1, str(tmp_path), str(tmp_path), 1_000)
    with Crew(task, 2) as crew:
        assert crew.take([]).result() == []
    assert not (hostile / "ran").exists()


def test_the_command_does_not_either(hostile: Path) -> None:
    command = str(Path(sys.executable).with_name("backstream"))
    done = subprocess.run([command, "--help"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (hostile / "ran").exists()
