"""Looks in the log for changes that were recorded as missing: all gaps together, each segment once.

A segment that is not seen here leaves a gap open, which is the safe side. So for compacted hours only objects that are not hidden
are listed: the record of compaction itself names the changes in sets (`Generation.held`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise

from backstream.vault.gaps.gaps import Gap
from backstream.vault.log.compacted import Compacted, Generation
from backstream.vault.log.log import DAY, HOUR, ChangeLog, LogListing
from backstream.vault.log.segments import Segment, SegmentKind

READERS = 16
LISTINGS = 4  # gaps of many times are looked for in so many listings at most
Number = tuple[str, int]  # a stream's label, and a sequence number
Times = list[tuple[int, int]]  # seconds, both included


class Arrivals:
    """Tells which gaps still stand. A change that has arrived stays in the vault, so it is looked for only until it is found."""

    def __init__(self, log: ChangeLog, compacted: Compacted) -> None:
        self._log = log
        self._compacted = compacted
        self._found: set[Number] = set()
        self._without: dict[str, set[Number]] = {}  # by the name of a segment: numbers that it does not hold

    def standing(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Returns the gaps that lack a change in the log, and those that name none."""
        missing = self._missing(gaps)
        if missing:
            self._look_up(missing)
        return [gap for gap in gaps if not gap.numbers or self._missing([gap])]

    def not_held(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Returns the gaps that name no change, or one that is in no compacted set, by its record: no segment is read."""
        held = _held(self._compacted.current())
        return [gap for gap in gaps if not gap.numbers or not _numbers(gap) <= held]

    def below_markers(self, gaps: Sequence[Gap]) -> set[tuple[str, str]]:
        """Returns the stream and number of each missing change of these gaps that a segment hidden by compaction holds."""
        held = self._compacted.current()
        times = _few(_times([gap for gap in gaps if gap.numbers and not _numbers(gap) <= _held(held)]))
        for since, until in times:
            self._read(self._log.listing(since=since, until=until), set().union(*map(_numbers, gaps)) - self._found)
        return {(gap.stream, each) for gap in gaps for each in gap.numbers if (gap.stream, int(each)) in self._found}

    def _missing(self, gaps: Sequence[Gap]) -> list[Gap]:
        return [gap for gap in gaps if gap.numbers and not _numbers(gap) <= self._found]

    def _look_up(self, gaps: Sequence[Gap]) -> None:
        before = self._compacted.current()
        self._found |= _held(before)
        left = self._missing(gaps)
        if not left:
            return
        self._read(self._listed(left, before), set().union(*map(_numbers, left)) - self._found)
        # Asked for after the segments have been looked at, because it lists what has been compacted meanwhile.
        self._found |= _held(self._compacted.current()) if self._missing(left) else set()

    def _listed(self, gaps: Sequence[Gap], generation: Generation) -> Iterator[LogListing]:
        """Yields the segments around the times of these gaps."""
        compacted = max(0, generation.compacted_until - DAY)
        old = _times([gap for gap in gaps if gap.until < compacted])
        if old:
            yield from self._log.listing(since=old[0][0], until=old[-1][1], hidden_since=compacted)
        for since, until in _few(_times([gap for gap in gaps if gap.until >= compacted])):
            yield from self._log.listing(since=since, until=until)

    def _read(self, listing: Iterator[LogListing], missing: set[Number]) -> None:
        """Reads the segments that may hold one of these, side by side."""
        by_stream = _by_stream(missing)
        asked = ((each, wanted) for each in listing if (wanted := self._wanted_of(each, by_stream)))
        with ThreadPoolExecutor(READERS, thread_name_prefix="arrivals") as pool:
            while together := list(islice(asked, READERS)):
                for (each, wanted), entries in zip(together, pool.map(lambda one: self._log.read(one[0]), together), strict=True):
                    found = wanted & {(entry.stream, int(entry.sequence)) for entry in entries}
                    self._found |= found
                    self._without.setdefault(each.name, set()).update(wanted - found)

    def _wanted_of(self, listed: LogListing, by_stream: dict[str, list[int]]) -> set[Number]:
        """Returns the changes among them that a segment may hold, by its name, and that it has not been read for yet."""
        segment = listed.segment
        if segment is None or segment.stream not in by_stream:
            return set()
        if not segment.count:
            self._found |= passed_by(segment)
            return set()
        numbers = by_stream[segment.stream]
        there = numbers[bisect_left(numbers, int(segment.first)) : bisect_right(numbers, int(segment.last))]
        return {(segment.stream, each) for each in there} - self._without.get(listed.name, set())


def passed_by(segment: Segment) -> set[Number]:
    """Returns the change that a segment without lines is of, if it is of one alone: it came, and was erased or discarded."""
    alone = not segment.count and segment.first == segment.last and segment.kind is not SegmentKind.MARK
    return {(segment.stream, int(segment.first))} if alone else set()


def _numbers(gap: Gap) -> set[Number]:
    return {(gap.stream, int(each)) for each in gap.numbers}


def _held(generation: Generation) -> set[Number]:
    return {(stream, int(number)) for stream, number in generation.held}


def _by_stream(numbers: set[Number]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for stream, number in sorted(numbers):
        found.setdefault(stream, []).append(number)
    return found


def _times(gaps: Sequence[Gap]) -> Times:
    """Returns the times of the gaps, none within an hour of another."""
    found: Times = []
    for since, until in sorted((gap.since, gap.until) for gap in gaps):
        if found and since <= found[-1][1] + HOUR:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found


def _few(times: Times) -> Times:
    """Returns the same times in a few listings, parted at the largest distances."""
    widest = sorted(range(1, len(times)), key=lambda place: times[place][0] - times[place - 1][1])[-(LISTINGS - 1) :]
    starts = [0, *sorted(widest), len(times)]
    return [(times[one][0], times[other - 1][1]) for one, other in pairwise(starts)] if times else []
