"""Tells which records of a stream the log holds, by their sequence numbers. The witness checks each record against it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from backstream.errors import Damaged
from backstream.model.changes.change import Change
from backstream.vault.log import segments
from backstream.vault.log.compacted import Set
from backstream.vault.log.log import LogListing
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

HOUR = 3_600
REMEMBERED = 500  # segments whose numbers are not asked for again

Numbers = frozenset[int]


class _Segment(msgspec.Struct, frozen=True):
    """A segment with changes, by its name. `run`: the shard of its unbroken run, None if it is not a run."""

    listed: LogListing
    stream: str
    first: int
    last: int
    run: str | None


class LogIndex:
    """Reads the log of one table. Safe to call from many threads: two may read the same thing twice, without harm.

    `notice` receives segments that cannot be read: their changes count as missing.
    """

    def __init__(self, vault: TableVault, pool: ThreadPoolExecutor, notice: Callable[[str], None]) -> None:
        self._vault = vault
        self._pool = pool
        self._notice = notice
        self._hours: dict[int, Sequence[_Segment]] = {}
        self._numbers: OrderedDict[str, Numbers] = OrderedDict()

    def missing(self, changes: Sequence[Change], shard: str) -> list[Change]:
        """Returns the changes that the log does not hold, in their order. `shard`: the shard of all of them."""
        if not changes:
            return []
        left = self._not_in_segments(changes, shard)
        if left:
            for hour in {change.seconds // HOUR for change in left}:
                self._hours.pop(hour, None)  # the listing may be older than what has arrived since
            left = self._not_in_segments(left, shard)
        return self._not_in_sets(left) if left else left

    # --- small segments ---

    def _not_in_segments(self, changes: Sequence[Change], shard: str) -> list[Change]:
        wanted = sorted({int(change.sequence) for change in changes})
        held: set[int] = set()
        to_read: dict[str, LogListing] = {}
        for segment in self._of_hours(change.seconds // HOUR for change in changes):
            inside = wanted[bisect_left(wanted, segment.first) : bisect_right(wanted, segment.last)]
            if not inside or segment.stream != changes[0].stream:
                continue
            if segment.run == shard:
                held.update(inside)
            else:
                to_read[segment.listed.name] = segment.listed
        if not held.issuperset(wanted):
            held = held.union(*self._pool.map(self._numbers_of, to_read.values()))
        return [change for change in changes if int(change.sequence) not in held]

    def _of_hours(self, hours: Iterable[int]) -> Iterable[_Segment]:
        for hour in sorted(set(hours)):
            if hour not in self._hours:
                listing = self._vault.log.listing(since=hour * HOUR, until=hour * HOUR)
                self._hours[hour] = [found for each in listing if (found := _parsed(each)) is not None]
            yield from self._hours[hour]

    def _numbers_of(self, listed: LogListing) -> Numbers:
        known = self._numbers.get(listed.name)
        if known is not None:
            return known
        try:
            found = frozenset(int(entry.sequence) for entry in self._vault.log.read(listed))
        except Damaged as error:
            self._notice(f"cannot be read, so that its changes are taken from the stream again: {error.message}")
            found = frozenset()
        self._numbers[listed.name] = found
        while len(self._numbers) > REMEMBERED:
            self._numbers.popitem(last=False)
        return found

    # --- what is compacted ---

    def _not_in_sets(self, changes: Sequence[Change]) -> list[Change]:
        """Looks in the sets.

        The generation is read after the listing: a set replaces everything that a compaction hid before that.
        """
        sets = self._vault.compacted.current().changes
        if not sets:
            return list(changes)
        return [
            change for change, held in zip(changes, self._pool.map(partial(self._is_in, sets), changes), strict=True) if not held
        ]

    def _is_in(self, sets: Sequence[Set], change: Change) -> bool:
        try:
            key = self._vault.key_of(change.keys)
        except Damaged:
            return False  # no item of this table: whoever keeps it says so
        return any(each.since <= change.seconds <= each.until and self._is_in_set(each, key, change) for each in sets)

    def _is_in_set(self, one: Set, key: bytes, change: Change) -> bool:
        name, claim, body = self._vault.compacted.around(one, key)
        try:
            entries = segments.read(claim, body)
        except Damaged as error:
            raise error.of(name) from error
        return any(each.order == change.order for each in entries)


def _parsed(listed: LogListing) -> _Segment | None:
    segment = listed.segment
    if segment is None or not segment.count:
        return None
    run = segment.shard if segment.kind is SegmentKind.TAIL else None
    return _Segment(listed, segment.stream, int(segment.first), int(segment.last), run)
