"""The output of `compact`: sets of large objects that replace small ones and keep the lines of one key together; and the sets that
count.

    compacted/generations/NUMBER.json          which sets count, and what stands for what: the greatest number is in force
    compacted/SET/PART-of-PARTS.ndjson.zst     the set's lines, parted by the sha256 of their keys, sorted by key: see `frames`
    compacted/SET/sources.ndjson.zst           the objects that it stands for: see `sources`

Publishing the next generation (a create-only PUT) atomically replaces the inputs with the set, so one of two simultaneous
compactions fails. Before it, a set's objects count for nothing; after it, the set's sources no longer count, hidden or not. A
reader that lists the log first and then asks for the generation misses nothing.

A number is used once. A create-only write also succeeds over a delete marker, and old generations have one. So numbers are looked
up below markers, and the first version of a number counts. A compaction that has written a generation checks that it is in force
before it hides anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject, Overtaken
from backstream.model.clocks import CLOCKS_APART
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore, ObjectVersion
from backstream.vault import below_markers
from backstream.vault import catalog as catalogs
from backstream.vault.below_markers import First, Newest
from backstream.vault.catalog import folder
from backstream.vault.log import erased_lines, frames, sources
from backstream.vault.log.checked_records import CheckedRecords
from backstream.vault.log.frames import INDEX_GUESS, FrameSpan, Index
from backstream.vault.log.generation import FORMAT, SET_ID, Generation, Set, encode, is_made_from, is_sound, last_ones, stands_alone
from backstream.vault.log.naming.set_names import partition_of, set_id
from backstream.vault.log.segments import Codec, SegmentHeader
from backstream.vault.log.sources import Sources

__all__ = ["Compacted", "Generation", "Set", "partition_of", "set_id"]

_GENERATIONS = "generations/"
_SOURCES = "sources.ndjson.zst"
_BRING_BACK = "Bring back its version before this one, from the bucket's versions."
_FROM_A_REPLICA = "Bring it back from a replica of the bucket: without it nobody knows which compacted objects count."
_OWNER = re.compile(rf"(?:generations/(?P<generation>\d{{8,}})\.json$|(?P<set>{SET_ID})/)")


class InForce(msgspec.Struct, frozen=True):
    """The generation in force, and its record; None if there was never one. `planted` holds records that no compaction made."""

    generation: Generation
    record: First | None
    planted: Sequence[ObjectVersion]


class Compacted:
    """The compacted objects of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._table = table
        self._folder = folder(table)
        self._prefix = self._folder + "compacted/"
        self._firsts: dict[str, First] = {}
        self.checked = CheckedRecords()
        self._read: dict[tuple[str, str], Generation] = {}

    # --- reading ---

    def current(self) -> Generation:
        """Returns the generation in force, hidden or not; an empty one of number 0 if there was never one."""
        return self.in_force().generation

    def in_force(self) -> InForce:
        """Returns the generation in force, its record, and any records that somebody has put beside it or above it.

        A compaction hides all generations but its own last one. So each generation that is not hidden must have been made from the
        one before it. One that was not hides nothing, and is reported.
        """
        records = self.generations()
        found, record, planted = Generation(), None, list[ObjectVersion]()
        for there in map(records.__getitem__, last_ones(records)):
            made = self.generation(there)
            begins = record is None and not planted and made.number > 1
            if self._begins(made, there) if begins else self._is_made_from(found, made, there):
                found, record = made, there
            else:
                planted.append(_row_of(there))
        if record is not None and record.over:  # over a marker, a compaction that was overtaken may have written one
            planted += below_markers.planted(self._store, msgspec.structs.replace(record, later=record.over))
        return InForce(found, record, planted)

    def _begins(self, made: Generation, record: First) -> bool:
        """True if the first generation that is looked at counts: it is hidden, or its predecessor has expired."""
        return bool(record.markers) or stands_alone(made, self._sources_if_any)

    def _is_made_from(self, before: Generation, made: Generation, record: First) -> bool:
        """Checks each record once: it never changes, and neither do those before it."""
        which = record.name, record.version, record.modified
        sources, erased = self._sources_if_any, self._erased_lines
        return self.checked.is_sound(which, lambda: is_made_from(before, made, sources, self._horizon, erased))

    def _horizon(self) -> int:
        """Returns the horizon in the catalog as it is now: a reader that has run for long may know an older one."""
        horizon = catalogs.load(self._store, self._table).horizon
        return -1 if horizon is None else horizon.second

    def check_sound(self) -> None:
        """Raises Damaged if somebody has put a record beside or above the one in force.

        Numbers are used once, so it is in the way.
        """
        planted = self.in_force().planted
        if planted:
            raise Damaged(
                f"{below_markers.later_version(planted[0])}: {below_markers.PLANTED}",
                hint="Find out who wrote it, and have the bucket's admin delete that version. It is not read.",
            )

    def generation(self, record: Newest) -> Generation:
        """Returns the generation in a record. Raises Damaged if it cannot be read."""
        name = record.name
        if (name, record.version) in self._read:
            return self._read[name, record.version]
        if not record.version:
            raise Damaged(
                f"the record of compacted objects is gone: {name} has a delete marker, and nothing below it", hint=_FROM_A_REPLICA
            )
        try:
            found = msgspec.json.decode(self._store.get(name, record.version).body, type=Generation)
        except UNDECODABLE as error:
            raise Damaged(f"the record of compacted objects cannot be read: {name}: {reason(error)}", hint=_BRING_BACK) from error
        if found.format > FORMAT:
            raise Damaged(f"{name} is of format {found.format}", hint="Use a newer Backstream.")
        if name != self._generation_name(found.number):
            raise Damaged(f"{name} says that it is number {found.number}", hint=_BRING_BACK)
        if not is_sound(found):
            raise Damaged(f"{name} says what no compaction does", hint=_BRING_BACK)
        self._read[name, record.version] = found
        return found

    def number(self) -> int:
        """Returns the greatest number that a generation ever had: a LIST."""
        return max(self.generations(), default=0)

    def generations(self) -> dict[int, First]:
        """Returns the records of all generations, hidden ones too, by number, each with the version that was written first.

        A record that only delete markers are left of has no version. A console's "folder" is not a record.
        """
        found = dict[int, First]()
        for name, rows in groupby(self._store.versions(self._prefix + _GENERATIONS), key=lambda each: each.name):
            match = _OWNER.fullmatch(name, len(self._prefix))
            if match is not None and match["generation"] is not None:
                found[int(match["generation"])] = below_markers.first_of(list(rows))
        return found

    def replaced(self, generation: Generation) -> frozenset[str]:
        """Returns the names of the objects that sets replace, as far as they may still be listed."""
        return frozenset(generation.kept) | sources.names(map(self.sources, generation.unsettled))

    def stands_for(self, generation: Generation, concealed: Mapping[str, str], since: float) -> set[str]:
        """Returns the hidden names of the log that a set replaces, or replaced before it was merged into another set.

        `concealed` maps each name to its hidden version. Each set names the objects that it replaced itself, so the last
        compactions explain what was hidden lately. `since` is when the first of these objects was received (epoch seconds).
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
        """Yields the log's sets that are in force, and those that were in force after that time (epoch seconds), newest first."""
        yield from sorted(generation.changes, key=lambda each: each.id, reverse=True)
        for number, record in sorted(self.generations().items(), reverse=True):
            if number < generation.number and record.modified >= since - CLOCKS_APART:
                yield from self.generation(record).changes

    def _sources_if_any(self, set_id: str) -> Sources:
        try:
            return self.sources(set_id)
        except (Damaged, MissingObject):
            return {}  # what it named is then taken to be hidden by somebody else, and is read

    def owner_of(self, name: str) -> tuple[int | None, str | None]:
        """Returns the number of the generation, or the id of the set, that an object belongs to; twice None if it is of neither."""
        match = _OWNER.match(name, len(self._prefix)) if name.startswith(self._prefix) else None
        number = None if match is None else match["generation"]
        return None if number is None else int(number), None if match is None else match["set"]

    def _erased_lines(self, set_id: str) -> int:
        """Returns how many lines erasures have taken out of a set: those that the catalog names as it is now."""
        erasures = catalogs.load(self._store, self._table).erasures
        return erased_lines.taken(self._store, self.folder_of(set_id), erasures)

    def folder_of(self, set_id: str) -> str:
        """Returns the folder of a set's objects."""
        return f"{self._prefix}{set_id}/"

    def sources_name(self, set_id: str) -> str:
        """Returns the name of the object that lists a set's sources."""
        return f"{self._prefix}{set_id}/{_SOURCES}"

    def sources(self, set_id: str) -> Sources:
        """Returns all objects that a set replaces. Raises Damaged if the list cannot be read."""
        name = self.sources_name(set_id)
        return sources.decode(name, below_markers.pinned(self._store, below_markers.first(self._store, name)).body, self._folder)

    def parts(self, one: Set) -> list[First]:
        """Returns the objects of a set, in order. Raises Damaged, naming the first missing object, if any is missing."""
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
        """Returns the names of a set's objects, in order."""
        return [self.part_name(one.id, number, one.partitions) for number in range(one.partitions)]

    def written(self, set_id: str) -> list[First]:
        """Returns the existing objects of a set, whether it counts or not, also if a newer compaction has hidden them since."""
        found = list(below_markers.firsts(self._store, f"{self._prefix}{set_id}/"))
        self._firsts |= {each.name: each for each in found}
        return found

    def planted(self, part: First) -> list[Damaged]:
        """Returns later versions of a set's object with other contents. They are not read, only reported."""
        return below_markers.damage_of(self._store, part)

    def seen(self) -> list[First]:
        """Returns the objects of sets that have been listed so far."""
        return list(self._firsts.values())

    def planted_around(self, one: Set, key: bytes) -> list[Damaged]:
        """Returns the same for the object that a key's lines are in."""
        return self.planted(self._first(self.name_of(one, key)))

    def _first(self, name: str) -> First:
        """Returns the version of a set's object that counts. It stays the first one, so it is looked up once."""
        if name not in self._firsts:
            self._firsts[name] = below_markers.first(self._store, name)
        return self._firsts[name]

    def indexes(self) -> Iterator[Index]:
        """Yields the indexes of all sets' current objects, whether the sets count or not.

        Raises Damaged if an object has no index.
        """
        for listed in self._store.list(self._prefix):
            match = _OWNER.match(listed.name, len(self._prefix))
            if (
                match is not None
                and match["set"] is not None
                and not listed.name.endswith((f"/{_SOURCES}", f"/{erased_lines.NAME}"))
            ):
                yield self._index(listed.name)[0]

    def claim_and_body(self, name: str) -> tuple[SegmentHeader, bytes]:
        """Returns the header of a set's object, from its index, and its bytes. Raises Damaged if it has no index."""
        body = below_markers.pinned(self._store, self._first(name)).body
        try:
            index = frames.read_index(body)
        except Damaged as error:
            raise error.of(name) from error
        return index.claim, body

    def around(self, one: Set, key: bytes) -> tuple[str, SegmentHeader, bytes]:
        """Returns the name of the object that a key's lines are in, and the few frames that hold them, if there are any."""
        name = self.name_of(one, key)
        try:
            index, end = self._index(name)
            span = index.of_key(key)
            body = b"" if span is None else self._span(name, index, span, end)
        except Damaged as error:
            raise error.of(name) from error
        return name, SegmentHeader(Codec.ZSTD, 0, frames=()) if span is None else span.claim, body

    def name_of(self, one: Set, key: bytes) -> str:
        """Returns the name of the object that holds a key's lines, if there are any."""
        return self.part_name(one.id, partition_of(key, one.partitions), one.partitions)

    def _index(self, name: str) -> tuple[Index, bytes]:
        """Returns an object's index and its last bytes, which hold the index in most cases."""
        end = self._some_of(name, -INDEX_GUESS, INDEX_GUESS)
        size = frames.index_size(end)
        if size > len(end):
            end = self._some_of(name, -size, size)
        return frames.read_index(end), end

    def _span(self, name: str, index: Index, span: FrameSpan, end: bytes) -> bytes:
        left_out = sum(each.size for each in index.frames) + frames.whole_index_size(end) - len(end)
        if span.start >= left_out:
            return end[span.start - left_out :][: span.size]
        return self._some_of(name, span.start, span.size)

    def _some_of(self, name: str, start: int, length: int) -> bytes:
        """Returns some bytes of the version that counts.

        A range request reads the current version, so if that is another one, the whole object is read.
        """
        found = self._first(name)
        if not found.later and not found.markers:
            return below_markers.get_range(self._store, name, start, length)
        return below_markers.some_of(below_markers.pinned(self._store, found).body, start, length)

    # --- writing ---

    def part_name(self, set_id: str, number: int, partitions: int) -> str:
        """Returns the name of one of a set's objects."""
        return f"{self._prefix}{set_id}/{number:05d}-of-{partitions:05d}.ndjson.zst"

    def write_part(self, set_id: str, number: int, partitions: int, body: bytes) -> None:
        """Makes the object durable. An existing object was made of the same lines, because the set's id identifies them."""
        self._put_once(self.part_name(set_id, number, partitions), body)

    def write_sources(self, set_id: str, taken: Sources) -> None:
        """Writes the list of the objects that a set replaces."""
        self._put_once(self.sources_name(set_id), sources.encode(taken), sources.FORMAT)

    def commit(self, generation: Generation) -> None:
        """Puts the generation in force. Raises Overtaken, without any change, if somebody else was faster.

        When this returns, it is in force, or a generation made from it is: the sources of its sets no longer count.
        """
        name = self._generation_name(generation.number)
        try:
            version = self._store.put(name, *encode(generation), if_absent=True)
        except AlreadyExists as error:
            raise _overtaken() from error
        written = self.generations()
        if written[generation.number].version != version:
            raise _overtaken()  # the number had been used, and what it stood for was hidden since
        if max(written) > generation.number and not self._leads_to(generation, self.current()):
            raise _overtaken()

    @staticmethod
    def _leads_to(generation: Generation, current: Generation) -> bool:
        """True if a later generation was made from this one: it has its sets."""
        return {each.id for each in generation.sets} <= {each.id for each in current.sets}

    def _generation_name(self, number: int) -> str:
        return f"{self._prefix}{_GENERATIONS}{number:08d}.json"

    def _put_once(self, name: str, body: bytes, form: str = "1") -> None:
        try:
            self._store.put(name, body, {"format": form}, if_absent=True)
        except AlreadyExists:
            return

    def every_set(self) -> list[Set]:
        """Returns the log's sets that are, or ever were, in force, as far as their records exist.

        The record of an old generation is hidden, and may expire like every superseded version.
        """
        records = [record for _, record in sorted(self.generations().items()) if record.version]
        return list({one.id: one for record in records for one in self.generation(record).changes}.values())

    def dead(self, generation: Generation) -> list[str]:
        """Returns the names of objects that will never count again, or never did: of old sets and generations.

        A set is named after the generation that it should count from; once another generation has that number, it never will.
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


def _row_of(record: First) -> ObjectVersion:
    return ObjectVersion(record.name, record.version, record.size, record.modified, latest=True, marker=False)


def _overtaken() -> Overtaken:
    return Overtaken(
        "another compaction of this table was faster: nothing is lost, and nothing counts twice",
        hint="Let one at a time do it; the next one goes on from there.",
    )
