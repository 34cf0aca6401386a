"""What of a table's log and base backups is to be read, each line once: small objects, and the sets that stand for others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.ports import ObjectVersion
from backstream.vault import below_markers
from backstream.vault.bases import Bases, Part
from backstream.vault.log.compacted import Compacted, Generation, Set
from backstream.vault.log.log import DAY, ChangeLog, LogListing

LATEST = DAY  # seconds by which what comes into the log may be older than what has been compacted: a stream keeps one day


class Inventory(msgspec.Struct, frozen=True):
    """`segments`: those that no set stands for, in order of their hours, foreign objects among them; `sets`: of the log.

    `listed`: all segments there are, those too that a set stands for; `hidden`: those behind a delete marker that is not this
    tool's own, which are read all the same.
    """

    segments: Sequence[LogListing]
    sets: Sequence[Set]
    listed: Sequence[LogListing]
    generation: Generation
    hidden: Sequence[LogListing] = ()


def of_log(log: ChangeLog, compacted: Compacted, *, since: int | None = None, until: int | None = None) -> Inventory:
    """What the log holds, or, of the segments, those whose hour lies between two seconds, and of the sets, those that may hold
    changes of them.
    """
    listed, generation = _together(log, compacted, since, until)
    if since is not None or until is not None:
        known = {each.name for each in listed}
        listed += [each for each in log.strays() if each.name not in known]
    replaced = compacted.replaced(generation)
    sets = [
        each
        for each in generation.changes
        if each.lines and (until is None or each.since <= until) and (since is None or each.until >= since)
    ]
    concealed = [each for each in listed if each.markers]
    alive = log.with_versions([each for each in listed if each.name not in replaced])
    return Inventory([*alive, *map(_planted, compacted.in_force().planted)], sets, listed, generation, concealed)


def _planted(each: ObjectVersion) -> LogListing:
    """A record of what is compacted that does not count: named as what lies in the log and is not of it."""
    return LogListing(
        below_markers.later_version(each), each.size, each.modified, None, version=each.version, damage=below_markers.PLANTED
    )


def _together(log: ChangeLog, compacted: Compacted, since: int | None, until: int | None) -> tuple[list[LogListing], Generation]:
    """A listing, and the generation that was in force all the while.

    The generation is read last: what a compaction hid before the list was made, or while it was, this one stands for. But where it
    is another than before the list, that may show segments that it stands for and no longer names: then all is listed again.

    All that a compaction takes over it hides, so that below the markers of three years there is nothing but what sets stand for.
    Only what came since is looked for there; and everything, as soon as anything else turns out to be hidden.
    """
    suspicious = False
    while True:
        in_force = compacted.in_force()
        before, record_hidden = in_force.generation, in_force.record is not None and in_force.record.markers
        hidden_since = 0 if suspicious or record_hidden or in_force.planted else before.compacted_until - LATEST
        listed = list(log.listing(since=since, until=until, hidden_since=max(0, hidden_since)))
        generation = compacted.current()
        if generation.number != before.number:
            continue
        concealed = [each for each in listed if each.markers]
        oldest = min((each.modified for each in concealed), default=0.0)
        own = compacted.stands_for(generation, {each.name: each.version for each in concealed}, oldest) - set(generation.kept)
        suspicious = suspicious or any(each.name not in own for each in concealed)
        if hidden_since <= 0 or not suspicious:
            return [each for each in listed if not each.markers or each.name not in own], generation


def parts_of_bases(bases: Bases, generation: Generation) -> Iterator[Part]:
    """The parts of all base backups, complete or not, that no set stands for."""
    covered = {base for each in generation.bases for base in each.bases}
    for each in bases.ids():
        if each not in covered:
            yield from bases.parts(each)
