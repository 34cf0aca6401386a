"""`verify`: compares the vault's state of a table with the live table, row by row.

The newest state of the log is compared with a strongly consistent scan, one partition in memory at a time. A differing row is only
a suspect: the change may be on its way. Suspects are looked at again and again, over `patience` seconds. Rows that have become
equal count as same; rows that still differ count as differences if neither side moved all that time, else as in flight. Each
further look reads only the part of the log that may have grown: after the second up to which it was proven whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress

import msgspec

from backstream.engine.local.spill import Pairs
from backstream.errors import AccessDenied, BackstreamError, Refused, UsageError
from backstream.model import moment
from backstream.model.changes.comparison import DIFFERENCES, ComparisonKind, TableObservation, compare, in_sample
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING, FoldState
from backstream.model.values import digests
from backstream.model.values.digests import ABSENT
from backstream.model.window import AFTER_ALL, Window
from backstream.operations.compare.recheck import (
    PATIENCE,
    ComparedRows,
    Suspects,
    by_verdict,
    counted,
    named,
    read_again,
    until_still,
)
from backstream.operations.compare.repair import repair
from backstream.operations.inspect import safety
from backstream.operations.inspect.explained_gaps import note_explained
from backstream.operations.inspect.safety import Identity
from backstream.operations.restore import Failure, RestoreContext
from backstream.operations.restore.states.foreign_objects import strangers
from backstream.operations.restore.states.row_states import RowState, of_state, scan_into
from backstream.operations.setup.server_clock import server_clock
from backstream.ports import TableState
from backstream.vault.bases import BaseKind
from backstream.vault.gaps.gaps import DifferingRow, Gap
from backstream.vault.table_vault import TableVault

MISSED = "`verify` found rows that the vault did not hold as the table did"
MOST_DIFFERING = 10_000  # rows that a gap names: about a megabyte


class _Look(msgspec.Struct, frozen=True):
    """One item's two sides. `newest`: the vault's entry of it; `before`: its last observation."""

    key: bytes
    known: FoldState
    newest: Entry | None
    live: bytes | None
    before: TableObservation | None = None

    @property
    def unmoved(self) -> TableObservation | None:
        """The last observation, if nothing has changed since."""
        return self.before if self.before is not None and self.before.still_is(self.newest, self.live) else None

    @property
    def wanted(self) -> Entry | None:
        """The entry whose image must be read; None if there is none."""
        return None if self.newest is None or self.newest.removed or self.unmoved is not None else self.newest

    def sight(self, image: bytes | BackstreamError | None) -> TableObservation | None:
        """Returns the observation; None if neither side has the item. Raises the error of an image that could not be read."""
        if isinstance(image, BackstreamError):
            raise image
        if (unmoved := self.unmoved) is not None:
            return unmoved
        kind = compare(image, self.live)
        return None if kind is None else self._sight(kind)

    def _sight(self, kind: ComparisonKind) -> TableObservation:
        return TableObservation(kind, self.live, moved=self.before is not None, known=self.known, newest=self.newest)


class Verified(ComparedRows, frozen=True, kw_only=True):
    """The result of comparing the vault, as the copy, with the live table.

    `sample`: the share of the keys that was compared, in percent. `repaired`: the number of differing or unreadable rows whose
    present state was written into the vault; their states in between stay unknown.
    """

    sample: float


def verify(
    vault: TableVault, around: RestoreContext, *, sample: float = 100.0, patience: float = PATIENCE, repair_as: str | None = None
) -> Verified:
    """Compares the vault's newest state with the live table. It writes only into the vault: a gap for lost changes.

    `sample`: compare only this share of the keys, in percent, chosen by a hash of the key; `patience`: the seconds for which a
    difference must stay unchanged to count, at least as long as a change takes into the vault; `repair_as`: the writer's name for
    writing the table's present state into the vault for differing rows, None to write no row.
    """
    if not 0 < sample <= 100:
        raise UsageError(f"not a share of the keys: {sample:g} %", hint="A sample is more than 0 and at most 100 percent.")
    around = msgspec.structs.replace(around, clock=server_clock(around.clock, around.table_of(vault.catalog.table)))
    with ExitStack() as stack:
        return _Verification(vault, around, sample, patience, stack).run(repair_as)


class _Verification:
    def __init__(self, vault: TableVault, around: RestoreContext, sample: float, patience: float, stack: ExitStack) -> None:
        self._vault = vault
        self._around = around
        self._sample = sample
        self._patience = patience
        self._stack = stack
        self._began = around.clock.now()
        self._proven = vault.window(self._began).durable
        self._table = around.table_of(vault.catalog.table)
        self._floor = BEGINNING
        self._same = 0
        self._failures: dict[str, str] = {}
        self._unreadable_rows: set[bytes] = set()
        self._erased = 0
        self._covered: set[bytes] = set()  # rows whose object has something on top that is no row

    def run(self, repair_as: str | None) -> Verified:
        note_explained(self._vault, self._began)
        if self._table.facts().schema != self._vault.catalog.key_schema:
            raise Refused(
                f"the table {self._table.name} has another key schema than the vault's",
                hint="It was created anew: back it up into another vault.",
            )
        if repair_as is not None:
            self._check_same_table()
        around, first = self._around, self._first_look()
        suspects = until_still(first, self._look_again, around.clock, around.progress, self._patience)
        lost = self._record_gap(suspects)
        repaired = 0 if repair_as is None else self._repair(suspects, repair_as)
        return self._report(suspects, repaired, lost)

    def _check_same_table(self) -> None:
        catalog = self._vault.catalog
        known = Identity(catalog.table_arn, catalog.table_id)
        safety.check_same_table(known, self._table.facts(), of="the vault's", way_on="")

    def _record_gap(self, suspects: Suspects[TableObservation]) -> list[str]:
        """Records that changes are missing: since the vault was last known to agree with the table, until now, repaired or not.

        Nothing is recorded without a base backup of the table, because then nothing is claimed of it. Nothing is recorded for a
        table that is not the vault's either, because it says nothing about this one. Returns the warnings, also if the vault may
        not be written.
        """
        try:
            self._check_same_table()
        except Refused as other:
            return [f"{other.message.removesuffix('; nothing was touched')}; nothing is recorded in the vault"]
        if not any(sight.verdict in DIFFERENCES for _, sight in suspects):
            return self._note_agreement(whole=not suspects.count)
        window = self._vault.window(self._began)
        if window.start(AFTER_ALL) is None:
            return []
        until = int(self._around.clock.now())
        gap = Gap(
            MISSED,
            min(self._last_agreed(window, until), until),
            until,
            self._vault.catalog.stream,
            differing=self._differing(suspects, until),
        )
        try:
            self._vault.gaps.record(gap)
        except AccessDenied as error:
            return [f"the gap of {moment.iso(gap.since)} to {moment.iso(gap.until)} could not be recorded: {error.message}"]
        return self._may_close(gap)

    def _may_close(self, gap: Gap) -> list[str]:
        """Returns a note about a gap that may not be a loss: nobody has proven yet that everything has arrived."""
        if gap.differing is None or (self._proven is not None and gap.until <= self._proven):
            return []
        what = "closes by itself if the changes that these rows lack arrive; if they do not, it is a loss"
        return [f"the gap of {moment.iso(gap.since)} to {moment.iso(gap.until)} that was recorded {what}"]

    def _differing(self, suspects: Suspects[TableObservation], until: int) -> tuple[DifferingRow, ...] | None:
        """Returns the rows that differ, if they are not very many, with the digests that will show whether their changes were only
        on their way.
        """
        began = int(self._began)
        rows = (
            DifferingRow(key.decode(), self._held(sight), digests.of_state(sight.live), began, until)
            for key, sight in suspects
            if sight.verdict in DIFFERENCES
        )
        found = tuple(itertools.islice(rows, MOST_DIFFERING + 1))
        return found if len(found) <= MOST_DIFFERING else None

    def _held(self, sight: TableObservation) -> str:
        """Returns the digest of the vault's state of a row. An older line does not state it."""
        told = ABSENT if sight.newest is None else sight.newest.leaves
        return digests.of_state(self._kept(sight)) if told is None else told

    def _last_agreed(self, window: Window, until: int) -> int:
        """Returns the last second at which the vault is known to have agreed with the table: by a `verify`, or a base backup.

        A state that `retain` wrote was read from the vault itself, so it is no evidence: what it holds of its own second may be
        wrong, too.
        """
        own = {each.id for each in self._vault.bases.complete() if each.kind is BaseKind.STATE}
        known = [each.end if each.id in own else each.begin for each in window.starts]
        return max([*known, self._vault.gaps.last_agreed(until) or BEGINNING])

    def _note_agreement(self, *, whole: bool) -> list[str]:
        """Notes that every row was the same. A reader that may not write notes nothing: a later gap is then longer."""
        if whole and self._sample == 100 and not self._failures:
            with suppress(AccessDenied):
                self._vault.gaps.agree(int(self._began))
        return []

    def _repair(self, suspects: Suspects[TableObservation], writer: str) -> int:
        """Repairs all rows that differ permanently, and rows whose image in the vault cannot be read."""
        self._around.progress.phase("repairing", None)
        differing = ((key, self._kept(sight)) for key, sight in suspects if sight.verdict in DIFFERENCES)
        found = {key for key, sight in suspects if sight.verdict in DIFFERENCES}
        rows = itertools.chain(differing, ((key, None) for key in sorted((self._unreadable_rows | self._covered) - found)))
        return repair(self._vault, self._table, rows, self._around.clock, self._around.progress, writer=writer)

    def _kept(self, sight: TableObservation) -> bytes | None:
        gone = sight.newest is None or sight.newest.removed
        return None if gone or sight.newest is None else self._vault.image(sight.newest)

    # --- looking ---

    def _first_look(self) -> Suspects[TableObservation]:
        with self._state() as state, Pairs(state.partitions, buffer=self._around.memory.buffer) as live:
            self._around.progress.phase("reading the live table", None)
            scan_into(self._vault, self._table, live)
            for stranger in strangers(self._vault, state):
                self._failures[stranger.what] = stranger.why
            self._floor = state.floor
            rows = of_state(state, live, self._around.progress, with_known=True)
            sampled = (self._noted(each) for each in rows if in_sample(each.key, self._sample))
            return self._compare(self._look(each.key, each.known, each.live) for each in sampled)

    def _noted(self, row: RowState) -> RowState:
        if row.then is not None and row.then.place is not None and row.then.place.name in self._failures:
            self._covered.add(row.key)
        return row

    def _look_again(self, suspects: Suspects[TableObservation]) -> Suspects[TableObservation]:
        with self._state(since=self._proven) as news, Pairs(news.partitions, buffer=self._around.memory.buffer) as again:
            self._around.progress.phase("reading live rows", suspects.count)
            for key, live, before in self._live_again(suspects):
                again.add(key, msgspec.msgpack.encode((live, before)))
            return self._compare(self._looks_again(news, again))

    @contextmanager
    def _state(self, since: int | None = None) -> Iterator[TableState]:
        """Yields the vault's newest state, or its changes since that second."""
        self._around.progress.phase("reading the change log", None)
        rows = self._table.facts().items if since is None else 0
        progress = self._around.progress
        with self._vault.engine.state(
            self._vault, AFTER_ALL, progress.advance, since=since, rows=rows, expected=progress.expect
        ) as state:
            self._failures.update({each.name: each.why for each in (*state.unreadable, *state.passed_over)})
            yield state

    def _live_again(self, suspects: Suspects[TableObservation]) -> Iterator[tuple[bytes, bytes | None, TableObservation]]:
        """Yields each suspect's key, its image in the table by now, and its last observation."""

        def fetch(batch: Sequence[tuple[bytes, TableObservation]]) -> Mapping[bytes, bytes]:
            return {self._vault.key_of(image): image for image in self._table.fetch([key for key, _ in batch])}

        for batch, live in read_again(suspects, fetch, self._around.memory.bodies, _weight):
            self._around.progress.advance(len(batch))
            yield from ((key, live.get(key), before) for key, before in batch)

    def _looks_again(self, news: TableState, again: Pairs) -> Iterator[_Look]:
        for number in range(news.partitions):
            changed = news.partition(number)
            for key, value in again.read(number):
                live, before = _fetched.decode(value)
                yield self._look(key, before.known.with_known(changed.known(key)), live, before)

    def _look(self, key: bytes, known: FoldState, live: bytes | None, before: TableObservation | None = None) -> _Look:
        return _Look(key, known, known.newest(self._floor), live, before)

    # --- comparing ---

    def _compare(self, looks: Iterable[_Look]) -> Suspects[TableObservation]:
        """Compares these looks, and returns the differing items. An unreadable image is named, and the rest continues."""
        self._around.progress.phase("comparing rows", None)
        suspects = self._stack.enter_context(closing(Suspects(TableObservation, self._around.memory.buffer)))
        with closing(self._vault.images((look, look.wanted) for look in looks)) as images:
            for look, image in images:
                self._around.progress.advance(1)
                try:
                    sight = look.sight(image)
                except BackstreamError as error:
                    self._failures[look.key.decode()] = error.message
                    self._unreadable_rows.add(look.key)
                    continue
                if sight is None:
                    continue
                if look.newest is None and look.before is None and self._vault.erasures.of(look.key) is not None:
                    self._erased += 1  # it still lives: the vault was told to forget it
                    continue
                if sight.kind is ComparisonKind.SAME:
                    self._same += 1
                else:
                    suspects.add(look.key, sight)
        return suspects

    # --- the account ---

    def _report(self, suspects: Suspects[TableObservation], repaired: int, lost: Sequence[str]) -> Verified:
        keys = by_verdict(suspects)
        return Verified(
            table=self._vault.catalog.table,
            at=moment.iso(self._began),
            same=self._same,
            **counted(keys),
            failed=len(self._failures),
            keys=named(keys),
            sample=self._sample,
            seconds=round(self._around.clock.now() - self._began, 3),
            failures=[Failure(what, why) for what, why in self._failures.items()],
            warnings=[*self._warnings(keys), *lost],
            repaired=repaired,
        )

    def _warnings(self, found: Mapping[ComparisonKind, Sequence[bytes]]) -> Iterator[str]:
        """Yields the warnings about the counts."""
        window = self._vault.window(self._around.clock.now())
        if self._erased:
            yield f"{self._erased:,} live rows are not compared: they were erased from the vault, and have not changed since"
        if self._sample < 100:
            yield f"a sample: {self._sample:g} % of the keys were compared, chosen by a hash of the key"
        if window.older is not None and not window.starts:
            yield safety.LIMITS
        elif found[ComparisonKind.MISSING] and not window.starts:
            yield (
                "the table was not empty at `init`, and there is no base backup: rows that have not changed since are missing "
                f"until there is one (`backstream backfill {self._vault.catalog.table}`)"
            )
        yield from (f"changes may be missing: {gap}" for gap in window.open_gaps)
        yield from safety.not_seen(window)
        if any(found[kind] for kind in DIFFERENCES):
            yield from safety.not_yet_arrived(self._vault.catalog.table, int(self._began), window)
        if found[ComparisonKind.IN_FLIGHT]:
            yield f"rows in flight changed while they were compared, for {self._patience:g} s: nothing is said of them"


def _weight(sight: TableObservation) -> int:
    """Returns the bytes of the images that an observation holds."""
    return sum(len(image) for image in (sight.live, sight.newest.image if sight.newest else None) if image)


_fetched = msgspec.msgpack.Decoder(tuple[bytes | None, TableObservation])
