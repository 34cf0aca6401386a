"""Joins a vault's log, gaps and base backups: the recovery window, and the parts from which the state at a moment is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from backstream.errors import BackstreamError
from backstream.model import moment
from backstream.model.changes import fold
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry
from backstream.model.clocks import CLOCKS_APART, FAR_APART
from backstream.model.window import (
    BeforeHorizon,
    FormerLife,
    Ignored,
    IncrementalExport,
    KnownGap,
    Older,
    Start,
    SupersededRange,
    Window,
)
from backstream.vault import bases
from backstream.vault.bases import Base, Bases
from backstream.vault.catalog import Catalog
from backstream.vault.gaps.arrivals import Arrivals
from backstream.vault.gaps.failure_destination import Destination
from backstream.vault.gaps.gaps import Gap, Gaps
from backstream.vault.log.compacted import Compacted
from backstream.vault.log.log import ChangeLog, LogListing
from backstream.vault.log.segments import SegmentKind


class RestoreBase(msgspec.Struct, frozen=True):
    """The parts of a state: a base backup (None if the log reaches back far enough), and the log since it began.

    `floor`: entries before this second do not count; only the base backup, if there is one, does. `ignored`: the seconds of the log
    that do not count, because an export supersedes them, the table was created again since, or they are before the horizon.
    `earlier`: of a state that is kept from before the horizon, the base backups that it builds on, oldest first.
    """

    base: Base | None
    floor: int = fold.BEGINNING
    ignored: Sequence[Ignored] = ()
    earlier: Sequence[Base] = ()

    @property
    def bases(self) -> list[Base]:
        """The base backups whose parts are read, oldest first."""
        return [] if self.base is None else [*self.earlier, self.base]

    @property
    def log_since(self) -> int | None:
        """The second before which the log does not matter; None if all of it does."""
        if self.base is None:
            return None
        return self.base.end if self.is_state else self.floor - FAR_APART

    @property
    def is_state(self) -> bool:
        """True if the base backup holds entries of any age, as `retain` writes it."""
        return self.base is not None and self.base.kind.is_state

    def counts(self, entry: Entry) -> bool:
        """True if an entry of the log counts."""
        return counts(self.ignored, entry)

    def is_of_base(self, entry: Entry) -> bool:
        """True if an entry of a set of base backups is from the one in use. A set may also hold images of another one."""
        base = self.base
        if base is None:
            return False
        return entry.seconds <= base.end if self.is_state else base.begin <= entry.since <= base.end


def counts(ignored: Sequence[Ignored], entry: Entry) -> bool:
    """True if an entry of the log counts: see `RestoreBase.ignored`."""
    return not any(_ignores(each, entry) for each in ignored)


def _ignores(each: Ignored, entry: Entry) -> bool:
    if isinstance(each, BeforeHorizon):
        return entry.seconds <= each.until
    return _is_of_before(each, entry) if isinstance(each, FormerLife) else _is_superseded(each, entry)


def _is_superseded(each: SupersededRange, entry: Entry) -> bool:
    return each.since <= entry.since <= each.until and entry.event_id != each.id


def _is_of_before(life: FormerLife, entry: Entry) -> bool:
    """True if the entry is older than the table's life.

    A scanned image is taken to be older by as much as clocks may differ; a change states its stream.
    """
    if entry.scanned:
        return entry.since + CLOCKS_APART < life.created
    return entry.since < life.created or (bool(life.stream) and entry.stream < life.stream)


class _Read(msgspec.Struct, frozen=True):
    """The sources of a window, so that its user does not read them again.

    These are the complete base backups, the gaps of the log, and the gaps of single items.
    """

    window: Window
    complete: Sequence[Base]
    lost: Sequence[Gap]
    of_items: Sequence[Gap]


class Coverage:
    """Derives from one table's listings what is known, and from when on."""

    def __init__(
        self,
        catalog: Catalog,
        log: ChangeLog,
        gaps: Gaps,
        bases: Bases,
        compacted: Compacted,
        arrived_since: Callable[[str, int], bool],
        destination: Callable[[], Destination | None] = lambda: None,
    ) -> None:
        """`arrived_since`: returns whether an object of an older tool has arrived in a folder after a second."""
        self._catalog = catalog
        self._arrived_since = arrived_since
        self._stale: bool | None = None
        self._destination = destination
        self._log = log
        self._gaps = gaps
        self._bases = bases
        self._read: _Read | None = None
        self._arrivals = Arrivals(log, compacted)

    def window(self, now: float) -> Window:
        """Returns the period in which a restore is exact. It never exceeds what a watermark proves."""
        complete = self._bases.complete()
        starts, bridges = self._starts_and_bridges(complete)
        # The log before the gaps: a gap is recorded before the watermark that passes it is written.
        durable = self.durable(now)
        lost, of_items, unseen = self._gaps_and_unseen()
        older = self._older(now, followed=durable is not None or bool(starts))
        gaps = self._known_gaps(starts, lost)
        horizon = self._catalog.horizon
        window = Window(
            starts=starts,
            durable=durable,
            gaps=gaps,
            bridges=bridges,
            unseen=unseen,
            older=older,
            horizon=None if horizon is None else horizon.second,
            kept=[_start(each) for each in self._bases.every_kept()],
        )
        self._read = _Read(window, complete, lost, of_items)
        return window

    def _older(self, now: float, *, followed: bool) -> Older | None:
        """Returns what was adopted.

        As long as this tool has captured nothing, the older tool's bucket tells whether that still holds now.
        """
        adopted = self._catalog.adopted
        if adopted is None or self._catalog.horizon is not None:
            return None
        since, until = (moment.parse_iso_micros(each) // MICROS for each in (adopted.since, adopted.until))
        if followed:
            return Older(since, until)
        if self._stale is None:
            self._stale = self._arrived_since(adopted.folder, until)
        return Older(since, until if self._stale else max(until, int(now)), self._stale)

    def basis(self, at: int, window: Window | None = None) -> RestoreBase:
        """Returns the parts of the whole table's state at a second. See `bases_for`."""
        return self.bases_for(at, window)[0]

    def bases_for(self, at: int, window: Window | None = None) -> list[RestoreBase]:
        """Returns all alternatives for the state at a second. They are equally exact; the first one has the least to read.

        `window`: its sources are not read again.
        """
        if self._is_thinned(at):
            return self._kept(at)
        read = self._read_for(window)
        complete, missing = (self._bases.complete(), self.lost()) if read is None else (read.complete, read.lost)
        starts, bridges = self._starts_and_bridges(complete)
        life = self._catalog.life_at(at)
        if life is not None:  # a base backup of a table that is gone says nothing of the one that has its name now
            starts = [start for start in starts if _is_since(life.created, start)]
        known = Window(starts=starts, durable=None, gaps=self._known_gaps(starts, missing), bridges=bridges)
        base_of = {base.id: base for base in complete}
        ignored: list[Ignored] = [*known.superseded(at), *self.before_horizon]
        ignored += [] if life is None else [FormerLife(life.created, life.stream)]
        found = [_restore_base(start, base_of.get(start.id or ""), ignored) for start in known.starts_for(at)]
        return found or [RestoreBase(None, fold.BEGINNING, ignored)]

    def _is_thinned(self, at: int) -> bool:
        return self._catalog.horizon is not None and at < self._catalog.horizon.second

    def _kept(self, at: int) -> list[RestoreBase]:
        """Returns the parts of a state that is kept from before the horizon; nothing of the log counts for it."""
        bases = self._bases.kept(at)
        if not bases:
            return [RestoreBase(None, fold.BEGINNING, self.before_horizon)]
        return [RestoreBase(bases[-1], fold.BEGINNING, self.before_horizon, bases[:-1])]

    @property
    def before_horizon(self) -> list[Ignored]:
        """The part of the log that does not count, wherever it still lies: everything up to the horizon."""
        horizon = self._catalog.horizon
        return [] if horizon is None else [BeforeHorizon(horizon.second)]

    def _starts_and_bridges(self, complete: Sequence[Base]) -> tuple[list[Start], list[IncrementalExport]]:
        starts = [_start(each) for each in complete if each.kind is not bases.BaseKind.INCREMENTAL]
        horizon = fold.BEGINNING if self._catalog.horizon is None else self._catalog.horizon.second
        empty = [] if self._catalog.complete_from is None else [self._catalog.complete_from]
        empty += [life.created for life in self._catalog.lives if life.complete]
        starts += [Start(second, second) for second in empty if second > horizon]
        return starts, [
            IncrementalExport(each.begin, each.end, each.id) for each in complete if each.kind is bases.BaseKind.INCREMENTAL
        ]

    def _known_gaps(self, starts: Sequence[Start], lost: Sequence[Gap]) -> list[KnownGap]:
        gaps = [KnownGap(each.since, each.until, each.reason) for each in lost]
        followed = self.followed_from
        early = min((start.begin if start.exact is None else start.exact for start in starts), default=followed)
        if early < followed:
            gaps.append(KnownGap(early, followed - 1, "before `init`, when nobody followed the stream"))
        elif self._catalog.adopted is not None:
            until = moment.parse_iso_micros(self._catalog.adopted.until) // MICROS
            if until + CLOCKS_APART + 1 < followed:
                gaps.append(
                    KnownGap(until + 1, followed - 1, "after the older tool's backup was adopted, before the stream was on")
                )
        return sorted(gaps, key=lambda gap: gap.since)

    @property
    def followed_from(self) -> int:
        """Returns the second from which every change is in the log, or in a recorded gap."""
        initialised = moment.parse_iso_micros(self._catalog.initialised) // MICROS
        return initialised if self._catalog.complete_from is None else min(initialised, self._catalog.complete_from)

    def watermark(self, now: float) -> LogListing | None:
        """Returns the latest watermark. Nothing else in the log proves that all changes up to a second have arrived.

        A tail and the witness read every shard of the stream. A function does not learn which shard a batch is from, nor what it
        did not receive. So its segments prove nothing, and neither does a log that receives nothing.
        """
        horizon = 0 if self._catalog.horizon is None else self._catalog.horizon.second
        for piece in self._log.newest_first_days(now, max(horizon, self._catalog.complete_from or 0)):
            marks = [each for each in piece if each.segment is not None and each.segment.kind is SegmentKind.MARK]
            if marks:
                found = max(marks, key=_reach)
                self._log.vouch(found)
                return found
        return None

    def durable(self, now: float) -> int | None:
        """Returns the second up to which every change is proven to have arrived; None if none is proven."""
        found = self.watermark(now)
        return None if found is None or found.segment is None else found.segment.max_time

    def lost(self) -> list[Gap]:
        """Returns the gaps of the log that still stand, including batches that wait for redrive.

        A gap whose missing change has arrived since is closed.
        """
        return self._gaps_and_unseen()[0]

    def of_items(self, window: Window | None = None) -> Sequence[Gap]:
        """Returns the gaps of single items. `window`: its sources are not read again."""
        read = self._read_for(window)
        return self._gaps.of_items() if read is None else read.of_items

    def _read_for(self, window: Window | None) -> _Read | None:
        """Returns the sources of that window; None if it is not the last one."""
        return self._read if self._read is not None and self._read.window is window else None

    def _gaps_and_unseen(self) -> tuple[list[Gap], list[Gap], str]:
        """Returns the gaps of the log, the gaps of single items, and why there may be more that nobody can see."""
        # Read the waiting batches before what has arrived: a batch that is redriven meanwhile is in the log by then.
        waiting, unseen = self._waiting()
        recorded, of_items = self._recorded()
        known = {gap.batch for gap in recorded if gap.batch is not None}
        return [*recorded, *(gap for gap in waiting if gap.batch not in known)], of_items, unseen

    def _recorded(self) -> tuple[list[Gap], list[Gap]]:
        """Returns the gaps that stand, and the gaps of single items: they make one item uncertain, and no moment."""
        horizon = fold.BEGINNING if self._catalog.horizon is None else self._catalog.horizon.second
        every = [gap for gap in self._gaps.all() if gap.until > horizon]
        standing = self._arrivals.standing(self._gaps.unexplained([gap for gap in every if gap.key is None]))
        return standing, [gap for gap in every if gap.key is not None]

    def not_closed(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Returns the gaps that may still matter: they lack a change that is neither in a compacted set nor noted as arrived."""
        whole = [gap for gap in gaps if gap.key is None]
        return [*(gap for gap in gaps if gap.key is not None), *self._arrivals.not_held(self._gaps.unexplained(whole))]

    def fold_gaps(self) -> int:
        """Folds the records of gaps into an index, if there are many. Returns the number of records. See `vault.gaps.index`."""
        return self._gaps.fold(self.not_closed)

    def held_all_along(self, received: float) -> set[tuple[str, str]]:
        """Returns changes that were recorded as missing after a time (epoch seconds), and that compacted segments hold all the
        same.
        """
        return self._arrivals.below_markers(self._gaps.recorded_since(received))

    def _waiting(self) -> tuple[list[Gap], str]:
        """Returns the gaps of discarded batches, and a reason if the destination cannot be read.

        The vault must be enough. Its reader may have no permission for a bucket beside it, and must be told what that means.
        """
        url = self._catalog.failures
        if url is None:
            return [], ""
        try:
            destination = self._destination()
            if destination is None:
                return [], f"nobody looked into {url} for batches that Lambda gave up: the changes in it are missing here"
            return [destination.gap(each) for each in destination.waiting()], ""
        except BackstreamError as error:
            return (
                [],
                f"could not look into {url} for batches that Lambda gave up ({error.message}): the changes in it are missing here",
            )


def _reach(listed: LogListing) -> tuple[int, bool, float]:
    """Returns the sort key of a watermark's reach. If two reach equally far, the witness's ranks higher, because it says more."""
    segment = listed.segment
    return (0, False, 0.0) if segment is None else (segment.max_time, segment.witnessed, listed.modified)


def _is_since(created: int, start: Start) -> bool:
    """True if a start belongs to the table that was created in that second. A scan is taken to begin earlier than it did."""
    return (start.begin + (CLOCKS_APART if start.id is not None else 0) if start.exact is None else start.exact) >= created


def _start(base: Base) -> Start:
    """Returns the start of knowledge that a base backup is. A state at a second holds all changes of that second."""
    if base.kind.is_state:
        return Start(base.end + 1, base.end, base.id)
    return Start(base.begin, base.end, base.id, _exact(base))


def _restore_base(start: Start, base: Base | None, ignored: Sequence[Ignored]) -> RestoreBase:
    """Returns the parts that a state with this start is made of."""
    if base is not None and base.kind.is_state:
        return RestoreBase(base, fold.BEGINNING, [*ignored, BeforeHorizon(base.end)])
    # If the table was empty at `init`, nothing before that counts, because it is of a former life. But clocks may differ.
    return RestoreBase(base, start.begin - (CLOCKS_APART if start.id is None else 0), ignored)


def _exact(base: Base) -> int | None:
    """Returns an export's moment. Its base backup is taken to begin as much earlier as it ends later."""
    return (base.begin + base.end) // 2 if base.kind is bases.BaseKind.EXPORT else None
