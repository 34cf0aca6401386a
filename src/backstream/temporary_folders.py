"""Temporary folders, which hold items: they disappear with the process that made them, or else the next process removes them.

Each holds a file that is locked as long as its process lives. So a folder whose lock is free was left by a process that was killed.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from backstream import private_files

PREFIX = "backstream-spill-"
_LOCK, _INSIDE = "lock", "in"


class TemporaryFolder:
    """An empty folder, 0700, with a secret name.

    `path`: its place; it is removed by `cleanup`, or at the end of the `with` block.
    """

    def __init__(self) -> None:
        sweep()
        self._whole = tempfile.TemporaryDirectory(prefix=PREFIX)
        self._lock = _locked(Path(self._whole.name))
        self.path = Path(self._whole.name) / _INSIDE
        self.path.mkdir(private_files.FOLDER)

    def cleanup(self) -> None:
        """Removes it with all its contents, also if a signal's error interrupts that: then the error is raised when it is gone."""
        try:
            self._whole.cleanup()
        except BaseException:
            shutil.rmtree(self._whole.name, ignore_errors=True)
            raise
        finally:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cleanup()


def _locked(folder: Path) -> BinaryIO:
    made = folder / f"{_LOCK}-made"
    lock = private_files.create(made)
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.rename(folder / _LOCK)  # whoever sweeps finds it locked
    return lock


@functools.cache
def sweep_once() -> None:
    """Runs `sweep` the first time in this process, for callers without a folder of their own."""
    sweep()


def sweep() -> None:
    """Removes folders that killed processes of this user have left, because they hold items.

    It removes nothing that is in use, or not this tool's.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            facts = folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue  # gone meanwhile, or just being made
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # in use
        finally:
            os.close(lock)
