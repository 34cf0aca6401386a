"""The recovery window: from when to when a restore is exact, and what stands in the way of a moment."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from functools import cached_property

import msgspec

from backstream.model import moment

AFTER_ALL = 10**11  # a second later than any


class KnownGap(msgspec.Struct, frozen=True):
    """Changes made between two seconds (both included) that may be missing, and why."""

    since: int
    until: int
    reason: str

    def __str__(self) -> str:
        return f"{moment.iso(self.since)} to {moment.iso(self.until)}: {self.reason}"


class Start(msgspec.Struct, frozen=True):
    """From `end` on the vault knows every item, as long as no change since `begin` is missing (seconds).

    A table that was empty at `init`: then the two are one. A base backup: when its scan began and when it ended. `id`: the base
    backup's, None of an empty table. `exact`: the second of which an export is the state, before anything that was done in it.
    """

    begin: int
    end: int
    id: str | None = None
    exact: int | None = None

    def known_at(self, second: int) -> bool:
        """Whether the state at the beginning of a second can be built on it."""
        return self.end < second or (self.exact is not None and self.exact <= second)


class IncrementalExport(msgspec.Struct, frozen=True):
    """An incremental export: what became of every item between `since` and `until` (not included), in seconds, without a stream.

    It may reach a little further, within the second `until`: a moment builds on it from that second's end on.
    """

    since: int
    until: int
    id: str = ""


class Path(msgspec.Struct, frozen=True):
    """What a moment's state is made of: a start, the log since, and in place of the log's gaps exports, the oldest first."""

    start: Start
    bridges: Sequence[IncrementalExport] = ()


class Range(msgspec.Struct, frozen=True):
    """Seconds, both included, of which each can be restored exactly."""

    since: int
    until: int

    def __str__(self) -> str:
        return f"{moment.iso(self.since)} to {moment.iso(self.until)}"


class Void(msgspec.Struct, frozen=True, tag=True):
    """Seconds, both included, of which only the lines of the export of that `id` count."""

    since: int
    until: int
    id: str


class FormerLife(msgspec.Struct, frozen=True, tag=True):
    """What came before a table was created again, in the second `created`: nothing of it is a row of the table since.

    `stream`: the label of the first stream since, empty where labels do not tell.
    """

    created: int
    stream: str


class Older(msgspec.Struct, frozen=True):
    """What an older tool has kept, by arrival: the first second, and the last up to which all that arrived has been taken in.

    `stale`: more has arrived since that was not taken in.
    """

    since: int
    until: int
    stale: bool = False

    def __str__(self) -> str:
        return f"by an older tool's backup, as its objects arrived: {moment.iso(self.since)} to {moment.iso(self.until)}"


class Window(msgspec.Struct, frozen=True, dict=True):
    """What the vault may claim, in seconds.

    `starts`: from when on it knows every item; `durable`: every change up to then has arrived, None where that is not known of any;
    `gaps`: changes that are missing from the log, oldest first, whether or not a later base backup makes up for them;
    `unseen`: what could not be looked at and may hold more gaps, in words, empty where that is nothing; `older`: what was adopted,
    which is no part of what is exact.
    """

    starts: Sequence[Start]
    durable: int | None
    gaps: Sequence[KnownGap]
    bridges: Sequence[IncrementalExport] = ()
    unseen: str = ""
    older: Older | None = None

    @cached_property
    def _obstacles(self) -> _Obstacles:
        return _Obstacles(self.gaps)

    @property
    def starts_empty(self) -> bool:
        """Whether the vault has followed the table from when it was empty: before that there was nothing."""
        return any(start.id is None for start in self.starts)

    def start(self, at: int) -> Start | None:
        """What a moment's state builds on: of the starts that had ended by then the last to begin; None where there is none."""
        ended = [start for start in self.starts if start.end <= at]
        return max(ended, key=_lateness, default=None)

    def starts_for(self, at: int) -> list[Start]:
        """All starts that a moment's state may build on with the same gaps in the way, the best first."""
        path = self.path(at)
        best = self.start(at) if path is None else path.start
        if best is None:
            return []
        ended = sorted((start for start in self.starts if start.end <= at), key=_lateness)
        # What lies between an earlier start and the best one is in the log, unless there is a gap.
        as_good = [
            each for each in reversed(ended) if each.begin < best.begin and not self._obstacles.between(each.begin, best.begin - 1)
        ]
        return [best, *as_good]

    def path(self, at: int) -> Path | None:
        """How the state at a moment is made, exactly; None where it cannot be.

        The newest start without a gap behind it, and the log. Or else an export that reaches over the last gap, on top of the exact
        state at its beginning.
        """
        return self._path(at, [start for start in self.starts if start.end <= at], at)

    def _path(self, at: int, starts: Sequence[Start], ended: int) -> Path | None:
        """As `path`, built on these starts, and on exports whose windows had ended by the second `ended`."""
        best = max(starts, key=_lateness, default=None)
        if best is not None and not self._obstacles.between(best.begin, at):
            return Path(best)
        last = max((min(gap.until, at) for gap in self.gaps if gap.since <= at), default=at)
        # An export that begins after the last gap tells nothing that the log does not: one that reaches over the gap goes first.
        for bridge in sorted(self.bridges, key=lambda bridge: (bridge.since <= last, bridge.until), reverse=True):
            if last < bridge.until <= ended:
                known = [start for start in self.starts if start.known_at(bridge.since)]
                before = self._path(bridge.since - 1, known, bridge.since)
                if before is not None:
                    return Path(before.start, [*before.bridges, bridge])
        return None

    def gaps_before(self, at: int) -> list[KnownGap]:
        """The gaps that make the state at a moment uncertain."""
        start = self.start(at)
        found = [gap for gap in self.gaps if gap.since <= at and (start is None or gap.until >= start.begin)]
        return [] if found and self.bridges and self.path(at) is not None else found

    def voids(self, at: int) -> list[Void]:
        """The seconds of which only an export's own lines count at a moment, since it tells all that became of every item.

        From its beginning to the end of the gap that it reaches over: an item may have been changed before the gap and changed
        back, or deleted, within it, and an export has no line for what is in the end as it was.
        """
        path = self.path(at)
        found = []
        for bridge in () if path is None else path.bridges:
            ends = [gap.until for gap in self.gaps if gap.since < bridge.until and gap.until >= bridge.since]
            found.append(Void(bridge.since, min(max(ends, default=bridge.since), bridge.until - 1), bridge.id))
        return found

    @property
    def ranges(self) -> list[Range]:
        """All moments at which a restore of the whole table is exact, oldest first, none next to another."""
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
        """The seconds at which it may change whether a moment is exact, and the end."""
        points = {durable + 1}
        points.update(start.end for start in self.starts)
        points.update(each for gap in self.gaps for each in (gap.since, gap.until + 1))
        points.update(bridge.until for bridge in self.bridges)
        return sorted(point for point in points if point <= durable + 1)

    @property
    def open_gaps(self) -> list[KnownGap]:
        """The gaps that make the newest state uncertain."""
        return self.gaps_before(AFTER_ALL)

    @property
    def since(self) -> int | None:
        """The first second of the newest range that is exact, or of what will be once the stream has been read up to there.

        None where there is no start, or changes are missing that it does not make up for.
        """
        ranges = self.ranges
        if ranges:
            return ranges[-1].since
        start = self.start(AFTER_ALL)
        return None if start is None or self.gaps_before(start.end) else start.end

    @property
    def until(self) -> int | None:
        """The last second at which a restore of the whole table is exact; None where there is none."""
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
        return f"recovery window: {known}" + ("" if self.older is None else f"; {self.older}")


def _lateness(start: Start) -> tuple[int, int]:
    return start.begin, start.end


class _Obstacles:
    """Whether any gap lies in a time: gaps may be thousands, one for each record that Lambda could not keep."""

    def __init__(self, gaps: Sequence[KnownGap]) -> None:
        ordered = sorted(gaps, key=lambda gap: gap.since)
        self._since = [gap.since for gap in ordered]
        self._until = list(itertools.accumulate((gap.until for gap in ordered), max))

    def between(self, begin: int, at: int) -> bool:
        """Whether a gap began by `at` and had not ended before `begin`."""
        begun = bisect.bisect_right(self._since, at)
        return begun > 0 and self._until[begun - 1] >= begin
