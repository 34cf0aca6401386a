"""The restore itself: checks, decides for each item, does it or only reports it, and accounts for every item."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing

import msgspec

from backstream import private_files
from backstream.errors import BackstreamError, TargetNotEmpty
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.plan import Action, decide
from backstream.model.values import wire
from backstream.operations.bulk.writer import Batches, BulkWriter, LeftOut
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore import deletes, resume_file
from backstream.operations.restore.conditional_writer import CONFLICT, ConditionalWriter
from backstream.operations.restore.evidence import AbsenceEvidence, Doubt
from backstream.operations.restore.failures import named_destination
from backstream.operations.restore.kept import KeptTable, UndoRecorder
from backstream.operations.restore.kept import path_for as undo_path_for
from backstream.operations.restore.plan import Planning, units_a_second
from backstream.operations.restore.request import Failure, InPlace, Into, NewTable, Restored, RestoreRequest, Resumed, ToFile
from backstream.operations.restore.resume_file import Leftovers, ResumeHead
from backstream.operations.restore.row_states import RowCounts, RowState
from backstream.operations.restore.selection import selection_of
from backstream.operations.restore.state_source import Looking, RestoreContext
from backstream.operations.restore.table_setup import TableSetup, exists
from backstream.operations.restore.targets.sinks import FileSink, Nowhere, Sink, TableSink, check_file
from backstream.operations.restore.undo import Undo
from backstream.operations.restore.wording import NEVER_SEEN, nothing_matches, spared_words
from backstream.operations.setup.identity import check_lives
from backstream.ports import Delete, Put, Table
from backstream.vault.table_vault import TableVault


def restore(vault: TableVault, request: RestoreRequest, around: RestoreContext) -> Restored:
    """Restores rows, a tenant or the whole table to a second.

    Raises OutsideWindow, GapInTheWay, TargetNotEmpty and Refused before anything is touched. Items that could not be restored are
    in `failures` of the answer and, for a table as the target, in the file `left`.
    """
    resumable = request.resumable and not isinstance(request.target, ToFile | Into) and not request.dry_run
    restore_id = private_files.token()
    path = resume_file.path_for(restore_id, around.folder) if resumable else None
    head = ResumeHead(
        restore=restore_id,
        table=vault.catalog.table,
        at=request.at,
        target=_target_name(vault, request),
        tenant=request.tenant,
        partition=request.partition,
        where=request.where,
        in_place=isinstance(request.target, InPlace),
        keys=[msgspec.Raw(key) for key in request.keys],
        expect_deletes=request.expect_deletes,
        delete_unknown=request.delete_unknown,
    )
    return Restoration(vault, request, around, Leftovers(path, head)).run()


def _target_name(vault: TableVault, request: RestoreRequest) -> str:
    match request.target:
        case NewTable(name) | Resumed(name=name) | Into(name):
            return name
        case ToFile(path):
            return str(path)
        case InPlace():
            return vault.catalog.table


Decided = tuple[RowState, bytes | BackstreamError | None]


class Restoration:
    """One restore from its checks to its report: `run` does all of it."""

    def __init__(self, vault: TableVault, request: RestoreRequest, around: RestoreContext, left: Leftovers) -> None:
        self._vault = vault
        self._request = request
        self._around = around
        self._left = left
        self._began = around.clock.now()
        self._window = vault.window(self._began)
        self._named = named_destination(vault)
        self._counts: Counter[Action] = Counter()
        self._spared = 0
        self._sparing: list[Failure] = []
        self._never_seen: list[bytes] = []
        self._tally: RowCounts | None = None
        self._sink: Sink = Nowhere()
        self._selection = selection_of(vault, request)
        self._name = _target_name(vault, request)
        self._looking = Looking(vault, request, around, self._window, left, self._name)
        self._conflicts = 0
        self._undo = Undo(request)
        self._planning: Planning | None = None
        self._setup = TableSetup(vault, request, around.table_of, around.clock)

    def run(self) -> Restored:
        """Checks, decides, writes, and reports. See `restore` for its errors."""
        safety.check_past(self._request.at, self._began, self._window)
        check_lives(self._vault.catalog, self._window.gaps, self._request.at)
        self._check_target()
        self._setup.prepare()
        with ExitStack() as stack:
            stack.callback(self._left.interrupt)
            stack.callback(self._undo.close)
            if self._in_place and not self._request.dry_run:
                self._undo.note(self._around.table_of(self._name))
            candidates = iter(()) if self._setup.alone else self._looking.candidates(stack)
            self._evidence = self._new_evidence()
            self._check_deletes()
            meant = self._found(stack.enter_context(closing(self._meant(candidates))))
            sink = self._sink = self._setup.watching(self._new_sink())
            try:
                for candidate, then in meant:
                    self._do(candidate, then, sink)
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
        elif isinstance(target, InPlace | Resumed):
            self._check_same(self._around.table_of(self._name))

    def _check_same(self, table: Table) -> None:
        """Checks that the live table is the vault's, and that a restore is resumed into the table that it began with."""
        target, catalog = self._request.target, self._vault.catalog
        if self._request.into_another:
            return
        if isinstance(target, Resumed) and target.into.arn:
            safety.check_same_table(target.into, table.facts(), of="the one that this restore began to write to")
        elif self._in_place:
            safety.check_same_table(Identity(catalog.table_arn, catalog.table_id), table.facts(), of="the vault's")

    def _check_new(self, table: Table) -> None:
        """Accepts an existing table if it is empty and has the same key schema."""
        if not exists(table):
            return
        if table.facts().schema != self._vault.catalog.key_schema:
            raise TargetNotEmpty(f"the table {table.name} exists, with another key schema", hint="Give --to another name.")
        if not table.is_empty()[0]:
            raise TargetNotEmpty(f"the table {table.name} exists and holds items", hint="Give --to another name.")

    def _new_sink(self) -> Sink:
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
        facts = table.facts()
        into = Identity(facts.arn, facts.table_id)
        keeper = self._keeper(into)
        self._left.begin(self._undo.before, self._undo.command, into)
        if self._left.begun is not None:
            back = "" if self._left.undo is None else f"; or take back what it has done with: {self._left.undo}"
            self._around.notice(f"{self._left.command}{back}")
        for key in request.conflicts:
            self._leave_conflict(key)
        return self._table_sink(table, keeper)

    def _keeper(self, into: Identity) -> UndoRecorder | None:
        """Returns the recorder of overwritten rows; None if nobody would undo the restore."""
        if not self._in_place or not self._request.resumable:
            return None
        path = undo_path_for(self._left.restore, self._around.folder)
        return self._undo.begin(path, self._left.restore, self._vault.catalog.table, into, self._vault)

    def _table_sink(self, table: Table, keeper: UndoRecorder | None) -> TableSink:
        request = self._request
        shared = self._in_place or isinstance(request.target, Resumed)
        guard = ConditionalWriter(self._vault, table, keeper) if shared and not request.force else None
        forced: Batches = table if keeper is None else KeptTable(self._vault, table, keeper)
        return TableSink(
            BulkWriter(guard or forced, self._around.clock, patience=request.patience, max_units=request.max_units), guard
        )

    def _plan(self) -> Planning | None:
        """Returns the plan; None if no table is written."""
        if isinstance(self._request.target, ToFile | Into):
            return None
        table = self._around.table_of(self._name)
        description = table.facts().description if self._looking.compares or exists(table) else None
        return Planning(units_a_second(description, self._request.max_units))

    def _new_evidence(self) -> AbsenceEvidence:
        looking, window = self._looking, self._window

        def between(key: bytes, then: Entry, first: Entry) -> BrokenChain | None:
            return lost_changes.lost_between(self._vault, key, then, first, window, self._began)

        return AbsenceEvidence(self._request, window, looking.later, lambda: looking.lost, between)

    def _check_deletes(self) -> None:
        """Counts what would be deleted before anything is touched."""
        if not self._in_place:
            return
        self._tally = self._looking.tally(self._would_delete)
        if not self._request.dry_run:
            deletes.check(self._tally, self._request, self._name, moment.iso(self._request.at))

    def _would_delete(self, candidate: RowState) -> bool:
        if self._selection.rules_out(candidate) or not self._selection.wants(None, candidate.live):
            return False
        return self._evidence.against_deleting(candidate) is None

    # --- doing it ---

    def _meant(self, candidates: Iterator[RowState]) -> Generator[Decided, None, None]:
        """Yields the selected items, each with its image at the moment, or the reason why it cannot be read."""
        candidates = (each for each in candidates if not self._selection.rules_out(each) and not self._is_never_seen(each))
        wanted = ((each, None if each.gone else each.then) for each in self._while_hopeful(candidates))
        with closing(self._vault.images(wanted)) as images:
            for candidate, then in images:
                self._around.progress.advance(1)
                try:
                    if isinstance(then, BackstreamError) or self._selection.wants(then, candidate.live):
                        yield candidate, then
                except BackstreamError as error:
                    yield candidate, error

    def _is_never_seen(self, candidate: RowState) -> bool:
        """True if a row was requested by a key that neither the vault nor the table has ever held."""
        asked = self._request.keys and not isinstance(self._request.target, Resumed)
        if not asked or candidate.then is not None or candidate.live is not None:
            return False
        if self._looking.later.first(candidate.key) is not None:
            return False
        self._never_seen.append(candidate.key)
        return True

    def _found(self, meant: Iterator[Decided]) -> Iterator[Decided]:
        """Yields the same. Raises NotFound, before anything is touched, if a selection matches nothing."""
        if not self._request.selects or isinstance(self._request.target, Resumed):
            return meant
        first = next(meant, None)
        if first is None:
            raise nothing_matches(self._vault.catalog.table, self._request, self._selection.nearest())
        return itertools.chain([first], meant)

    def _while_hopeful(self, candidates: Iterator[RowState]) -> Iterator[RowState]:
        """Yields candidates. Once adding more makes no sense, no more images are read: the rest is left."""
        for candidate in candidates:
            if self._sink.hopeless and candidate.then is not None and not candidate.gone:
                self._around.progress.advance(1)
                self._left.leave(candidate.key, self._sink.hopeless)
            else:
                yield candidate

    def _do(self, candidate: RowState, then: bytes | BackstreamError | None, sink: Sink) -> None:
        if candidate.gone and candidate.live is None:
            return
        try:
            if isinstance(then, BackstreamError):
                raise then
            action = decide(then, candidate.live)
            if action is not Action.ALONE and not self._may_write(candidate, action):
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

    def _may_write(self, candidate: RowState, action: Action) -> bool:
        """True if an item that differs may be written; otherwise it is reported as spared, or as a conflict."""
        doubt = self._doubt(candidate, action)
        if doubt is not None:
            self._spare(candidate.key, doubt)
        elif self._was_changed(candidate):
            self._leave_conflict(candidate.key)
        else:
            return True
        return False

    def _doubt(self, candidate: RowState, action: Action) -> Doubt | None:
        if action is Action.DELETE and candidate.key in self._looking.uncertain:
            return Doubt("left alone, a change of it is missing: nothing tells whether it existed then", accepted=True)
        if self._in_place:
            evidence = self._evidence
            return evidence.against_deleting(candidate) if action is Action.DELETE else evidence.against_reverting(candidate)
        if action is Action.DELETE and self._request.force:
            return Doubt("left alone, somebody else has created it", accepted=True)
        return None

    def _spare(self, key: bytes, doubt: Doubt) -> None:
        self._spared += 1
        if len(self._sparing) < resume_file.MOST_NAMED:
            self._sparing.append(Failure(key.decode(), doubt.why))
        if doubt.accepted:
            self._counts[Action.ALONE] += 1
        else:
            self._left.leave(key, doubt.why)

    def _was_changed(self, candidate: RowState) -> bool:
        """True if somebody has changed a row since an interrupted restore began: it differs from its earlier state.

        In a new table that a restore has begun to fill, a row without its restored state belongs to somebody else.
        """
        if isinstance(self._request.target, Resumed) and not self._in_place:
            return candidate.live is not None and not self._request.force
        if self._looking.earlier_moment is None:
            return False
        earlier, live = candidate.earlier, candidate.live
        if earlier is None or earlier.removed:
            return live is not None
        return live is None or not wire.same_image(self._vault.image(earlier), live)

    def _leave_conflict(self, key: bytes) -> None:
        self._conflicts += 1
        self._left.leave(key, CONFLICT, conflict=True)

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
        for key in self._never_seen:
            self._left.name(Failure(key.decode(), NEVER_SEEN))
        if self._spared:
            self._looking.warnings.append(spared_words(self._spared, self._request))
        left = self._left.close()
        missing = list(dict.fromkeys([*self._looking.missing, *self._evidence.missing]))
        unrecorded = "" if self._request.dry_run else lost_changes.record(self._vault, self._evidence.missing)
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
            warnings=[*self._looking.warnings, *self._setup.notes, *filter(None, [unrecorded])],
            left=None if left is None else str(left),
            conflicts=self._conflicts,
            plan=None if self._planning is None else self._planning.planned(),
            undo=self._undo.command if self._undo.kept else None,
            settings=self._setup.settings,
            todo=[*self._setup.todo, *self._named.todo],
            grants=[*self._setup.grants, *self._named.grants],
            spared=self._spared,
            sparing=self._sparing,
            needs_expect_deletes=None if self._tally is None else deletes.needed(self._tally, self._request),
            expired=self._setup.expired,
            missing=lost_changes.reported(missing),
        )
