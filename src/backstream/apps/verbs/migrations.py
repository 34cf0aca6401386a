"""Migrations in the library: `TableBackup.migrate`, `resume_migration`, `undo_migration`; `filtered`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from backstream.apps.config import Config
from backstream.apps.verbs import scripts
from backstream.apps.verbs.arguments import SEGMENTS, Moment, resumable_folder, second_of, url_of
from backstream.apps.verbs.dumps import held_in, load_ion
from backstream.errors import NotFound, Refused, UsageError
from backstream.model.tables import naming
from backstream.model.values.schema import KeySchema
from backstream.operations import migrate as migrations
from backstream.operations.base.backfill.scan import TableScan
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.rate import MOST
from backstream.operations.bulk.rate_limited_scan import check_reading
from backstream.operations.migrate import (
    SHOWN,
    ItemSource,
    LiveTable,
    Migrated,
    MigrationContext,
    MigrationJournal,
    MigrationRequest,
    MigrationRun,
    Script,
    Undone,
)
from backstream.operations.restore import RestoreContext
from backstream.ports import Table
from backstream.vault.aws_export import Export
from backstream.vault.dumps.held import keys_of
from backstream.vault.dumps.opening import FileOptions
from backstream.vault.table_vault import TableVault

PATIENCE = 30.0


class Migrating:
    """The part of a table's backup that runs users' functions over items."""

    _config: Config
    _name: str

    def migrate(
        self,
        script: str | Path,
        *,
        live: bool = False,
        at: Moment | None = None,
        from_snapshot: str | None = None,
        files: FileOptions | None = None,
        allow_gap: bool = False,
        limit: int | None = None,
        shown: int = SHOWN,
        segments: int = SEGMENTS,
        concurrency: int = MOST,
        max_write_units: float | None = None,
        max_read_units: float | None = None,
        without_undo: bool = False,
        rehearse: bool = True,
        patience: float = PATIENCE,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Migrated:
        """Runs a script's function `migrate` over every item of the live table, and writes its changes only if `live`.

        `at`, `from_snapshot`: run it over the vault at a moment, or over a snapshot, export or dump, instead; `files`: how files
        are written; `limit`: the most items; `shown`: the number of changes in the report; `without_undo`: run it even if the vault
        could not undo it; `rehearse`: run it over all items once before anything is written.
        """
        reading = _ItemSource(at, from_snapshot, files, segments, max_read_units, allow_gap=allow_gap)
        asked = MigrationRequest(
            live=live,
            limit=limit,
            shown=shown,
            concurrency=concurrency,
            max_units=max_write_units,
            patience=patience,
            undoable=not without_undo,
        )
        _check_numbers(asked)
        loaded = scripts.load(script)
        around = self._around(progress, notice)
        rehearsal = None
        if live and rehearse:  # by the script loaded once more: what it counts for itself is counted from zero
            rehearsal = self._work(scripts.load(script), reading, around)
        return migrations.migrate(self._work(loaded, reading, around), asked, around, rehearsal)

    def resume_migration(
        self,
        left: str | Path,
        script: str | Path | None = None,
        *,
        shown: int = SHOWN,
        segments: int = SEGMENTS,
        concurrency: int = MOST,
        max_write_units: float | None = None,
        max_read_units: float | None = None,
        patience: float = PATIENCE,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Migrated:
        """Continues a live migration, whatever ended it. `left`: its file's path, or its id; `script`: its own."""
        asked = MigrationRequest(live=True, shown=shown, concurrency=concurrency, max_units=max_write_units, patience=patience)
        _check_numbers(asked)
        path = _file(left)
        standing = MigrationJournal(path)
        head = standing.head
        loaded = scripts.load(head.script, digest=head.digest) if script is None else scripts.load(script)
        around = self._around(progress, notice)
        reading = _ItemSource(head.at, head.snapshot, head.files, segments, max_read_units, allow_gap=True)
        return migrations.resume(path, self._work(loaded, reading, around), asked, around)

    def undo_migration(
        self,
        done: str | Path,
        *,
        live: bool = False,
        concurrency: int = MOST,
        max_write_units: float | None = None,
        patience: float = PATIENCE,
        progress: Progress | None = None,
    ) -> Undone:
        """Undoes a migration's changes, unless somebody has changed an item since; writes only if `live`. `done`: like `left`."""
        asked = MigrationRequest(live=live, concurrency=concurrency, max_units=max_write_units, patience=patience)
        _check_numbers(asked)
        return migrations.undo(_file(done), asked, self._around(progress, lambda _: None))

    def _around(self, progress: Progress | None, notice: Callable[[str], None]) -> MigrationContext:
        config = self._config
        naming.check_table_name(self._name)
        vault = _vault_or_none(config, self._name)
        return MigrationContext(
            table=config.table(self._name),
            clock=config.clock,
            folder=resumable_folder(),
            vault=vault,
            progress=progress or Silent(),
            notice=notice,
        )

    def _work(self, script: Script, reading: _ItemSource, around: MigrationContext) -> MigrationRun:
        schema = around.table.facts().schema
        if reading.at is None and reading.snapshot is None:
            source: ItemSource = LiveTable(reading.scan(around, schema), around.table)
            return MigrationRun(script, source, schema)
        if reading.snapshot is not None:
            return self._over_files(script, reading.snapshot.rstrip("/"), reading.files or FileOptions(), around, schema)
        if around.vault is None:
            raise Refused(f"there is no vault of {self._name}: its state at a moment is not known", hint="Give --vault URL.")
        second = second_of(reading.at or "", around.clock.now(), around.vault)
        surroundings = RestoreContext(self._table, around.clock, around.folder, memory=self._config.memory)
        source = migrations.of_moment(around.vault, second, around.table, surroundings, allow_gap=reading.allow_gap)
        return MigrationRun(script, source, schema, at=second)

    def _over_files(
        self, script: Script, place: str, files: FileOptions, around: MigrationContext, schema: KeySchema
    ) -> MigrationRun:
        """Returns the run over an export, a dump or files. Its file names their place, for a resume from another folder."""
        url = url_of(place)
        if is_export(url):
            export = export_of(self._config, url, checksums=files.checksums)
            source = migrations.of_export(export, url, around.table, schema)
        else:
            keys = keys_of(msgspec.json.decode(around.table.facts().description), self._name)
            source = migrations.of_held(held_in(self._config, place, self._name, files), around.table, keys)
        kept = place if "://" in place else str(Path(place).absolute())
        return MigrationRun(script, source, schema, snapshot=kept, files=None if files == FileOptions() else files)

    def _table(self, name: str) -> Table:
        return self._config.table(name)


class _ItemSource:
    """The source and the speed of reading items."""

    def __init__(
        self,
        at: Moment | None,
        snapshot: str | None,
        files: FileOptions | None,
        segments: int,
        max_read_units: float | None,
        *,
        allow_gap: bool,
    ) -> None:
        if at is not None and snapshot is not None:
            raise UsageError("a moment and a snapshot exclude each other", hint="Give --at or --from-snapshot, not both.")
        check_reading(segments, max_read_units)
        self.at = at
        self.snapshot = snapshot
        self.files = files
        self.allow_gap = allow_gap
        self._segments = segments
        self._max_units = max_read_units

    def scan(self, around: MigrationContext, schema: KeySchema) -> TableScan:
        """Returns the scan of the live table."""
        rows = around.table.facts().items
        return TableScan(around.table, schema, around.clock, segments=self._segments, rows=rows, max_units=self._max_units)


def filtered(lines: Iterable[bytes], script: str | Path) -> Iterator[bytes]:
    """Yields lines of DynamoDB JSON after a script's function `filter` or `migrate`."""
    return migrations.filtered(lines, scripts.load(script, for_filter=True))


def _check_numbers(asked: MigrationRequest) -> None:
    """Raises UsageError if a number is out of bounds."""
    if not 1 <= asked.concurrency <= MOST:
        raise UsageError(f"not a number of writes under way: {asked.concurrency}", hint=f"From 1 to {MOST}.")
    if asked.max_units is not None and not 0 < asked.max_units < math.inf:
        raise UsageError(f"not a write budget: {asked.max_units:g}", hint="Write units a second, more than 0.")
    if asked.limit is not None and asked.limit < 1:
        raise UsageError(f"not a number of items: {asked.limit}")


def _file(named: str | Path) -> Path:
    return Path(named) if Path(named).exists() else migrations.path_for(str(named), resumable_folder())


def _vault_or_none(config: Config, table: str) -> TableVault | None:
    """Returns None if no vault is named, or if it does not know the table: an operation that needs one reports that."""
    try:
        if not config.has_vault:
            return None
        return config.vault(table)
    except NotFound:
        return None


def is_export(url: str) -> bool:
    """True for the URL of one export: `.../AWSDynamoDB/ID`."""
    return re.fullmatch(r".+://.*/AWSDynamoDB/[^/]+", url.rstrip("/")) is not None


def export_of(config: Config, url: str, *, checksums: bool = True) -> Export:
    """Returns the export at `s3://bucket/prefix/AWSDynamoDB/ID`.

    Raises UsageError if the URL is not such a one, NotFound if there is none.
    """
    root, found, export_id = url.rstrip("/").partition("/AWSDynamoDB/")
    if not found or not export_id or "/" in export_id:
        raise UsageError(f"not the folder of an export: {url!r}", hint="Write s3://bucket/prefix/AWSDynamoDB/ID.")
    return Export.open(config.files(root), export_id, checksums=checksums, ion=load_ion)
