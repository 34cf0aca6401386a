"""The library: `backstream.open(...)`. The command line's commands are thin calls of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec

from backstream.apps.config import STORE_PATIENCE, Config
from backstream.apps.engines import EngineKind, choice_of
from backstream.apps.loading.late import LateMethods
from backstream.apps.selection.selecting import Among, members, select
from backstream.apps.selection.table_selection import TableSelection
from backstream.apps.verbs.arguments import Duration, Key, Moment, key_of, moment_of, objectives_of, second_of
from backstream.errors import BackstreamError, UsageError
from backstream.model import object_lock as object_locks
from backstream.model.tables import naming
from backstream.operations.inspect import history as histories
from backstream.operations.inspect import safety
from backstream.operations.inspect.history import ItemHistory, ItemVersion, Shown
from backstream.operations.inspect.locks import locks
from backstream.operations.inspect.status import Status, status
from backstream.vault import groups, table_folders, vault_tables
from backstream.vault.groups import Group, GroupVersion

if TYPE_CHECKING:
    from backstream.apps.verbs.blaming import Blaming
    from backstream.apps.verbs.capturing import Capturing
    from backstream.apps.verbs.changes import Changing
    from backstream.apps.verbs.doctoring import Doctor
    from backstream.apps.verbs.erasing import Erasing
    from backstream.apps.verbs.many.together import Together
    from backstream.apps.verbs.migrations import Migrating
    from backstream.apps.verbs.proving import Proving
    from backstream.apps.verbs.restores import Restoring
    from backstream.apps.verbs.retaining import Retaining
    from backstream.apps.verbs.reverts import Reverting
    from backstream.apps.verbs.tabular.exports import Exporting
    from backstream.apps.verbs.tabular.lakes import Lakes
    from backstream.apps.verbs.tabular.querying import Querying, SqlSession
    from backstream.operations.bulk.progress import Progress
    from backstream.operations.capture.many_tails import TableResult
    from backstream.operations.capture.shards import Wrote
    from backstream.operations.capture.witness import Witnessed
    from backstream.operations.inspect.check import Checked

VERBS = "backstream.apps.verbs"
DOCTOR = f"{VERBS}.doctoring"
QUERYING = f"{VERBS}.tabular.querying"

# The methods of `TableBackup` that are defined in other classes.
METHODS = {
    **dict.fromkeys(
        ("init", "tail", "witness", "backfill", "take_export", "compact", "redrive", "rebuild"), f"{VERBS}.capturing:Capturing"
    ),
    **dict.fromkeys(("restore", "restore_dump", "snapshot", "resume", "undo_restore"), f"{VERBS}.restores:Restoring"),
    **dict.fromkeys(("migrate", "resume_migration", "undo_migration"), f"{VERBS}.migrations:Migrating"),
    **dict.fromkeys(("changes",), f"{VERBS}.changes:Changing"),
    **dict.fromkeys(("revert", "plan_revert", "apply_plan", "resume_revert", "undo_revert"), f"{VERBS}.reverts:Reverting"),
    **dict.fromkeys(("sql",), f"{VERBS}.tabular.querying:Querying"),
    **dict.fromkeys(("export_changes", "export_state", "restore_export"), f"{VERBS}.tabular.exports:Exporting"),
    **dict.fromkeys(("append_to_iceberg", "replace_in_iceberg", "iceberg_orphans"), f"{VERBS}.tabular.lakes:Lakes"),
    **dict.fromkeys(("blame",), f"{VERBS}.blaming:Blaming"),
    **dict.fromkeys(("retain",), f"{VERBS}.retaining:Retaining"),
    **dict.fromkeys(("erase", "verify_erasure", "erasures", "unfinished_erasures"), f"{VERBS}.erasing:Erasing"),
    **dict.fromkeys(("drill", "drills", "drill_record", "check", "verify"), f"{VERBS}.proving:Proving"),
}


def percent_of(text: str) -> float:
    """Returns a share of the rows in percent. Raises UsageError if it is not one."""
    try:
        return float(text.removesuffix("%"))
    except ValueError as error:
        raise UsageError(f"not a percentage: {text!r}", hint="Give a number from 0 to 100.") from error


def open(  # noqa: A001 - the promised name
    url: str | None = None,
    *,
    patience: float = STORE_PATIENCE,
    verify_key: str | None = None,
    min_head: int | None = None,
    engine: EngineKind | str = EngineKind.LOCAL,
    master: str | None = None,
) -> Vault:
    """Returns the vault at `s3://bucket/prefix` or `file:///folder`; None: the one in `BACKSTREAM_VAULT`.

    `patience`: the seconds for which a store that does not answer is retried; `verify_key`: trust only objects that are signed with
    it, `kms:ARN` or a file; `min_head`: refuse a vault with a smaller head than an earlier drill reported. `engine`: `local`, or
    `spark` for the cluster at `master` (`spark://host:7077`; None: the application that `spark-submit` has begun).
    """
    chosen = choice_of(engine, master)
    return Vault(Config(url, patience=patience, verify_key=verify_key, min_head=min_head, engine=chosen))


class Vault:
    """A vault of backups. Every method raises `backstream.BackstreamError`s, each with the next step in its `hint`."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def url(self) -> str:
        """The vault's URL."""
        return self._config.url

    def create(self, *, object_lock: str | None = None, lock_days: int | None = None) -> str | None:
        """Create the vault's bucket (versioned, not public) or folder if it does not exist.

        `object_lock`, `lock_days`: lock each new version of the bucket, `governance` or `compliance`, for this many days. Returns
        why a bucket could not be closed to the public; None if it is closed, and for a folder. Raises Refused if the bucket has a
        stronger lock.
        """
        lock = object_locks.of_options(object_lock, lock_days)
        warning = self._config.create_root(lock)
        if lock is not None:
            import_module("backstream.apps.proven_servers").check_lock(self._config)
        return warning

    def tables(self) -> list[str]:
        """Returns the tables that this vault knows."""
        return vault_tables.tables(self._config.store)

    def names(self) -> list[str]:
        """Returns the same as `tables`, with those whose catalog is lost but whose other objects exist."""
        return table_folders.folders(self._config.store)

    def select(self, asked: TableSelection, among: Among = Among.VAULT, *, unknown_too: bool = False) -> list[str]:
        """Returns the tables of a selection: see `selecting.select`."""
        return select(self._config, asked, among, unknown_too=unknown_too)

    def group(self, name: str, *, at: Moment | None = None) -> Group:
        """Returns a group of tables as it is defined, or as it was at a moment. Raises NotFound if there is none."""
        second = None if at is None else moment_of(at, self._config.clock.now())
        return groups.load(self._config.store, name, second)

    def groups(self) -> list[str]:
        """Returns the names of the vault's groups."""
        return groups.names(self._config.store)

    def remove_group(self, name: str) -> GroupVersion:
        """Removes a group from now on, and returns its removal. Its tables and its earlier definitions stay."""
        return groups.remove(self._config.store, name)

    def versions_of_group(self, name: str) -> list[GroupVersion]:
        """Returns every definition of a group and every removal, newest first."""
        return list(groups.versions(self._config.store, name))

    def define_group(self, name: str, tables: Iterable[str] = (), *, tags: Mapping[str, str] | None = None) -> Group:
        """Defines a group by the names of its tables, which the vault must know, or by tags. Earlier definitions are kept."""
        groups.check_name(name)
        found = Group(groups.FORMAT, name, "", tuple(dict.fromkeys(tables)), dict(tags or {}))
        if bool(found.tables) == bool(found.tags):
            raise UsageError("a group needs tables", hint="Name its tables, or give the tags that they carry.")
        members(self._config, found)
        return groups.save(self._config.store, name, found.tables, found.tags, self._config.clock.now())

    def together(self, words: Sequence[str] = ()) -> Together:
        """Returns what works on several tables as one: restores to one moment. `words`: their selection, for its file."""
        made: Together = import_module(f"{VERBS}.many.together").Together(self._config, words)
        return made

    def check(self, *, read_data: float = 0.0, repair: bool = False, progress: Progress | None = None) -> list[Checked]:
        """Runs `TableBackup.check` for every table.

        The first one that cannot be read ends it: call it table by table to continue.
        """
        return [self.table(name).check(read_data=read_data, repair=repair, progress=progress) for name in self.names()]

    def doctor(
        self,
        table: str | None = None,
        *,
        tables: Sequence[str] | None = None,
        function: str | None = None,
        write: bool = False,
    ) -> Doctor:
        """Checks everything that a backup depends on, before and after deployment. It works without a vault, bucket, table or
        permission.

        `table`: None for these `tables`, or for all in the vault; `function`: the Lambda function's name, None for those that the
        table's stream feeds; `write`: put one object into the vault as a test.
        """
        if table is not None:
            naming.check_table_name(table)
        elif function is not None:
            raise UsageError("a function needs a table", hint="Name the table too: backstream doctor TABLE --function NAME.")
        found: Doctor = import_module(DOCTOR).look(self._config, table, function=function, write=write, tables=tables)
        return found

    def sql(
        self,
        table: str | None = None,
        *,
        at: Moment | None = None,
        allow_gap: bool = False,
        skip_damaged: bool = False,
        progress: Progress | None = None,
    ) -> SqlSession:
        """Returns a session of SQL over one table, or over all tables of the vault: each is a schema of its name.

        Close it after use. `at`: the moment of the view `items`, now if it is None; `skip_damaged`: leave out what cannot be read.
        Raises NotFound if the vault knows no table, and Failed if the extra `sql` is not installed.
        """
        names = self.tables() if table is None else [table]
        found: SqlSession = import_module(QUERYING).open_session(
            self._config, names, at=at, allow_gap=allow_gap, skip_damaged=skip_damaged, progress=progress
        )
        return found

    def tail(
        self,
        asked: TableSelection,
        *,
        until_caught_up: bool = False,
        stop: threading.Event | None = None,
        notice: Callable[[str], None] = lambda _: None,
        wrote: Callable[[str, Wrote], None] = lambda _, __: None,
    ) -> list[TableResult]:
        """Follows the streams of several tables in this process until `stop` is set, or until there is nothing left to read.

        A fault in one table does not stop the others. `notice`, `wrote`: see `TableBackup.tail`; `wrote` gets the table, too.
        """
        found: list[TableResult] = import_module(f"{VERBS}.many.many_tails").tail(
            self._config, self.table, asked, until_caught_up, stop or threading.Event(), notice, wrote
        )
        return found

    def witness(
        self,
        tables: Sequence[str],
        *,
        budget: str | float = "4m",
        stop: threading.Event | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> dict[str, Witnessed | BackstreamError]:
        """Runs `TableBackup.witness` for several tables, some at once, and returns the report or the error of each.

        `budget`: of all of them together; each gets its share of the time.
        """
        found: dict[str, Witnessed | BackstreamError] = import_module(f"{VERBS}.many.many_witnesses").of_vault(
            self.table, self._config.clock, tables, budget, stop or threading.Event(), notice
        )
        return found

    def table(self, name: str) -> TableBackup:
        """Returns the backup of one table; nothing is read yet."""
        return TableBackup(self._config, name)


if TYPE_CHECKING:

    class _Verbs(
        Proving, Capturing, Restoring, Migrating, Changing, Reverting, Blaming, Exporting, Lakes, Querying, Retaining, Erasing
    ):
        """The methods, as a type checker sees them."""

else:

    class _LateVerbs(LateMethods):
        """The methods, as they are loaded."""

        ROOMS = METHODS

    _Verbs = _LateVerbs


class TableBackup(_Verbs):
    """One table and its vault, with all operations. Each method's module is loaded at its first call."""

    def __init__(self, config: Config, name: str) -> None:
        self._config = config
        self._name = name

    def history(self, key: Key, *, unread: Callable[[str], None] | None = None) -> list[ItemVersion]:
        """Returns every version of an item, oldest first. `unread` receives unreadable objects; without it they raise Refused.

        Raises PartlyDone if the image of a version is gone from the bucket, without `unread`.
        """
        vault = self._config.vault(self._name)
        return histories.history(vault, key_of(vault, key), unread, unread)

    def tell(self, key: Key, *, allow_gap: bool = False) -> ItemHistory:
        """Returns every version of an item, its freshness, and the unreadable objects.

        Raises Refused like `history`, unless `allow_gap`.
        """
        vault = self._config.vault(self._name)
        return histories.tell(vault, key_of(vault, key), now=self._config.clock.now(), allow_gap=allow_gap)

    def limits(self) -> list[str]:
        """Returns the limits of the vault's knowledge before its own time, if an older tool's bucket was adopted; else nothing."""
        return [] if self._config.vault(self._name).catalog.adopted is None else [safety.LIMITS]

    def show(self, key: Key, at: Moment, *, allow_gap: bool = False) -> Shown:
        """Returns the item's state at a moment."""
        vault, now = self._config.vault(self._name), self._config.clock.now()
        second = second_of(at, now, vault)
        return histories.show(vault, key_of(vault, key), second, now=now, allow_gap=allow_gap)

    def status(self, *, rpo: Duration = None, rto: Duration = None) -> Status:
        """Returns layout, recovery window, lag, gaps, sizes and the last drill. `rpo`, `rto`: objectives, see `drill`."""
        objectives = objectives_of(rpo, rto)
        config = self._config
        vault, now = config.vault(self._name), config.clock.now()
        found = status(vault, now=now, objectives=objectives)
        locked = config.default_lock is not None
        return msgspec.structs.replace(found, locks=locks(vault, config.remover.lock_of, now)) if locked else found
