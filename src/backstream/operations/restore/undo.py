"""Taking an in-place restore back: the second before it began, the file that it keeps, and the command that reads it."""

from __future__ import annotations

import shlex
from pathlib import Path

from backstream.model.clocks import CLOCKS_APART
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.kept import Journal, Keyed, UndoHead, UndoRecorder, begin
from backstream.operations.restore.request import InPlace, RestoreRequest
from backstream.ports import Clock, Table

POLL_SECONDS = 0.25


class Undo:
    """One restore's. `before`: the second in which it began, None where nothing is restored in place.

    The first write waits until the service's clock has passed that second by more than the clocks that stamp changes may be apart:
    so no change that the restore makes can be taken for one of that second.
    """

    def __init__(self, request: RestoreRequest) -> None:
        self._request = request
        self._journal: Journal | None = None
        self._kept = 0
        self._command: str | None = None
        self.before: int | None = None

    def note(self, table: Table) -> None:
        """Now is before."""
        if isinstance(self._request.target, InPlace):
            self.before = int(table.server_time())

    def wait(self, table: Table, clock: Clock) -> None:
        """Return when writing may begin."""
        while self.before is not None and int(table.server_time()) <= self.before + CLOCKS_APART:
            clock.sleep(POLL_SECONDS)

    def begin(self, path: Path, restore: str, table: str, into: Identity, keys: Keyed) -> UndoRecorder:
        """Before the first write: from now on what is overwritten is kept. Failed where it cannot be."""
        head = UndoHead(restore=restore, table=table, began=self.before or 0, arn=into.arn, table_id=into.table_id)
        self._journal = begin(path, head)
        self._command = command(table, path)
        return UndoRecorder(keys, self._journal)

    def close(self) -> None:
        """Let the file go; it stays where it tells anything."""
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
        """Whether there is anything to take back."""
        return self._kept > 0 or (self._journal is not None and self._journal.count > 0)

    @property
    def command(self) -> str | None:
        """The one command that takes the restore back; None where nothing is kept."""
        return self._command


def command(table: str, path: Path) -> str:
    """What takes a restore back."""
    return shlex.join(["backstream", "restore", table, "--undo", str(path)])
