"""What `compact` has made of small objects: sets of large ones, in which the lines of one key lie together; and which sets count.

    compacted/generations/NUMBER.json          which sets count, and what stands for what: the greatest number is in force
    compacted/SET/PART-of-PARTS.ndjson.zst     the set's lines, parted by the sha256 of their keys, sorted by key: see `frames`
    compacted/SET/sources.ndjson.zst           the objects that it stands for: see `sources`

A set, and all that it replaces, change places in one write: that of the next generation, which is create-only, so that of two
compactions at once one fails. Until then a set's objects are nobody's; from then on what they stand for counts no more, whether it
has been hidden yet or not. Who lists the log first and asks for the generation then misses nothing.

A number is used once. A create-only write succeeds over a delete marker too, and generations that are over have one: so numbers are
looked for below markers, of a number's versions the first one counts, and whoever has written a generation looks whether it is in
force before anything is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby, takewhile

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject, Overtaken
from backstream.layouts import frames, hidden, sources
from backstream.layouts.catalog import folder
from backstream.layouts.chains import Run
from backstream.layouts.frames import INDEX_GUESS, Index, Span
from backstream.layouts.hidden import Newest
from backstream.layouts.segments import Claim, Codec
from backstream.layouts.sources import Sources
from backstream.model import moment
from backstream.model.change import is_sequence
from backstream.model.clocks import CLOCKS_APART
from backstream.model.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore, ObjectVersion

FORMAT = 1
_GENERATIONS = "generations/"
_SOURCES = "sources.ndjson.zst"
_MOST_SETS, _MOST_PARTITIONS = 64, 16_384  # a generation has six, as a rule
_BRING_BACK = "Bring back its version before this one, from the bucket's versions."
_FROM_A_REPLICA = "Bring it back from a replica of the bucket: without it nobody knows which compacted objects count."
_OWNER = re.compile(r"(?:generations/(?P<generation>\d{8,})\.json$|(?P<set>\d{8,}-[0-9a-f]{12})/)")


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


class Compacted:
    """The compacted objects of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._folder = folder(table)
        self._prefix = self._folder + "compacted/"

    # --- reading ---

    def current(self) -> Generation:
        """The generation in force, even if somebody has hidden it; an empty one of number 0 where there was never one."""
        return self.in_force()[0]

    def in_force(self) -> tuple[Generation, bool]:
        """As `current`; and whether somebody has hidden its record, which this tool never does."""
        listed = self.generations()
        if not listed:
            return Generation(), False
        record = listed[max(listed)]
        return self.generation(record), bool(record.markers)

    def generation(self, record: Newest) -> Generation:
        """A generation by its record. Damaged where it cannot be read."""
        name = record.name
        if not record.version:
            raise Damaged(
                f"the record of what is compacted is gone: {name} has a delete marker, and nothing below it", hint=_FROM_A_REPLICA
            )
        try:
            found = msgspec.json.decode(self._store.get(name, record.version).body, type=Generation)
        except UNDECODABLE as error:
            raise Damaged(f"the record of what is compacted cannot be read: {name}: {reason(error)}", hint=_BRING_BACK) from error
        if found.format > FORMAT:
            raise Damaged(f"{name} is of format {found.format}", hint="Use a newer Backstream.")
        if name != self._generation_name(found.number):
            raise Damaged(f"{name} says that it is number {found.number}", hint=_BRING_BACK)
        if not _is_sound(found):
            raise Damaged(f"{name} says what no compaction does", hint=_BRING_BACK)
        return found

    def number(self) -> int:
        """The greatest number that a generation ever had: a LIST."""
        return max(self.generations(), default=0)

    def generations(self) -> dict[int, Newest]:
        """The records of all that there ever were, hidden ones too, by their numbers: of each the version that was written first.

        One of which nothing is left but delete markers has no version. A console's "folder" is none.
        """
        found = dict[int, Newest]()
        for name, rows in groupby(self._store.versions(self._prefix + _GENERATIONS), key=lambda each: each.name):
            match = _OWNER.fullmatch(name, len(self._prefix))
            if match is not None and match["generation"] is not None:
                found[int(match["generation"])] = _first_of(name, list(rows))
        return found

    def replaced(self, generation: Generation) -> frozenset[str]:
        """The names of objects that a set stands for, as far as they may still be listed."""
        return frozenset(generation.kept) | sources.names(map(self.sources, generation.unsettled))

    def stands_for(self, generation: Generation, concealed: Mapping[str, str], since: float) -> set[str]:
        """Those of these hidden names of the log that a set stands for, or stood for before it was merged into another.

        `concealed`: each with the version that is hidden. Each set names what it took over itself, so the last compactions explain
        what was hidden lately. `since`: when the first of these objects was received (epoch seconds).
        """
        left, told = set(concealed), set[str]()
        for one in self._ever_sets(generation, since) if left else ():
            if one.id not in told:
                told.add(one.id)
                took = self._sources_if_any(one.id)
                left = {name for name in left if not sources.is_of(took, name, concealed[name])}
            if not left:
                break
        return set(concealed) - left

    def _ever_sets(self, generation: Generation, since: float) -> Iterator[Set]:
        """The log's sets that are in force, and those that were in force after that time (epoch seconds); the newest first."""
        yield from sorted(generation.changes, key=lambda each: each.id, reverse=True)
        for number, record in sorted(self.generations().items(), reverse=True):
            if number < generation.number and record.modified >= since - CLOCKS_APART:
                yield from self.generation(record).changes

    def _sources_if_any(self, set_id: str) -> Sources:
        try:
            return self.sources(set_id)
        except (Damaged, MissingObject):
            return {}  # what it named is then taken to be hidden by somebody else, and is read

    def sources_name(self, set_id: str) -> str:
        """The name of the object that says what a set stands for."""
        return f"{self._prefix}{set_id}/{_SOURCES}"

    def sources(self, set_id: str) -> Sources:
        """All objects that a set stands for. Damaged where that cannot be read."""
        name = self.sources_name(set_id)
        return sources.decode(name, hidden.get(self._store, name).body, self._folder)

    def parts(self, one: Set) -> list[Newest]:
        """The objects of a set, in order. Damaged, naming the first that is missing, where not all are there."""
        names = self.part_names(one)
        there = {each.name: each for each in self.written(one.id)}
        missing = [name for name in names if name not in there]
        if missing:
            raise Damaged(
                f"{missing[0]}: missing, as are {len(missing) - 1} more of its set" if missing[1:] else f"{missing[0]}: missing",
                hint="Bring it back from the bucket's versions.",
            )
        return [there[name] for name in names]

    def part_names(self, one: Set) -> list[str]:
        """The names of a set's objects, in order."""
        return [self.part_name(one.id, number, one.partitions) for number in range(one.partitions)]

    def written(self, set_id: str) -> list[Newest]:
        """What there is of a set's objects, whether it counts or not, and though a newer compaction may have hidden it since."""
        return list(hidden.newest(self._store, f"{self._prefix}{set_id}/"))

    def indexes(self) -> Iterator[Index]:
        """What all sets' current objects say of themselves, whether the sets count or not. Damaged where one says nothing."""
        for listed in self._store.list(self._prefix):
            match = _OWNER.match(listed.name, len(self._prefix))
            if match is not None and match["set"] is not None and not listed.name.endswith(f"/{_SOURCES}"):
                yield self._index(listed.name)[0]

    def claim_and_body(self, name: str) -> tuple[Claim, bytes]:
        """What an object of a set says of itself, and its bytes. Damaged where it says nothing."""
        body = hidden.get(self._store, name).body
        try:
            index = frames.read_index(body)
        except Damaged as error:
            raise error.of(name) from error
        return index.claim, body

    def around(self, one: Set, key: bytes) -> tuple[str, Claim, bytes]:
        """The name of the object that a key's lines are in, and of that the few frames that hold them, if there are any."""
        name = self.name_of(one, key)
        try:
            index, end = self._index(name)
            span = index.of_key(key)
            body = b"" if span is None else self._span(name, index, span, end)
        except Damaged as error:
            raise error.of(name) from error
        return name, Claim(Codec.ZSTD, 0, frames=()) if span is None else span.claim, body

    def name_of(self, one: Set, key: bytes) -> str:
        """The name of the object in which a key's lines are, if there are any."""
        return self.part_name(one.id, partition_of(key, one.partitions), one.partitions)

    def _index(self, name: str) -> tuple[Index, bytes]:
        """An object's index, and its last bytes: these tell mostly all."""
        end = hidden.get_range(self._store, name, -INDEX_GUESS, INDEX_GUESS)
        size = frames.index_size(end)
        if size > len(end):
            end = hidden.get_range(self._store, name, -size, size)
        return frames.read_index(end), end

    def _span(self, name: str, index: Index, span: Span, end: bytes) -> bytes:
        left_out = sum(each.size for each in index.frames) + frames.whole_index_size(end) - len(end)
        if span.start >= left_out:
            return end[span.start - left_out :][: span.size]
        return hidden.get_range(self._store, name, span.start, span.size)

    # --- writing ---

    def part_name(self, set_id: str, number: int, partitions: int) -> str:
        """The name of one of a set's objects."""
        return f"{self._prefix}{set_id}/{number:05d}-of-{partitions:05d}.ndjson.zst"

    def write_part(self, set_id: str, number: int, partitions: int, body: bytes) -> None:
        """Make it durable. One that is there already was made of the same lines: a set's id tells of which."""
        self._put_once(self.part_name(set_id, number, partitions), body)

    def write_sources(self, set_id: str, taken: Sources) -> None:
        """Say which objects a set stands for."""
        self._put_once(self.sources_name(set_id), sources.encode(taken), sources.FORMAT)

    def commit(self, generation: Generation) -> None:
        """Put it in force. Overtaken, and nothing has changed, where somebody else was faster.

        When this returns it is in force, or one is that was made from it: what its sets stand for counts no more.
        """
        name = self._generation_name(generation.number)
        body = msgspec.json.format(msgspec.json.encode(generation), indent=2)
        try:
            version = self._store.put(name, body, {"format": "1"}, if_absent=True)
        except AlreadyExists as error:
            raise _overtaken() from error
        written = self.generations()
        if written[generation.number].version != version:
            raise _overtaken()  # the number had been used, and what it stood for was hidden since
        if max(written) > generation.number and not self._leads_to(generation, self.current()):
            raise _overtaken()

    @staticmethod
    def _leads_to(generation: Generation, current: Generation) -> bool:
        """Whether a later generation was made from this one: it has its sets."""
        return {each.id for each in generation.sets} <= {each.id for each in current.sets}

    def _generation_name(self, number: int) -> str:
        return f"{self._prefix}{_GENERATIONS}{number:08d}.json"

    def _put_once(self, name: str, body: bytes, form: str = "1") -> None:
        try:
            self._store.put(name, body, {"format": form}, if_absent=True)
        except AlreadyExists:
            return

    def every_set(self) -> list[Set]:
        """The log's sets that are, or ever were, in force, as far as their records are there.

        The record of a generation that is over is hidden, and expires as every superseded version may.
        """
        records = [record for _, record in sorted(self.generations().items()) if record.version]
        return list({one.id: one for record in records for one in self.generation(record).changes}.values())

    def dead(self, generation: Generation) -> list[str]:
        """The names of objects that will never count again, or never did: of sets and generations that are over.

        A set is named after the generation that it is to count from; once there is another of that number, it never will.
        """
        live = {each.id for each in generation.sets}
        found = []
        for listed in self._store.list(self._prefix):
            match = _OWNER.match(listed.name, len(self._prefix))
            if match is None:
                continue  # foreign: not ours to hide
            if match["set"] is None:
                over = int(match["generation"]) < generation.number
            else:
                over = match["set"] not in live and int(match["set"].partition("-")[0]) <= generation.number
            if over:
                found.append(listed.name)
        return found


def _is_sound(generation: Generation) -> bool:
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
    named = _OWNER.fullmatch(f"{one.id}/") is not None
    return parted and named and one.lines >= 0 and one.size >= 0 and moment.is_known(one.since) and moment.is_known(one.until)


def _first_of(name: str, rows: Sequence[ObjectVersion]) -> Newest:
    """The version of a name that was written first, and the markers on top of all; `rows`: newest first."""
    first = next((each for each in reversed(rows) if not each.marker), rows[-1])
    markers = tuple(takewhile(lambda each: each.marker, rows))
    return Newest(name, first.size, first.modified, "" if first.marker else first.version, markers)


def _overtaken() -> Overtaken:
    return Overtaken(
        "another compaction of this table was faster: nothing is lost, and nothing counts twice",
        hint="Let one at a time do it; the next one goes on from there.",
    )


def partition_of(key: bytes, partitions: int) -> int:
    """In which of a set's objects a key's lines lie: the first bits of the key's sha256. `partitions`: a power of two."""
    return int.from_bytes(sha256(key).digest()[:4]) * partitions >> 32


def set_id(number: int, sources: Sequence[str]) -> str:
    """Of a set that is to count from that generation on. The same sources, the same id: an interrupted one is gone on with."""
    digest = sha256("\n".join(sorted(sources)).encode()).hexdigest()[:12]
    return f"{number:08d}-{digest}"
