"""What is missing from the chains of a tail's segments, found while they are read."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from backstream.layouts import chains
from backstream.layouts.chains import Run
from backstream.layouts.inventory import Inventory
from backstream.layouts.log import ChangeLog

HOUR = 3600
HOURS_BACK = 48  # a stream keeps a day: the segment before one is hardly ever older


class Gone(msgspec.Struct, frozen=True):
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

    def missing(self, found: Inventory, *, since: int | None, until: int) -> list[Gone]:
        """What should stand before the runs that were read, and was not among what was found, nor in the hours before."""
        noted = {(run.stream, run.shard, run.first, run.last) for run in self._read}
        listed = (chains.run_of(each.segment) for each in found.listed if each.segment is not None)
        known = [*self._read, *found.generation.runs]
        known += [run for run in listed if run is not None and (run.stream, run.shard, run.first, run.last) not in noted]
        gone = chains.missing(known)
        for before in self._hours_before(since) if gone else ():
            known += before
            gone = chains.missing(known)
            if not gone:
                break
        return [_gone(each, since) for each in gone if each.run.since <= until]

    def _hours_before(self, since: int | None) -> Iterator[list[Run]]:
        """The runs of each hour before, the nearest first, by their names."""
        if since is None:
            return
        for back in range(1, HOURS_BACK + 1):
            hour = since - back * HOUR
            listing = self._log.listing(since=hour, until=hour)
            yield [run for each in listing if each.segment is not None and (run := chains.run_of(each.segment)) is not None]


def _gone(missing: chains.Missing, since: int | None) -> Gone:
    run = missing.run
    begin = missing.since if missing.since is not None else since if since is not None else 0
    return Gone(
        name=f"the segment of {run.stream} {run.shard} that ends with {run.after}",
        why=f"missing: the one that begins with {run.first} names it as the one before",
        lost=(min(begin, run.since), run.since),
    )
