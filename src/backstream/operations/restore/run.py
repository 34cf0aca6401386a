"""The restore itself: check, decide for each item, do it or only say so, and account for every item."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from backstream.errors import BackstreamError, Refused, TargetNotEmpty, UsageError
from backstream.layouts.vault import TableVault
from backstream.model import moment, wire
from backstream.model.plan import Action, decide
from backstream.operations import safety
from backstream.operations.restore import leftovers
from backstream.operations.restore.candidates import Candidate
from backstream.operations.restore.guard import CONFLICT, Guard
from backstream.operations.restore.leftovers import Head, Leftovers, Loaded
from backstream.operations.restore.looking import Looking, Surroundings
from backstream.operations.restore.plan import Planning, units_a_second
from backstream.operations.restore.request import InPlace, Into, NewTable, Request, Restored, Resumed, ToFile
from backstream.operations.restore.selection import selection_of
from backstream.operations.restore.setup import TableSetup, exists
from backstream.operations.restore.sinks import FileSink, Nowhere, Sink, TableSink, check_file
from backstream.operations.restore.undo import Undo
from backstream.operations.writing import LeftOut, Writer
from backstream.ports import Delete, Put, Table


def restore(vault: TableVault, request: Request, around: Surroundings) -> Restored:
    """Bring rows, a tenant or the whole table back to a second.

    OutsideWindow, GapInTheWay, TargetNotEmpty and Refused come before anything is touched. What could not be restored is in
    `failures` of the answer, and, where a table was to be written, in the file `left`.
    """
    resumable = request.resumable and not isinstance(request.target, ToFile | Into) and not request.dry_run
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


class Again(msgspec.Struct, frozen=True):
    """How to go on with a restore; see `Request`. `force`: also with the rows that somebody changed meanwhile."""

    dry_run: bool = False
    patience: float = 30.0
    max_units: float | None = None
    force: bool = False


def resume(vault: TableVault, path: Path, around: Surroundings, again: Again) -> Restored:
    """Go on with a restore that left something undone, or was interrupted. Its file stays as long as something is left.

    UsageError where there is no such file, or it is of another table; Refused where all that is left are rows that somebody else
    has changed, unless that is to be forced.
    """
    loaded = leftovers.load(path)
    if loaded.head.table != vault.catalog.table:
        raise UsageError(f"{path} is what is left of a restore of {loaded.head.table}, not of {vault.catalog.table}")
    if loaded.ended and not again.force and len(loaded.conflicts) == len(loaded.keys):
        raise Refused(
            f"all that is left are {len(loaded.keys)} rows that somebody changed while the restore ran",
            hint="--force brings them back too, and so undoes these changes.",
        )
    return _Restore(vault, _rest(loaded, again), around, Leftovers(None if again.dry_run else path, loaded.head)).run()


def _rest(loaded: Loaded, again: Again) -> Request:
    """What is still to be asked: the rows that are left, or, of an interrupted restore, all that was asked for."""
    head = loaded.head
    passed = loaded.conflicts if loaded.ended and not again.force else []
    return Request(
        at=head.at,
        target=Resumed(
            head.target,
            fresh=not (loaded.ended or head.in_place),
            in_place=head.in_place,
            before=None if loaded.ended else head.before,
        ),
        keys=[key for key in loaded.keys if key not in passed] if loaded.ended else [bytes(key) for key in head.keys],
        tenant=head.tenant,
        partition=head.partition,
        where=head.where,
        dry_run=again.dry_run,
        allow_gap=True,  # that it was asked for, or that there was none, was settled when the restore began
        patience=again.patience,
        max_units=again.max_units,
        force=again.force,
        conflicts=passed,
    )


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
        self._spared = 0
        self._selection = selection_of(vault, request)
        self._name = _target_name(vault, request)
        self._looking = Looking(vault, request, around, self._window, left, self._name)
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
            candidates = iter(()) if self._setup.alone else self._looking.candidates(stack)
            sink = self._setup.watching(self._sink())
            try:
                self._apply(candidates, sink)
                left = sink.finish()
            except BackstreamError as error:
                sink.abandon()
                if not sink.touched and not isinstance(self._request.target, Resumed):
                    self._left.discard()  # of a resumed one the file still says what an earlier attempt has left
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
        self._left.begin(self._undo.before, self._undo.command())
        if self._left.begun is not None:
            back = "" if self._left.undo is None else f"; or take back what it has done with: {self._left.undo}"
            self._around.notice(f"{self._left.command}{back}")
        for key in request.conflicts:
            self._leave_conflict(key)
        guard = Guard(self._vault, table) if self._in_place and not request.force else None
        return TableSink(Writer(guard or table, self._around.clock, patience=request.patience, max_units=request.max_units), guard)

    def _plan(self) -> Planning | None:
        """None where no table is written."""
        if isinstance(self._request.target, ToFile | Into):
            return None
        table = self._around.table_of(self._name)
        description = table.facts().description if self._looking.compares or exists(table) else None
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
        if self._looking.earlier_moment is None:
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
        if safety.surely_absent(candidate.then, self._request.at, self._window, self._looking.lost):
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
            self._looking.warnings.append(word)
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
            warnings=[*self._looking.warnings, *self._setup.notes],
            left=None if left is None else str(left),
            conflicts=self._conflicts,
            plan=None if self._planning is None else self._planning.planned(),
            undo=self._left.undo if self._counts[Action.PUT] or self._counts[Action.DELETE] else None,
            settings=self._setup.settings,
            todo=self._setup.todo,
        )
