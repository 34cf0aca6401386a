"""A working directory that somebody else can write to: nothing in it is imported, by no process of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import backstream
from backstream.clock import SystemClock
from backstream.engine.local.log_decoder import Task
from backstream.engine.local.worker_pool import WorkerPool
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.stores.directory import DirectoryStore
from backstream.vault.catalog import Layout
from kit.feed import Feed
from kit.images import image

AT = 1_763_900_000
HOSTILE = (
    "zstandard.py",
    "msgspec.py",
    "struct.py",
    "backstream/__init__.py",
    "backstream/engine/local/worker.py",
    "click.py",
    "sitecustomize.py",
    "usercustomize.py",
    "botocore/__init__.py",
    "pycurl.py",
)


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
    with WorkerPool(task, 2) as pool:
        assert pool.take([]).result() == []
    assert not (hostile / "ran").exists()


def test_the_command_does_not_either(hostile: Path) -> None:
    command = str(Path(sys.executable).with_name("backstream"))
    done = subprocess.run([command, "--help"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert not (hostile / "ran").exists()


RESTORE = """
import subprocess, sys
from backstream.apps.cli.main import call
from backstream.engine.local import local_partitions as embedded, worker_pool as pool
embedded.WORTH_WORKERS = 1  # as of a larger vault
began, popen = [], subprocess.Popen
def counted(*words, **more):
    began.append(words)
    return popen(*words, **more)
pool.subprocess.Popen = counted
code = call(sys.argv[1:])
sys.stderr.write(f"workers: {len(began)}")
sys.exit(code)
"""


@pytest.mark.parametrize("layout", list(Layout))
def test_a_whole_restore_by_worker_processes_runs_nothing_of_it(hostile: Path, tmp_path: Path, layout: Layout) -> None:
    """Once each larger restore ran a `zstandard.py` of the working directory."""
    (tmp_path / "vault").mkdir()
    feed = Feed(DirectoryStore(tmp_path / "vault", SystemClock()), "flights", began=AT - 600, layout=layout)
    feed.put(AT - 100, *(image("row", number) for number in range(300)))
    feed.deliver()
    words = ["restore", "flights", "--vault", f"file://{tmp_path}/vault", "--at", str(AT), "--allow-gap", "--to-file", "rows.json"]
    environment = {"PATH": "/usr/bin:/bin", "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": "us-east-1", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", RESTORE, *words], cwd=hostile, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr[-10:]) in [(0, f"workers: {number}") for number in range(1, 9)], done.stderr
    assert len((hostile / "rows.json").read_bytes().splitlines()) == 300
    assert not (hostile / "ran").exists()


def test_whatever_is_started_leaves_the_working_directory_off_its_path() -> None:
    """Each process that this package starts by its own interpreter: workers, the embedded servers, the demo's commands."""
    sources = [each.read_text() for each in Path(backstream.__file__).parent.rglob("*.py")]
    started = [found for text in sources for found in re.findall(r"\[sys\.executable,([^\]]*)", text)]
    assert len(started) >= 4
    assert [each for each in started if not each.startswith(' "-P", "-m", ')] == []
    assert not [
        text
        for text in sources
        if re.search(r"shell=True|os\.system\(|os\.exec|multiprocessing", text.partition('"""')[2].partition('"""')[2])
    ]
