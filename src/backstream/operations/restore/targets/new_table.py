"""Restoring into a new table: created with the settings that the catalog holds, or there already and empty."""

from __future__ import annotations

from backstream.errors import TargetNotEmpty
from backstream.operations.restore.request import RestoreJob, TargetRequest
from backstream.operations.restore.targets.kept import UndoRecorder
from backstream.operations.restore.targets.sinks import Sink, TableSink
from backstream.operations.restore.targets.table import TableTarget
from backstream.operations.restore.targets.table_part import SpreadTableSink, TablePart
from backstream.operations.restore.targets.table_setup import TableSetup, exists
from backstream.ports import Table


class NewTable(TargetRequest, frozen=True):
    """Restores into a table of this name: created with the settings that the catalog holds, or existing and empty.

    `indexes`: with its global and local ones; `settings_only`: without items; `bare`: the caller has created it for this alone, so
    its settings are not reported.
    """

    name: str
    indexes: bool = True
    settings_only: bool = False
    accept_settings: bool = False
    bare: bool = False

    def bind(self, job: RestoreJob) -> FilledTable:
        """Return the target of one restore."""
        return FilledTable(job, self, self.setup(job))

    def setup(self, job: RestoreJob) -> TableSetup:
        """Return its settings, not yet planned."""
        return TableSetup(job, self.name, indexes=self.indexes, accept_settings=self.accept_settings)


class FilledTable(TableTarget):
    """A new table. See `request.RestoreTarget`."""

    def __init__(self, job: RestoreJob, target: NewTable, setup: TableSetup) -> None:
        super().__init__(job, target.name, setup)
        self._target = target
        self.wants_items = not target.settings_only

    def check(self) -> None:
        """TargetNotEmpty where it holds items or has other keys. A table that is there already is accepted if it is empty."""
        table = self._table()
        if exists(table):
            if table.facts().schema != self._job.vault.catalog.key_schema:
                raise TargetNotEmpty(f"the table {table.name} exists, with another key schema", hint="Give --to another name.")
            if not table.is_empty()[0]:
                raise TargetNotEmpty(f"the table {table.name} exists and holds items", hint="Give --to another name.")
        self._setup.prepare(settings_only=self._target.settings_only, bare=self._target.bare)

    def _description(self) -> bytes | None:
        table = self._table()
        return table.facts().description if exists(table) else None

    def _sink(self, table: Table, keeper: UndoRecorder | None) -> Sink:
        request, around = self._job.request, self._job.around
        sink = super()._sink(table, keeper)
        if around.opener_of is None or around.budget is not None or not isinstance(sink, TableSink):
            return sink
        part = TablePart(around.opener_of(self.name), request.patience, request.max_units)
        return SpreadTableSink(sink.writer, part)

    def _have_ready(self, table: Table) -> None:
        """Create it, unless it is there."""
        self._setup.create(table)
