"""`export --format parquet`: spools what is to be exported, then writes it with one schema for all files.

All that can fail in the vault or in an image fails before the first file is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from backstream.errors import UsageError
from backstream.model import moment
from backstream.model.columns.schema import CHANGES, STATES, ColumnSchema
from backstream.operations.changes import ChangesContext, ChangeWindow
from backstream.operations.export import manifest as manifests
from backstream.operations.export.parquet_files import ExportFile, ParquetFiles, total
from backstream.operations.export.reading import DamageNotes, ExportedChanges, ExportedState
from backstream.operations.export.spool import Spool
from backstream.operations.export.spread import FilesOpener, SpreadSpoolSink
from backstream.operations.restore import RestoreContext
from backstream.operations.tabular.batches import arrow_schema
from backstream.ports import Files
from backstream.temporary_folders import TemporaryFolder
from backstream.vault.columns import ColumnStore
from backstream.vault.table_vault import TableVault


class ExportOptions(msgspec.Struct, frozen=True):
    """`scales`: the digits after the point, for attributes whose numbers become decimals; `skip_damaged`: leave out what cannot be
    read, and name it; `allow_gap`: export although changes are missing.
    """

    scales: Mapping[str, int] = {}
    skip_damaged: bool = False
    allow_gap: bool = False


class Exported(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """The result of an export. `kind`: `changes` or `state`; `columns`: the number of typed columns; `unfit`: the number of values
    that fit no decimal; `doubtful`: the number of changes that lack an image; `damaged`: what could not be read.
    """

    table: str
    kind: str
    url: str
    since: str | None
    until: str
    rows: int
    files: int
    bytes: int
    columns: int
    unfit: int
    seconds: float
    doubtful: int = 0
    damaged: Sequence[str] = ()
    warnings: Sequence[str] = ()


def starting_columns(vault: TableVault, options: ExportOptions) -> tuple[ColumnStore, ColumnSchema]:
    """Returns the table's columns in the vault, with those for the key and for the given scales. Raises UsageError for a scale."""
    store = ColumnStore(vault.store, vault.catalog.table)
    keys = ((each.name, each.type) for each in vault.catalog.key_schema.attributes)
    try:
        return store, store.load().with_scales(options.scales).with_kinds(keys)
    except ValueError as error:
        raise UsageError(str(error), hint="--scale amount=2") from error


def full(schema: ColumnSchema, table: str) -> list[str]:
    """Returns a note if there is no room for more columns."""
    if not schema.is_full:
        return []
    return [f"{table} has {len(schema.columns):,} typed columns, the most there are: further attributes are in the images alone"]


def export_changes(vault: TableVault, span: ChangeWindow, to: Files, around: ChangesContext, options: ExportOptions) -> Exported:
    """Writes every change of a window. Raises the errors of `Changes`, PartlyDone for damaged images, and TargetNotEmpty."""
    began = around.clock.now()
    store, known = starting_columns(vault, options)
    damage = DamageNotes(skip=options.skip_damaged)
    reading = ExportedChanges(vault, span, around, known, damage, allow_gap=options.allow_gap)
    with TemporaryFolder() as temporary:
        spool = Spool(temporary.path)
        around.progress.phase("reading changes", None)
        reading.into(spool)
        damage.check()
        done = _write(vault, spool, to, store, reading.builder.schema, damage, (span.since, span.until))
    return msgspec.structs.replace(
        done,
        unfit=reading.builder.unfit,
        doubtful=reading.doubtful,
        seconds=round(around.clock.now() - began, 3),
        warnings=[*reading.certainty.notes, *reading.warnings, *done.warnings],
    )


def export_state(
    vault: TableVault, at: int, to: Files, around: RestoreContext, options: ExportOptions, opener: FilesOpener | None = None
) -> Exported:
    """Writes every item of one moment. Raises the errors of `restore`, PartlyDone for damaged images, and TargetNotEmpty.

    `opener`: opens the place on other machines, if the state lies there; None: everything is written from here.
    """
    began = around.clock.now()
    store, known = starting_columns(vault, options)
    damage = DamageNotes(skip=options.skip_damaged)
    reading = ExportedState(vault, at, around, known, damage)
    with TemporaryFolder() as temporary:
        spool = Spool(temporary.path)
        sink = None if opener is None else _spread(vault, reading, spool, to, store, opener, options)
        report = reading.into(spool, allow_gap=options.allow_gap) if sink is None else reading.by(sink, allow_gap=options.allow_gap)
        damage.check()
        if sink is None or sink.files is None:
            done, unfit = _write(vault, spool, to, store, reading.builder.schema, damage, (None, at)), reading.builder.unfit
        else:
            sink.check()
            done, unfit = _finish(vault, to, sink.schema, damage, (None, at), sink.files), sink.unfit
    return msgspec.structs.replace(
        done,
        unfit=unfit,
        seconds=round(around.clock.now() - began, 3),
        warnings=[*report.warnings, *done.warnings],
    )


def _spread(
    vault: TableVault,
    reading: ExportedState,
    spool: Spool,
    to: Files,
    store: ColumnStore,
    opener: FilesOpener,
    options: ExportOptions,
) -> SpreadSpoolSink:
    return SpreadSpoolSink(
        lambda images: spool.add("", reading.builder.states(images)),
        vault.key_of,
        partial(manifests.start, to),
        store,
        reading.builder.schema,
        opener,
        skip_damaged=options.skip_damaged,
    )


def _write(
    vault: TableVault,
    spool: Spool,
    to: Files,
    store: ColumnStore,
    used: ColumnSchema,
    damage: DamageNotes,
    times: tuple[int | None, int],
) -> Exported:
    manifests.start(to)
    schema = store.keep(used)
    fixed = STATES if times[0] is None else CHANGES
    writer = ParquetFiles(to, arrow_schema(fixed, schema))
    for folder, batch in spool.batches(arrow_schema(fixed, schema)):
        writer.add(folder, batch)
    writer.close()
    return _finish(vault, to, schema, damage, times, writer.files)


def _finish(
    vault: TableVault,
    to: Files,
    schema: ColumnSchema,
    damage: DamageNotes,
    times: tuple[int | None, int],
    files: Sequence[ExportFile],
) -> Exported:
    """Writes the manifest, and returns the report."""
    catalog, (since, until) = vault.catalog, times
    kind = manifests.STATE if since is None else manifests.CHANGES
    rows, size = total(files)
    done = manifests.ExportManifest(
        kind=kind,
        table=catalog.table,
        table_arn=catalog.table_arn,
        table_id=catalog.table_id,
        key_schema=catalog.key_schema,
        since=None if since is None else moment.iso(since),
        until=moment.iso(until),
        rows=rows,
        columns=schema.columns,
        damaged=damage.named,
        files=files,
    )
    manifests.finish(to, done)
    return Exported(
        table=done.table,
        kind=kind,
        url=to.url,
        since=done.since,
        until=done.until,
        rows=rows,
        files=len(files),
        bytes=size,
        columns=len(schema.columns),
        unfit=0,
        seconds=0.0,
        damaged=damage.named,
        warnings=full(schema, done.table),
    )
