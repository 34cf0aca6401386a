"""The restore itself: check, decide for each item, do it or only say so, and account for every item."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from backstream.engines.embedded import State
from backstream.engines.memory import Memory
from backstream.engines.spill import Pairs
from backstream.errors import BackstreamError, Refused, TargetNotEmpty, UsageError
from backstream.layouts.vault import TableVault
from backstream.model import moment, wire
from backstream.model.entry import Entry
from backstream.model.plan import Action, decide
from backstream.model.window import KnownGap
from backstream.operations import safety
from backstream.operations.progress import Progress, Silent
from backstream.operations.restore import leftovers
from backstream.operations.restore.candidates import Candidate, named_by_key, of_histories, of_state, scan_into, states_into
from backstream.operations.restore.guard import CONFLICT, Guard
from backstream.operations.restore.leftovers import Head, Leftovers, Loaded
from backstream.operations.restore.plan import Planning, units_a_second
from backstream.operations.restore.request import Failure, InPlace, Into, NewTable, Request, Restored, Resumed, ToFile
from backstream.operations.restore.selection import selection_of
from backstream.operations.restore.setup import TableSetup, exists
from backstream.operations.restore.sinks import FileSink, Nowhere, Sink, TableSink, check_file
from backstream.operations.restore.strangers import strangers
from backstream.operations.restore.undo import Undo
from backstream.operations.writing import LeftOut, Writer
from backstream.ports import Clock, Delete, Put, Table

FEW_KEYS = 100  # so many items are looked up one by one, more by reading the log once


class Surroundings(msgspec.Struct, frozen=True):
    """What a restore needs besides the vault. `lanes`: see `TableVault.window`; `folder`: where a resumable file would go; `notice`
    is told, before the first write, the command that goes on with it, should it be interrupted.
    """

    table_of: Callable[[str], Table]
    clock: Clock
    lanes: int | None
    folder: Path
    progress: Progress = Silent()
    memory: Memory = Memory()
    notice: Callable[[str], None] = lambda _: None


def restore(vault: TableVault, request: Request, around: Surroundings) -> Restored:
    """Bring rows, a tenant or the whole table back to a second.

    OutsideWindow, GapInTheWay, TargetNotEmpty and Refused come before anything is touched. What could not be restored is in
    `failures` of the answer, and, where a table was to be written, in the file `left`.
    """
    resumable = not isinstance(request.target, ToFile | Into) and not request.dry_run
    restore_id = uuid.uuid4().hex[:8]
    path = leftovers.path_for(restore_id, around.folder) if resumable else None
    head = Head(
        restore=restore_id,
        table=vault.catalog.table,
        at=request.at,
        target=_target_name(vault, request),
        tenant=request.tenant,
        partition=request.partition,
        where=request.where,
        in_place=isinstance(request.target, InPlace),
        keys=[msgspec.Raw(key) for key in request.keys],
    )
    return _Restore(vault, request, around, Leftovers(path, head)).run()


def resume(
    vault: TableVault, path: Path, request: Callable[[Loaded], Request], around: Surroundings, *, force: bool = False
) -> Restored:
    """Go on with a restore that left something undone, or was interrupted. Its file stays as long as something is left.

    `request`: what to ask, given what the file says. UsageError where there is no such file, or it is of another table; Refused
    where all that is left are rows that somebody else has changed, unless `force`.
    """
    loaded = leftovers.load(path)
    if loaded.head.table != vault.catalog.table:
        raise UsageError(f"{path} is what is left of a restore of {loaded.head.table}, not of {vault.catalog.table}")
    if loaded.ended and not force and len(loaded.conflicts) == len(loaded.keys):
        raise Refused(
            f"all that is left are {len(loaded.keys)} rows that somebody changed while the restore ran",
            hint="--force brings them back too, and so undoes these changes.",
        )
    asked = request(loaded)
    return _Restore(vault, asked, around, Leftovers(None if asked.dry_run else path, loaded.head)).run()


def _target_name(vault: TableVault, request: Request) -> str:
    match request.target:
        case NewTable(name) | Resumed(name=name) | Into(name):
            return name
        case ToFile(path):
            return str(path)
        case InPlace():
            return vault.catalog.table


class _Restore:
    def __init__(self, vault: TableVault, request: Request, around: Surroundings, left: Leftovers) -> None:
        self._vault = vault
        self._request = request
        self._around = around
        self._left = left
        self._began = around.clock.now()
        self._window = vault.window(self._began, around.lanes)
        self._counts: Counter[Action] = Counter()
        self._warnings: list[str] = []
        self._lost: list[KnownGap] = []
        self._spared = 0
        self._selection = selection_of(vault, request)
        self._name = _target_name(vault, request)
        self._conflicts = 0
        self._undo = Undo(vault, request)
        self._planning: Planning | None = None
        self._setup = TableSetup(vault, request, around.table_of, around.clock)

    def run(self) -> Restored:
        safety.check_past(self._request.at, self._began, self._window)
        self._check_target()
        self._setup.prepare()
        with ExitStack() as stack:
            stack.callback(self._left.interrupt)
            if self._in_place and not self._request.dry_run:
                self._undo.note(self._around.table_of(self._name))
            candidates = self._rows(stack) if self._request.keys else self._table(stack)
            sink = self._setup.watching(self._sink())
            try:
                self._apply(candidates, sink)
                left = sink.finish()
            except BackstreamError as error:
                sink.abandon()
                if not sink.touched:
                    self._left.discard()
                elif self._left.begun is not None:
                    error.hint = f"{error.hint} Then go on with: {self._left.command}".strip()
                raise
            except BaseException:
                sink.abandon()
                raise
            for each in left:
                self._not_done(each)
            self._setup.finish()
            return self._report()

    @property
    def _in_place(self) -> bool:
        target = self._request.target
        return isinstance(target, InPlace) or (isinstance(target, Resumed) and target.in_place)

    @property
    def _compares(self) -> bool:
        """Whether only what differs from what is there is written."""
        return isinstance(self._request.target, InPlace | Resumed)

    # --- what to look at ---

    def _rows(self, stack: ExitStack) -> Iterator[Candidate]:
        """The rows asked for; checked before the first is touched."""
        keys = list(dict.fromkeys(self._request.keys))
        if len(keys) <= FEW_KEYS and self._earlier_moment is None and named_by_key(self._vault):
            then = of_histories(self._vault, keys, self._request.at)
            self._check_rows(keys, then)
            live = {self._vault.key_of(image): image for image in self._live_rows(keys)}
            self._around.progress.phase("rows", len(keys))
            return (Candidate(key, then[key], live.get(key)) for key in keys)
        state = stack.enter_context(self._state(keys=set(keys)))
        self._check_readable(state)
        self._check_rows(keys, {key: _light(entry) for part in state for key, entry in part.items()})
        spilled = stack.enter_context(Pairs(state.partitions, buffer=self._around.memory.buffer))
        for image in self._live_rows(keys):
            spilled.add(self._vault.key_of(image), image)
        earlier = self._earlier(stack, state, keys=set(keys))
        self._around.progress.phase("rows", None)
        return of_state(state, spilled, self._around.progress, earlier=earlier)

    @property
    def _earlier_moment(self) -> int | None:
        """That from which rows may have been changed by somebody else; None where every row is guarded from its first look on."""
        target = self._request.target
        return target.before if isinstance(target, Resumed) and not self._request.force else None

    def _earlier(self, stack: ExitStack, state: State, *, keys: Collection[bytes] | None = None) -> Pairs | None:
        """What every item was before an interrupted restore began."""
        if self._earlier_moment is None:
            return None
        self._around.progress.phase("reading what was before", None)
        spilled = stack.enter_context(Pairs(state.partitions, buffer=self._around.memory.buffer))
        around = self._around
        before = self._earlier_moment
        with State(self._vault, before, around.progress.advance, keys=keys, memory=around.memory) as earlier:
            states_into(earlier, spilled)
        return spilled

    def _state(self, *, keys: Collection[bytes] | None = None, rows: int = 0) -> State:
        around = self._around
        return State(self._vault, self._request.at, around.progress.advance, keys=keys, rows=rows, memory=around.memory)

    def _check_rows(self, keys: Sequence[bytes], known: dict[bytes, Entry | None] | dict[bytes, Entry]) -> None:
        at, name = self._request.at, self._vault.catalog.table
        for key in keys:
            then = known.get(key)
            warnings = safety.check_item(name, key, at, then, self._window, allow_gap=self._request.allow_gap)
            self._warnings.extend(each for each in warnings if each not in self._warnings)
            if then is None or then.removed:
                self._warnings.append(f"{key.decode()} did not exist at {moment.iso(at)}")

    def _live_rows(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        return self._live_table().fetch(keys) if self._compares else []

    def _table(self, stack: ExitStack) -> Iterator[Candidate]:
        if self._setup.alone:
            return iter(())
        request, name = self._request, self._vault.catalog.table
        self._warnings += safety.check_table(name, request.at, self._window, allow_gap=request.allow_gap)
        self._around.progress.phase("reading the change log", None)
        rows = self._live_table().facts().items if self._compares else 0
        state = stack.enter_context(self._state(rows=rows))
        self._check_readable(state)
        live = None
        if self._compares:
            self._around.progress.phase("reading the live table", None)
            live = stack.enter_context(Pairs(state.partitions, buffer=self._around.memory.buffer))
            scan_into(self._vault, self._live_table(), live)
        for failure in strangers(self._vault, state):
            self._left.name(failure)
        earlier = self._earlier(stack, state)
        self._around.progress.phase("rows", None)
        return of_state(state, live, self._around.progress, earlier=earlier)

    def _check_readable(self, state: State) -> None:
        """Where a part of the backup cannot be read, any row may be another: nothing is touched, unless that was asked for."""
        unreadable = state.unreadable
        self._warnings += [
            f"{each.name} cannot be read ({each.why}): built on what was kept before it" for each in state.passed_over
        ]
        if unreadable and not self._request.allow_gap:
            raise safety.unreadable_backup([f"{each.name}: {each.why}" for each in unreadable])
        for each in unreadable:
            self._left.name(Failure(each.name, each.why))
        damaged = [each.lost for each in unreadable if each.lost is not None]
        self._lost = [KnownGap(since, until, "damaged") for since, until in damaged]
        self._warnings += [
            f"changes of {moment.iso(lost.since)} to {moment.iso(lost.until)} cannot be read: their rows are as they were before"
            for lost in self._lost
        ]

    def _live_table(self) -> Table:
        table = self._around.table_of(self._name)
        if table.facts().schema != self._vault.catalog.key_schema:
            raise Refused(f"the table {table.name} has another key schema than the vault's", hint="Restore --to a new table.")
        return table

    # --- where to put it ---

    def _check_target(self) -> None:
        target = self._request.target
        if isinstance(target, ToFile):
            check_file(target.path)
        elif isinstance(target, NewTable):
            self._check_new(self._around.table_of(target.name))

    def _check_new(self, table: Table) -> None:
        """A table that is there already is accepted if it is empty and has the same key schema."""
        if not exists(table):
            return
        if table.facts().schema != self._vault.catalog.key_schema:
            raise TargetNotEmpty(f"the table {table.name} exists, with another key schema", hint="Give --to another name.")
        if not table.is_empty()[0]:
            raise TargetNotEmpty(f"the table {table.name} exists and holds items", hint="Give --to another name.")

    def _sink(self) -> Sink:
        target, request = self._request.target, self._request
        self._planning = self._plan()
        if request.dry_run:
            return Nowhere()
        if isinstance(target, ToFile):
            return FileSink(target.path)
        if isinstance(target, Into):
            return target.begin()
        table = self._around.table_of(self._name)
        self._setup.create(table)
        self._undo.wait(table, self._around.clock)
        self._left.begin(self._undo.before)
        if self._left.begun is not None:
            self._around.notice(self._left.command)
        for key in request.conflicts:
            self._leave_conflict(key)
        guard = Guard(self._vault, table) if self._in_place and not request.force else None
        return TableSink(Writer(guard or table, self._around.clock, patience=request.patience, max_units=request.max_units), guard)

    def _plan(self) -> Planning | None:
        """None where no table is written."""
        if isinstance(self._request.target, ToFile | Into):
            return None
        table = self._around.table_of(self._name)
        description = table.facts().description if self._compares or exists(table) else None
        return Planning(units_a_second(description, self._request.max_units))

    # --- doing it ---

    def _apply(self, candidates: Iterator[Candidate], sink: Sink) -> None:
        candidates = (each for each in candidates if not self._selection.rules_out(each))
        wanted = ((each, None if each.gone else each.then) for each in self._while_hopeful(candidates, sink))
        with closing(self._vault.images(wanted)) as images:
            for candidate, then in images:
                self._around.progress.advance(1)
                self._do(candidate, then, sink)

    def _while_hopeful(self, candidates: Iterator[Candidate], sink: Sink) -> Iterator[Candidate]:
        """Once there is no sense in adding more, no more images are read: what they were for is left."""
        for candidate in candidates:
            if sink.hopeless and candidate.then is not None and not candidate.gone:
                self._around.progress.advance(1)
                self._left.leave(candidate.key, sink.hopeless)
            else:
                yield candidate

    def _do(self, candidate: Candidate, then: bytes | BackstreamError | None, sink: Sink) -> None:
        if candidate.gone and not self._may_delete(candidate):
            return
        try:
            if isinstance(then, BackstreamError):
                raise then
            if not self._selection.wants(then, candidate.live):
                return
            action = decide(then, candidate.live)
            if action is not Action.ALONE and self._was_changed(candidate):
                self._leave_conflict(candidate.key)
                return
        except BackstreamError as error:
            self._left.leave(candidate.key, error.message)
            return
        self._counts[action] += 1
        if self._planning is not None:
            self._planning.add(candidate.key, action, then, candidate.live)
        if action is Action.PUT and then is not None:
            sink.add(Put(then), candidate.live)
        elif action is Action.DELETE:
            sink.add(Delete(candidate.key), candidate.live)

    def _was_changed(self, candidate: Candidate) -> bool:
        """Whether somebody has changed a row since an interrupted restore began: it is not as it was before."""
        if self._earlier_moment is None:
            return False
        earlier, live = candidate.earlier, candidate.live
        if earlier is None or earlier.removed:
            return live is not None
        return live is None or not wire.same_image(self._vault.image(earlier), live)

    def _leave_conflict(self, key: bytes) -> None:
        self._conflicts += 1
        self._left.leave(key, CONFLICT, conflict=True)

    def _may_delete(self, candidate: Candidate) -> bool:
        """Whether there is a live row to delete, and no doubt that it did not exist then."""
        if candidate.live is None:
            return False
        if safety.surely_absent(candidate.then, self._request.at, self._window, self._lost):
            return True
        self._spared += 1
        self._counts[Action.ALONE] += 1
        return False

    # --- the account ---

    def _not_done(self, left: LeftOut) -> None:
        action, item = (Action.PUT, left.write.image) if isinstance(left.write, Put) else (Action.DELETE, left.write.keys)
        self._counts[action] -= 1
        key = self._vault.key_of(item)
        if left.reason == CONFLICT:
            self._leave_conflict(key)
        else:
            self._left.leave(key, left.reason)

    def _report(self) -> Restored:
        if self._spared:
            word = f"{self._spared} live rows are left alone: whether they existed at {moment.iso(self._request.at)} is not known"
            self._warnings.append(word)
        left = self._left.close()
        return Restored(
            table=self._vault.catalog.table,
            at=moment.iso(self._request.at),
            target=self._name,
            put=self._counts[Action.PUT],
            deleted=self._counts[Action.DELETE],
            unchanged=self._counts[Action.ALONE],
            failed=self._left.count,
            dry_run=self._request.dry_run,
            seconds=round(self._around.clock.now() - self._began, 3),
            failures=self._left.failures,
            warnings=[*self._warnings, *self._setup.notes],
            left=None if left is None else str(left),
            conflicts=self._conflicts,
            plan=None if self._planning is None else self._planning.planned(),
            undo=self._undo.command() if self._counts[Action.PUT] or self._counts[Action.DELETE] else None,
            settings=self._setup.settings,
            todo=self._setup.todo,
        )


def _light(entry: Entry) -> Entry:
    return entry if entry.image is None else msgspec.structs.replace(entry, image=None)
