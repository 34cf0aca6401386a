"""Counts changes by time, from the names of the log's objects alone: their contents are not read.

A segment's name states the number of its changes and their period. A compacted set states only its total; the names of its source
segments state the periods.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec

from backstream.errors import BackstreamError
from backstream.vault.log.compacted import Set
from backstream.vault.table_vault import TableVault

STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1_800,
    3_600,
    7_200,
    14_400,
    21_600,
    43_200,
    86_400,
    604_800,
    2_592_000,
    31_536_000,
)
BARS = 120  # at most
MOST_KEPT = 2_000  # sets whose segments are remembered
MOST_OLDER = 100  # sets of earlier compactions that are asked


class Counted(msgspec.Struct, frozen=True):
    """A number of changes between two seconds, both included.

    `named`: True if a segment's name states it, and not only a set's total.
    """

    since: int
    until: int
    count: int
    named: bool = True


class SegmentNames:
    """The source segments of compacted sets, as far as they were requested: a set's sources never change."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], dict[str, Counted]] = OrderedDict()

    def of(self, vault: TableVault, one: str) -> dict[str, Counted]:
        """Returns the segments of a set by their names; none if they cannot be read."""
        place = (vault.catalog.table_id + vault.catalog.table, one)
        with self._lock:
            if place in self._known:
                return self._known[place]
        try:
            names = vault.compacted.sources(one)
        except BackstreamError:
            return {}
        found = {name: counted for name in names if (counted := _named(vault, name)) is not None}
        with self._lock:
            self._known[place] = found
            while len(self._known) > MOST_KEPT:
                self._known.popitem(last=False)
        return found


def _named(vault: TableVault, name: str) -> Counted | None:
    segment = vault.log.segment_of(name)
    return None if segment is None or not segment.count else Counted(segment.min_time, segment.max_time, segment.count)


def counted(vault: TableVault, names: SegmentNames, since: int | None = None, until: int | None = None) -> list[Counted]:
    """Returns the changes of the log, or of a part of it, from the names of its objects."""
    found = vault.inventory(since=since, until=until)
    small = [
        Counted(each.segment.min_time, each.segment.max_time, each.segment.count)
        for each in found.segments
        if each.segment is not None and each.segment.count
    ]
    return [*small, *_of_sets(vault, names, found.sets)]


def _of_sets(vault: TableVault, names: SegmentNames, sets: Sequence[Set]) -> list[Counted]:
    """Counts by the sets' source segments; by earlier sets' if later ones were made from them."""
    if not sets:
        return []
    by_name: dict[str, Counted] = {}
    for each in sets:
        by_name |= names.of(vault, each.id)
    lines = sum(each.lines for each in sets)
    if sum(each.count for each in by_name.values()) < lines:
        for each in _earlier(vault, sets):
            by_name |= names.of(vault, each.id)
    rest = lines - sum(each.count for each in by_name.values())
    unnamed = [Counted(min(each.since for each in sets), max(each.until for each in sets), rest, named=False)] if rest > 0 else []
    return [*by_name.values(), *unnamed]


def _earlier(vault: TableVault, sets: Sequence[Set]) -> list[Set]:
    known = {each.id for each in sets}
    try:
        older = [each for each in vault.compacted.every_set() if each.id not in known]
    except BackstreamError:
        return []
    return sorted(older, key=lambda each: each.id, reverse=True)[:MOST_OLDER]


def step_for(since: int, until: int) -> int:
    """Returns the length of each bar, so that there are not too many."""
    length = max(1, until - since)
    return next((step for step in STEPS if length <= step * BARS), STEPS[-1])


class Bar(msgspec.Struct, frozen=True):
    """The changes of one step, which begins at second `since`. `kinds`: by event, if they were counted one by one."""

    since: int
    until: int
    count: float
    kinds: dict[str, int] | None = None


def bars(found: Iterable[Counted], since: int, until: int, step: int) -> list[Bar]:
    """Returns the changes after second `since`, up to and including `until`, in steps; one object's changes are spread evenly over
    its time.
    """
    first = (since + 1) // step
    counts = [0.0] * (until // step - first + 1)
    for each in found:
        begin, end = max(each.since, since + 1), min(each.until, until)
        if begin > end:
            continue
        density = each.count / (each.until - each.since + 1)
        for number in range(begin // step, end // step + 1):
            seconds = min(end, (number + 1) * step - 1) - max(begin, number * step) + 1
            counts[number - first] += density * seconds
    return [Bar((first + place) * step, (first + place + 1) * step - 1, count) for place, count in enumerate(counts)]


def about(found: Iterable[Counted], since: int, until: int) -> int:
    """Returns the approximate number of changes after `since`, up to `until`."""
    return round(sum(each.count for each in bars(found, since, until, max(1, until - since + 1))))


def until_of(found: Sequence[Counted], since: int, until: int, wanted: int) -> int:
    """Returns the second up to which about `wanted` changes were made after `since`; `until` if there are fewer."""
    seen = 0
    for each in sorted(found, key=lambda each: each.until):
        if each.until <= since or each.since > until:
            continue
        if not each.named:
            return min(until, since + max(1, (until - since) * wanted // max(wanted, each.count)))
        seen += each.count
        if seen >= wanted:
            return min(until, each.until)
    return until
