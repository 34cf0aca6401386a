"""Restoring into a table that an earlier restore left incomplete."""

from __future__ import annotations

from backstream.operations.inspect import safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.request import RestoreJob, TargetRequest
from backstream.operations.restore.targets.table import TableTarget
from backstream.operations.restore.targets.table_setup import TableSetup
from backstream.ports import Table


class Resumed(TargetRequest, frozen=True):
    """Restores differing items into the table of this name, which an earlier restore left incomplete.

    `fresh`: the earlier restore created it, and was interrupted before it had all of its settings; `in_place`: it is the table
    itself; `before`: the moment before the earlier restore began, if that was interrupted: a row that has neither its state of that
    time nor its restored state was changed by somebody else; `into`: the table that the earlier one wrote to.
    """

    name: str
    fresh: bool = False
    in_place: bool = False
    before: int | None = None
    into: Identity = Identity("", "")
    accept_settings: bool = False

    def bind(self, job: RestoreJob) -> IncompleteTable:
        """Return the target of one restore."""
        return IncompleteTable(job, self)


class IncompleteTable(TableTarget):
    """A table that holds a part of the moment. See `request.RestoreTarget`."""

    continues = True
    is_shared = True

    def __init__(self, job: RestoreJob, target: Resumed) -> None:
        super().__init__(job, target.name, TableSetup(job, target.name, accept_settings=target.accept_settings))
        self._target = target
        self.in_place = target.in_place
        self.before = None if job.request.force else target.before

    def check(self) -> None:
        """Refused where it is not the table that the earlier restore began with."""
        if not self._job.request.into_another:
            self._check_same()
        if self._target.fresh:
            self._setup.prepare_rest()

    def _check_same(self) -> None:
        if self._target.into.arn:
            safety.check_same_table(self._target.into, self._table().facts(), of="the one that this restore began to write to")
        elif self.in_place:
            catalog = self._job.vault.catalog
            known = Identity(catalog.table_arn, catalog.table_id)
            safety.check_same_table(known, self._table().facts(), of="the vault's")

    def compare(self) -> Table | None:
        """The table as it is now."""
        return self._live()

    def _expires_by(self) -> str | None:
        return self._setup.live_time_to_live() if self.in_place else self._setup.time_to_live
