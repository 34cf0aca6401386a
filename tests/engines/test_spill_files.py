"""What lies on disk while a state is read: for its user alone, and gone with its process, however that ends."""

from __future__ import annotations

import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backstream.engine.local.spill import Pairs

KILLED = """
import os, signal
from backstream.engine.local.spill import Pairs
pairs = Pairs(1)
pairs.add(b"key", b"secret")
pairs.writer.flush()
print(pairs.folder, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, check=False)
    left = Path(done.stdout.decode().strip())
    assert (left / "0.0").exists()
    foreign = tmp_path / "backstream-spill-of-nobody"
    foreign.mkdir()
    (tmp_path / "backstream-spill-link").symlink_to(foreign)
    with Pairs(1) as used:
        used.add(b"a", b"b")
        with Pairs(1) as other:
            assert not left.exists()
            assert used.folder.exists(), "it is in use"
            assert stat.S_IMODE(other.folder.stat().st_mode) == 0o700
        assert list(used.read(0)) == [(b"a", b"b")]
        assert not other.folder.exists()
    assert foreign.exists()


def test_closing_twice_does_nothing_more() -> None:
    pairs = Pairs(1)
    pairs.close()
    pairs.close()
    assert not pairs.folder.exists()
