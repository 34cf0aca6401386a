"""Reads the items of a restore: every item that may have to be put or deleted, from the vault and, for a comparison, from the
table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.window import KnownGap, Window
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.restore.report import Failure
from backstream.operations.restore.request import RestoreJob, RestoreTarget
from backstream.operations.restore.resume_file import NamedFailures
from backstream.operations.restore.states.evidence import Later, LaterInLog, LaterOfFew, NothingLater
from backstream.operations.restore.states.foreign_objects import strangers
from backstream.operations.restore.states.row_states import (
    RowCounts,
    RowState,
    named_by_key,
    of_histories,
    of_state,
    scan_into,
    states_into,
    tally,
    with_unknown,
)
from backstream.ports import TableState

Candidates = Callable[[], Iterator[RowState]]
FEW_KEYS = 100  # so many items are looked up one by one, more by reading the log once


class StateSource:
    """Reads for one restore. `warnings`: what is uncertain; `lost`: the times of what could not be read, which `named` names.

    `missing`: the items that lack a change in the vault; `uncertain`: the ones among them whose state at the moment the change
    may have told.

    Raises what `safety` raises before anything is touched.
    """

    def __init__(self, job: RestoreJob, target: RestoreTarget, window: Window) -> None:
        self._vault = job.vault
        self._request = job.request
        self._around = job.around
        self._target = target
        self._window = window
        self.named = NamedFailures()
        self.warnings: list[str] = []
        self.lost: list[KnownGap] = []
        self.missing: Sequence[BrokenChain] = ()
        self.uncertain: frozenset[bytes] = frozenset()
        self._is_thinned = window.is_thinned(job.request.at)
        self.later: Later = NothingLater() if self._is_thinned else LaterOfFew(job.vault, job.request.at)
        self._few: list[RowState] = []
        self._all: tuple[TableState, Pairs] | None = None
        self.alone: TableState | None = None  # the whole table's state, where it is all that matters

    def tally(self, would_delete: Callable[[RowState], bool]) -> RowCounts:
        """Returns how much would be deleted, after `candidates` has been called and before the first of them is taken.

        For rows that were requested by their keys, only the deletes are counted.
        """
        if self._all is not None:
            return tally(*self._all, would_delete)
        return RowCounts(deletes=sum(1 for each in self._few if each.gone and each.live is not None and would_delete(each)))

    def candidates(self, stack: ExitStack) -> Candidates:
        """Returns a function that yields the items, as often as it is called, until `stack` is closed."""
        return self._rows(stack) if self._request.keys else self._table(stack)

    def _rows(self, stack: ExitStack) -> Candidates:
        """Yields the requested rows, after checks before the first is touched."""
        keys = list(dict.fromkeys(self._request.keys))
        if len(keys) <= FEW_KEYS and self._target.before is None and named_by_key(self._vault):
            then = of_histories(self._vault, keys, self._request.at, self._window)
            if then is not None:
                return self._few_rows(keys, then)
        state = stack.enter_context(self._state(keys=set(keys)))
        self._check_readable(state)
        self._check_rows(keys, {key: _light(entry) for part in state for key, entry in part.items()})
        spilled = stack.enter_context(Pairs(state.partitions, buffer=self._around.memory.buffer))
        for image in self._live_rows(keys):
            spilled.add(self._vault.key_of(image), image)
        earlier = self._earlier(stack, state, keys=set(keys))
        self._look_later(stack, state, set(keys))
        self._all = (state, spilled)
        progress = self._around.progress
        progress.phase("rows", None)
        return lambda: with_unknown(keys, of_state(state, spilled, progress, earlier=earlier))

    def _look_later(self, stack: ExitStack, state: TableState, keys: Collection[bytes] | None = None) -> None:
        if self._is_thinned:
            return
        buffer = self._around.memory.buffer // 2
        self.later = stack.enter_context(LaterInLog(self._vault, self._request.at, state.partitions, buffer, keys))

    def _few_rows(self, keys: Sequence[bytes], then: dict[bytes, Entry | None]) -> Candidates:
        self._check_rows(keys, then)
        live = {self._vault.key_of(image): image for image in self._live_rows(keys)}
        self._around.progress.phase("rows", len(keys))
        self._few = [RowState(key, then[key], live.get(key)) for key in keys]
        return lambda: iter(self._few)

    def _earlier(self, stack: ExitStack, state: TableState, *, keys: Collection[bytes] | None = None) -> Pairs | None:
        """Returns every item's state before an interrupted restore began."""
        if (before := self._target.before) is None:
            return None
        self._around.progress.phase("reading what was before", None)
        spilled = stack.enter_context(Pairs(state.partitions, buffer=self._around.memory.buffer))
        around = self._around
        with self._vault.engine.state(self._vault, before, around.progress.advance, keys=keys) as earlier:
            states_into(earlier, spilled)
        return spilled

    def _state(self, *, keys: Collection[bytes] | None = None, rows: int = 0) -> AbstractContextManager[TableState]:
        progress, at = self._around.progress, self._request.at
        expected = progress.expect if keys is None else lambda _: None
        return self._vault.engine.state(self._vault, at, progress.advance, keys=keys, rows=rows, expected=expected)

    def _check_rows(self, keys: Sequence[bytes], known: dict[bytes, Entry | None] | dict[bytes, Entry]) -> None:
        at, name = self._request.at, self._vault.catalog.table
        words = lost_changes.check_items(
            self._vault, keys, at, self._around.clock.now(), self._window, allow_gap=self._request.allow_gap
        )
        self.warnings += words
        self.uncertain = frozenset(keys) if words else frozenset()
        for key in keys:
            then = known.get(key)
            warnings = safety.check_item(name, key, at, then, self._window, allow_gap=self._request.allow_gap)
            self.warnings.extend(each for each in warnings if each not in self.warnings)
            if len(keys) <= FEW_KEYS and (then is None or then.removed):
                self.warnings.append(f"{key.decode()} did not exist at {moment.iso(at)}")

    def _live_rows(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        table = self._target.compare()
        return [] if table is None else table.fetch(keys)

    def _table(self, stack: ExitStack) -> Candidates:
        request, name = self._request, self._vault.catalog.table
        self.warnings += safety.check_table(name, request.at, self._window, allow_gap=request.allow_gap)
        self._around.progress.phase("reading the change log", None)
        table = self._target.compare()
        rows = 0 if table is None else table.facts().items
        state = stack.enter_context(self._state(rows=rows))
        self._check_chains(state)
        live = None
        if (table := self._target.compare()) is not None:
            self._around.progress.phase("reading the live table", None)
            live = stack.enter_context(Pairs(state.partitions, buffer=self._around.memory.buffer))
            scan_into(self._vault, table, live)
        for failure in strangers(self._vault, state):
            self.named.name(failure)
        earlier = self._earlier(stack, state)
        self._look_later(stack, state)
        self._all = None if live is None else (state, live)
        self.alone = state if live is None and earlier is None else None
        progress = self._around.progress
        progress.phase("rows", None)
        return lambda: of_state(state, live, progress, earlier=earlier)

    def _check_chains(self, state: TableState) -> None:
        """Checks the chains: if items lack changes in the log, others may too.

        Nothing is touched then, unless that was requested.
        """
        request, now = self._request, self._around.clock.now()
        shown = list(state.broken(self._window, now))
        around_it = lost_changes.uncertain_at(self._vault, request.at, now, window=self._window)
        found = list(dict.fromkeys([*shown, *around_it]))
        lost = [each for each in found if not each.pending]
        unrecorded = "" if request.dry_run else lost_changes.record(self._vault, lost)
        self._check_readable(state, lost)
        if lost and not request.allow_gap:
            raise lost_changes.missing_of_items(lost)
        self.missing = found
        self.uncertain = frozenset(each.key for each in around_it)
        self.warnings += [lost_changes.in_words(each) for each in (found,) if each] + [each for each in (unrecorded,) if each]

    def _check_readable(self, state: TableState, lost: Sequence[BrokenChain] = ()) -> None:
        """Checks that the backup is readable: if a part is not, any row may differ.

        Nothing is touched then, unless that was requested.
        """
        unreadable = state.unreadable
        self.warnings += [
            f"{each.name} cannot be read ({each.why}): built on what was kept before it" for each in state.passed_over
        ]
        if unreadable and not self._request.allow_gap:
            raise safety.unreadable_backup([*(f"{each.name}: {each.why}" for each in unreadable), *map(str, lost)])
        for each in unreadable:
            self.named.name(Failure(each.name, each.why))
        damaged = [each.lost for each in unreadable if each.lost is not None]
        self.lost = [KnownGap(since, until, "damaged") for since, until in damaged]
        self.warnings += [
            f"changes of {moment.iso(lost.since)} to {moment.iso(lost.until)} cannot be read: their rows are as they were before"
            for lost in self.lost
        ]


def _light(entry: Entry) -> Entry:
    return entry if entry.image is None else msgspec.structs.replace(entry, image=None)
