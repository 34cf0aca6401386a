"""The parts of a table's log and base backups to read, each line once: small objects, and the sets that replace others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.ports import ObjectVersion
from backstream.vault import below_markers
from backstream.vault.bases import Bases, Part
from backstream.vault.log.compacted import Compacted, Generation, Set
from backstream.vault.log.log import DAY, ChangeLog, LogListing

LATEST = DAY  # seconds by which new segments of the log may be older than what has been compacted: a stream keeps one day


class Inventory(msgspec.Struct, frozen=True):
    """`segments`: those that no set replaces, in order of their hours, foreign objects included; `sets`: the log's sets.

    `listed`: all segments, also those that a set replaces; `hidden`: those below a delete marker that is not this tool's own; they
    are read all the same.
    """

    segments: Sequence[LogListing]
    sets: Sequence[Set]
    listed: Sequence[LogListing]
    generation: Generation
    hidden: Sequence[LogListing] = ()


def of_log(log: ChangeLog, compacted: Compacted, *, since: int | None = None, until: int | None = None) -> Inventory:
    """Returns the contents of the log.

    With bounds, returns the segments whose hour lies between the two seconds, and the sets that may hold changes of that time.
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
    """Returns a planted record of compaction, which does not count, as a foreign object of the log."""
    return LogListing(
        below_markers.later_version(each), each.size, each.modified, None, version=each.version, damage=below_markers.PLANTED
    )


def _together(log: ChangeLog, compacted: Compacted, since: int | None, until: int | None) -> tuple[list[LogListing], Generation]:
    """Returns a listing, and the generation that was in force during all of it.

    The generation is read last: it replaces everything that a compaction hid before or during the listing. But if it differs from
    the one before the listing, the listing may show segments that it replaces and no longer names; then everything is listed again.

    A compaction hides every source, so below the markers of three years there are only the sources of sets. Only objects that came
    since are looked for there; and all of them, as soon as anything else turns out to be hidden.
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


def sets_of_bases(bases: Bases, generation: Generation) -> Sequence[Set]:
    """Returns the sets of base backups that count. One that also holds a base backup from before the horizon does not."""
    if bases.horizon is None or not generation.bases:
        return generation.bases
    alive = {each.id for each in bases.complete()}
    return [each for each in generation.bases if alive.issuperset(each.bases)]


def parts_of_bases(bases: Bases, generation: Generation) -> Iterator[Part]:
    """Yields the parts of all base backups, complete or not, that no set replaces, and that the horizon has not passed."""
    covered = {base for each in sets_of_bases(bases, generation) for base in each.bases}
    covered |= bases.passed()
    for each in bases.ids():
        if each not in covered:
            yield from bases.parts(each)
