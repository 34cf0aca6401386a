"""What is missing from the chains of a tail's segments, found while they are read."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from backstream.vault.log import chains
from backstream.vault.log.chains import Run
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.log import ChangeLog

HOUR = 3600
HOURS_BACK = 6  # in which the segment before one nearly always is: a shard lives some hours; a quiet one's may be of any age


class MissingSegment(msgspec.Struct, frozen=True):
    """A segment that must have been there. `lost`: the seconds, both included, whose changes it may have held."""

    name: str
    why: str
    lost: tuple[int, int]


class Links:
    """Notes runs as they are read, from any thread."""

    def __init__(self, log: ChangeLog) -> None:
        self._log = log
        self._read: list[Run] = []

    def note(self, run: Run) -> None:
        """A run that was read, and so tells its predecessor."""
        self._read.append(run)

    def missing(self, found: Inventory, *, since: int | None, until: int | None = None) -> list[MissingSegment]:
        """What should stand before the runs that were read, and was not among what was found, nor anywhere before."""
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
        return [*altered, *(_gone(each, since) for each in gone if until is None or each.run.since <= until)]

    def _before(self, since: int | None) -> Iterator[list[Run]]:
        """The runs of each of the hours before, the nearest first, and then of all that is older; by their names."""
        if since is None:
            return
        for back in range(1, HOURS_BACK + 1):
            yield self._named(since - back * HOUR, since - back * HOUR)
        yield self._named(None, since - (HOURS_BACK + 1) * HOUR)

    def _named(self, since: int | None, until: int) -> list[Run]:
        listing = self._log.listing(since=since, until=until)
        return [run for each in listing if each.segment is not None and (run := chains.run_of(each.segment)) is not None]


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
