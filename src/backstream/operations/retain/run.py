"""The retention itself, in its order: the state, the horizon, and then what only older moments need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import Refused
from backstream.model import moment
from backstream.model.counts import counted
from backstream.model.keep_rule import KeepRule
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.inspect import lost_changes
from backstream.operations.retain import choosing, own_objects, state
from backstream.operations.retain.log_lines import LogLines
from backstream.operations.retain.publishing import ErasureBegan, check_erasures, with_horizon
from backstream.operations.retain.report import LeftObject, Retention, dollars
from backstream.operations.retain.rows import RowNames
from backstream.operations.retain.shortening import shorten
from backstream.operations.retain.sweep import Doomed, RetentionSweep
from backstream.operations.retain.thinning import Thinning
from backstream.ports import Clock, ObjectVersion, TableState, VersionLock, VersionRemover
from backstream.vault import catalog as catalogs
from backstream.vault import horizon as horizons
from backstream.vault.catalog import Catalog, folder
from backstream.vault.log import inventory
from backstream.vault.log.generation import Generation
from backstream.vault.log.inventory import Inventory
from backstream.vault.table_vault import TableVault

ATTEMPTS = 3  # beside erasures that begin


class RetainContext(msgspec.Struct, frozen=True):
    """The context of a retention besides the vault. `remover`: the right to remove versions; None for a dry run.

    `lock_of`: tells a dry run what lock keeps a version; None if the store has no locks. `spared`: seconds before now in which
    nothing is removed because the catalog alone says so.
    """

    clock: Clock
    remover: VersionRemover | None
    memory: Memory = Memory()
    progress: Progress = Silent()
    spared: int = 0
    lock_of: Callable[[ObjectVersion], VersionLock | None] | None = None


def retain(vault: TableVault, keep: int | KeepRule, around: RetainContext) -> Retention:
    """Keeps the history of at least the last `keep` seconds, and removes what only older moments need.

    `keep`: a rule, by which single states of older times stay, too; seconds are a rule without such states. Safe beside writers,
    readers, compactions and another retention; an interrupted one is completed by the next. Raises Refused before anything is
    written or removed if a claimed moment would be lost, or if the state at the horizon is not certain. If a part of the log cannot
    be read, it does so before any row version is removed.
    """
    rule = (keep if isinstance(keep, KeepRule) else KeepRule(keep)).check()
    for left in reversed(range(ATTEMPTS)):
        try:
            return _Retention(vault, rule, around).run()
        except ErasureBegan:  # before anything was removed
            if not left:
                raise
            vault = vault.with_catalog(catalogs.load(vault.store, vault.catalog.table))
    raise AssertionError  # the last attempt returns or raises


class _Retention:
    def __init__(self, vault: TableVault, rule: KeepRule, around: RetainContext) -> None:
        self._vault = vault
        self._rule = rule
        self._around = around
        self._began = around.clock.now()
        self._dry = around.remover is None
        self._sweep = RetentionSweep(around.remover, around.lock_of)
        self._notes: list[str] = []
        self._left: list[LeftObject] = []
        self._kept_seconds: Sequence[int] = ()
        self._thinning = Thinning(vault, rule, self._began, self._check_state, around.progress)

    def run(self) -> Retention:
        before = self._size()
        if self._is_ahead():
            return self._report(None, before)
        if not self._dry:
            self._removing("base backups", state.abandoned(self._vault))
        self._thin()
        horizon = self._choose()
        if horizon is None:
            return self._report(None, before)
        planned = self._kept_seconds if self._dry else ()
        with RowNames(self._vault, horizon, self._around.memory.buffer // 4, planned) as rows:
            self._note_state(horizon, rows)
            vault = self._published(horizon)
            self._remove_rows(vault, horizon, rows)
            self._remove_own(vault, horizon)
            return self._report(horizon, before, rows.bytes)

    def _is_ahead(self) -> bool:
        """True if the catalog ends history later than was asked for, and later than its word alone may."""
        known = self._vault.catalog.horizon
        if known is None or known.second <= max(self._wanted, self._began - self._around.spared):
            return False
        self._notes.append(
            f"nothing is removed: the catalog says that history is kept from {known.since}, which is later than was asked for. "
            "If that is right, give --keep a shorter period"
        )
        return True

    # --- single states from before the horizon ---

    def _thin(self) -> None:
        """Keeps the states that the rule demands, and gives up the others. A dry run only counts them."""
        until, oldest = self._wanted, self._oldest()
        if self._dry:
            known = [each.second for each in self._vault.catalog.kept_states]
            more = self._thinning.planned(until, oldest)
            self._kept_seconds = self._rule.staying([*known, *more], int(self._began))
            if more:
                self._notes.append(f"{counted(len(more), 'more state')} would be kept: their size is not counted here")
            return
        if self._rule.thins or self._vault.catalog.kept_states:
            self._vault = self._thinning.run(until, oldest)
        self._notes += self._thinning.notes
        self._kept_seconds = [each.second for each in self._vault.catalog.kept_states]

    @property
    def _wanted(self) -> int:
        return self._rule.horizon(choosing.wanted(self._began, self._rule.every))

    # --- the horizon ---

    def _choose(self) -> int | None:
        """Returns the second of the horizon, the current one if it stays; None if there is none."""
        window, known = self._vault.window(self._began), self._vault.catalog.horizon
        wanted = self._wanted
        found = choosing.choose(window, wanted, oldest=self._oldest())
        if found is None or (known is not None and found <= known.second):
            if known is None:
                self._notes.append(f"nothing to remove: no history is older than {moment.iso(wanted)}")
            return None if known is None else known.second
        if found < wanted:
            self._notes.append(f"{moment.iso(found)} is the last second up to {moment.iso(wanted)} that can be restored exactly")
        return found

    def _oldest(self) -> int | None:
        """Returns the second of the oldest thing that is there."""
        found = self._vault.inventory()
        seconds = [each.segment.min_time for each in found.segments if each.segment is not None]
        seconds += [each.since for each in found.sets] + [base.begin for base in self._vault.bases.complete()]
        return min(seconds, default=None)

    def _note_state(self, horizon: int, rows: RowNames) -> None:
        """Notes the row versions of the state at the horizon. Writes that state as a base backup unless there is one."""
        self._around.progress.phase("reading the state at the horizon", None)
        with self._vault.engine.state(self._vault, horizon, self._around.progress.advance) as found:
            known = self._vault.catalog.horizon
            if known is None or known.second < horizon:
                self._check_state(self._vault, found)
            self._ready = state.written_before(self._vault, horizon)
            if self._dry or self._ready is not None:
                for partition in found:
                    for entry in state.entries_at(partition, horizon):
                        rows.keep(entry)
            else:
                self._ready = state.write(self._vault, horizon, found, rows.keep)

    def _check_state(self, vault: TableVault, found: TableState) -> None:
        unsure = [f"{each.name}: {each.why}" for each in found.unreadable]
        lost = list(found.broken(vault.window(self._began), self._began))
        if unsure or lost:
            raise Refused(
                "the state at the horizon is not certain, so nothing was removed: "
                + "; ".join([*unsure[:3], *([lost_changes.in_words(lost)] if lost else [])]),
                hint="`backstream check` names all that is damaged or missing; a new base backup makes up for it.",
            )

    def _published(self, second: int) -> TableVault:
        """Publishes the horizon, and returns the vault with it. A dry run only reads as if it were published."""
        vault, catalog = self._vault, self._vault.catalog
        if self._dry:
            base = "" if self._ready is None else self._ready.id
            return vault.with_catalog(with_horizon(catalog, horizons.at(second, base or "none yet")))
        if self._ready is None:
            raise AssertionError  # it was written just now
        new = horizons.at(second, self._ready.id)

        def moved(found: Catalog) -> Catalog:
            check_erasures(found, catalog)
            return with_horizon(found, new)

        return vault.with_catalog(catalogs.change(vault.store, catalog.table, moved))

    # --- what goes ---

    def _remove_rows(self, vault: TableVault, horizon: int, rows: RowNames) -> None:
        lines = LogLines(vault, self._around.memory, self._around.progress)
        found = inventory.of_log(vault.log, vault.compacted)  # with what the horizon has passed: it names what goes
        for entries in lines.of_log(found):
            rows.of_log(entries)
        for entries in lines.of_later_bases():
            for entry in entries:
                rows.keep(entry)
        for entries in lines.of_kept_states():
            for entry in entries:
                rows.keep(entry)
        self._removing("row versions", rows.superfluous())
        if self._dry:
            self._estimate_sets(vault, found, horizon)

    def _estimate_sets(self, vault: TableVault, found: Inventory, horizon: int) -> None:
        """Counts the bytes that rewriting the sets that span the horizon would free: in proportion to their time."""
        for each in found.sets:
            if each.since <= horizon:
                share = min(1.0, (horizon - each.since + 1) / max(1, each.until - each.since + 1))
                self._sweep.plan_share("compacted objects", own_objects.partitions(vault, each.id), share)

    def _remove_own(self, vault: TableVault, horizon: int) -> None:
        generation = vault.compacted.current() if self._dry else self._shortened(vault, horizon)
        for kind, doomed in (
            ("segments", own_objects.segments(vault, generation, horizon, self._began)),
            ("compacted objects", own_objects.compacted(vault, generation, horizon)),
            ("base backups", own_objects.bases(vault, horizon, self._began)),
            ("gaps", own_objects.gaps(vault, horizon, self._leave)),
            ("drills", own_objects.drills(vault, horizon)),
        ):
            self._removing(kind, doomed)

    def _shortened(self, vault: TableVault, horizon: int) -> Generation:
        return shorten(vault, self._around.clock, horizon, self._around.memory, self._around.progress)

    def _removing(self, kind: str, doomed: Iterator[Doomed]) -> None:
        self._around.progress.phase(f"removing {kind}", None)
        self._sweep.remove(kind, doomed)

    def _leave(self, name: str, why: str) -> None:
        self._left.append(LeftObject(name, why))

    # --- figures ---

    def _size(self) -> int:
        """Returns the bytes of all versions in the table's own folder."""
        return sum(each.size for each in self._vault.store.versions(folder(self._vault.catalog.table)))

    def _horizon_of(self, second: int | None) -> str | None:
        known = self._vault.catalog.horizon
        return moment.iso(second) if second is not None else None if known is None else known.since

    def _report(self, horizon: int | None, before: int, rows: int = 0) -> Retention:
        sweep = self._sweep
        of_rows = sum(each.bytes for each in sweep.removed if each.kind == "row versions")
        own = before - (sweep.bytes - of_rows) if self._dry or horizon is None else self._size()
        return Retention(
            table=self._vault.catalog.table,
            horizon=self._horizon_of(horizon),
            removed_versions=sweep.versions,
            removed_bytes=sweep.bytes,
            kept_bytes=max(0, own + rows - of_rows),
            dry_run=self._dry,
            dollars_per_month=dollars(sweep.bytes),
            locked_versions=sweep.locked,
            locked_until=sweep.locked_until,
            locked_bytes=sweep.locked_bytes,
            removed=sweep.removed,
            notes=self._notes,
            left=self._left,
            seconds=round(self._around.clock.now() - self._began, 3),
            kept_states=[moment.iso(each) for each in self._kept_seconds],
        )
