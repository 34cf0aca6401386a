"""Restores and snapshots in the library: `TableBackup.restore`, `resume`, `undo_restore`, `snapshot`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Unpack

import msgspec

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import Key, Moment, Via, key_schema_of, moment_of, resumable_folder, second_of, url_of, via_of
from backstream.apps.verbs.changes import requested_keys
from backstream.apps.verbs.dumps import held_in
from backstream.apps.verbs.restore_options import RestoreOptions, as_fields, check_deletes
from backstream.apps.verbs.targets import target_of
from backstream.errors import UsageError
from backstream.model.tables import naming
from backstream.operations import changes as changing
from backstream.operations import migrate as migrating
from backstream.operations import restore as restoring
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.inspect import signatures
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import Again, NewTable, RestoreContext, Restored, RestoreRequest
from backstream.operations.restore.from_file import KeysFrom, restore_held
from backstream.operations.restore.snapshot import Snapshot, snapshot
from backstream.operations.restore.targets.import_table import Importing, restore_by_import
from backstream.operations.undo import undo_restore
from backstream.vault.dumps.opening import FileOptions
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault


class Restoring:
    """The part of a table's backup that restores, and undoes restores."""

    _config: Config
    _name: str

    def restore(
        self,
        *,
        at: Moment,
        to: str | None = None,
        in_place: bool = False,
        to_file: str | Path | None = None,
        keys: Iterable[Key] = (),
        keys_file: str | Path | None = None,
        changed_between: tuple[Moment, Moment] | None = None,
        tenant: str | None = None,
        indexes: bool = True,
        settings_only: bool = False,
        accept_settings: bool = False,
        partition: str | None = None,
        where: str | None = None,
        via: Via | str = Via.WRITES,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
        **options: Unpack[RestoreOptions],
    ) -> Restored:
        """Restores rows, a tenant or the whole table to a second: `to` a new table, `in_place`, or `to_file`.

        A row must pass all given filters among `keys`, `tenant`, `partition` (a hash key's value) and `where` (a condition).
        `keys_file`: also the keys in this file, one a line; `changed_between`: only rows that changed after the first moment, up to
        the second, deleted ones too. A new table gets the settings that the vault holds, without `indexes` neither global nor local
        ones; with `settings_only` it gets no items. Settings that are not set are in `todo` of the answer; with `accept_settings`,
        settings that name another account are set too. `via`: the way to fill a new table; an import takes all rows, from a vault
        in S3. `force`: in place, overwrite rows that somebody changes while it runs; `notice` receives the command that resumes it
        after an interruption.

        For a restore in place: `into_another`: the live table may differ from the vault's (account, region or table id);
        `delete_unknown`: also delete rows that may or may not have existed at `at`; `expect_deletes`: the most rows that may be
        deleted, required if that is most of the table. `spared` and `sparing` of the answer list the rows that were left alone.
        """
        keys = list(keys)
        new = None if to is None else NewTable(to, indexes, settings_only, accept_settings)
        target, way = target_of(new, to_file, in_place=in_place), via_of(via)
        if new is None and (settings_only or not indexes):
            raise UsageError("only a new table gets settings and indexes", hint="Give --to NEW.")
        check_deletes(options, in_place=in_place)
        if settings_only:
            _check_no_selection(keys, tenant, partition, where, keys_file, changed_between)
        vault = self._config.vault(self._name)
        vault.accept_settings = accept_settings
        around = self._surroundings(progress, notice)
        moment = second_of(at, around.clock.now(), vault)
        rows = requested_keys(
            vault,
            changing.ChangesContext(around.clock, around.memory, around.progress),
            keys=keys,
            keys_file=keys_file,
            changed_between=changed_between,
            allow_gap=options.get("allow_gap", False),
        )
        request = RestoreRequest(
            at=moment, target=target, keys=rows.keys, tenant=tenant, partition=partition, where=where, **as_fields(options)
        )
        covered = self._covered(vault, request.at)
        return _vouched(self._by(way, vault, new, request, around), covered, rows.notes)

    def _by(self, way: Via, vault: TableVault, new: NewTable | None, request: RestoreRequest, around: RestoreContext) -> Restored:
        if way is not Via.IMPORT:
            return restoring.restore(vault, request, around)
        if new is None:
            raise UsageError("an import makes a new table", hint="Give --to NEW with --via import.")
        return restore_by_import(vault, new, request, around, Importing(self._config.importer, self._config.files))

    def restore_dump(
        self,
        path: str | Path,
        *,
        to: str | None = None,
        in_place: bool = False,
        to_file: str | Path | None = None,
        at: Moment | None = None,
        key_schema: str | None = None,
        like: str | None = None,
        checksums: bool = True,
        csv_delimiter: str | None = None,
        csv_columns: str | None = None,
        indexes: bool = True,
        partition: str | None = None,
        where: str | None = None,
        dry_run: bool = False,
        allow_gap: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        force: bool = False,
        into_another: bool = False,
        progress: Progress | None = None,
    ) -> Restored:
        """Restores this table from files, by path or URL: a dump, lines of items, a snapshot, AWS exports. No vault is needed.

        `at`: of exports only, the second that incremental ones must lead to; `key_schema` (`id:S`), `like` (a live table): the keys
        if the files do not tell them; `checksums`: False for an export that was copied without its `.md5` files; `csv_delimiter`,
        `csv_columns`: how CSV is written; `into_another`: in place, the files may be another table's. For the other options see
        `restore`. `at` of the answer is the moment of the files; rows outside of them are left alone.
        """
        naming.check_table_name(self._name)
        target = target_of(None if to is None else NewTable(to, indexes), to_file, in_place=in_place)
        if into_another and not in_place:
            raise UsageError("--into-another goes with --in-place", hint="Name the table that the files hold.")
        config = self._config
        around = RestoreContext(config.table, config.clock, resumable_folder(), progress or Silent(), config.memory)
        request = RestoreRequest(
            at=0,
            target=target,
            partition=partition,
            where=where,
            dry_run=dry_run,
            allow_gap=allow_gap,
            patience=patience,
            max_units=max_write_units,
            force=force,
            into_another=into_another,
        )
        second = None if at is None else moment_of(at, config.clock.now())
        options = FileOptions(checksums=checksums, delimiter=csv_delimiter, columns=csv_columns)
        held = held_in(config, path, self._name, options, second)
        if second is not None and not held.facts.moment:
            raise UsageError(f"--at goes with exports: {held.facts.url} holds {held.facts.what}", hint="It is of one time alone.")
        keys = KeysFrom(None if key_schema is None else key_schema_of(key_schema), like)
        return restore_held(held, self._name, request, around, config.engine, keys)

    def snapshot(
        self,
        *,
        at: Moment,
        to: str,
        compress: Codec = Codec.GZIP,
        allow_gap: bool = False,
        progress: Progress | None = None,
    ) -> Snapshot:
        """Writes the table's state at a second in AWS's export format, below the URL `to`; no live table is needed."""
        vault = self._config.vault(self._name)
        around = self._surroundings(progress)
        second = second_of(at, around.clock.now(), vault)
        url = url_of(to)
        opener = self._config.files_opener(url)
        return snapshot(vault, second, self._config.files(url), around, compress=compress, allow_gap=allow_gap, opener=opener)

    def resume(
        self,
        left: str | Path,
        *,
        dry_run: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        force: bool = False,
        into_another: bool = False,
        delete_unknown: bool = False,
        expect_deletes: int | None = None,
        accept_settings: bool = False,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Restored:
        """Continues an earlier restore, wherever it was interrupted.

        `left`: the path that it named, or its id (then the file is in this folder). `force`: also the rows that somebody changed
        meanwhile; for the other options see `restore`.
        """
        vault = self._config.vault(self._name)
        vault.accept_settings = accept_settings
        path = Path(left) if Path(left).exists() else restoring.path_for(str(left), resumable_folder())

        again = Again(
            dry_run=dry_run,
            patience=patience,
            max_units=max_write_units,
            force=force,
            into_another=into_another,
            delete_unknown=delete_unknown,
            expect_deletes=expect_deletes,
            accept_settings=accept_settings,
        )
        covered = self._covered(vault, None)
        return _vouched(restoring.resume(vault, path, self._surroundings(progress, notice), again), covered)

    def undo_restore(
        self,
        done: str | Path,
        *,
        dry_run: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        into_another: bool = False,
        progress: Progress | None = None,
    ) -> Restored:
        """Undoes a restore in place: each row gets its state just before, unless somebody has changed it since.

        `done`: the path of the file that the restore named, or its id (then the file is in this folder). No vault is needed.
        `into_another`: the table may differ from the one that the restore wrote to.
        """
        naming.check_table_name(self._name)
        config = self._config
        around = migrating.MigrationContext(
            config.table(self._name), config.clock, resumable_folder(), progress=progress or Silent(), into_another=into_another
        )
        asked = migrating.MigrationRequest(live=not dry_run, max_units=max_write_units, patience=patience)
        path = Path(done) if Path(done).exists() else restoring.undo_path_for(str(done), resumable_folder())
        return undo_restore(path, asked, around)

    def _covered(self, vault: TableVault, at: int | None) -> SignedCover:
        """Returns the vault's coverage by signatures.

        Raises Refused if they do not cover the moment, or if an older state was put back.
        """
        return signatures.check(vault, self._config.clock.now(), at, min_head=self._config.min_head)

    def _surroundings(self, progress: Progress | None, notice: Callable[[str], None] = lambda _: None) -> RestoreContext:
        config, shown = self._config, progress or Silent()
        folder, opener_of = resumable_folder(), config.opener_of
        return RestoreContext(config.table, config.clock, folder, shown, config.memory, notice, opener_of=opener_of)


def _check_no_selection(keys: Sequence[Key], *filters: object) -> None:
    """Raises UsageError if rows are selected."""
    if keys or any(each is not None for each in filters):
        raise UsageError(
            "settings only and a selection of rows exclude each other", hint="Leave the selection out, or --settings-only."
        )


def _vouched(done: Restored, covered: SignedCover, notes: Sequence[str] = ()) -> Restored:
    """Returns a report with the coverage by signatures, and more notes."""
    words = signatures.in_words(covered)
    return msgspec.structs.replace(done, covered=covered, warnings=[*done.warnings, *notes, *([words] if words else [])])
