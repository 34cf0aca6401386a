"""Several tables as one, in the library: `Vault.restore`, `resume_restore`, `undo_restore`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

import msgspec

from backstream.apps.config import Config
from backstream.apps.operator import operator
from backstream.apps.verbs.arguments import Key, Moment, moment_of, resumable_folder
from backstream.apps.verbs.changes import RequestedKeys, asked_of
from backstream.apps.verbs.many.rows_of_each import keys_of_each
from backstream.apps.verbs.restore_options import OF_EACH_TABLE, RestoreOptions, as_fields, check_deletes
from backstream.errors import UsageError
from backstream.model.changes.merge import Merge
from backstream.operations import migrate as migrating
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.bulk.writer import Budget
from backstream.operations.changes import ChangeCriteria, ChangesContext, ChangeWindow
from backstream.operations.drill import DrillPlan
from backstream.operations.inspect import signatures
from backstream.operations.inspect.signatures import SignedCover
from backstream.operations.restore import RestoreContext, Restored
from backstream.operations.revert import Around, OnConflict, Reverted, RevertRequest, Writing
from backstream.operations.together import drilling, group_file, restoring, reverting, undoing
from backstream.operations.together.choosing import ALL_ROWS, RowFilters
from backstream.operations.together.drilling import DrilledTogether
from backstream.operations.together.names import Targets, read_map
from backstream.operations.together.quiet import Quiet, quiet
from backstream.operations.together.restoring import GroupRestoreRequest, RestoredTogether
from backstream.operations.together.reverting import RevertedTogether
from backstream.operations.together.side_by_side import OnFailure, StopSign, check_all, run_all, width
from backstream.operations.undo import undo_restore
from backstream.vault.table_vault import TableVault


class Together:
    """The tables of one selection, restored to one moment, side by side. `words`: the selection, as the command line says it."""

    def __init__(self, config: Config, words: Sequence[str] = ()) -> None:
        self._config = config
        self._words = words

    def restore(
        self,
        tables: Sequence[str],
        *,
        at: Moment,
        targets: Targets,
        settle: bool = False,
        on_failure: OnFailure = OnFailure.STOP,
        keys: Iterable[Key] = (),
        keys_file: str | Path | None = None,
        changed_between: tuple[Moment, Moment] | None = None,
        rows: RowFilters = ALL_ROWS,
        indexes: bool = True,
        accept_settings: bool = False,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
        **options: Unpack[RestoreOptions],
    ) -> RestoredTogether:
        """Restores tables to one moment. Each is checked and read first: if any refuses, one error says so, and nothing is touched.

        `settle`: restore the latest quiet second up to `at` instead; `on_failure`: whether tables begin after another has failed;
        `max_write_units`: a second, of all tables together; `expect_deletes`: of each table; `keys` and `rows`: of each table only
        these rows, as in `TableBackup.restore`. A table that has none of them is left out; if all are, that is an error. For the
        other options see `TableBackup.restore`.
        """
        aims = targets.of(tables)
        check_deletes(options, in_place=targets.in_place)
        fields = as_fields(options)
        of_each = {name: fields.pop(name) for name in OF_EACH_TABLE & fields.keys()}
        now = self._config.clock.now()
        asked = moment_of(at, now)
        vaults = {table: self._config.vault(table) for table in tables}
        found = quiet(vaults, asked, now, self._config.memory) if settle and asked <= now else Quiet(asked, asked)
        rows_of = keys_of_each(
            vaults,
            ChangesContext(self._config.clock, self._config.memory, progress or Silent()),
            keys=keys,
            keys_file=keys_file,
            changed_between=changed_between,
            allow_gap=options.get("allow_gap", False),
        )
        with_rows, keys_of = {table: aims[table] for table in rows_of}, {table: each.keys for table, each in rows_of.items()}
        of_new = {"indexes": indexes, "accept_settings": accept_settings}
        head = restoring.head_of(self._words, with_rows, found.at, asked, keys_of, rows=rows, **of_new, **of_each)
        return restoring.restore(
            head,
            self._request(
                on_failure=on_failure,
                progress=progress or Silent(),
                notice=notice,
                nothing=[table for table in tables if table not in rows_of],
                warnings=_notes_of(found, rows_of),
                **fields,
            ),
        )

    def resume(
        self,
        path: Path,
        *,
        on_failure: OnFailure = OnFailure.STOP,
        accept_settings: bool = False,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
        **options: Unpack[RestoreOptions],
    ) -> RestoredTogether:
        """Continues a restore of several tables, by its file. Tables that are done stay as they are.

        The options with which the restore began still count; `accept_settings` and the options about each table, such as
        `expect_deletes`, allow more. For the options see `TableBackup.restore`.
        """
        fields = as_fields(options)
        of_each = {name: fields.pop(name) for name in OF_EACH_TABLE & fields.keys()}
        more = {**of_each, "accept_settings": accept_settings}
        allowed = {name: value for name, value in more.items() if value is not None and value is not False}
        request = self._request(on_failure=on_failure, progress=progress or Silent(), notice=notice, **fields)
        return restoring.resume(path, request, **allowed)

    def undo(
        self,
        path: Path,
        *,
        dry_run: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        into_another: bool = False,
        progress: Progress | None = None,
    ) -> dict[str, Restored]:
        """Takes back what a restore of several tables in place has written, once each file and table was looked at.

        `max_write_units`: a second, of all tables together.
        """
        files = dict(undoing.undo_paths(path))
        stop, budget = StopSign(), Budget.of(self._config.clock, max_write_units)

        def undo(table: str, *, live: bool) -> Restored:
            around = migrating.MigrationContext(
                self._config.table(table), self._config.clock, resumable_folder(), progress=stop, into_another=into_another
            )
            asked = migrating.MigrationRequest(live=live, max_units=max_write_units, budget=budget, patience=patience)
            return undo_restore(files[table], asked, around)

        planned: dict[str, Restored] = {}
        check_all(list(files), lambda table: planned.update({table: undo(table, live=False)}), "taken back")
        if dry_run:
            return planned
        undone = run_all(
            list(files),
            lambda table: undo(table, live=True),
            side_by_side=width(len(files), self._config.memory),
            on_failure=OnFailure.GO_ON,
            is_good=lambda each: not each.failed,
            stop=stop,
            progress=progress or Silent(),
        )
        undoing.check_undone(undone, len(files))
        return {table: each for table, each in undone.items() if isinstance(each, Restored)}

    def drill(
        self, tables: Sequence[str], *, at: Moment | None = None, plan: DrillPlan, progress: Progress | None = None
    ) -> DrilledTogether:
        """Tests a restore of all tables to one second, and shows whether that second cuts transactions between them.

        `at`: None for a quiet second, the newest one or what `plan.pick` says. `plan`: of each table; see `TableBackup.drill`.
        """
        config = self._config
        second = None if at is None else moment_of(at, config.clock.now())
        around = RestoreContext(config.table, config.clock, resumable_folder(), memory=config.memory)
        whole = msgspec.structs.replace(plan, at=second, operator=operator(config))
        return drilling.drill_together(
            drilling.GroupDrillRequest(
                vaults={table: config.vault(table) for table in tables},
                around=around,
                plan=whole,
                covered=self._covered,
                progress=progress or Silent(),
            )
        )

    def revert(
        self,
        tables: Sequence[str],
        *,
        from_: Moment,
        to: Moment = "now",
        keys: Iterable[Key] = (),
        keys_file: str | Path | None = None,
        changes_file: str | Path | None = None,
        partition: str | None = None,
        tenant: str | None = None,
        where: str | None = None,
        events: Iterable[str] = (),
        actor: str | None = None,
        attributes: Iterable[str] = (),
        merge: Merge | str = Merge.ATTRIBUTES,
        on_conflict: OnConflict | str = OnConflict.SKIP,
        on_failure: OnFailure = OnFailure.STOP,
        dry_run: bool = False,
        allow_gap: bool = False,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        expect_deletes: int | None = None,
        ask: Callable[[RevertedTogether], bool] = lambda _: True,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> RevertedTogether:
        """Undoes the selected changes of one window in all tables. Every plan is made before the first write.

        If any table refuses, one error says so, and nothing is touched. A table in which the selection matches nothing is noted.
        `ask` receives the plan of all; `expect_deletes`: of each table. For the other options see `TableBackup.revert`.
        """
        now = self._config.clock.now()
        span = ChangeWindow(moment_of(from_, now), moment_of(to, now))
        asked_in = partial(
            asked_of,
            keys=list(keys),
            keys_file=keys_file,
            changes_file=changes_file,
            partition=partition,
            tenant=tenant,
            where=where,
            events=list(events),
            actor=actor,
            attributes=list(attributes),
        )
        made = partial(
            RevertRequest,
            span=span,
            merge=Merge(merge),
            on_conflict=OnConflict(on_conflict),
            allow_gap=allow_gap,
            to_now=isinstance(to, str) and to.strip().lower() == "now",
            into_another=into_another,
        )
        asked = {table: partial(self._asked, table, asked_in, made) for table in tables}
        writing = Writing(max_write_units, patience, expect_deletes)
        ways = self._ways(writing, on_failure=on_failure, progress=progress or Silent(), notice=notice)
        return reverting.revert(asked, self._words, ways, dry_run=dry_run, ask=ask)

    def resume_revert(
        self,
        path: Path,
        *,
        on_failure: OnFailure = OnFailure.STOP,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> RevertedTogether:
        """Continues a revert of several tables, by its file."""
        writing = Writing(max_write_units, patience)
        ways = self._ways(writing, on_failure=on_failure, progress=progress or Silent(), notice=notice)
        return reverting.resume(path, ways, into_another=into_another)

    def undo_revert(
        self,
        path: Path,
        *,
        dry_run: bool = False,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Reverted]:
        """Takes back a revert of several tables, by its file."""
        ways = self._ways(Writing(max_write_units, patience), progress=progress or Silent())
        return reverting.undo(path, ways, live=not dry_run, into_another=into_another)

    def _ways(self, writing: Writing, **how: object) -> reverting.Ways:
        config, folder = self._config, resumable_folder()
        return reverting.Ways(
            around_of=lambda table: Around(config.table(table), config.clock, folder, config.memory),
            folder=folder,
            writing=writing,
            **how,  # type: ignore[arg-type]
        )

    def _asked(
        self, table: str, asked_in: Callable[[TableVault], ChangeCriteria], made: Callable[..., RevertRequest]
    ) -> tuple[TableVault, RevertRequest]:
        """Returns a table's vault, and the request for it."""
        vault = self._config.vault(table)
        return vault, made(asked=asked_in(vault))

    def _covered(self, vault: TableVault, at: int) -> SignedCover:
        return signatures.check(vault, self._config.clock.now(), at, min_head=None)

    def file_of(self, text: str) -> Path | None:
        """Returns the file of a run over several tables, by its path or id; None if it is none."""
        return group_file.find(text, resumable_folder())

    def _request(self, **how: object) -> GroupRestoreRequest:
        config = self._config
        around = RestoreContext(config.table, config.clock, resumable_folder(), memory=config.memory)
        return GroupRestoreRequest(
            vault_of=config.vault,
            around=around,
            covered=self._covered,
            **how,  # type: ignore[arg-type]
        )


def _notes_of(found: Quiet, rows_of: Mapping[str, RequestedKeys]) -> list[str]:
    """Returns what a report says of the chosen second, and of each table's rows."""
    of_tables = [f"{table}: {note}" for table, each in rows_of.items() for note in each.notes]
    return [*([found.note] if found.note else []), *of_tables]


def targets_of(*, in_place: bool, suffix: str | None, prefix: str | None, names: str | Path | Mapping[str, str] | None) -> Targets:
    """Returns the targets. `names`: a file of them, or the names themselves."""
    return Targets(in_place, suffix, prefix, names if names is None or isinstance(names, Mapping) else _read(Path(names)))


def _read(path: Path) -> dict[str, str]:
    try:
        return read_map(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
