"""What lies on disk while a state is read: for its user alone, and gone with its process, however that ends."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import pytest

import backstream
from backstream.engine.local import spill
from backstream.engine.local.spill import SMALL, Pairs
from backstream.temporary_folders import TemporaryFolder, sweep_once

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
    sweep_once.cache_clear()  # this process has looked elsewhere, before


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, check=False)
    left = Path(done.stdout.decode().strip())
    assert (left / "0.0").exists()
    foreign = tmp_path / "backstream-spill-of-nobody"
    foreign.mkdir()
    (tmp_path / "backstream-spill-link").symlink_to(foreign)
    with Pairs(1) as used:
        assert not left.exists(), "whatever is spilled first looks for it"
        used.add(b"a", b"b")
        with Pairs(1) as other:
            assert used.folder.exists(), "it is in use"
            assert stat.S_IMODE(other.folder.stat().st_mode) == 0o700
        assert list(used.read(0)) == [(b"a", b"b")]
        assert not other.folder.exists()
    assert foreign.exists()


def test_an_interrupted_removal_is_finished_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed, interrupts = os.unlink, iter([KeyboardInterrupt()])

    def interrupted(*arguments: Any, **more: Any) -> None:
        for each in interrupts:
            raise each
        removed(*arguments, **more)

    used = Pairs(1)
    used.add(b"a", b"b")
    used.writer.flush()
    assert used.folder.exists()
    monkeypatch.setattr(os, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        used.close()
    assert list(tmp_path.iterdir()) == []


def test_whatever_holds_items_lies_in_such_a_folder() -> None:
    """Plans, dumps that are read, scratch files of drills: nothing else makes a temporary folder, so all of them are swept."""
    source = Path(backstream.__file__).parent
    makers = {"TemporaryDirectory", "mkdtemp", "NamedTemporaryFile", "mkstemp"}
    found = {
        str(path.relative_to(source))
        for package in ("engine", "operations", "vault", "stores", "tables")
        for path in (source / package).rglob("*.py")
        if any(f"tempfile.{each}" in path.read_text() for each in makers)
    }
    assert found == set()


def test_a_temporary_folder_is_empty_and_gone_afterwards() -> None:
    with TemporaryFolder() as temporary:
        assert list(temporary.path.iterdir()) == []
        assert stat.S_IMODE(temporary.path.stat().st_mode) == 0o700
        (temporary.path / "items").write_text("secret")
    assert list(Path(tempfile.gettempdir()).iterdir()) == []


def test_closing_twice_does_nothing_more() -> None:
    pairs = Pairs(1)
    folder = pairs.folder
    pairs.close()
    pairs.close()
    assert not folder.exists()


def test_what_is_small_never_reaches_the_disk(tmp_path: Path) -> None:
    with Pairs(3) as pairs:
        pairs.add(b"a", b"b")
        assert [each for number in range(3) for each in pairs.read(number)] == [(b"a", b"b")]
        assert list(tmp_path.iterdir()) == []
        pairs.add(b"c", bytes(SMALL))
        assert sorted(key for number in range(3) for key, _ in pairs.read(number)) == [b"a", b"c"]
        assert len(list(tmp_path.glob("backstream-spill-*/in/[0-9]*.0"))) == len({zlib.crc32(key) % 3 for key in (b"a", b"c")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("small", [0, 400 * 5, SMALL])
def test_read_while_it_grows_it_gives_the_same_from_memory_and_from_disk(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "SMALL", small)
    with Pairs(4) as pairs:
        said: list[tuple[bytes, bytes]] = []
        for number in range(12):
            said.append((b"%d" % (number % 7), b"value %d" % number))
            pairs.add(*said[-1])
            assert sorted(each for part in range(4) for each in pairs.read(part)) == sorted(said)
            for part in range(4):
                spots = dict(pairs.spots(part))
                picked = pairs.pick(part, spots)
                assert dict(picked) == {key: value for key, value in said if zlib.crc32(key) % 4 == part}
