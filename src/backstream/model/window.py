"""The recovery window: the period in which a restore is exact, and the obstacles for a moment."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from functools import cached_property

import msgspec

from backstream.model import moment
from backstream.model.counts import counted

AFTER_ALL = 10**11  # a second later than any


class KnownGap(msgspec.Struct, frozen=True):
    """A period (seconds, both included) whose changes may be missing, and why."""

    since: int
    until: int
    reason: str

    def __str__(self) -> str:
        return f"{moment.iso(self.since)} to {moment.iso(self.until)}: {self.reason}"


class Start(msgspec.Struct, frozen=True):
    """A start of knowledge: from `end` on the vault knows every item, as long as no change since `begin` is missing (seconds).

    For a table that was empty at `init`, both are the same second. For a base backup, they are the begin and the end of its scan.
    `id`: the base backup's id, None for an empty table. `exact`: the second whose beginning an export shows, before any change in
    it.
    """

    begin: int
    end: int
    id: str | None = None
    exact: int | None = None

    def known_at(self, second: int) -> bool:
        """True if the state at the beginning of a second can be built on it."""
        return self.end < second or (self.exact is not None and self.exact <= second)


class IncrementalExport(msgspec.Struct, frozen=True):
    """An incremental export: every item's net change between `since` and `until` (not included), in seconds, without a stream.

    It may reach a little further, within the second `until`, so a moment builds on it only from that second's end on.
    """

    since: int
    until: int
    id: str = ""


class Path(msgspec.Struct, frozen=True):
    """The parts of a moment's state: a start, the log since, and exports in place of the log's gaps, oldest first."""

    start: Start
    bridges: Sequence[IncrementalExport] = ()


class Range(msgspec.Struct, frozen=True):
    """A range of seconds, both included. Each second can be restored exactly."""

    since: int
    until: int

    def __str__(self) -> str:
        return f"{moment.iso(self.since)} to {moment.iso(self.until)}"


class SupersededRange(msgspec.Struct, frozen=True, tag=True):
    """A superseded range: seconds, both included, in which only the lines of the export with that `id` count."""

    since: int
    until: int
    id: str


class FormerLife(msgspec.Struct, frozen=True, tag=True):
    """The time before a table was created again, in the second `created`: none of its items is a row of the table since.

    `stream`: the label of the first stream since, empty if labels do not tell.
    """

    created: int
    stream: str


class BeforeHorizon(msgspec.Struct, frozen=True, tag=True):
    """The time up to the horizon, in the second `until`: the base backup of that second holds the outcome of all older changes."""

    until: int


Ignored = SupersededRange | FormerLife | BeforeHorizon  # times whose entries in the log do not count


class Older(msgspec.Struct, frozen=True):
    """The objects of an older tool, by arrival: the first second, and the last second up to which all of them have been taken in.

    `stale`: True if more have arrived since that were not taken in.
    """

    since: int
    until: int
    stale: bool = False

    def __str__(self) -> str:
        return f"by an older tool's backup, as its objects arrived: {moment.iso(self.since)} to {moment.iso(self.until)}"


class Window(msgspec.Struct, frozen=True, dict=True):
    """The claims that the vault may make, in seconds.

    `starts`: the starts of complete knowledge; `durable`: the second up to which every change has arrived, None if none is proven;
    `gaps`: changes that are missing from the log, oldest first, even if a later base backup makes up for them; `unseen`: a
    description of sources that could not be read and may hold more gaps, or empty; `older`: the adopted objects, which do not
    belong to the exact period; `horizon`: the second from which history is kept, None if all of it is; `kept`: the single states
    from before it that can be restored, oldest first: each is known in the second of its `end`, and in no other one.
    """

    starts: Sequence[Start]
    durable: int | None
    gaps: Sequence[KnownGap]
    bridges: Sequence[IncrementalExport] = ()
    unseen: str = ""
    older: Older | None = None
    horizon: int | None = None
    kept: Sequence[Start] = ()

    @cached_property
    def _obstacles(self) -> _Obstacles:
        return _Obstacles(self.gaps)

    @property
    def starts_empty(self) -> bool:
        """True if the vault has followed the table since it was empty: before that there was nothing."""
        return any(start.id is None for start in self.starts)

    def start(self, at: int) -> Start | None:
        """The latest-starting base that had completed by `at`; None if there is none."""
        return max(self._ended(at), key=_lateness, default=None)

    def _ended(self, at: int) -> list[Start]:
        """Returns the starts that had ended by a second. Before the horizon, only a kept state of that very second counts."""
        if self.is_thinned(at):
            return [each for each in self.kept if each.end == at]
        return [start for start in self.starts if start.end <= at]

    def is_thinned(self, at: int) -> bool:
        """True for a second before the horizon."""
        return self.horizon is not None and at < self.horizon

    @property
    def kept_seconds(self) -> list[int]:
        """Returns the seconds before the horizon whose states can be restored, oldest first."""
        kept = [each for each in self.kept if self.is_thinned(each.end)]
        return [each.end for each in kept if not self._obstacles.between(each.begin, each.end)]

    def starts_for(self, at: int) -> list[Start]:
        """Returns all starts that a moment's state may build on with the same gaps in the way, the best first."""
        path = self.path(at)
        best = self.start(at) if path is None else path.start
        if best is None:
            return []
        ended = sorted(self._ended(at), key=_lateness)
        # The changes between an earlier start and the best one are in the log, unless there is a gap.
        as_good = [
            each for each in reversed(ended) if each.begin < best.begin and not self._obstacles.between(each.begin, best.begin - 1)
        ]
        return [best, *as_good]

    def path(self, at: int) -> Path | None:
        """Returns the exact way to make the state at a moment; None if there is none.

        That is the newest start without a gap behind it, and the log. Otherwise it is an export that reaches over the last gap, on
        top of the exact state at its beginning.
        """
        return self._path(at, self._ended(at), at)

    def _path(self, at: int, starts: Sequence[Start], ended: int) -> Path | None:
        """Returns the same as `path`, built on these starts, and on exports whose windows had ended by the second `ended`."""
        best = max(starts, key=_lateness, default=None)
        if best is not None and not self._obstacles.between(best.begin, at):
            return Path(best)
        last = max((min(gap.until, at) for gap in self.gaps if gap.since <= at), default=at)
        # An export that begins after the last gap adds nothing to the log, so one that reaches over the gap goes first.
        for bridge in sorted(self.bridges, key=lambda bridge: (bridge.since <= last, bridge.until), reverse=True):
            if last < bridge.until <= ended:
                known = [start for start in self.starts if start.known_at(bridge.since)]
                before = self._path(bridge.since - 1, known, bridge.since)
                if before is not None:
                    return Path(before.start, [*before.bridges, bridge])
        return None

    def gaps_before(self, at: int) -> list[KnownGap]:
        """Returns the gaps that make the state at a moment uncertain."""
        start = self.start(at)
        found = [gap for gap in self.gaps if gap.since <= at and (start is None or gap.until >= start.begin)]
        return [] if found and self.bridges and self.path(at) is not None else found

    def superseded(self, at: int) -> list[SupersededRange]:
        """Returns the seconds in which only an export's own lines count at a moment, since it holds every item's net change.

        They reach from its beginning to the end of the gap that it covers. An item may have been changed before the gap and changed
        back, or deleted, within it, and an export has no line for an item that ends up unchanged.
        """
        path = self.path(at)
        found = []
        for bridge in () if path is None else path.bridges:
            ends = [gap.until for gap in self.gaps if gap.since < bridge.until and gap.until >= bridge.since]
            found.append(SupersededRange(bridge.since, min(max(ends, default=bridge.since), bridge.until - 1), bridge.id))
        return found

    @property
    def ranges(self) -> list[Range]:
        """Returns all moments at which a restore of the whole table is exact, oldest first, as ranges that do not touch."""
        if self.durable is None:
            return []
        joined: list[Range] = []
        for since, after in itertools.pairwise(self._turning_points(self.durable)):
            start = self.start(since)
            if start is None or (self._obstacles.between(start.begin, since) and (not self.bridges or self.path(since) is None)):
                continue
            if joined and since == joined[-1].until + 1:
                joined[-1] = Range(joined[-1].since, after - 1)
            else:
                joined.append(Range(since, after - 1))
        return joined

    def _turning_points(self, durable: int) -> list[int]:
        """Returns the seconds at which exactness may change, and the end."""
        points = {durable + 1}
        points.update(start.end for start in self.starts)
        points.update(each for gap in self.gaps for each in (gap.since, gap.until + 1))
        points.update(bridge.until for bridge in self.bridges)
        return sorted(point for point in points if point <= durable + 1)

    @property
    def open_gaps(self) -> list[KnownGap]:
        """Returns the gaps that make the newest state uncertain."""
        return self.gaps_before(AFTER_ALL)

    @property
    def since(self) -> int | None:
        """Returns the first second of the newest exact range, or of the range that will be exact once the stream has been read up
        to there.

        Returns None if there is no start, or if missing changes remain that it does not make up for.
        """
        ranges = self.ranges
        if ranges:
            return ranges[-1].since
        start = self.start(AFTER_ALL)
        return None if start is None or self.gaps_before(start.end) else start.end

    @property
    def until(self) -> int | None:
        """Returns the last second at which a restore of the whole table is exact; None if there is none."""
        ranges = self.ranges
        return ranges[-1].until if ranges else None

    def __str__(self) -> str:
        if not self.starts:
            known = "no base backup: the table was not empty at `init`"
        elif self.ranges:
            known = ", and ".join(map(str, self.ranges))
        elif self.since is not None:
            known = f"from {moment.iso(self.since)}, once the stream has been read up to there"
        else:
            known = "none, since changes are missing: " + "; ".join(map(str, self.open_gaps))
        kept = "" if self.horizon is None else f"; history is kept from {moment.iso(self.horizon)}, the horizon"
        if seconds := self.kept_seconds:
            span = f", {moment.iso(seconds[0])} to {moment.iso(seconds[-1])}" if seconds[1:] else f", {moment.iso(seconds[0])}"
            kept += f"; and {counted(len(seconds), 'single state')} before it{span}"
        return f"recovery window: {known}" + ("" if self.older is None else f"; {self.older}") + kept


def _lateness(start: Start) -> tuple[int, int]:
    return start.begin, start.end


class _Obstacles:
    """Tells whether any gap lies in a period. There may be thousands of gaps, one for each record that Lambda could not keep."""

    def __init__(self, gaps: Sequence[KnownGap]) -> None:
        ordered = sorted(gaps, key=lambda gap: gap.since)
        self._since = [gap.since for gap in ordered]
        self._until = list(itertools.accumulate((gap.until for gap in ordered), max))

    def between(self, begin: int, at: int) -> bool:
        """True if a gap began by `at` and had not ended before `begin`."""
        begun = bisect.bisect_right(self._since, at)
        return begun > 0 and self._until[begun - 1] >= begin
