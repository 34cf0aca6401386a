"""The record of compacted sets, and the rules that hold for every record that a compaction made from the one before.

Anybody who may write into the bucket can write a record of a greater number. It hides nothing, unless a compaction could have made
it: compacted lines stay compacted, and a segment is skipped only if a set replaces it.
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

FORMAT = 2
FIRST_FORMAT = 1  # of a record whose sets hold the whole history, and lack no lines that were erased
SET_ID = r"\d{8,}-[0-9a-f]{12}"
MOST_OPEN = 100  # generations that are not hidden: a compaction hides all but its last one
_MOST_SETS, _MOST_PARTITIONS = 64, 16_384  # a generation has six, as a rule


class Set(msgspec.Struct, frozen=True):
    """Lines that were compacted together.

    `lines`, `size`: their number, and the bytes of their objects; `since`, `until`: the seconds of the first and the last change.
    `bases`: the base backups whose lines they are; empty if they are the log's. `erased`: how many lines erasures have taken out of
    it, and of the sets that it was made from; unset for none.
    """

    id: str
    partitions: int
    lines: int
    size: int
    since: int
    until: int
    bases: list[str] = []
    erased: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def lacks(self) -> int:
        """The number of its lines that were erased."""
        return 0 if isinstance(self.erased, msgspec.UnsetType) else self.erased

    @property
    def stands_for(self) -> int:
        """The number of lines that it had without erasures."""
        return self.lines + self.lacks


def lacking(new: Set, merged: Sequence[Set]) -> Set:
    """Returns a new set that lacks the lines which erasures took out of the sets that it replaces.

    It stands for those lines, so its times include the times of these sets, although no line of them may be left there.
    """
    erased = [each for each in merged if each.lacks]
    if not erased:
        return new
    spans = [*([new] if new.lines else []), *erased]
    since, until = min(each.since for each in spans), max(each.until for each in spans)
    return msgspec.structs.replace(new, since=since, until=until, erased=sum(each.lacks for each in erased))


class Generation(msgspec.Struct, frozen=True):
    """Everything that counts.

    `kept`: segments that a set replaces but that stay, because they mark the positions of their writers; `unsettled`: sets whose
    sources may not all be hidden yet; `runs`: runs that a later segment may follow, and runs whose own predecessor is missing;
    `held`: stream and sequence number of changes that were once recorded as missing, and are in a set. `horizon`: changes up
    to that second were left out of the sets, as the catalog's horizon allows; unset if none were.
    """

    format: int = FIRST_FORMAT
    number: int = 0
    sets: list[Set] = []
    kept: list[str] = []
    unsettled: list[str] = []
    runs: list[Run] = []
    held: list[tuple[str, str]] = []
    horizon: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def begins_after(self) -> int:
        """The second up to which no change is in the sets, by the horizon; -1 if there is none."""
        return -1 if self.horizon is msgspec.UNSET else self.horizon

    @property
    def changes(self) -> list[Set]:
        """The sets of the log."""
        return [each for each in self.sets if not each.bases]

    @property
    def compacted_until(self) -> int:
        """The second of the last change in a set; 0 if there is none."""
        return max((each.until for each in self.changes), default=0)

    @property
    def bases(self) -> list[Set]:
        """The sets of base backups."""
        return [each for each in self.sets if each.bases]


def encode(generation: Generation) -> tuple[bytes, dict[str, str]]:
    """Returns the body and the metadata of its record, in the first format that can say it."""
    whole = generation.begins_after < 0 and not any(each.lacks for each in generation.sets)
    form = FIRST_FORMAT if whole else FORMAT
    body = msgspec.json.encode(msgspec.structs.replace(generation, format=form))
    return msgspec.json.format(body, indent=2), {"format": str(form)}


def is_sound(generation: Generation) -> bool:
    """True if its figures are such as a compaction writes: names are made of them, and memory is reserved by them."""
    numbers = [number for run in generation.runs for number in (run.first, run.last)] + [number for _, number in generation.held]
    return (
        len(generation.sets) <= _MOST_SETS
        and all(map(_is_sound_set, generation.sets))
        and all(map(is_sequence, numbers))
        and all(is_sequence(run.after) or not run.after.isdecimal() for run in generation.runs)
        and all(moment.is_known(run.since) and moment.is_known(run.until) for run in generation.runs)
        and (generation.horizon is msgspec.UNSET or moment.is_known(generation.horizon))
    )


def _is_sound_set(one: Set) -> bool:
    parted = 0 < one.partitions <= _MOST_PARTITIONS and not one.partitions & (one.partitions - 1)
    named = re.fullmatch(SET_ID, one.id) is not None
    return (
        parted and named and min(one.lines, one.size, one.lacks) >= 0 and moment.is_known(one.since) and moment.is_known(one.until)
    )


# --- one generation after the other -------------------------------------------------------------------------------------------

SourcesOf = Callable[[str], Sources]  # what a set stands for, by its id; nothing where that cannot be read
HorizonOf = Callable[[], int]  # the catalog's horizon, a second; -1 if there is none
ErasedOf = Callable[[str], int]  # how many lines an erasure took out as a set was written, by its id, and as its record says


def is_made_from(before: Generation, made: Generation, sources: SourcesOf, horizon: HorizonOf, erased: ErasedOf) -> bool:
    """True if a compaction, `retain` or `erase` may have made this generation from that one.

    No line is lost: a set stays, or is in a new one that has as many lines of the same time. A segment is skipped only if a set
    replaces it. A generation without new sets repeats everything else from the one before. Only a generation whose horizon is the
    first to be that late may leave lines out, up to the catalog's horizon; and lines that the record of an erasure accounts for.
    """
    if made.begins_after != before.begins_after:
        return before.begins_after < made.begins_after <= horizon() and _is_shortened(before, made)
    known = {each.id: each for each in before.sets}
    new = [each for each in made.sets if each.id not in known]
    if made.number != before.number + 1 or not _keeps_sets(before, made, known, new):
        return False
    if not _accounts_for_erased(before, made, new, erased):
        return False
    if not new:
        return _says_no_more(before, made)
    return _passes_over_no_more(before, made, [each for each in new if not each.bases], sources)


def stands_alone(made: Generation, sources: SourcesOf) -> bool:
    """True if a generation may count although the one before it has expired: every segment that it skips may be in a set."""
    passed_over = set(made.kept).union(*(sources(each) for each in made.unsettled))
    return all(any(_stands_for(one, name) for one in made.changes) for name in passed_over)


def _keeps_sets(before: Generation, made: Generation, known: dict[str, Set], new: Sequence[Set]) -> bool:
    stays = {each.id: each for each in made.sets if each.id in known}
    if len(stays) + len(new) != len(made.sets) or any(known[each] != stays[each] for each in stays):
        return False
    if not all(_is_numbered(each, made) for each in new):
        return False
    gone = [each for each in before.sets if each.id not in stays and each.lines]
    return all(any(_holds(one, each) for one in new) for each in gone)


def _is_shortened(before: Generation, made: Generation) -> bool:
    """True if nothing but lines up to the generation's horizon may be missing, and lines that were erased before.

    A set that reaches beyond is there, or a new one reaches as far. Sets of base backups may go: their parts stay.
    """
    known = {each.id: each for each in before.sets}
    new = [each for each in made.sets if each.id not in known]
    if made.number != before.number + 1 or any(known[each.id] != each for each in made.sets if each.id in known):
        return False
    if any(each.bases or not _is_numbered(each, made) for each in new) or not _says_no_more_of_segments(before, made):
        return False
    replaced = [each for each in before.changes if each not in made.sets]
    if sum(each.lacks for each in new) > sum(each.lacks for each in replaced):
        return False
    gone = [each for each in replaced if each.lines and each.until > made.begins_after]
    return all(any(one.until >= each.until and one.stands_for for one in new) for each in gone)


def _is_numbered(one: Set, made: Generation) -> bool:
    return one.id.partition("-")[0].lstrip("0") == str(made.number)


def _says_no_more_of_segments(before: Generation, made: Generation) -> bool:
    return made.held == before.held and set(made.kept) <= set(before.kept) and set(made.unsettled) <= set(before.unsettled)


def _accounts_for_erased(before: Generation, made: Generation, new: Sequence[Set], erased: ErasedOf) -> bool:
    """True if new sets lack no more lines than the replaced ones did, besides those that an erasure's record names."""
    stays = {each.id for each in made.sets}
    lacked = sum(each.lacks for each in before.sets if each.id not in stays)
    return sum(each.lacks - erased(each.id) for each in new if each.lacks) <= lacked


def _holds(new: Set, old: Set) -> bool:
    as_old = new.stands_for >= old.stands_for and new.since <= old.since and new.until >= old.until
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
    """True if a set may hold a segment's lines, by the segment's name."""
    segment = parse_path(name.partition("/log/")[2])
    if segment is None or not segment.count:
        return True
    return one.stands_for >= segment.count and one.since <= segment.min_time and segment.max_time <= one.until


def last_ones(records: Mapping[int, First]) -> list[int]:
    """Returns the numbers of the generations that are not hidden, and of the one before them, in order.

    Raises Damaged if there are more than interrupted compactions leave.
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
