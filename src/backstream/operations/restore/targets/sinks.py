"""The destinations of restored items: a table, a file, or nowhere (a dry run)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

from backstream import private_files
from backstream.errors import Failed, TargetNotEmpty
from backstream.operations.bulk.writer import BulkWriter, LeftOut
from backstream.operations.restore.targets.conditional_writer import ConditionalWriter
from backstream.ports import ConditionalWrite, Delete, Write
from backstream.ports.engine import PartitionWork
from backstream.vault.aws_export.lines import item_line
from backstream.vault.table_vault import TableVault


class Sink(Protocol):
    """Takes a restore's writes, no two on one item.

    `finish` returns the items that could not be written, `abandon` leaves nothing half-done.
    """

    @property
    def gave_up_reason(self) -> str:
        """The reason why adding more makes no sense; empty while it does."""

    @property
    def touched(self) -> bool:
        """True if anything was written that stays."""

    def add(self, write: Write, live: bytes | None) -> None:
        """Takes one write. `live`: the item's image when that was decided; None if there was none, or if nobody looked."""

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Returns once every write is done or named."""

    def abandon(self) -> None:
        """Stops here."""


class LeftItem(msgspec.Struct, frozen=True, array_like=True):
    """An item that was left out, by its canonical key, and why."""

    key: bytes
    why: str


@runtime_checkable
class SpreadSink(Sink, Protocol):
    """A sink that can be filled where the partitions of a state lie, if that is on other machines."""

    def work(self) -> PartitionWork[TableVault] | None:
        """Returns the work on one partition; None if it must be filled here."""

    def took(self, result: bytes) -> tuple[int, Sequence[LeftItem]]:
        """Notes what came of a partition: the number of items in it, and those that were left out."""

    def further(self) -> PartitionWork[TableVault] | None:
        """Returns more work on each partition, once all of the first is done; None if there is none."""

    def took_further(self, result: bytes) -> int:
        """Notes what came of more work on a partition, and returns the number of items in it."""


class Nowhere:
    """A dry run: the same plan, nothing written."""

    gave_up_reason = ""
    touched = False

    def add(self, write: Write, live: bytes | None) -> None:
        """Does nothing."""

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Returns nothing left out, since nothing was done."""
        return []

    def abandon(self) -> None:
        """Does nothing."""


class TableSink:
    """Writes into a table, whatever is there."""

    def __init__(self, writer: BulkWriter[Write]) -> None:
        self.writer = writer

    @property
    def gave_up_reason(self) -> str:
        """See the writer."""
        return self.writer.gave_up_reason

    @property
    def touched(self) -> bool:
        """True if DynamoDB has taken anything."""
        return self.writer.written > 0

    def add(self, write: Write, live: bytes | None) -> None:  # noqa: ARG002 - it is overwritten
        """Passes it to the writer."""
        self.writer.add(write)

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Waits for the writer."""
        self.writer.finish()
        return self.writer.left_out

    def abandon(self) -> None:
        """Stops the writer."""
        self.writer.abandon()


class ConditionalSink:
    """Writes into a table that others may be writing to: each item only if it is still as it was. The others are conflicts."""

    def __init__(self, writer: BulkWriter[ConditionalWrite], conditional: ConditionalWriter) -> None:
        self._writer = writer
        self._conditional = conditional

    @property
    def gave_up_reason(self) -> str:
        """See the writer."""
        return self._writer.gave_up_reason

    @property
    def touched(self) -> bool:
        """True if DynamoDB has taken anything."""
        return self._writer.written > 0

    def add(self, write: Write, live: bytes | None) -> None:
        """Passes it to the writer, with its precondition."""
        self._writer.add(ConditionalWrite(write, live))

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Waits for the writer."""
        self._writer.finish()
        return [LeftOut(each.write.write, each.reason) for each in (*self._writer.left_out, *self._conditional.conflicts)]

    def abandon(self) -> None:
        """Stops the writer."""
        self._writer.abandon()


class FileSink:
    """Writes into a file of `{"Item":...}` lines. The file gets its name only once it is whole.

    Nothing is made before the first row, so `abandon` also removes a file that was just made.
    """

    gave_up_reason = ""
    touched = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = private_files.draft_of(path)
        self._file: BinaryIO | None = None

    def add(self, write: Write, live: bytes | None) -> None:  # noqa: ARG002 - nothing is there
        """Writes a line; a moment's state in a file holds no deletes."""
        if isinstance(write, Delete):
            return
        file = self._file or self._begin()
        try:  # not `_explained`: this is done a million times
            file.write(item_line(write.image))
        except OSError as error:
            raise _not_written(self._partial, error) from error

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Makes it durable, then gives it its name."""
        file = self._file or self._begin()
        with _explained(self._partial):
            file.flush()
            os.fsync(file.fileno())
            file.close()
            self._partial.rename(self._path)
        return []

    def abandon(self) -> None:
        """Leaves no file that could pass for the whole."""
        if self._file is not None:
            with suppress(OSError):  # a full disk, which is why we are here
                self._file.close()
        self._partial.unlink(missing_ok=True)

    def _begin(self) -> BinaryIO:
        self._file = _create(self._partial)
        return self._file


def check_file(path: Path) -> None:
    """Raises TargetNotEmpty if something exists there, and Failed if no file can be created there."""
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
