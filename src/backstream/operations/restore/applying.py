"""One pass over a prepared restore's items: decide for each, hand the writes to a sink, and account for every item."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing

import msgspec

from backstream.errors import BackstreamError
from backstream.model import moment
from backstream.model.plan import Action, decide
from backstream.model.values import wire
from backstream.operations.bulk.writer import LeftOut
from backstream.operations.inspect import lost_changes
from backstream.operations.restore import resume_file
from backstream.operations.restore.failures import Named
from backstream.operations.restore.plan import Planning
from backstream.operations.restore.report import Failure, Restored, TargetOutcome
from backstream.operations.restore.request import RestoreJob, RestoreTarget
from backstream.operations.restore.resume_file import Leftovers
from backstream.operations.restore.selection import Selection
from backstream.operations.restore.states import deletes
from backstream.operations.restore.states.evidence import AbsenceEvidence, Doubt
from backstream.operations.restore.states.row_states import RowCounts, RowState
from backstream.operations.restore.states.state_source import Candidates, StateSource
from backstream.operations.restore.targets.conditional_writer import CONFLICT
from backstream.operations.restore.targets.sinks import Nowhere, Sink, SpreadSink
from backstream.operations.restore.wording import NEVER_SEEN, erased_words, nothing_matches, spared_words
from backstream.ports import Delete, Put, Write

Decided = tuple[RowState, bytes | BackstreamError | None]


class Prepared(msgspec.Struct, frozen=True):
    """Everything that a pass needs, checked and read before anything is touched. `tally`: None where no rows are deleted."""

    job: RestoreJob
    target: RestoreTarget
    source: StateSource
    evidence: AbsenceEvidence
    selection: Selection
    candidates: Candidates
    named: Named
    began: float
    tally: RowCounts | None


class Pass:
    """One pass: `begin`, then `take`, then `report`. `left`: what is to be named as not done; `planning`: counts the cost."""

    def __init__(self, prepared: Prepared, left: Leftovers) -> None:
        self._target, self._source = prepared.target, prepared.source
        self._evidence, self._selection = prepared.evidence, prepared.selection
        self._prepared = prepared
        self._vault, self._request, self._around = prepared.job.vault, prepared.job.request, prepared.job.around
        self._left = left
        self._left.include(prepared.source.named)
        self._planning: Planning | None = None
        self._counts: Counter[Action] = Counter()
        self._sink: Sink = Nowhere()
        self._spared = 0
        self._sparing: list[Failure] = []
        self._never_seen: list[bytes] = []
        self._conflicts = 0
        self._meant: Generator[Decided, None, None] | None = None
        self._first: list[Decided] = []

    def begin(self) -> None:
        """Look at the first item. NotFound, before anything is touched, where a selection matches none."""
        self._meant = self._selected(self._prepared.candidates())
        if self._request.selects and not self._target.continues:
            self._first = list(itertools.islice(self._meant, 1))
            if not self._first:
                raise nothing_matches(self._vault, self._request, self._selection.nearest())

    def never_seen(self) -> set[bytes]:
        """The requested keys that neither the vault nor the table has ever held."""
        return {each.key for each in self._prepared.candidates() if self._is_never_seen(each)} if self._request.keys else set()

    def close(self) -> None:
        """Stop reading."""
        if self._meant is not None:
            self._meant.close()

    def count_cost(self) -> None:
        """From now on count what the writes cost, where they cost anything."""
        self._planning = self._target.planning()

    def leave_conflicts(self) -> None:
        """Name the rows that an earlier attempt found changed by somebody else, and that stay so."""
        for key in self._request.conflicts:
            self._leave_conflict(key)

    def take(self, sink: Sink) -> None:
        """Decide for every item, and return when all is done or named."""
        self._sink = sink
        if self._took_elsewhere(sink):
            self._finish(sink)
            return
        for candidate, then in itertools.chain(self._first, self._meant or ()):
            self._do(candidate, then, sink)
        self._finish(sink)

    def _finish(self, sink: Sink) -> None:
        for each in sink.finish():
            self._not_done(each)

    def _took_elsewhere(self, sink: Sink) -> bool:
        """True if the whole state, and nothing but that, was written where its partitions lie."""
        state = None if self._request.selects or self._target.continues else self._source.alone
        work = sink.work() if isinstance(sink, SpreadSink) and state is not None else None
        results = None if state is None or work is None else state.elsewhere(work)
        if state is None or results is None or not isinstance(sink, SpreadSink):
            return False
        self._planning = None  # nobody here has seen the images
        for number, each in enumerate(results, 1):
            items, left = sink.took(each)
            self._counts[Action.PUT] += items
            self._around.progress.expect(self._counts[Action.PUT] * state.partitions // number)
            self._around.progress.advance(items)
            for one in left:
                self._left.leave(one.key, one.why)
        if (more := sink.further()) is not None:
            self._around.progress.phase("writing", self._counts[Action.PUT])
            for each in state.elsewhere(more) or ():
                self._around.progress.advance(sink.took_further(each))
        return True

    # --- what is meant ---

    def _selected(self, candidates: Iterator[RowState]) -> Generator[Decided, None, None]:
        """The items that are selected, each with its image at the moment, or why that cannot be had."""
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
        asked = self._request.keys and not self._target.continues
        if not asked or candidate.then is not None or candidate.live is not None:
            return False
        if self._source.later.first(candidate.key) is not None:
            return False
        self._never_seen.append(candidate.key)
        return True

    def _while_hopeful(self, candidates: Iterator[RowState]) -> Iterator[RowState]:
        """Yields candidates. Once adding more makes no sense, no more images are read: the rest is left."""
        for candidate in candidates:
            if self._sink.gave_up_reason and candidate.then is not None and not candidate.gone:
                self._around.progress.advance(1)
                self._left.leave(candidate.key, self._sink.gave_up_reason)
            else:
                yield candidate

    # --- doing it ---

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
        if action is Action.DELETE and candidate.key in self._source.uncertain:
            return Doubt("left alone, a change of it is missing: nothing tells whether it existed then", accepted=True)
        if self._target.in_place:
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
        if self._target.continues and not self._target.in_place:
            return candidate.live is not None and not self._request.force
        if self._target.before is None:
            return False
        earlier, live = candidate.earlier, candidate.live
        if earlier is None or earlier.removed:
            return live is not None
        return live is None or not wire.same_image(self._vault.image(earlier), live)

    def _leave_conflict(self, key: bytes) -> None:
        self._conflicts += 1
        self._left.leave(key, CONFLICT, conflict=True)

    # --- the account ---

    def _not_done(self, left: LeftOut[Write]) -> None:
        self._counts[Action.DELETE if left.write.after is None else Action.PUT] -= 1
        key = self._vault.key_of(left.write.body)
        if left.reason == CONFLICT:
            self._leave_conflict(key)
        else:
            self._left.leave(key, left.reason)

    def report(self, outcome: TargetOutcome, *, dry_run: bool) -> Restored:
        """Returns the report of the rows that were written, or would be."""
        for key in () if self._request.keys_of_others else self._never_seen:
            self._left.name(Failure(key.decode(), NEVER_SEEN))
        tally, named, request = self._prepared.tally, self._prepared.named, self._request
        left = self._left.close()
        missing = list(dict.fromkeys([*self._source.missing, *self._evidence.missing]))
        unrecorded = "" if dry_run else lost_changes.record(self._vault, self._evidence.missing)
        spared = [spared_words(self._spared, request)] if self._spared else []
        erased = self._vault.erasures.lacks_at(request.at, request.keys or None)
        return Restored(
            table=self._vault.catalog.table,
            at=moment.iso(request.at),
            target=self._target.name,
            put=self._counts[Action.PUT],
            deleted=self._counts[Action.DELETE],
            unchanged=self._counts[Action.ALONE],
            failed=self._left.count,
            dry_run=dry_run,
            seconds=round(self._around.clock.now() - self._prepared.began, 3),
            failures=self._left.failures,
            warnings=[
                *self._source.warnings,
                *spared,
                *erased_words(self._vault, erased, request),
                *outcome.notes,
                *filter(None, [unrecorded]),
            ],
            left=None if left is None else str(left),
            conflicts=self._conflicts,
            plan=None if self._planning is None else self._planning.planned(),
            undo=outcome.undo,
            settings=outcome.settings,
            todo=[*outcome.todo, *named.todo],
            grants=[*outcome.grants, *named.grants],
            sets=outcome.sets,
            spared=self._spared,
            sparing=self._sparing,
            needs_expect_deletes=None if tally is None else deletes.needed(tally, request),
            expired=outcome.expired,
            missing=lost_changes.reported(missing),
            erased=erased,
        )
