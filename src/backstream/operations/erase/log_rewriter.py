"""Writes the compacted sets that hold lines of the subject anew without them, and puts the new ones in force.

Everything must have been compacted before: a segment is never rewritten. Two kinds of segments are replaced by one of the same run
without any line: one that a set stands for, but that stays as the checkpoint of its writer; and one from before the horizon, which
no compaction takes, and which the next one of its shard may name as the one before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import AlreadyExists, Damaged
from backstream.operations.bulk import line_object
from backstream.operations.bulk.progress import Progress
from backstream.operations.erase import line_objects
from backstream.operations.erase.subject import Subject
from backstream.vault.catalog import folder
from backstream.vault.erasure.erasures import TouchedObject
from backstream.vault.log import compacted, erased_lines, frames, segments
from backstream.vault.log.compacted import Generation, Set
from backstream.vault.log.erased_lines import ErasedLines
from backstream.vault.log.filters.filter_metadata import OF_LINES
from backstream.vault.log.frames import FrameLine
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.log import LogListing
from backstream.vault.log.segments import Segment, SegmentHeader
from backstream.vault.log.sources import Sources
from backstream.vault.table_vault import TableVault

OF_PREDECESSOR = ("previous", "upon", "signature", *OF_LINES)  # metadata that vouches for the lines, which the new one has not


def rewrite(
    vault: TableVault, subject: Subject, erasure: str, new_bases: Mapping[str, str], memory: Memory, progress: Progress
) -> list[TouchedObject]:
    """Takes the subject's lines out of all sets. Returns the objects that held some.

    `new_bases`: for each base backup that was written anew, the new one. Raises Overtaken if a compaction was faster, and Damaged
    if a set cannot be read: nothing counts then that was written here.
    """
    return _Rewriter(vault, subject, erasure, new_bases, memory, progress).run()


class _RewrittenSet(msgspec.Struct, frozen=True):
    old: Set
    new: Set
    sources: Sources


class _Rewriter:
    def __init__(
        self, vault: TableVault, subject: Subject, erasure: str, new_bases: Mapping[str, str], memory: Memory, progress: Progress
    ) -> None:
        self._vault = vault
        self._subject = subject
        self._erasure = erasure
        self._new_bases = new_bases
        self._memory = memory
        self._progress = progress
        self._touched: list[TouchedObject] = []

    def run(self) -> list[TouchedObject]:
        vault = self._vault
        vault.compacted.check_sound()
        before = vault.compacted.current()
        affected = {each.id: count for each in before.sets if (count := self._count(each))}
        kept, segments_hit = set(before.kept), list(self._segments_hit(before))
        signs = [each for each in segments_hit if each.name in kept]
        for listed in segments_hit:
            self._write_empty(listed)
        if not affected and not signs:
            return self._touched
        number = before.number + 1
        new = [self._written(number, each, affected[each.id]) for each in before.sets if each.id in affected]
        new = self._with_signs(new, signs)
        for each in new:
            vault.compacted.write_sources(each.new.id, each.sources)
        vault.compacted.commit(self._generation(before, new, signs))
        return self._touched

    def _count(self, one: Set) -> int:
        """Returns how many lines of a set are the subject's."""
        self._progress.phase(f"looking through {one.id}", one.partitions)
        found = 0
        for part, claim, body in line_objects.each_read(line_object.of_set(self._vault.compacted, one), self._memory, _damaged):
            lines = self._hits(claim, body)
            if lines:
                self._touched.append(TouchedObject(part.name, lines))
            found += lines
            self._progress.advance(1)
        return found

    def _hits(self, claim: SegmentHeader, body: bytes) -> int:
        entries = (entry for block in line_objects.blocks(claim, body) for entry, _ in block)
        return sum(self._subject.has(self._vault.key(entry), entry) for entry in entries)

    # --- segments that no set replaces ---

    def _segments_hit(self, before: Generation) -> Iterator[LogListing]:
        """Yields the segments that hold lines of the subject and that stay: see `lasting`."""
        for listed in lasting(self._vault, self._vault.inventory(), before):
            if listed.segment is None or not listed.segment.count:
                continue
            fetched = self._vault.log.fetch(listed)
            lines = self._hits(fetched.claim, fetched.body)
            if lines:
                self._touched.append(TouchedObject(listed.name, lines))
                yield listed

    def _with_signs(self, new: list[_RewrittenSet], signs: Sequence[LogListing]) -> list[_RewrittenSet]:
        """Lets a set take over each sign that was written without its lines."""
        for sign in signs:
            place = next((at for at, each in enumerate(new) if not each.new.bases and _may_stand_for(each.new, sign)), None)
            if place is None:
                raise Damaged(f"{sign.name}: no compacted set holds the lines of this segment, although one stands for it")
            known = {**new[place].sources, sign.name: self._vault.log.version(sign.name)}
            new[place] = msgspec.structs.replace(new[place], sources=known)
        return new

    def _write_empty(self, sign: LogListing) -> None:
        assert sign.segment is not None  # noqa: S101 - only segments are signs
        empty = emptied(sign.segment)
        said = {name: text for name, text in self._vault.log.metadata(sign).items() if name not in OF_PREDECESSOR}
        name = f"{folder(self._vault.catalog.table)}log/{empty.path}"
        with suppress(AlreadyExists):
            self._vault.store.put(name, segments.pack([], empty.codec), said, if_absent=True)

    # --- sets ---

    def _written(self, number: int, old: Set, taken: int) -> _RewrittenSet:
        """Writes a set without the subject's lines.

        It replaces no segment but signs: the old set has hidden its sources, as in any compaction that merges it. Since then some
        of them may count again: `retain` keeps the last watermark, and no longer says that a set stands for it.
        """
        vault = self._vault
        hashes = sorted(f"{each.id} {row.key}" for each in self._subject.erasures for row in each.rows)
        set_id = compacted.set_id(number, [old.id, self._erasure, *hashes])
        erased_lines.write(vault.store, vault.compacted.folder_of(set_id), ErasedLines(self._erasure, {old.id: taken}))
        size = lines = 0
        self._progress.phase(f"writing {set_id}", old.partitions)
        parts = line_objects.each_read(line_object.of_set(vault.compacted, old), self._memory, _damaged)
        for place, (_, claim, body) in enumerate(parts):
            packed, index = frames.pack(self._kept(claim, body))
            vault.compacted.write_part(set_id, place, old.partitions, packed)
            size, lines = size + len(packed), lines + index.lines
            self._progress.advance(1)
        new = msgspec.structs.replace(
            old, id=set_id, lines=lines, size=size, erased=old.lacks + taken, bases=[*old.bases, *self._bases_of(old)]
        )
        return _RewrittenSet(old, new, {})

    def _kept(self, claim: SegmentHeader, body: bytes) -> Iterator[FrameLine]:
        for block in line_objects.blocks(claim, body):
            for entry, text in block:
                key = self._vault.key(entry)
                if not self._subject.has(key, entry):
                    yield FrameLine(key, entry.seconds, text)

    def _bases_of(self, old: Set) -> list[str]:
        return [self._new_bases[each] for each in old.bases if each in self._new_bases and self._new_bases[each] not in old.bases]

    def _generation(self, before: Generation, new: Sequence[_RewrittenSet], signs: Sequence[LogListing]) -> Generation:
        replaced = {each.old.id: each.new for each in new}
        gone = {each.name for each in signs}
        return msgspec.structs.replace(
            before,
            number=before.number + 1,
            sets=[replaced.get(each.id, each) for each in before.sets],
            kept=[each for each in before.kept if each not in gone],
            unsettled=[*before.unsettled, *(each.new.id for each in new if not each.new.bases)],
        )


def lasting(vault: TableVault, found: Inventory, generation: Generation) -> list[LogListing]:
    """Returns the segments that stay though a set stands for them, and those from before the horizon, which no compaction takes."""
    horizon = -1 if vault.catalog.horizon is None else vault.catalog.horizon.second
    kept = set(generation.kept)
    return [each for each in found.listed if each.segment is not None and (each.name in kept or each.segment.max_time <= horizon)]


def emptied(segment: Segment) -> Segment:
    """Returns the segment of the same run without any line."""
    return msgspec.structs.replace(segment, count=0)


def _may_stand_for(one: Set, sign: LogListing) -> bool:
    segment = sign.segment
    assert segment is not None  # noqa: S101 - only segments are signs
    return one.stands_for >= segment.count and one.since <= segment.min_time and segment.max_time <= one.until


def _damaged(name: str, why: str) -> None:
    raise Damaged(f"{name}: {why}", hint="`backstream check` names all that is damaged. Bring it back first.")
