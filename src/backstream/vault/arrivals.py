"""Changes that were recorded as missing, looked for in the log: all gaps together, each segment once.

A segment that is not seen here leaves a gap open, which is the safe side. So of the hours that are compacted only the objects that
nobody has hidden are listed: what a set has taken over, the record of what is compacted names itself (`Generation.held`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.model.changes.entry import Entry
from backstream.vault.gaps import Gap
from backstream.vault.log.compacted import Compacted, Generation
from backstream.vault.log.log import DAY, HOUR, ChangeLog, LogListing

READERS = 16
Number = tuple[str, int]  # a stream's label, and a sequence number
Ranges = list[tuple[int, int]]  # seconds, both included


class Arrivals:
    """Tells which gaps still stand. What has arrived stays in the vault, so it is looked for until it is found, and no longer."""

    def __init__(self, log: ChangeLog, compacted: Compacted) -> None:
        self._log = log
        self._compacted = compacted
        self._found: set[Number] = set()
        self._without: dict[str, set[Number]] = {}  # by the name of a segment: numbers that it does not hold

    def standing(self, gaps: Sequence[Gap]) -> list[Gap]:
        """The gaps of which the log lacks a change, and those that name none."""
        if self._missing(gaps):
            self._look_up(self._missing(gaps))
        return [gap for gap in gaps if not gap.numbers or self._missing([gap])]

    def _missing(self, gaps: Sequence[Gap]) -> list[Gap]:
        return [gap for gap in gaps if gap.numbers and not _numbers(gap) <= self._found]

    def _look_up(self, gaps: Sequence[Gap]) -> None:
        before = self._compacted.current()
        self._found |= _held(before)
        left = self._missing(gaps)
        if not left:
            return
        for listing in self._listings(left, before):
            self._read(listing, set().union(*map(_numbers, left)) - self._found)
        # Asked for after the segments have been looked at: what has been compacted meanwhile stands in it.
        self._found |= _held(self._compacted.current()) if self._missing(left) else set()

    def _listings(self, gaps: Sequence[Gap], generation: Generation) -> Iterator[Iterator[LogListing]]:
        compacted = max(0, generation.compacted_until - DAY)
        old = _ranges([gap for gap in gaps if gap.until < compacted])
        if old:
            yield self._within(old, hidden_since=compacted)
        for since, until in _ranges([gap for gap in gaps if gap.until >= compacted]):
            yield self._log.listing(since=since, until=until)

    def _within(self, ranges: Ranges, hidden_since: int) -> Iterator[LogListing]:
        """The segments of all of these hours in one listing, which passes over what is hidden."""
        for listed in self._log.listing(since=ranges[0][0], until=ranges[-1][1], hidden_since=hidden_since):
            seconds = listed.seconds
            if seconds is not None and any(since <= seconds[1] and seconds[0] <= until for since, until in ranges):
                yield listed

    def _read(self, listing: Iterator[LogListing], missing: set[Number]) -> None:
        """Read the segments that may hold one of these, side by side."""
        by_stream = _by_stream(missing)
        asked = [(each, wanted) for each in listing if (wanted := self._wanted_of(each, by_stream))]
        with ThreadPoolExecutor(READERS, thread_name_prefix="arrivals") as pool:
            for each, wanted, entries in pool.map(self._fetched, asked):
                found = wanted & {(entry.stream, int(entry.sequence)) for entry in entries}
                self._found |= found
                self._without.setdefault(each.name, set()).update(wanted - found)

    def _fetched(self, asked: tuple[LogListing, set[Number]]) -> tuple[LogListing, set[Number], list[Entry]]:
        return *asked, self._log.read(asked[0])

    def _wanted_of(self, listed: LogListing, by_stream: dict[str, list[int]]) -> set[Number]:
        """What a segment may hold of them, by its name, as far as it has not been read for that."""
        segment = listed.segment
        if segment is None or not segment.count or segment.stream not in by_stream:
            return set()
        first, last = int(segment.first), int(segment.last)
        there = {(segment.stream, each) for each in by_stream[segment.stream] if first <= each <= last}
        return there - self._without.get(listed.name, set())


def _numbers(gap: Gap) -> set[Number]:
    return {(gap.stream, int(each)) for each in gap.numbers}


def _held(generation: Generation) -> set[Number]:
    return {(stream, int(number)) for stream, number in generation.held}


def _by_stream(numbers: set[Number]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for stream, number in sorted(numbers):
        found.setdefault(stream, []).append(number)
    return found


def _ranges(gaps: Sequence[Gap]) -> Ranges:
    """The times of these gaps, those together that one page of a listing holds as a rule."""
    found: Ranges = []
    for since, until in sorted((gap.since, gap.until) for gap in gaps):
        if found and since <= found[-1][1] + HOUR:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found
