"""Processes of ours, as Linux shows them: whose children still live, and the workers among them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from backstream.engine.local import worker

PROC = Path("/proc")
needs_proc = pytest.mark.skipif(not (PROC / "self/stat").exists(), reason="processes are looked for in /proc, which Linux has")


def session(pid: int) -> list[int]:
    """All that live in a session, those that nobody has waited for left out."""
    return [each for each, (state, _, of_session) in _every().items() if of_session == pid and state != "Z"]


def workers(parent: int) -> list[int]:
    """The engine's workers that this process has started and that live."""
    found = [each for each, (state, of_parent, _) in _every().items() if of_parent == parent and state != "Z"]
    return [each for each in found if worker.__name__.encode() in _words(each)]


def resident(pid: int) -> int:
    """Bytes of memory that the processes of a session hold together; what they share, such as Python itself, is counted once."""
    return sum(map(_share, session(pid)))


def _share(pid: int) -> int:
    """A process's proportional set size: of a page that three share a third."""
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def kill(pids: list[int]) -> None:
    """SIGKILL to each."""
    for each in pids:
        os.kill(each, signal.SIGKILL)


def _every() -> dict[int, tuple[str, int, int]]:
    """State, parent and session of every process."""
    found = {}
    for path in PROC.iterdir():
        if path.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                state, parent, _, of_session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
                found[int(path.name)] = state, int(parent), int(of_session)
    return found


def _words(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""
