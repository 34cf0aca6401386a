"""Keeps single states of the time before the horizon: the ends of days and months.

The horizon moves from one of them to the next, oldest first, and its state stays as a kept one. It is whole where it has to be,
and else holds the changes since the kept state before it. So each is computed from the one before, and an interrupted run resumes
at the next. Kept states that the rule gives up are left out of the catalog; a state that builds on one of them is written anew
before.
See docs/notes/0071.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from backstream.errors import Unavailable
from backstream.model import moment
from backstream.model.changes.fold import BEGINNING
from backstream.model.counts import counted
from backstream.model.keep_rule import KeepRule
from backstream.operations.bulk.progress import Progress
from backstream.operations.retain import choosing, state
from backstream.operations.retain.publishing import check_erasures, with_horizon
from backstream.ports import TableState
from backstream.vault import catalog as catalogs
from backstream.vault import horizon as horizons
from backstream.vault.bases import BaseKind
from backstream.vault.catalog import Catalog
from backstream.vault.horizon import KeptState
from backstream.vault.table_vault import TableVault

NAMED = 3
CheckState = Callable[[TableVault, TableState], None]


class Thinning:
    """Thins one table's history by a rule.

    `vault`: the vault with its catalog as it is by now.
    """

    def __init__(self, vault: TableVault, rule: KeepRule, now: float, check: CheckState, progress: Progress) -> None:
        """`check`: raises Refused if a state is not certain."""
        self.vault = vault
        self._rule = rule
        self._now = now
        self._check = check
        self._progress = progress
        self._left_out: list[int] = []

    @property
    def notes(self) -> list[str]:
        """Names the days and months without a state, since none could be kept."""
        left = [moment.iso(each) for each in self._left_out]
        more = f" and {counted(len(left) - NAMED, 'more time')}" if left[NAMED:] else ""
        named = ", ".join(left[:NAMED])
        return [f"no state is kept of {named}{more}: nothing shortly before can be restored exactly"] if left else []

    def planned(self, until: int, oldest: int | None) -> list[int]:
        """Returns the seconds whose states are to be kept from now on, without those that are kept already."""
        horizon = self.vault.catalog.horizon
        if oldest is None:
            return []
        return self._rule.ends(oldest - 1 if horizon is None else horizon.second, until, int(self._now))

    def run(self, until: int, oldest: int | None) -> TableVault:
        """Keeps the states that the rule demands up to a second, gives up the others, and returns the vault as it is then.

        Raises Refused if one of them is not certain, and Unavailable if somebody else retains at the same time in another way.
        """
        for end in self.planned(until, oldest):
            self._keep(end, oldest)
        self._give_up()
        return self.vault

    # --- more of them ---

    def _keep(self, end: int, oldest: int | None) -> None:
        window, known = self.vault.window(self._now), self.vault.catalog.horizon
        passed = BEGINNING if known is None else known.second
        is_exact = any(each.since <= end for each in window.ranges)
        second = choosing.choose(window, end, oldest=oldest) if is_exact else None
        if second is None or second <= passed or not self._rule.stands_for(second, end):
            self._left_out.append(end)
            return
        self._progress.phase(f"keeping the state of {moment.iso(second)}", None)
        before = self.vault.catalog
        with self.vault.engine.state(self.vault, second, self._progress.advance) as found:
            self._check(self.vault, found)
            follows = self._follows(before, second, found)  # before its own base backup is there
            base = state.write(self.vault, second, found)
            kept = horizons.kept_at(second, base.id, whole=True)
            if follows:
                only = state.changed_since(passed)
                changed = state.write(self.vault, second, found, entries=only, kind=BaseKind.KEPT)
                kept = horizons.kept_at(second, changed.id, whole=False)
        new = horizons.at(second, base.id)

        def moved(catalog: Catalog) -> Catalog:
            check_erasures(catalog, before)
            if (catalog.horizon, catalog.kept_states) != (before.horizon, before.kept_states):
                raise _meanwhile(catalog)
            return msgspec.structs.replace(with_horizon(catalog, new), kept_states=(*catalog.kept_states, kept))

        self._change(moved)

    def _follows(self, before: Catalog, second: int, found: TableState) -> bool:
        """True if a state was computed from the last kept one and the log since, so that every delete between them is known.

        A later base backup in place of the kept one would not show what was deleted before it began.
        """
        known, kept = before.horizon, before.kept_states
        if known is None or not kept or kept[-1].second != known.second or found.floor != BEGINNING or found.passed_over:
            return False
        basis = self.vault.basis(second)  # after the state was read: base backups are only added meanwhile
        return basis.base is not None and basis.base.id == known.base

    # --- fewer of them ---

    def _give_up(self) -> None:
        known, before = self.vault.catalog, self.vault.catalog.kept_states
        staying = set(self._rule.staying([each.second for each in before], int(self._now)))
        if len(staying) == len(before):
            return
        after = list[KeptState]()
        for each in before:
            if each.second in staying:
                after.append(self._rebuilt(each, before, after))

        def thinned(catalog: Catalog) -> Catalog:
            check_erasures(catalog, known)
            if catalog.kept_states != before:
                raise _meanwhile(catalog)
            return msgspec.structs.replace(catalog, kept_states=tuple(after))

        self._change(thinned)

    def _rebuilt(self, kept: KeptState, before: Sequence[KeptState], after: Sequence[KeptState]) -> KeptState:
        """Returns a kept state that builds on the last one of `after`; it is written anew if it builds on one that is given up.

        The state of the horizon's own second is written whole: it is read from a base backup without what was deleted before.
        """
        chain = horizons.chain(before, kept.second)
        if kept.whole or (after and after[-1] == chain[-2]):
            return kept
        known = self.vault.catalog.horizon
        shows_deletes = known is not None and kept.second < known.second
        upon = after[-1].second if shows_deletes and after and after[-1].second in {each.second for each in chain} else None
        self._progress.phase(f"writing the state of {moment.iso(kept.second)} anew", None)
        only = state.entries_at if upon is None else state.changed_since(upon)
        with self.vault.engine.state(self.vault, kept.second, self._progress.advance) as found:
            self._check(self.vault, found)
            base = state.write(self.vault, kept.second, found, entries=only, kind=BaseKind.KEPT)
        return horizons.kept_at(kept.second, base.id, whole=upon is None)

    def _change(self, changed: Callable[[Catalog], Catalog]) -> None:
        vault = self.vault
        self.vault = vault.with_catalog(catalogs.change(vault.store, vault.catalog.table, changed))


def _meanwhile(catalog: Catalog) -> Unavailable:
    return Unavailable(
        f"somebody else moves the horizon of {catalog.table} at the same time: this run stops", hint="Run the same command again."
    )
