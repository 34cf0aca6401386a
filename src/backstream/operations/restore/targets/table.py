"""The common part of the targets that are tables."""

from __future__ import annotations

from backstream.errors import Refused
from backstream.operations.bulk.writer import Batches, Budget, BulkWriter
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore.plan import Planning, units_a_second
from backstream.operations.restore.report import TargetOutcome
from backstream.operations.restore.request import RestoreJob
from backstream.operations.restore.resume_file import Leftovers
from backstream.operations.restore.targets.conditional_writer import ConditionalWriter
from backstream.operations.restore.targets.kept import KeptTable, UndoRecorder
from backstream.operations.restore.targets.kept import path_for as undo_path_for
from backstream.operations.restore.targets.sinks import ConditionalSink, Sink, TableSink
from backstream.operations.restore.targets.table_setup import TableSetup
from backstream.operations.restore.targets.undo import Undo
from backstream.ports import MOST_AT_ONCE, Table, Write


class TableTarget:
    """A table, shared or not: a base for the classes of `request.RestoreTarget`. `setup`: its settings.

    `is_shared`: others may be writing to it, so each row is written on condition that it is as it was seen.
    """

    in_place = False
    continues = False
    wants_items = True
    before: int | None = None
    is_shared = False

    def __init__(self, job: RestoreJob, name: str, setup: TableSetup) -> None:
        self.name = name
        self._job = job
        self._setup = setup
        self._undo = Undo()

    @property
    def resumable(self) -> bool:
        """Unless the caller keeps no files, or nothing is written."""
        return self._job.request.resumable and not self._job.request.dry_run

    def check(self) -> None:
        """See `RestoreTarget`."""
        raise NotImplementedError

    def compare(self) -> Table | None:
        """Nothing, where all that is written is new."""
        return None

    def planning(self) -> Planning:
        """Write units, by the table's capacity."""
        return Planning(units_a_second(self._description(), self._job.request.max_units))

    def _description(self) -> bytes | None:
        return self._table().facts().description

    def open_sink(self, left: Leftovers) -> Sink:
        """Have the table there, begin the files to resume and to undo with, and return what writes."""
        table, around = self._table(), self._job.around
        self._have_ready(table)
        facts = table.facts()
        into = Identity(facts.arn, facts.table_id)
        keeper = self._keeper(into, left)
        left.begin(self._undo.before, self._undo.command, into)
        if left.begun is not None:
            back = "" if left.undo is None else f"; or take back what it has done with: {left.undo}"
            around.notice(f"{left.command}{back}")
        return self._sink(table, keeper)

    def _have_ready(self, table: Table) -> None:
        """Return when the table can be written to."""

    def _keeper(self, into: Identity, left: Leftovers) -> UndoRecorder | None:
        """Returns the recorder of overwritten rows; None if nobody would undo the restore."""
        if not self.in_place or not self._job.request.resumable:
            return None
        path = undo_path_for(left.restore, self._job.around.folder)
        return self._undo.begin(path, left.restore, self._job.vault.catalog.table, into, self._job.vault)

    def _sink(self, table: Table, keeper: UndoRecorder | None) -> Sink:
        request, around, vault = self._job.request, self._job.around, self._job.vault
        budget = Budget.of(around.clock, request.max_units) if around.budget is None else around.budget
        if self.is_shared and not request.force:
            conditional = ConditionalWriter(vault, table, keeper)
            writer = BulkWriter(conditional, around.clock, patience=request.patience, budget=budget, at_once=MOST_AT_ONCE)
            return ConditionalSink(writer, conditional)
        forced: Batches[Write] = table if keeper is None else KeptTable(vault, table, keeper)
        return TableSink(BulkWriter(forced, around.clock, patience=request.patience, budget=budget))

    def watch(self, sink: Sink) -> Sink:
        """Count the rows that have expired, where rows of the table do."""
        return self._setup.watching(sink, self._expires_by())

    def _expires_by(self) -> str | None:
        """The attribute by which the table's rows expire; None where they do not."""
        return self._setup.time_to_live

    def finish(self, *, dry_run: bool) -> TargetOutcome:
        """Give the table the rest of its settings."""
        return self._setup.finish(dry_run=dry_run, undo=self._undo.command if self._undo.kept else None)

    def close(self) -> None:
        """Let the undo file go."""
        self._undo.close()

    def _table(self) -> Table:
        return self._job.around.table_of(self.name)

    def _live(self) -> Table:
        """The table, to be compared with. Refused where its keys are others."""
        table = self._table()
        if table.facts().schema != self._job.vault.catalog.key_schema:
            raise Refused(f"the table {table.name} has another key schema than the vault's", hint="Restore --to a new table.")
        return table
