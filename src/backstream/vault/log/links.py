"""Finds segments that are missing from the chains of a tail and of other writers, while the log is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from backstream.vault.log import chains, writer_chains
from backstream.vault.log.chains import Run
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.log import ChangeLog, FetchedSegment
from backstream.vault.log.writer_chains import Link

HOUR = 3600
HOURS_BACK = 6  # in which the segment before one nearly always is: a shard lives some hours; a quiet one's may be of any age


class MissingSegment(msgspec.Struct, frozen=True):
    """A segment that must have existed. `lost`: the seconds, both included, whose changes it may have held."""

    name: str
    why: str
    lost: tuple[int, int]


class Links:
    """Notes segments as they are read, from any thread."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._read: list[Run] = []
        self._links: list[Link] = []

    def note(self, fetched: FetchedSegment) -> None:
        """Notes a segment that was read, which may name its predecessor."""
        self.extend([] if fetched.run is None else [fetched.run], [] if fetched.link is None else [fetched.link])

    def extend(self, runs: Iterable[Run], links: Iterable[Link]) -> None:
        """Notes the runs and links of segments that were read elsewhere."""
        self._read += runs
        self._links += links

    def missing(self, found: Inventory, *, since: int | None, until: int | None = None) -> list[MissingSegment]:
        """Returns the predecessors of the runs that were read, if they are neither in the inventory nor anywhere before it."""
        noted = {(run.stream, run.shard, run.first, run.last) for run in self._read}
        listed = (chains.run_of(each.segment) for each in found.listed if each.segment is not None)
        known = [*self._read, *found.generation.runs]
        known += [run for run in listed if run is not None and (run.stream, run.shard, run.first, run.last) not in noted]
        gone = chains.missing(known)
        for before in self._before(since) if gone else ():
            known += before
            gone = chains.missing(known)
            if not gone:
                break
        altered = [_replaced(run) for run in chains.replaced([*self._read, *found.generation.runs])]
        lost = [_gone(each, since) for each in gone if until is None or each.run.since <= until]
        return [*altered, *lost, *self.of_writers(found, since=since, until=until)]

    def of_writers(self, found: Inventory, *, since: int | None, until: int | None = None) -> list[MissingSegment]:
        """Returns the same for writers without runs: the segment that one of theirs names as the one before."""
        there, compacted = {each.name for each in found.listed}, found.generation.compacted_until
        broken = list[MissingSegment]()
        read = {each.name for each in self._links}
        for link in writer_chains.doubtful(self._links):
            segment = self._log.segment_of(link.upon)
            if segment is None:
                broken.append(MissingSegment(link.upon, _NO_SEGMENT.format(link.name), (link.until, link.until)))
                continue
            outside = (since is not None and segment.min_time < since) or (until is not None and segment.min_time > until)
            taken_over = segment.max_time <= max(compacted, found.generation.begins_after)
            if link.upon not in read and (outside or taken_over or link.upon in there):
                continue  # it was not asked for, or a set stands for it
            heads = self._log.heads_of(link.upon)
            if heads is None or link.previous not in heads:
                why = (_REMOVED if heads is None else _OTHER).format(link.name)
                broken.append(MissingSegment(link.upon, why, (segment.min_time, segment.max_time)))
        return broken

    def _before(self, since: int | None) -> Iterator[list[Run]]:
        """Yields the runs of each earlier hour, the nearest first, and then the runs of everything older, by their names."""
        if since is None:
            return
        for back in range(1, HOURS_BACK + 1):
            yield self._named(since - back * HOUR, since - back * HOUR)
        yield self._named(None, since - (HOURS_BACK + 1) * HOUR)

    def _named(self, since: int | None, until: int) -> list[Run]:
        listing = self._log.listing(since=since, until=until)
        return [run for each in listing if each.segment is not None and (run := chains.run_of(each.segment)) is not None]


_NO_SEGMENT = "it is no segment, and {} names it as the one that its writer wrote before"
_REMOVED = "missing: {} names it as the one that its writer wrote before"
_OTHER = "another one was there when {} was written: it has been replaced"


def _replaced(run: Run) -> MissingSegment:
    return MissingSegment(
        name=f"the segment of {run.stream} {run.shard} that ends with {run.last}",
        why="another one was there when the next one was written: it has been replaced",
        lost=(run.since, run.until),
    )


def _gone(missing: chains.Missing, since: int | None) -> MissingSegment:
    run = missing.run
    begin = missing.since if missing.since is not None else since if since is not None else 0
    return MissingSegment(
        name=f"the segment of {run.stream} {run.shard} that ends with {run.after}",
        why=f"missing: the one that begins with {run.first} names it as the one before",
        lost=(min(begin, run.since), run.since),
    )
