"""Restoring into the table itself: puts and deletes, only where it differs."""

from __future__ import annotations

from backstream.operations.inspect import safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.request import RestoreJob, TargetRequest
from backstream.operations.restore.targets.table import TableTarget
from backstream.operations.restore.targets.table_setup import TableSetup
from backstream.ports import Table


class InPlace(TargetRequest, frozen=True):
    """Restores into the table itself: puts and deletes, only for differing items."""

    def bind(self, job: RestoreJob) -> OwnTable:
        """Return the target of one restore."""
        name = job.vault.catalog.table
        return OwnTable(job, name, TableSetup(job, name))


class OwnTable(TableTarget):
    """The vault's own table. See `request.RestoreTarget`."""

    in_place = True
    is_shared = True

    def check(self) -> None:
        """Refused where the live table is not the vault's. An undo goes back to the state before this second."""
        if not self._job.request.into_another:
            catalog = self._job.vault.catalog
            known = Identity(catalog.table_arn, catalog.table_id)
            safety.check_same_table(known, self._table().facts(), of="the vault's")
        if not self._job.request.dry_run:
            self._undo.note(self._table())

    def compare(self) -> Table | None:
        """The table as it is now."""
        return self._live()

    def _have_ready(self, table: Table) -> None:
        """Wait until no write can be taken for one of the second before."""
        self._undo.wait(table, self._job.around.clock)

    def _expires_by(self) -> str | None:
        return self._setup.live_time_to_live()
