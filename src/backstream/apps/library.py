"""The library: `backstream.open(...)`. The command line's commands are thin calls of what is here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path

from backstream.apps.capturing import Capturing
from backstream.apps.config import STORE_PATIENCE, Config
from backstream.apps.migrations import Migrating
from backstream.apps.operator import operator
from backstream.apps.patients import patient_of
from backstream.apps.words import (
    Duration,
    Key,
    Moment,
    Via,
    key_of,
    objectives_of,
    resumable_folder,
    second_of,
    target_of,
    via_of,
)
from backstream.errors import UsageError
from backstream.layouts import catalog as catalogs
from backstream.layouts.drills import Held
from backstream.layouts.segments import Codec
from backstream.layouts.vault import TableVault
from backstream.model import naming
from backstream.operations import history as histories
from backstream.operations import migrate as migrating
from backstream.operations import restore as restoring
from backstream.operations import safety
from backstream.operations.check import Around, Checked, check_table
from backstream.operations.doctor import Doctor, doctor
from backstream.operations.drill import PATIENCE as DRILL_PATIENCE
from backstream.operations.drill import SAMPLE, Drill, Pick, Plan, drill
from backstream.operations.drill.limits import Limit
from backstream.operations.from_file import restore_dump
from backstream.operations.history import Shown, Told, Version
from backstream.operations.importing import Importing, restore_by_import
from backstream.operations.progress import Progress, Silent
from backstream.operations.restore import Again, NewTable, Request, Restored, Surroundings
from backstream.operations.restore_undo import undo_restore
from backstream.operations.snapshot import Snapshot, snapshot
from backstream.operations.status import Status, status
from backstream.operations.suspects import PATIENCE
from backstream.operations.verify import Verified, verify

WHOLE = 100.0  # percent


def percent_of(text: str) -> float:
    """A share of the rows. UsageError where that is none."""
    try:
        return float(text.removesuffix("%"))
    except ValueError as error:
        raise UsageError(f"not a percentage: {text!r}", hint="Give a number from 0 to 100.") from error


def open(url: str | None = None, *, patience: float = STORE_PATIENCE) -> Vault:  # noqa: A001 - the promised name
    """The vault at `s3://bucket/prefix` or `file:///folder`; None: that of the environment's `BACKSTREAM_VAULT`.

    `patience`: for how many seconds a store that does not answer is asked again.
    """
    return Vault(Config(url, patience=patience))


class Vault:
    """Where backups live. Every method raises `backstream.BackstreamError`s, each with the next step in its `hint`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def url(self) -> str:
        """The vault's URL."""
        return self._config.url

    def create(self) -> None:
        """Create the vault's bucket (versioned, not public) or folder, where it does not exist."""
        self._config.create_root()

    def tables(self) -> list[str]:
        """The tables that this vault knows."""
        return catalogs.tables(self._config.store)

    def names(self) -> list[str]:
        """As `tables`, with those whose catalog is lost: other objects of theirs are there."""
        return catalogs.folders(self._config.store)

    def check(self, *, read_data: float = 0.0, repair: bool = False, progress: Progress | None = None) -> list[Checked]:
        """`TableBackup.check` of every table. The first that cannot be looked at ends it: ask table by table to go on."""
        return [self.table(name).check(read_data=read_data, repair=repair, progress=progress) for name in self.names()]

    def doctor(self, table: str | None = None, *, function: str | None = None, write: bool = False) -> Doctor:
        """Look at all that a backup hangs on, before and after it is deployed. Works without a vault, bucket, table or permission.

        `table`: None for all that the vault knows; `function`: the Lambda function's name, None for those that the table's stream
        feeds; `write`: put one object into the vault, to see that it can be.
        """
        if table is not None:
            naming.check_table_name(table)
        elif function is not None:
            raise UsageError("a function of which table?", hint="Name the table too: backstream doctor TABLE --function NAME.")
        return doctor(patient_of(self._config, function=function, write=write), table)

    def table(self, name: str) -> TableBackup:
        """The backup of one table; nothing is read yet."""
        return TableBackup(self._config, name)


class TableBackup(Capturing, Migrating):
    """One table and its vault: what can be asked of them."""

    def __init__(self, config: Config, name: str) -> None:
        self._config = config
        self._name = name

    def history(self, key: Key, *, unread: Callable[[str], None] | None = None) -> list[Version]:
        """Every version of an item, oldest first. `unread` is told of what cannot be read; without it that is refused.

        PartlyDone where the image of a version is gone from the bucket, without `unread`.
        """
        vault = self._vault()
        return histories.history(vault, key_of(vault, key), unread, unread)

    def tell(self, key: Key, *, allow_gap: bool = False) -> Told:
        """Every version of an item, how fresh that is, and what could not be read. Refused as `history`, unless `allow_gap`."""
        vault = self._vault()
        lanes = self._config.lanes(vault)
        return histories.tell(vault, key_of(vault, key), now=self._config.clock.now(), lanes=lanes, allow_gap=allow_gap)

    def limits(self) -> list[str]:
        """What the vault cannot tell of times before its own: said where an older tool's bucket was adopted, else nothing."""
        return [] if self._vault().catalog.adopted is None else [safety.LIMITS]

    def show(self, key: Key, at: Moment, *, allow_gap: bool = False) -> Shown:
        """The item as it was."""
        vault, now = self._vault(), self._config.clock.now()
        lanes = self._config.lanes(vault)
        second = second_of(at, now, vault, lanes)
        return histories.show(vault, key_of(vault, key), second, now=now, lanes=lanes, allow_gap=allow_gap)

    def status(self, *, rpo: Duration = None, rto: Duration = None) -> Status:
        """Layout, recovery window, lag, gaps, sizes and the last drill. `rpo`, `rto`: objectives, as of `drill`."""
        objectives = objectives_of(rpo, rto)
        vault = self._vault()
        return status(vault, now=self._config.clock.now(), lanes=self._config.lanes(vault), objectives=objectives)

    def drill(
        self,
        *,
        at: Moment | None = None,
        pick: Pick = Pick.NEWEST,
        scratch: str | None = None,
        keep: bool = False,
        rpo: Duration = None,
        rto: Duration = None,
        sample: int = SAMPLE,
        patience: float = DRILL_PATIENCE,
        allow_gap: bool = False,
        max_write_units: float | None = None,
        progress: Progress | None = None,
        limit: Limit = nullcontext,
    ) -> Drill:
        """Try a restore: into a scratch table, compared with the vault and the live table, measured, and deleted again.

        `at`: which moment, None to `pick` one; `scratch`: the scratch table's name, which must be free; `keep`: leave it there;
        `rpo`, `rto`: what may be lost and how long it may take, seconds or `30m`. The answer says whether it `passed`.
        `limit`: ends it with `OutOfTime` when its time is up; then it has not passed, and its scratch table is gone too.
        """
        if sample < 0:
            raise UsageError(f"not a number of rows: {sample}")
        if scratch is not None:
            naming.check_table_name(scratch)
        objectives = objectives_of(rpo, rto)
        vault = self._vault()
        around = self._surroundings(vault, progress)
        plan = Plan(
            at=None if at is None else second_of(at, around.clock.now(), vault, around.lanes),
            pick=pick,
            scratch=scratch,
            keep=keep,
            objectives=objectives,
            sample=sample,
            patience=patience,
            allow_gap=allow_gap,
            max_units=max_write_units,
            operator=operator(self._config),
        )
        return drill(vault, plan, around, limit)

    def check(self, *, read_data: float = 0.0, repair: bool = False, progress: Progress | None = None) -> Checked:
        """Compare all that the vault claims of the table with all that is there, by listings, and by reading the change log.

        `read_data`: percent of the rows that are read and verified too; `repair`: take away the delete markers that are not this
        tool's own, which needs s3:DeleteObjectVersion. The answer's `findings` name what is wrong.
        """
        if not 0 <= read_data <= WHOLE:
            raise UsageError(f"not a percentage: {read_data:g}", hint="Give a number from 0 to 100.")
        config = self._config
        markers = config.markers if repair else None
        around = Around(config.clock, config.memory, progress or Silent(), markers, config.lanes)
        return check_table(self._vault, config.store, self._name, around, percent=read_data)

    def drills(self, most: int = 30) -> list[Held]:
        """The last drills, oldest first."""
        return self._vault().drills.newest(most)

    def verify(
        self,
        *,
        sample: float = 100.0,
        patience: float = PATIENCE,
        repair: bool = False,
        progress: Progress | None = None,
    ) -> Verified:
        """Compare the vault with the live table; what is on its way is no difference. `sample`: percent of the keys.

        `repair`: write the table's truth into the vault where they differ.
        """
        vault = self._vault()
        writer = self._config.writer if repair else None
        return verify(vault, self._surroundings(vault, progress), sample=sample, patience=patience, repair_as=writer)

    def restore(
        self,
        *,
        at: Moment,
        to: str | None = None,
        in_place: bool = False,
        to_file: str | Path | None = None,
        keys: Iterable[Key] = (),
        tenant: str | None = None,
        indexes: bool = True,
        settings_only: bool = False,
        accept_settings: bool = False,
        partition: str | None = None,
        where: str | None = None,
        dry_run: bool = False,
        allow_gap: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        force: bool = False,
        into_another: bool = False,
        delete_unknown: bool = False,
        expect_deletes: int | None = None,
        via: Via | str = Via.WRITES,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Restored:
        """Bring rows, a tenant or the whole table back to a second: `to` a new table, `in_place`, or `to_file`.

        A row has to pass all that are given of `keys`, `tenant`, `partition` (a hash key's value) and `where` (a condition).
        A new table gets the settings that the vault holds, without `indexes` neither global nor local ones; with `settings_only` it
        gets no items. What of its settings is not set is in `todo` of the answer; with
        `accept_settings` also what names another account is set. `via`: how a new table is filled; an import is of
        all rows, and from a vault in S3. `force`: in place, overwrite what somebody changes while it runs; `notice` is told the
        command that goes on with it, should it be interrupted.

        In place: `into_another`: the live table may be another than the vault's (account, region or table id); `delete_unknown`:
        delete also rows of which nothing tells whether they existed at `at`; `expect_deletes`: at most so many rows may be deleted,
        needed where that is most of the table. `spared` and `sparing` of the answer tell which rows were left alone.
        """
        keys = list(keys)
        target, way = target_of(to, to_file, in_place=in_place), via_of(via)
        if isinstance(target, NewTable):
            target = NewTable(target.name, indexes, settings_only, accept_settings)
        elif settings_only or not indexes:
            raise UsageError("only a new table gets settings and indexes", hint="Give --to NEW.")
        if not in_place and (into_another or delete_unknown or expect_deletes is not None):
            raise UsageError(
                "only a restore in place deletes rows",
                hint="--into-another, --delete-unknown and --expect-deletes go with --in-place.",
            )
        if settings_only and (keys or any(each is not None for each in (tenant, partition, where))):
            raise UsageError("settings only, or these rows?", hint="Leave the selection out, or --settings-only.")
        vault = self._vault()
        around = self._surroundings(vault, progress, notice)
        request = Request(
            at=second_of(at, around.clock.now(), vault, around.lanes),
            target=target,
            keys=[key_of(vault, key) for key in keys],
            tenant=tenant,
            partition=partition,
            where=where,
            dry_run=dry_run,
            allow_gap=allow_gap,
            patience=patience,
            max_units=max_write_units,
            force=force,
            into_another=into_another,
            delete_unknown=delete_unknown,
            expect_deletes=expect_deletes,
        )
        if way is Via.IMPORT:
            return restore_by_import(vault, request, around, Importing(self._config.importer, self._config.files))
        return restoring.restore(vault, request, around)

    def restore_dump(
        self,
        path: str | Path,
        *,
        to: str | None = None,
        in_place: bool = False,
        to_file: str | Path | None = None,
        indexes: bool = True,
        partition: str | None = None,
        where: str | None = None,
        dry_run: bool = False,
        allow_gap: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Restored:
        """Bring back this table out of a dump of dynamodump's: a folder, or its archive. No vault is needed.

        For the other words see `restore`. `at` of the answer is when the dump's last file was written; what is not in the dump is
        left alone.
        """
        naming.check_table_name(self._name)
        target = target_of(to, to_file, in_place=in_place)
        if isinstance(target, NewTable):
            target = NewTable(target.name, indexes)
        config = self._config
        around = Surroundings(config.table, config.clock, None, resumable_folder(), progress or Silent(), config.memory)
        request = Request(
            at=0,
            target=target,
            partition=partition,
            where=where,
            dry_run=dry_run,
            allow_gap=allow_gap,
            patience=patience,
            max_units=max_write_units,
            force=force,
        )
        return restore_dump(Path(path), self._name, request, around)

    def snapshot(
        self,
        *,
        at: Moment,
        to: str,
        compress: Codec = Codec.GZIP,
        allow_gap: bool = False,
        progress: Progress | None = None,
    ) -> Snapshot:
        """Write the table as it was at a second in AWS's export format, below the URL `to`; no live table is needed."""
        vault = self._vault()
        around = self._surroundings(vault, progress)
        second = second_of(at, around.clock.now(), vault, around.lanes)
        return snapshot(vault, second, self._config.files(to), around, compress=compress, allow_gap=allow_gap)

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
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Restored:
        """Do what an earlier restore left, wherever it was interrupted. `left`: the path that it named, or its id (then the file is
        in this folder). `force`: also the rows that somebody changed meanwhile; for the other words see `restore`.
        """
        vault = self._vault()
        path = Path(left) if Path(left).exists() else restoring.path_for(str(left), resumable_folder())

        again = Again(
            dry_run=dry_run,
            patience=patience,
            max_units=max_write_units,
            force=force,
            into_another=into_another,
            delete_unknown=delete_unknown,
            expect_deletes=expect_deletes,
        )
        return restoring.resume(vault, path, self._surroundings(vault, progress, notice), again)

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
        """Take back what a restore in place has written: each row as it was just before, unless somebody has changed it since.

        `done`: the path of the file that the restore named, or its id (then the file is in this folder). No vault is needed.
        `into_another`: the table may be another than the restore wrote to.
        """
        naming.check_table_name(self._name)
        config = self._config
        around = migrating.Around(
            config.table(self._name), config.clock, resumable_folder(), progress=progress or Silent(), into_another=into_another
        )
        asked = migrating.Asked(live=not dry_run, max_units=max_write_units, patience=patience)
        path = Path(done) if Path(done).exists() else restoring.undo_path_for(str(done), resumable_folder())
        return undo_restore(path, asked, around)

    def _surroundings(
        self, vault: TableVault, progress: Progress | None, notice: Callable[[str], None] = lambda _: None
    ) -> Surroundings:
        config = self._config
        lanes, progress = config.lanes(vault), progress or Silent()
        return Surroundings(config.table, config.clock, lanes, resumable_folder(), progress, config.memory, notice)
