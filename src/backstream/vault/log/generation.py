"""The record of what is compacted, and what is true of each that a compaction made: it was made from the one before.

Anybody who may write into the bucket can write a record of a greater number. It hides nothing, unless a compaction could have made
it: what was compacted stays so, and no segment is passed over that no set stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

import msgspec

from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.change import is_sequence
from backstream.vault.below_markers import First
from backstream.vault.log.chains import Run
from backstream.vault.log.segments import parse_path
from backstream.vault.log.sources import Sources

FORMAT = 1
SET_ID = r"\d{8,}-[0-9a-f]{12}"
MOST_OPEN = 100  # generations that are not hidden: a compaction hides all but its last one
_MOST_SETS, _MOST_PARTITIONS = 64, 16_384  # a generation has six, as a rule


class Set(msgspec.Struct, frozen=True):
    """Lines that were compacted together. `lines`, `size`: how many, and the bytes of their objects; `since`, `until`: the seconds
    of the first and the last change. `bases`: the base backups whose lines they are; none where they are the log's.
    """

    id: str
    partitions: int
    lines: int
    size: int
    since: int
    until: int
    bases: list[str] = []


class Generation(msgspec.Struct, frozen=True):
    """What counts, all of it.

    `kept`: segments that a set stands for and that stay all the same, as signs of where their writers are; `unsettled`: sets whose
    sources may not all be hidden yet; `runs`: those that a later segment may follow, and those whose own predecessor is missing;
    `held`: stream and sequence number of changes that were once recorded as missing, and are in a set.
    """

    format: int = FORMAT
    number: int = 0
    sets: list[Set] = []
    kept: list[str] = []
    unsettled: list[str] = []
    runs: list[Run] = []
    held: list[tuple[str, str]] = []

    @property
    def changes(self) -> list[Set]:
        """The sets of the log."""
        return [each for each in self.sets if not each.bases]

    @property
    def compacted_until(self) -> int:
        """The second of the last change in a set; 0 where there is none."""
        return max((each.until for each in self.changes), default=0)

    @property
    def bases(self) -> list[Set]:
        """The sets of base backups."""
        return [each for each in self.sets if each.bases]


def is_sound(generation: Generation) -> bool:
    """Whether its figures are such as a compaction writes: a name is made of them, and memory taken by them."""
    numbers = [number for run in generation.runs for number in (run.first, run.last)] + [number for _, number in generation.held]
    return (
        len(generation.sets) <= _MOST_SETS
        and all(map(_is_sound_set, generation.sets))
        and all(map(is_sequence, numbers))
        and all(is_sequence(run.after) or not run.after.isdecimal() for run in generation.runs)
        and all(moment.is_known(run.since) and moment.is_known(run.until) for run in generation.runs)
    )


def _is_sound_set(one: Set) -> bool:
    parted = 0 < one.partitions <= _MOST_PARTITIONS and not one.partitions & (one.partitions - 1)
    named = re.fullmatch(SET_ID, one.id) is not None
    return parted and named and one.lines >= 0 and one.size >= 0 and moment.is_known(one.since) and moment.is_known(one.until)


# --- one generation after the other -------------------------------------------------------------------------------------------

SourcesOf = Callable[[str], Sources]  # what a set stands for, by its id; nothing where that cannot be read


def is_made_from(before: Generation, made: Generation, sources: SourcesOf) -> bool:
    """Whether a compaction may have made this generation from that one.

    No line is lost: a set stays, or is in a new one that has as many lines of the same time. No segment is passed over for which no
    set stands. What a generation without new sets says besides is what the one before said.
    """
    known = {each.id: each for each in before.sets}
    new = [each for each in made.sets if each.id not in known]
    if made.number != before.number + 1 or not _keeps_sets(before, made, known, new):
        return False
    if not new:
        return _says_no_more(before, made)
    return _passes_over_no_more(before, made, [each for each in new if not each.bases], sources)


def stands_alone(made: Generation, sources: SourcesOf) -> bool:
    """Whether one may count of which the generation before has expired: no segment is passed over that no set can stand for."""
    passed_over = set(made.kept).union(*(sources(each) for each in made.unsettled))
    return all(any(_stands_for(one, name) for one in made.changes) for name in passed_over)


def _keeps_sets(before: Generation, made: Generation, known: dict[str, Set], new: Sequence[Set]) -> bool:
    stays = {each.id: each for each in made.sets if each.id in known}
    if len(stays) + len(new) != len(made.sets) or any(known[each] != stays[each] for each in stays):
        return False
    if any(each.id.partition("-")[0].lstrip("0") != str(made.number) for each in new):
        return False
    gone = [each for each in before.sets if each.id not in stays and each.lines]
    return all(any(_holds(one, each) for one in new) for each in gone)


def _holds(new: Set, old: Set) -> bool:
    as_old = new.lines >= old.lines and new.since <= old.since and new.until >= old.until
    return as_old and bool(new.bases) == bool(old.bases) and set(old.bases) <= set(new.bases)


def _says_no_more(before: Generation, made: Generation) -> bool:
    same = (made.runs, made.held) == (before.runs, before.held)
    return same and set(made.kept) <= set(before.kept) and set(made.unsettled) <= set(before.unsettled)


def _passes_over_no_more(before: Generation, made: Generation, new: Sequence[Set], sources: SourcesOf) -> bool:
    taken = {each.id: sources(each.id).keys() - set(before.kept) for each in new}
    if not set(made.kept) <= set(before.kept).union(*taken.values()):
        return False
    if not set(made.unsettled) <= {*before.unsettled, *taken} or not set(before.held) <= set(made.held):
        return False
    return all(_stands_for(one, name) for one in new for name in taken[one.id])


def _stands_for(one: Set, name: str) -> bool:
    """Whether a set may hold a segment's lines, by its name."""
    segment = parse_path(name.partition("/log/")[2])
    if segment is None or not segment.count:
        return True
    return one.lines >= segment.count and one.since <= segment.min_time and segment.max_time <= one.until


def last_ones(records: Mapping[int, First]) -> list[int]:
    """The numbers of the generations that are not hidden, and of the one before them, the first one first.

    Damaged where they are more than interrupted compactions leave.
    """
    found = list[int]()
    for number in sorted(records, reverse=True):
        if found and not records[number].version:
            break  # it has expired
        found.append(number)
        if len(found) > MOST_OPEN:
            raise Damaged(f"{records[number].name}: more than {MOST_OPEN} records of compactions are not over")
        if found[1:] and records[number].markers:
            break
    return found[::-1]
