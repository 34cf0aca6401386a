"""What `compact` has made of small objects: sets of large ones, in which the lines of one key lie together; and which sets count.

    compacted/generations/NUMBER.json          which sets count, and what stands for what: the greatest number is in force
    compacted/SET/PART-of-PARTS.ndjson.zst     the set's lines, parted by the sha256 of their keys, sorted by key: see `frames`
    compacted/SET/sources.ndjson.zst           the names of the objects that it stands for, a JSON string a line

A set, and all that it replaces, change places in one write: that of the next generation, which is create-only, so that of two
compactions at once one fails. Until then a set's objects are nobody's; from then on what they stand for counts no more, whether it
has been hidden yet or not. Who lists the log first and asks for the generation then misses nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec
import zstandard

from backstream.errors import AlreadyExists, Damaged, Failed, MissingObject
from backstream.layouts import frames, hidden
from backstream.layouts.catalog import folder
from backstream.layouts.chains import Run
from backstream.layouts.frames import INDEX_GUESS, Index, Span
from backstream.layouts.segments import Claim, Codec
from backstream.ports import ListedObject, ObjectStore

FORMAT = 1
_GENERATIONS = "generations/"
_SOURCES = "sources.ndjson.zst"
_BRING_BACK = "Bring back its version before this one, from the bucket's versions."
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
    def bases(self) -> list[Set]:
        """The sets of base backups."""
        return [each for each in self.sets if each.bases]


class Compacted:
    """The compacted objects of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._prefix = folder(table) + "compacted/"

    # --- reading ---

    def current(self) -> Generation:
        """The generation in force; one of number 0, which is empty, where nothing was ever compacted."""
        listed = self._generations()
        if not listed:
            return Generation()
        number = max(listed)
        try:
            found = msgspec.json.decode(hidden.get(self._store, listed[number]).body, type=Generation)
        except msgspec.DecodeError as error:
            raise Damaged(f"the record of what is compacted cannot be read: {listed[number]}: {error}", hint=_BRING_BACK) from error
        if found.format > FORMAT:
            raise Damaged(f"{listed[number]} is of format {found.format}", hint="Use a newer Backstream.")
        if found.number != number:
            raise Damaged(f"{listed[number]} says that it is number {found.number}", hint=_BRING_BACK)
        return found

    def number(self) -> int:
        """That of the generation in force: a LIST."""
        return max(self._generations(), default=0)

    def _generations(self) -> dict[int, str]:
        """The names of all that are listed, by their numbers. Foreign objects, such as a console's "folder", are none."""
        listed = (_OWNER.fullmatch(each.name, len(self._prefix)) for each in self._store.list(self._prefix + _GENERATIONS))
        return {int(match["generation"]): match.string for match in listed if match is not None}

    def replaced(self, generation: Generation) -> frozenset[str]:
        """The names of objects that a set stands for, as far as they may still be listed."""
        return frozenset(generation.kept).union(*(self.sources(each) for each in generation.unsettled))

    def sources(self, set_id: str) -> frozenset[str]:
        """The names of all objects that a set stands for. Damaged where that cannot be read."""
        name = f"{self._prefix}{set_id}/{_SOURCES}"
        try:
            text = zstandard.ZstdDecompressor().decompress(hidden.get(self._store, name).body, allow_extra_data=False)
            return frozenset(msgspec.json.decode(line, type=str) for line in text.splitlines())
        except (zstandard.ZstdError, msgspec.DecodeError) as error:
            raise Damaged(f"{name}: {error}") from error

    def parts(self, one: Set) -> list[ListedObject]:
        """The objects of a set, in order. Damaged, naming the first that is missing, where not all are there."""
        names = [self.part_name(one.id, number, one.partitions) for number in range(one.partitions)]
        there = {each.name: each for each in self.written(one.id)}
        missing = [name for name in names if name not in there and not self._is_hidden(name)]
        if missing:
            raise Damaged(
                f"{missing[0]}: missing, as are {len(missing) - 1} more of its set" if missing[1:] else f"{missing[0]}: missing",
                hint="Bring it back from the bucket's versions.",
            )
        return [there.get(name, ListedObject(name, one.size // one.partitions, 0.0)) for name in names]

    def _is_hidden(self, name: str) -> bool:
        """Whether a newer compaction has hidden it since: it can still be read."""
        try:
            hidden.get_range(self._store, name, -1, 1)
        except MissingObject:
            return False
        return True

    def written(self, set_id: str) -> list[ListedObject]:
        """What there is of a set's objects, whether it counts or not."""
        return list(self._store.list(f"{self._prefix}{set_id}/"))

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

    def write_sources(self, set_id: str, names: Iterable[str]) -> None:
        """Say which objects a set stands for."""
        text = b"".join(msgspec.json.encode(name) + b"\n" for name in sorted(names))
        self._put_once(f"{self._prefix}{set_id}/{_SOURCES}", Codec.ZSTD.compress(text))

    def commit(self, generation: Generation) -> None:
        """Put it in force. Failed, and nothing has changed, where somebody else was faster."""
        name = f"{self._prefix}{_GENERATIONS}{generation.number:08d}.json"
        try:
            self._store.put(name, msgspec.json.format(msgspec.json.encode(generation), indent=2), {"format": "1"}, if_absent=True)
        except AlreadyExists as error:
            raise Failed(
                "another compaction of this table was faster: nothing is lost, and nothing counts twice",
                hint="Let one at a time do it; the next one goes on from there.",
            ) from error

    def _put_once(self, name: str, body: bytes) -> None:
        try:
            self._store.put(name, body, {"format": "1"}, if_absent=True)
        except AlreadyExists:
            return

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


def partition_of(key: bytes, partitions: int) -> int:
    """In which of a set's objects a key's lines lie: the first bits of the key's sha256. `partitions`: a power of two."""
    return int.from_bytes(sha256(key).digest()[:4]) * partitions >> 32


def set_id(number: int, sources: Sequence[str]) -> str:
    """Of a set that is to count from that generation on. The same sources, the same id: an interrupted one is gone on with."""
    digest = sha256("\n".join(sorted(sources)).encode()).hexdigest()[:12]
    return f"{number:08d}-{digest}"
