"""Where restored items go: a table, a file, or nowhere (a dry run)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from backstream import private_files
from backstream.errors import Failed, TargetNotEmpty
from backstream.operations.bulk.writer import BulkWriter, LeftOut
from backstream.operations.restore.conditional_writer import ConditionalWriter
from backstream.ports import Delete, Write
from backstream.vault.aws_export.lines import item_line


class Sink(Protocol):
    """Takes a restore's writes, no two on one item. `finish` returns what could not be done, `abandon` leaves nothing half-done."""

    @property
    def hopeless(self) -> str:
        """Why there is no sense in adding more; empty while there is."""

    @property
    def touched(self) -> bool:
        """Whether anything was written that stays."""

    def add(self, write: Write, live: bytes | None) -> None:
        """Take one write. `live`: the item as it was when that was decided; None where there was none, or nobody looked."""

    def finish(self) -> Sequence[LeftOut]:
        """Return once all is done or named."""

    def abandon(self) -> None:
        """Stop here."""


class Nowhere:
    """A dry run: the same plan, nothing written."""

    hopeless = ""
    touched = False

    def add(self, write: Write, live: bytes | None) -> None:
        """Count for nothing."""

    def finish(self) -> Sequence[LeftOut]:
        """Nothing was left out, since nothing was done."""
        return []

    def abandon(self) -> None:
        """Nothing to stop."""


class TableSink:
    """Into a table; with a guard, into one that others may be writing to."""

    def __init__(self, writer: BulkWriter, guard: ConditionalWriter | None = None) -> None:
        self._writer = writer
        self._guard = guard

    @property
    def hopeless(self) -> str:
        """As the writer says."""
        return self._writer.hopeless

    @property
    def touched(self) -> bool:
        """Whether DynamoDB has taken anything."""
        return self._writer.written > 0

    def add(self, write: Write, live: bytes | None) -> None:
        """Hand it to the writer."""
        if self._guard is not None:
            self._guard.expect(write, live)
        self._writer.add(write)

    def finish(self) -> Sequence[LeftOut]:
        """Wait for the writer."""
        self._writer.finish()
        return [*self._writer.left_out, *([] if self._guard is None else self._guard.conflicts)]

    def abandon(self) -> None:
        """Stop the writer."""
        self._writer.abandon()


class FileSink:
    """Into a file of `{"Item":...}` lines. The file has its name only once it is whole."""

    hopeless = ""
    touched = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = private_files.draft_of(path)
        self._file: BinaryIO = _create(self._partial)

    def add(self, write: Write, live: bytes | None) -> None:  # noqa: ARG002 - nothing is there
        """Write a line; a moment's state in a file holds no deletes."""
        if isinstance(write, Delete):
            return
        try:  # not `_explained`: this is done a million times
            self._file.write(item_line(write.image))
        except OSError as error:
            raise _not_written(self._partial, error) from error

    def finish(self) -> Sequence[LeftOut]:
        """Make it durable, then give it its name."""
        with _explained(self._partial):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._partial.rename(self._path)
        return []

    def abandon(self) -> None:
        """Leave no file that could pass for the whole."""
        with suppress(OSError):  # a full disk, which is why we are here
            self._file.close()
        self._partial.unlink(missing_ok=True)


def check_file(path: Path) -> None:
    """TargetNotEmpty where something is there, Failed where nothing can be."""
    if path.exists() and (path.is_dir() or path.stat().st_size > 0):
        raise TargetNotEmpty(f"{path} holds something already", hint="Give another path, or move it away.")
    if not path.parent.is_dir():
        raise Failed(f"the folder {path.parent} does not exist", hint="Create it, or give another path.")


def _create(path: Path) -> BinaryIO:
    with _explained(path):
        return private_files.create(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> Failed:
    return Failed(f"{path} cannot be written: {error.strerror}", hint="Make room, or give another path.")
