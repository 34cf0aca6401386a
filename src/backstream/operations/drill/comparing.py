"""Compares a restored scratch table, the live table and items' histories with the vault's state at the moment.

The whole vault is read again for it, because the result of the restore is what must be proven. A row of the live table may have
changed since the moment, and the change may be on its way into the vault. So a live row that differs is only a suspect. It is
looked at again, on both sides, until the vault knows of a change after the moment, or `patience` has passed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import msgspec

from backstream.engine.local.prefetch import ahead, batches
from backstream.engine.local.spill import Pairs
from backstream.errors import BackstreamError, Damaged
from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState
from backstream.model.window import AFTER_ALL
from backstream.operations.compare.recheck import FETCHED, Suspects, until_still
from backstream.operations.drill.account import DrillCounts, kind_of
from backstream.operations.drill.report import DrillDifference, DrillPlan, Side
from backstream.operations.drill.sample import Sample
from backstream.operations.restore import Failure, RestoreContext
from backstream.operations.restore.states.row_states import scan_into
from backstream.ports import StatePartition, Table, TableState
from backstream.vault.item_states import newest_each
from backstream.vault.table_vault import TableVault

READERS = 16
IN_FLIGHT = 64  # images being read at once: what bounds memory, at 400 KB an item


class _Row(msgspec.Struct, frozen=True):
    """One item: the entry that gives its state at the moment, and its images in the two tables."""

    key: bytes
    then: Entry | None
    scratch: bytes | None
    live: bytes | None

    @property
    def exists(self) -> bool:
        return self.then is not None and not self.then.removed


class _Suspect(msgspec.Struct, frozen=True):
    """A live row that differs from the moment. `moved`: True if it has changed since the first look."""

    then: Entry | None
    expected: bytes | None
    live: bytes | None
    moved: bool = False


class Comparison:
    """The comparison of one drill. `failures`, `warnings`: objects that could not be read or compared."""

    def __init__(self, vault: TableVault, at: int, plan: DrillPlan, around: RestoreContext, account: DrillCounts) -> None:
        self._vault = vault
        self._at = at
        self._plan = plan
        self._around = around
        self._account = account
        self._live_read = 0.0  # when the live table had been read
        self.failures: list[Failure] = []
        self.warnings: list[str] = []

    def run(self, scratch: Table, live: Table | None, drill: str) -> None:
        """Compares everything. The account holds the differences."""
        sample = Sample(drill, self._plan.sample)
        around, buffer = self._around, self._around.memory.buffer
        around.progress.phase("reading the change log again", None)
        with ExitStack() as stack:
            state = stack.enter_context(self._vault.engine.state(self._vault, self._at, around.progress.advance))
            self.failures += [Failure(each.name, each.why) for each in state.unreadable]
            restored = stack.enter_context(Pairs(state.partitions, buffer=buffer))
            around.progress.phase("reading the scratch table", None)
            scan_into(self._vault, scratch, restored)
            now = stack.enter_context(Pairs(state.partitions, buffer=buffer))
            compares_live = live is not None and self._reads_live(live, now)
            suspects = stack.enter_context(closing(Suspects(_Suspect, buffer)))
            rows = _rows(state, restored, now)
            self._compare(rows, sample, suspects if compares_live else None)
            self._read_histories(sample)
            if compares_live and live is not None:
                self._judge_live(live, suspects, stack)

    def _reads_live(self, live: Table, into: Pairs) -> bool:
        self._around.progress.phase("reading the live table", None)
        try:
            scan_into(self._vault, live, into)
        except BackstreamError as error:
            self.warnings.append(f"not compared with the live table: {error.message}")
            return False
        self._account.live_rows = 0
        self._live_read = self._around.clock.now()
        return True

    # --- row by row ---

    def _compare(self, rows: Iterable[_Row], sample: Sample, suspects: Suspects[_Suspect] | None) -> None:
        self._around.progress.phase("comparing rows", None)
        with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
            for row, reading in ahead(pool, self._expected, rows, IN_FLIGHT):
                self._around.progress.advance(1)
                self._account.rows += row.exists
                self._note_live(row)
                try:
                    expected = reading()
                except BackstreamError as error:
                    self._account.unreadable(row.key, Side.SCRATCH, error.message)
                    continue
                if self._is_wrong(row, expected):
                    continue
                if expected is not None:
                    sample.offer(row.key, expected)
                if suspects is not None:
                    self._suspect(row, expected, suspects)

    def _expected(self, row: _Row) -> bytes | None:
        return None if row.then is None or row.then.removed else self._vault.image(row.then)

    def _note_live(self, row: _Row) -> None:
        if self._account.live_rows is not None:
            self._account.live_rows += row.live is not None

    def _is_wrong(self, row: _Row, expected: bytes | None) -> bool:
        """True if the scratch table's row differs: then the row is not checked further."""
        kind = kind_of(expected, row.scratch)
        if kind is not None:
            self._account.compared(row.key, Side.SCRATCH, expected, row.scratch, kind)
        elif expected is not None:
            self._account.matched += 1
        return kind is not None

    def _suspect(self, row: _Row, expected: bytes | None, suspects: Suspects[_Suspect]) -> None:
        if kind_of(expected, row.live) is not None:
            suspects.add(row.key, _Suspect(_light(row.then), expected, row.live))
        elif row.live is not None:
            self._account.live_same += 1

    # --- live rows that are not as at the moment ---

    def _judge_live(self, live: Table, suspects: Suspects[_Suspect], stack: ExitStack) -> None:
        def again(those: Suspects[_Suspect]) -> Suspects[_Suspect]:
            return self._look_again(live, those, stack)

        around = self._around
        left = until_still(again(suspects), again, around.clock, around.progress, self._plan.patience, what="live rows")
        for key, suspect in left:
            kind = kind_of(suspect.expected, suspect.live)
            if suspect.moved or kind is None:
                self._account.live_changed += 1
                continue
            self._account.live_different += 1
            self._account.compared(key, Side.LIVE, suspect.expected, suspect.live, kind)
        if self._account.live_different:
            self.warnings += self._not_proven()

    def _not_proven(self) -> list[str]:
        """Returns a note if the vault may not hold the change that explains a difference."""
        now = self._around.clock.now()
        durable = self._vault.window(now).durable
        if durable is not None and durable >= self._live_read:
            return []
        until = "of no second" if durable is None else f"only up to {moment.iso(durable)}"
        missing = "a change of a live row that has not been captured by now counts as a difference"
        return [f"the vault is proven {until}: {missing} (--patience: how long that may take)"]

    def _look_again(self, live: Table, suspects: Suspects[_Suspect], stack: ExitStack) -> Suspects[_Suspect]:
        """Returns the remaining suspects."""
        left = stack.enter_context(closing(Suspects(_Suspect, self._around.memory.buffer)))
        with (
            self._vault.engine.state(self._vault, AFTER_ALL, since=self._at) as news,
            Pairs(news.partitions, buffer=self._around.memory.buffer) as again,
        ):
            for key, moved in _read_again(self._vault, live, suspects):
                again.add(key, msgspec.msgpack.encode(moved))
            for number in range(news.partitions):
                since = news.partition(number)
                for key, value in again.read(number):
                    suspect = _suspects.decode(value)
                    if not self._is_cleared(key, suspect, since):
                        left.add(key, suspect)
        return left

    def _is_cleared(self, key: bytes, suspect: _Suspect, since: StatePartition) -> bool:
        """True if a live row is no longer suspect."""
        if _changed(suspect.then, since.known(key)):
            self._account.live_changed += 1
            return True
        if kind_of(suspect.expected, suspect.live) is None:
            self._account.live_same += suspect.live is not None
            return True
        return False

    # --- item by item ---

    def _read_histories(self, sample: Sample) -> None:
        """Reads the sample's rows once more, by their own histories, as `show` does: the vault's own bytes must be the same."""
        self._around.progress.phase("reading single rows", None)
        basis, rows = self._vault.basis(self._at), dict(sample)
        states = newest_each(self._vault, rows, self._at, basis, _named_already)
        for key, expected in rows.items():
            self._account.sampled += 1
            then = states[key]
            try:
                found = None if then is None or then.removed else self._vault.image(then)
            except BackstreamError as error:
                self._account.unreadable(key, Side.HISTORY, error.message)
                continue
            if found != expected:
                kind = kind_of(expected, found)
                self._account.compared(key, Side.HISTORY, expected, found, kind or DrillDifference.DIFFERENT)


def _rows(state: TableState, scratch: Pairs, live: Pairs) -> Iterator[_Row]:
    """Yields every item that the vault or one of the tables knows, one partition in memory at a time."""
    for number in range(state.partitions):
        then = state.partition(number)
        restored, now = (each.pick(number, dict(each.spots(number))) for each in (scratch, live))
        for key in then.keys() | restored.keys() | now.keys():
            yield _Row(key, then.get(key), restored.get(key), now.get(key))


def _read_again(vault: TableVault, live: Table, suspects: Iterable[tuple[bytes, _Suspect]]) -> Iterator[tuple[bytes, _Suspect]]:
    """Yields each suspect as it is in the table by now."""
    for batch in batches(suspects, FETCHED):
        images = {vault.key_of(image): image for image in live.fetch([key for key, _ in batch])}
        for key, before in batch:
            now = images.get(key)
            moved = before.moved or kind_of(before.live, now) is not None
            yield key, msgspec.structs.replace(before, live=now, moved=moved)


def _changed(then: Entry | None, since: FoldState) -> bool:
    """True if the vault knows a later state of an item than the restored one."""
    known = FoldState() if then is None else FoldState().with_entry(then)
    newest = known.with_known(since).newest()
    return newest is not None and (then is None or _identity(newest) != _identity(then))


def _identity(entry: Entry) -> tuple[object, ...]:
    return entry.stream, entry.sequence, entry.micros, entry.began, entry.event


def _light(entry: Entry | None) -> Entry | None:
    return None if entry is None else msgspec.structs.replace(entry, image=None, old=None)


def _named_already(_: Damaged) -> None:
    """Ignores an unreadable object of the log: it was named when the state was read."""


_suspects = msgspec.msgpack.Decoder(_Suspect)
