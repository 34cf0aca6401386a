"""A restore's own file: the request, and the items left undone.

`--resume` continues with it, wherever the restore was interrupted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from backstream import private_files
from backstream.errors import Failed, UsageError
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.report import Failure

MOST_NAMED = 10_000  # failures in a report: more would fill the memory, and the file names them all
_STEM = "backstream-restore-"


class ResumeHead(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line: the restore's id and the request. `at` and `before` are in seconds.

    `in_place`: into the table itself; `before`: the moment to which an undo goes back, `undo` its command; `keys`: the requested
    ones, none for all; `arn`, `table_id`: the table that is written to; `expect_deletes`, `delete_unknown`: see `RestoreRequest`.
    """

    restore: str
    table: str
    at: int
    target: str
    tenant: str | None = None
    in_place: bool = False
    before: int | None = None
    undo: str | None = None
    keys: list[msgspec.Raw] = []
    partition: str | None = None
    where: str | None = None
    arn: str = ""
    table_id: str = ""
    expect_deletes: int | None = None
    delete_unknown: bool = False


class _Left(msgspec.Struct):
    key: msgspec.Raw = msgspec.field(name="Key")
    why: str = msgspec.field(name="Why", default="")
    conflict: bool = msgspec.field(name="Conflict", default=False)


# The last line: all remaining items precede it. Without it the restore was interrupted, and any item may remain.
_END = b'{"Ended":true}'


class Loaded(msgspec.Struct, frozen=True):
    """The contents of a file.

    `ended`: True if only `keys` are left; otherwise all items may be. `conflicts`: keys that somebody else had changed.
    """

    head: ResumeHead
    ended: bool
    keys: list[bytes]
    conflicts: list[bytes]


class NamedFailures:
    """Failures: how many there are, and the first ten thousand of them."""

    def __init__(self) -> None:
        self.failures: list[Failure] = []
        self.count = 0

    def name(self, failure: Failure) -> None:
        """Reports a failure that a second attempt does not mend."""
        self.count += 1
        if len(self.failures) < MOST_NAMED:
            self.failures.append(failure)


class Leftovers(NamedFailures):
    """Collects failures as they come, and keeps the file of a restore that can be resumed. `path`: None for no file at all.

    The file is durable before the first write; it is deleted when everything is done. `finished` is called just before that, so
    that who keeps an account of several restores never takes one that is done for one that was not begun.
    """

    def __init__(self, path: Path | None, head: ResumeHead, finished: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._finished = finished
        self._path = path
        self._head = head
        self._file: BinaryIO | None = None
        self._left = 0

    def begin(self, before: int | None, undo: str | None, into: Identity) -> None:
        """Called before the first write: from now on the restore can be resumed. `into`: the table that is written to."""
        self._head = msgspec.structs.replace(self._head, arn=into.arn, table_id=into.table_id, undo=undo or self._head.undo)
        if before is not None:
            self._head = msgspec.structs.replace(self._head, before=before)
        if self._path is None:
            return
        whole = private_files.draft_of(self._path)  # what an earlier attempt left is there until this is
        try:
            self._file = private_files.create(whole)
            self._file.write(msgspec.json.encode(self._head) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            whole.replace(self._path)
        except OSError as error:
            raise Failed(f"the file for resuming the restore cannot be kept in {self._path}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                whole.unlink(missing_ok=True)

    @property
    def head(self) -> ResumeHead:
        """Returns the request that was made."""
        return self._head

    @property
    def restore(self) -> str:
        """The restore's id."""
        return self._head.restore

    @property
    def begun(self) -> Path | None:
        """The file, if it exists."""
        return None if self._file is None else self._path

    @property
    def undo(self) -> str | None:
        """The command that undoes the restore, from its first beginning on; None if there is none."""
        return self._head.undo

    @property
    def command(self) -> str:
        """The command that resumes it."""
        return f"backstream restore {self._head.table} --resume {self._path}"

    def include(self, found: NamedFailures) -> None:
        """Counts in the failures that were found before the first write."""
        self.count += found.count
        self.failures += found.failures

    def leave(self, key: bytes, why: str, *, conflict: bool = False) -> None:
        """Leaves an item out, by its canonical key."""
        self.name(Failure(key.decode(), why))
        self._left += 1
        if self._file is not None:
            self._file.write(msgspec.json.encode(_Left(msgspec.Raw(key), why, conflict)) + b"\n")

    def close(self) -> Path | None:
        """Ends after all items were tried.

        Returns the file with the remaining ones; if nothing remains, deletes it and returns None.
        """
        if self._file is None or self._path is None:
            return None
        if self._left:
            self._file.write(_END + b"\n")
        self._file.close()
        self._file = None
        if self._left:
            return self._path
        if not self.count:
            self._finished()
        self._path.unlink(missing_ok=True)
        return None

    def discard(self) -> None:
        """Deletes the file, because nothing was written: there is nothing to resume."""
        if self._file is not None and self._path is not None:
            self._file.close()
            self._file = None
            self._path.unlink(missing_ok=True)

    def interrupt(self) -> None:
        """Stops here. The file, if there is one, stays for resuming."""
        if self._file is not None:
            self._file.close()
            self._file = None


def path_for(restore: str, folder: Path) -> Path:
    """Returns the path of a restore's file, by its id."""
    return folder / f"{_STEM}{restore}.ndjson"


def load(path: Path) -> Loaded:
    """Reads a file. Raises UsageError if it is not one."""
    try:
        with private_files.opened(path) as file:
            head, *lines = [line.rstrip(b"\n") for line in private_files.lines(file, path)] or [b""]
        whole = bool(lines) and lines[-1] == _END
        left = [msgspec.json.decode(line, type=_Left) for line in lines[:-1]] if whole else []
        return Loaded(
            head=msgspec.json.decode(head, type=ResumeHead),
            ended=whole,
            keys=[bytes(each.key) for each in left],
            conflicts=[bytes(each.key) for each in left if each.conflict],
        )
    except OSError as error:
        raise UsageError(f"no restore to resume: {path}: {error.strerror}") from error
    except UNDECODABLE as error:
        raise UsageError(f"not the file of a restore: {path}: {reason(error)}") from error
