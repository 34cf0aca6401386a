"""`revert` in the library: `TableBackup.revert`, `plan_revert`, `apply_plan` and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import Key, Moment, resumable_folder
from backstream.apps.verbs.changes import asked_of, span_of
from backstream.errors import UsageError
from backstream.model.changes.merge import Merge
from backstream.model.tables import naming
from backstream.operations import changes as changing
from backstream.operations import revert as reverting
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.revert import Around, OnConflict, Plan, PlanRow, Reverted, RevertRequest, Writing
from backstream.vault.table_vault import TableVault

_Word = TypeVar("_Word", Merge, OnConflict)


class RevertPlan:
    """A plan that was made, and not executed yet: look at `rows`, then `apply` it exactly."""

    def __init__(self, made: Plan, needs_expect_deletes: int | None, apply: Callable[[int | None], Reverted]) -> None:
        self._made = made
        self._needs_expect_deletes = needs_expect_deletes
        self._apply = apply

    @property
    def path(self) -> Path:
        """Its file."""
        return self._made.path

    @property
    def id(self) -> str:
        """Its id, which becomes its journal's name once it is executed."""
        return self._made.head.id

    def __iter__(self) -> Iterator[PlanRow]:
        return self._made.rows()

    @property
    def report(self) -> Reverted:
        """Its effect, as a report."""
        return reverting.foreseen(self._made, needs_expect_deletes=self._needs_expect_deletes)

    def apply(self, *, expect_deletes: int | None = None) -> Reverted:
        """Executes it: an item that has changed since the plan was made is left and named. `expect_deletes`: see `revert`."""
        return self._apply(expect_deletes)


class Reverting:
    """The part of a table's backup that undoes changes."""

    _config: Config
    _name: str

    def revert(
        self,
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
        dry_run: bool = False,
        allow_gap: bool = False,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        expect_deletes: int | None = None,
        show: Callable[[PlanRow], None] = lambda _: None,
        ask: Callable[[Plan], bool] = lambda _: True,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Reverted:
        """Undoes the selected changes made after `from_`, up to and including `to`, in place, and keeps everything else.

        For the selection see `changes`; `changes_file`: only the changes that its lines name, as `changes --ndjson` prints them.
        `merge`: by top-level "attributes", or any later change of an "item" is a conflict; `on_conflict`: "skip", "stop" or
        "overwrite". `show` receives each row of a dry run; `ask` receives the plan before the first write, and may return False.
        `expect_deletes`: the most rows that may be deleted; required if that is more than half of the table.

        Raises Refused across a gap, and if the window is not proven, unless `allow_gap`; `to="now"` need not be proven to its end.
        Unwritten items are named, and `resume` of the answer continues with them; `undo` undoes the revert itself.
        """
        vault = self._config.vault(self._name)
        request = self._request(
            vault,
            from_=from_,
            to=to,
            keys=keys,
            keys_file=keys_file,
            changes_file=changes_file,
            partition=partition,
            tenant=tenant,
            where=where,
            events=events,
            actor=actor,
            attributes=attributes,
            merge=merge,
            on_conflict=on_conflict,
            allow_gap=allow_gap,
            into_another=into_another,
        )
        around, writing = self._beside(progress, notice), Writing(max_write_units, patience, expect_deletes)
        if dry_run:
            return reverting.dry_run(vault, request, around, writing, show)
        return reverting.revert(vault, request, around, writing, ask)

    def plan_revert(
        self,
        path: str | Path,
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
        allow_gap: bool = False,
        into_another: bool = False,
        max_write_units: float | None = None,
        show: Callable[[PlanRow], None] = lambda _: None,
        progress: Progress | None = None,
    ) -> RevertPlan:
        """Writes the plan of a revert to a file, which must not exist yet, and changes nothing. For the options see `revert`.

        `max_write_units` holds for the `apply` of the answer, too.
        """
        vault = self._config.vault(self._name)
        request = self._request(
            vault,
            from_=from_,
            to=to,
            keys=keys,
            keys_file=keys_file,
            changes_file=changes_file,
            partition=partition,
            tenant=tenant,
            where=where,
            events=events,
            actor=actor,
            attributes=attributes,
            merge=merge,
            on_conflict=on_conflict,
            allow_gap=allow_gap,
            into_another=into_another,
        )
        around = self._beside(progress)
        made = reverting.plan(vault, request, around, Path(path), max_units=max_write_units, show=show)

        def apply(most: int | None) -> Reverted:
            return self.apply_plan(
                path, into_another=into_another, max_write_units=max_write_units, expect_deletes=most, progress=progress
            )

        return RevertPlan(made, reverting.deletes_needed(made, around.table), apply)

    def apply_plan(
        self,
        path: str | Path,
        *,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        expect_deletes: int | None = None,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Reverted:
        """Executes a saved plan exactly; an item that has changed since is left and named. No vault is needed.

        Raises Refused if the file was altered, or if the live table is not the plan's, unless `into_another`.
        """
        around, writing = self._beside(progress, notice), Writing(max_write_units, patience, expect_deletes)
        return reverting.apply(Path(path), around, writing, into_another=into_another)

    def resume_revert(
        self,
        left: str | Path,
        *,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        progress: Progress | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Reverted:
        """Continues a revert that was interrupted, or left something. `left`: its journal, or its id if that is in this folder.

        Raises Refused if the live table is not the one that the revert began to write to, unless `into_another`.
        """
        around, writing = self._beside(progress, notice), Writing(max_write_units, patience)
        return reverting.go_on(_journal(left), around, writing, into_another=into_another)

    def undo_revert(
        self,
        done: str | Path,
        *,
        dry_run: bool = False,
        into_another: bool = False,
        patience: float = 30.0,
        max_write_units: float | None = None,
        progress: Progress | None = None,
    ) -> Reverted:
        """Undoes a revert: each item that it wrote gets its state just before, unless somebody has changed it since.

        `done`: its journal, or its id (then it is in this folder). No vault is needed.
        """
        around, writing = self._beside(progress), Writing(max_write_units, patience)
        return reverting.undo(_journal(done), around, writing, live=not dry_run, into_another=into_another)

    def _beside(self, progress: Progress | None, notice: Callable[[str], None] = lambda _: None) -> Around:
        naming.check_table_name(self._name)
        config = self._config
        table = config.table(self._name)
        return Around(table, config.clock, resumable_folder(), config.memory, progress or Silent(), notice)

    def _request(
        self,
        vault: TableVault,
        *,
        from_: Moment,
        to: Moment,
        merge: Merge | str,
        on_conflict: OnConflict | str,
        allow_gap: bool,
        into_another: bool,
        keys: Iterable[Key],
        keys_file: str | Path | None,
        changes_file: str | Path | None,
        partition: str | None,
        tenant: str | None,
        where: str | None,
        events: Iterable[str],
        actor: str | None,
        attributes: Iterable[str],
    ) -> RevertRequest:
        asked = asked_of(
            vault,
            keys=keys,
            keys_file=keys_file,
            changes_file=changes_file,
            partition=partition,
            tenant=tenant,
            where=where,
            events=events,
            actor=actor,
            attributes=attributes,
        )
        return RevertRequest(
            span=span_of(vault, from_, to, changing.ChangesContext(self._config.clock)),
            asked=asked,
            merge=_word(Merge, merge),
            on_conflict=_word(OnConflict, on_conflict),
            allow_gap=allow_gap,
            to_now=isinstance(to, str) and to.strip().lower() == "now",
            into_another=into_another,
        )


def _word(kind: type[_Word], word: _Word | str) -> _Word:
    """Returns the member. Raises UsageError if it is not one."""
    try:
        return kind(word)
    except ValueError as error:
        raise UsageError(f"not one of {', '.join(kind)}: {word!r}") from error


def _journal(name: str | Path) -> Path:
    return Path(name) if Path(name).exists() else reverting.path_for(str(name), resumable_folder())
