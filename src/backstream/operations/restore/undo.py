"""Taking an in-place restore back: the moment before it began, and the command that goes back there."""

from __future__ import annotations

import shlex

from backstream.layouts.vault import TableVault
from backstream.model import moment
from backstream.model.clocks import CLOCKS_APART
from backstream.operations.restore.request import InPlace, Request
from backstream.ports import Clock, Table

POLL_SECONDS = 0.25


class Undo:
    """`before`: the second that an undo goes back to, None where nothing is restored in place.

    It is the second in which the restore began, and the first write waits until the service's clock has passed it by more than the
    clocks that stamp changes may be apart: so no change that the restore makes can be taken for one of that second.
    """

    def __init__(self, vault: TableVault, request: Request) -> None:
        self._vault = vault
        self._request = request
        self.before: int | None = None

    def note(self, table: Table) -> None:
        """Now is before."""
        if isinstance(self._request.target, InPlace):
            self.before = int(table.server_time())

    def wait(self, table: Table, clock: Clock) -> None:
        """Return when writing may begin."""
        while self.before is not None and int(table.server_time()) <= self.before + CLOCKS_APART:
            clock.sleep(POLL_SECONDS)

    def command(self) -> str | None:
        """The one command."""
        if self.before is None:
            return None
        words = ["backstream", "restore", self._vault.catalog.table, "--at", moment.iso(self.before), "--in-place"]
        for key in self._request.keys:
            words += ["--key", key.decode()]
        selected = {"tenant": self._request.tenant, "partition": self._request.partition, "where": self._request.where}
        for name, value in selected.items():
            words += [] if value is None else [f"--{name}", value]
        return shlex.join([*words, "--vault", self._vault.store.url])
