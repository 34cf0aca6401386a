"""Undo of an in-place restore: the second before it began, the file that it keeps, and the command that reads it."""

from __future__ import annotations

from pathlib import Path

from backstream.model.clocks import CLOCKS_APART
from backstream.model.values.shell_words import shell_line
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.targets.kept import Journal, Keyed, UndoHead, UndoRecorder, begin
from backstream.ports import Clock, Table

POLL_SECONDS = 0.25


class Undo:
    """The undo of one restore. `before`: the second in which it began, None if nothing is restored in place.

    The first write waits until the service's clock has passed that second by more than the possible difference of clocks. So no
    change of the restore can be taken for one of that second.
    """

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._kept = 0
        self._command: str | None = None
        self.before: int | None = None

    def note(self, table: Table) -> None:
        """Notes the present as `before`."""
        self.before = int(table.server_time())

    def wait(self, table: Table, clock: Clock) -> None:
        """Returns when writing may begin."""
        while self.before is not None and int(table.server_time()) <= self.before + CLOCKS_APART:
            clock.sleep(POLL_SECONDS)

    def begin(self, path: Path, restore: str, table: str, into: Identity, keys: Keyed) -> UndoRecorder:
        """Called before the first write: from now on overwritten items are kept. Raises Failed if they cannot be."""
        head = UndoHead(restore=restore, table=table, began=self.before or 0, arn=into.arn, table_id=into.table_id)
        self._journal = begin(path, head)
        self._command = command(table, path)
        return UndoRecorder(keys, self._journal)

    def close(self) -> None:
        """Closes the file; it stays if it holds anything."""
        if self._journal is None:
            return
        self._kept = self._journal.count
        if self._kept:
            self._journal.close()
        else:
            self._journal.discard()
        self._journal = None

    @property
    def kept(self) -> bool:
        """True if there is anything to undo."""
        return self._kept > 0 or (self._journal is not None and self._journal.count > 0)

    @property
    def command(self) -> str | None:
        """The one command that undoes the restore; None if nothing is kept."""
        return self._command


def command(table: str, path: Path) -> str:
    """Returns the command that undoes a restore."""
    return shell_line(["backstream", "restore", table, "--undo", str(path)])
