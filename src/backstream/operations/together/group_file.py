"""The file of a run over several tables: what was asked, and which tables are done. It is durable before the first write.

The first line is the request. Then come, for each table:

    {"begun":TABLE}      its own file is there, and its first write comes next
    {"withdrawn":TABLE}  it has failed before that write, and its own file is deleted
    {"done":TABLE}       it is as it was to be: written before its own file for resuming is deleted, so that a kill loses nothing

Each table keeps its own files beside this one, which names them.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

from backstream import private_files
from backstream.errors import Failed, Refused, UsageError
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.operations.bulk.journal import JournalState

_STEM = "backstream-group-"
Head = TypeVar("Head", bound=msgspec.Struct)


class _Mark(msgspec.Struct, omit_defaults=True):
    begun: str = ""
    withdrawn: str = ""
    done: str = ""


class GroupProgress(msgspec.Struct):
    """The tables that have begun to be written, and those that are done."""

    begun: set[str]
    done: set[str]


class GroupFile(Generic[Head]):
    """The file, held by this process alone. Safe to call from many threads. `done`: the tables that are done."""

    def __init__(self, path: Path, file: BinaryIO, head: Head, progress: GroupProgress) -> None:
        self.path = path
        self.head = head
        self.begun, self.done = progress.begun, progress.done
        self._file = file
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, path: Path, head: Head) -> GroupFile[Head]:
        """Begins a new file, durable. Raises Failed if it cannot be kept."""
        try:
            file = private_files.create(path)
            _hold(file, path)
            made = cls(path, file, head, GroupProgress(set(), set()))
            made._write(msgspec.json.encode(head))
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Failed(
                f"the file for resuming cannot be kept in {path}: {error.strerror}", hint="Make room, or run it in another folder."
            ) from error
        return made

    @classmethod
    def reopen(cls, path: Path, kind: type[Head]) -> GroupFile[Head]:
        """Opens the file of an earlier run. Raises UsageError if it is not one, Refused if another process works on it."""
        load(path, kind)  # whether it is one at all
        try:
            file = private_files.reopen(path)
        except OSError as error:
            raise _no_run(path, error) from error
        _hold(file, path)
        head, progress, whole = load(path, kind)  # only now: the process that had it until then may have noted more
        file.truncate(whole)  # a line that a kill cut short
        file.seek(0, os.SEEK_END)
        return cls(path, file, head, progress)

    def begins(self, table: str) -> None:
        """Notes that a table's own file is there and that it is written next, durably."""
        with self._lock:
            if table not in self.begun:
                self.begun.add(table)
                self._write(msgspec.json.encode(_Mark(begun=table)))

    def withdraws(self, table: str) -> None:
        """Notes that a table has failed before its first write: its own file is deleted, and it has not begun."""
        with self._lock:
            if table in self.begun:
                self.begun.discard(table)
                self._write(msgspec.json.encode(_Mark(withdrawn=table)))

    def check_kept(self, table: str, own: Path) -> None:
        """Raises UsageError if a table has begun and its own file is gone: nothing else tells what somebody has changed since."""
        if table in self.begun and table not in self.done and not own.exists():
            raise UsageError(
                f"{table} has begun, and its own file is gone: {own}",
                hint="Put it back beside the run's file. Or restore this table by itself, once you know what it holds.",
            )

    def finished(self, table: str) -> None:
        """Notes that a table is done, durably."""
        with self._lock:
            if table not in self.done:
                self.done.add(table)
                self._write(msgspec.json.encode(_Mark(done=table)))

    def close(self) -> None:
        """Closes the file; it stays."""
        self._file.close()

    def discard(self) -> None:
        """Deletes the file: there is nothing to resume or to undo."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, line: bytes) -> None:
        try:
            self._file.write(line + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise Failed(f"what is done cannot be kept in {self.path}: {error.strerror}", hint="Make room.") from error


def check_not_taken_back(path: Path, journals: Sequence[tuple[str, Path]], read: Callable[[Path], JournalState[Any]]) -> None:
    """Raises UsageError if an undo of the run has begun: its tables that were done are not as it left them any more.

    `journals`: the tables, each with the file by which it would be undone.
    """
    taken_back = [table for table, each in journals if each.exists() and read(each).taken_back]
    if taken_back:
        raise UsageError(f"{path} was taken back: {', '.join(taken_back)}", hint="Begin a new run, without --resume.")


def path_for(run: str, folder: Path) -> Path:
    """Returns the path of a run's file, by its id."""
    return folder / f"{_STEM}{run}.ndjson"


def find(text: str, folder: Path) -> Path | None:
    """Returns the file of a run over several tables, by its path or id; None if this is not one."""
    path = Path(text) if Path(text).exists() else path_for(text, folder)
    return path if path.exists() and path.name.startswith(_STEM) else None


def load(path: Path, kind: type[Head]) -> tuple[Head, GroupProgress, int]:
    """Returns the request, the progress, and the bytes of whole lines. Raises UsageError if it is no such file."""
    try:
        with private_files.opened(path) as file:
            lines = [line for line in private_files.lines(file, path) if line.endswith(b"\n")]
        head = msgspec.json.decode(lines[0] if lines else b"", type=kind)
        marks = [msgspec.json.decode(line, type=_Mark) for line in lines[1:]]
    except OSError as error:
        raise _no_run(path, error) from error
    except UNDECODABLE as error:
        raise UsageError(f"not the file of a run over several tables: {path}: {reason(error)}") from error
    begun: set[str] = set()
    for each in marks:
        begun = (begun | {each.begun}) - {each.withdrawn}
    return head, GroupProgress(begun - {""}, {each.done for each in marks} - {""}), sum(map(len, lines))


def _no_run(path: Path, error: OSError) -> UsageError:
    return UsageError(f"no run to resume: {path}: {error.strerror}")


def _hold(file: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Refused(f"another process is at this: {path}", hint="Wait until it has ended, or stop it.") from error
