"""`export --format iceberg`: appends the changes since the last snapshot, in batches that end with an hour.

Only hours that are proven to have all their changes are appended: a change that came later would be missing for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import Refused, UsageError
from backstream.model import moment
from backstream.model.columns.schema import CHANGES, STATES
from backstream.operations.changes import ChangesContext, ChangeWindow
from backstream.operations.export import manifest as manifests
from backstream.operations.export.iceberg.table import IcebergTable, Source
from backstream.operations.export.reading import DamageNotes, ExportedChanges, ExportedState
from backstream.operations.export.run import ExportOptions, full, starting_columns
from backstream.operations.export.spool import Spool
from backstream.operations.inspect import safety
from backstream.operations.restore import RestoreContext
from backstream.operations.tabular.batches import arrow_schema
from backstream.temporary_folders import TemporaryFolder
from backstream.vault.table_vault import TableVault

HOUR, DAY = 3_600, 86_400
EXPANDED = 12  # times as large in memory as in the log, about
LEAST = 64 << 20  # bytes of a commit in memory, unless no more has settled


class Appended(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """The result of an export to Iceberg. `since`, `until`: the moments between which every change was appended.

    They are equal if there is nothing new. `rows`, `files`, `commits`: what was appended; `columns`: the number of typed columns;
    `unfit`: the number of values that fit no decimal; `doubtful`: the number of changes that lack an image; `damaged`: what could
    not be read.
    """

    table: str
    kind: str
    iceberg_table: str
    since: str | None
    until: str
    rows: int
    files: int
    commits: int
    columns: int
    unfit: int
    seconds: float
    doubtful: int = 0
    damaged: Sequence[str] = ()
    warnings: Sequence[str] = ()


def source_of(vault: TableVault) -> Source:
    """Returns the table whose changes an Iceberg table holds.

    The vault of an older tool's backup may know no ARN: then its name and the time of its adoption tell it from others.
    """
    catalog = vault.catalog
    if not catalog.table_arn:
        return Source(f"{catalog.table} {catalog.initialised}")
    ids = [*(each.table_id for each in catalog.former), *(each.table_id for each in catalog.lives)]
    earlier = dict.fromkeys(f"{catalog.table_arn} {each}" for each in ids if each not in ("", catalog.table_id))
    return Source(f"{catalog.table_arn} {catalog.table_id}".strip(), tuple(earlier))


def append_changes(
    vault: TableVault,
    table: IcebergTable,
    around: ChangesContext,
    options: ExportOptions,
    *,
    since: int | None = None,
    until: int | None = None,
    ends: float | None = None,
) -> Appended:
    """Appends every change since the table's last snapshot, up to the end of the last settled hour, or up to second `until`.

    `since`: where a new table begins (None: with the vault's first change); `ends`: the time after which no other batch is begun,
    so a later run goes on. Raises the errors of `Changes`, PartlyDone for damaged images, and ConditionNotMet if another writer
    commits meanwhile. Raises Refused if the Iceberg table is not the one of these changes, or if changes up to `until` may still
    arrive.
    """
    return _Following(vault, table, around, options).run(since, until, ends)


class _Following:
    def __init__(self, vault: TableVault, table: IcebergTable, around: ChangesContext, options: ExportOptions) -> None:
        self._vault = vault
        self._table = table
        self._around = around
        self._options = options
        self._store, self._columns = starting_columns(vault, options)
        self._damage = DamageNotes(skip=options.skip_damaged)
        self._since = 0  # the second that the table's rows end with
        self._rows = self._files = self._commits = self._unfit = self._doubtful = 0
        self._warnings: dict[str, None] = {}

    def run(self, since: int | None, until: int | None, ends: float | None) -> Appended:
        began = self._around.clock.now()
        first = self._since = self._begin(since)
        last = self._settled(began) if until is None else self._chosen(until, began)
        position = first
        while position < last and (ends is None or self._around.clock.now() < ends):
            position = self._append_batch(position, last)
        done = max(first, position)
        for note in full(self._columns, self._vault.catalog.table):
            self._warnings[note] = None
        return Appended(
            table=self._vault.catalog.table,
            kind=manifests.CHANGES,
            iceberg_table=self._table.name,
            since=moment.iso(first),
            until=moment.iso(done),
            rows=self._rows,
            files=self._files,
            commits=self._commits,
            columns=len(self._columns.columns),
            unfit=self._unfit,
            seconds=round(self._around.clock.now() - began, 3),
            doubtful=self._doubtful,
            damaged=self._damage.named,
            warnings=list(self._warnings),
        )

    def _begin(self, since: int | None) -> int:
        """Returns the second after which changes are to be appended."""
        position = self._table.position if self._table.open(make=False) else None
        if position is None:
            return self._first() if since is None else since
        if since not in (None, position):
            raise UsageError(
                f"the Iceberg table {self._table.name} ends at {moment.iso(position)}: it goes on from there",
                hint="Leave --from out, or choose another table with --as NAMESPACE.NAME.",
            )
        return position

    def _first(self) -> int:
        """Returns the second before the first change that is kept."""
        horizon = self._vault.catalog.horizon
        first = self._vault.coverage.followed_from - 1
        return first if horizon is None else max(first, horizon.second)

    def _settled(self, now: float) -> int:
        """Returns the last second of the last hour whose changes have all arrived, as far as that is proven."""
        durable = self._vault.window(now).durable
        if durable is None:
            self._warnings["no hour is proven to be complete yet: run `tail` or `witness` first"] = None
            return 0
        return (durable + 1) // HOUR * HOUR - 1

    def _chosen(self, until: int, now: float) -> int:
        """Returns the last second that was asked for. Raises Refused if a change of it may still arrive."""
        window = self._vault.window(now)
        if not safety.is_proven(until, window) and not self._options.allow_gap:
            raise Refused(
                f"changes made before {moment.iso(until)} may still arrive, and {self._table.name} would lack them for ever: "
                f"{safety.known_until(window)}",
                hint="Run `tail` or `witness` first, or choose an earlier second. Without one, the last complete hour is the end.",
            )
        return until

    def _append_batch(self, position: int, last: int) -> int:
        """Appends the next changes: up to the end of an hour with which there are enough, or up to `last`. Returns the position.

        An hour is read as a whole, so the same batch comes of it whenever it is tried again.
        """
        with TemporaryFolder() as temporary:
            spool, end = Spool(temporary.path), position
            while end < last and spool.bytes < LEAST:
                begin, end = end, min(last, self._step(end))
                self._read_window(spool, ChangeWindow(begin, end))
            self._damage.check()
            if spool.rows:
                self._commit(spool, end)
        return end

    def _step(self, position: int) -> int:
        """Returns the last second that is read next: the day's end, or of a day that makes more than one batch the hour's end."""
        day = (position + 1) // DAY * DAY + DAY - 1
        found = self._vault.inventory(since=position + 1, until=day)
        size = sum(each.size for each in found.segments) + sum(each.size for each in found.sets)
        return day if size < LEAST // EXPANDED else (position + 1) // HOUR * HOUR + HOUR - 1

    def _read_window(self, spool: Spool, span: ChangeWindow) -> None:
        reading = ExportedChanges(self._vault, span, self._around, self._columns, self._damage, allow_gap=self._options.allow_gap)
        reading.into(spool)
        self._columns = reading.builder.schema
        self._unfit += reading.builder.unfit
        self._doubtful += reading.doubtful
        self._warnings.update(dict.fromkeys([*reading.certainty.notes, *reading.warnings]))

    def _commit(self, spool: Spool, end: int) -> None:
        self._columns = self._store.keep(self._columns)
        batches = (batch for _, batch in spool.batches(arrow_schema(CHANGES, self._columns)))
        self._files += self._table.append(batches, self._columns, self._since, end, file_bytes(self._around.memory))
        self._since = end
        self._rows += spool.rows
        self._commits += 1


def file_bytes(memory: Memory) -> int:
    """Returns the bytes of a data file before it is compressed: it is made in memory."""
    return memory.total // 6


def replace_state(vault: TableVault, table: IcebergTable, at: int, around: RestoreContext, options: ExportOptions) -> Appended:
    """Replaces the rows of an Iceberg table by every item of a moment, in one snapshot. Raises the errors of `restore`."""
    began = around.clock.now()
    store, known = starting_columns(vault, options)
    damage = DamageNotes(skip=options.skip_damaged)
    reading = ExportedState(vault, at, around, known, damage)
    with TemporaryFolder() as temporary:
        spool = Spool(temporary.path)
        report = reading.into(spool, allow_gap=options.allow_gap)
        damage.check()
        columns = store.keep(reading.builder.schema)
        batches = (batch for _, batch in spool.batches(arrow_schema(STATES, columns)))
        files = table.replace(batches, columns, at, file_bytes(around.memory))
    return Appended(
        table=vault.catalog.table,
        kind=manifests.STATE,
        iceberg_table=table.name,
        since=None,
        until=moment.iso(at),
        rows=spool.rows,
        files=files,
        commits=1,
        columns=len(columns.columns),
        unfit=reading.builder.unfit,
        seconds=round(around.clock.now() - began, 3),
        damaged=damage.named,
        warnings=[*report.warnings, *full(columns, vault.catalog.table)],
    )
