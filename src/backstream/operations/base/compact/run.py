"""The compaction itself: reads, writes the new objects, puts them in force, hides the old ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead, batches
from backstream.errors import Damaged, MissingObject, Overtaken
from backstream.model.values.wire import KeyReader
from backstream.operations.base.compact import plan
from backstream.operations.base.compact.lines import Sorter, SoundEntries
from backstream.operations.base.compact.small import Small, SmallRead, small_part, small_segment
from backstream.operations.base.compact.watching import Watch
from backstream.operations.bulk.progress import Progress
from backstream.operations.inspect import lost_changes
from backstream.operations.inspect.lost_changes import MissingChange
from backstream.ports import Clock
from backstream.vault import bases as base_backups
from backstream.vault.gaps.arrivals import passed_by
from backstream.vault.gaps.gaps import Gap
from backstream.vault.log import chains, compacted, frames, sources
from backstream.vault.log.chains import Run
from backstream.vault.log.compacted import Generation, Set
from backstream.vault.log.generation import lacking
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.links import Links
from backstream.vault.log.log import DAY, FetchedSegment, LogListing
from backstream.vault.table_vault import TableVault

READERS = 8
HIDERS = 16
LINKED_DAYS = 3  # a tail's next segment may name one as its predecessor for this long


class Unread(msgspec.Struct, frozen=True):
    """An object that was left alone, because it cannot be read, or is foreign."""

    name: str
    why: str


class Compaction(msgspec.Struct, frozen=True):
    """The result of a compaction.

    `segments`, `parts`: the number of small objects of the log and of base backups that were merged; `lines`: the number of their
    lines; `hidden`: the number of objects that got a delete marker; `sets`, `objects`, `bytes`: the amount of compacted data now;
    `left`: objects that could not be merged. `missing`: items that lack a change, as far as their lines were rewritten here;
    `unrecorded`: why that is not recorded in the vault, empty if it is.
    """

    table: str
    segments: int
    parts: int
    lines: int
    hidden: int
    sets: int
    objects: int
    bytes: int
    seconds: float
    left: Sequence[Unread] = ()
    missing: Sequence[MissingChange] = ()
    unrecorded: str = ""


class Taken(msgspec.Struct, frozen=True):
    """The part taken from a small object: the number of lines, and the version."""

    lines: int
    version: str


class SetPart(msgspec.Struct, frozen=True, array_like=True):
    """One object of a set that was written. `suspected`: keys of items that seem to lack a change, if an executor has looked."""

    lines: int
    size: int
    seconds: tuple[int, int] | None
    suspected: Sequence[bytes] = ()


class _NewSet(msgspec.Struct, frozen=True):
    """A new set, and the sets that it replaces."""

    set: Set
    merged: Sequence[Set]


def _always(_: str) -> bool:
    return True


class CompactionRun:
    """One compaction. See `start.compact`."""

    def __init__(self, vault: TableVault, clock: Clock, until: int | None, memory: Memory, progress: Progress) -> None:
        self._vault = vault
        self._clock = clock
        self._began = clock.now()
        self._until = until
        self._memory = memory
        self._progress = progress
        self._left: list[Unread] = []
        self._runs: list[Run] = []
        self._links = Links(vault.log)
        self._held: set[tuple[str, str]] = set()
        self._over: dict[str, int] = {}  # what sets stand for now, and how many lines each held
        self._hidden = 0
        self._watch = Watch(vault, self._began)

    def run(self) -> Compaction:
        """Returns its report."""
        self._vault.compacted.check_sound()
        self._settle(self._vault.compacted.current(), again=True)
        found = self._vault.inventory()
        before = found.generation
        segments = [each for each in found.segments if self._is_due(each)]
        parts = list(self._new_parts(before))
        after = self._write(before, found.listed, [small_segment(each) for each in segments], parts)
        self._record_missing(found)
        if after.sets != before.sets:
            self._vault.compacted.commit(after)
            after = self._settle(after)
        self._vault.coverage.fold_gaps()
        missing = self._watch.losses()
        return Compaction(
            table=self._vault.catalog.table,
            segments=sum(1 for each in segments if each.name in self._over),
            parts=sum(1 for each in parts if each.name in self._over),
            lines=sum(self._over.values()),
            hidden=self._hidden,
            sets=len(after.sets),
            objects=sum(each.partitions for each in after.sets),
            bytes=sum(each.size for each in after.sets),
            seconds=round(self._clock.now() - self._began, 3),
            left=self._left,
            missing=lost_changes.reported(missing),
            unrecorded=lost_changes.record(self._vault, missing),
        )

    def settled(self) -> Generation:
        """See `start.settle`."""
        return self._settle(self._vault.compacted.current(), again=True)

    def _is_due(self, listed: LogListing) -> bool:
        if listed.segment is None:
            self._left.append(Unread(listed.name, listed.strange))
            return False
        return self._until is None or listed.segment.max_time <= self._until

    def _new_parts(self, before: Generation) -> Iterator[Small]:
        """Yields the parts of complete base backups that no set replaces.

        One with a missing part is left: the part may be brought back.
        """
        covered = {each for one in before.bases for each in one.bases}
        for base in self._vault.bases.complete():
            if base.kind is base_backups.BaseKind.INCREMENTAL or base.id in covered:
                continue
            try:
                yield from [small_part(base.id, part) for part in self._vault.bases.whole(base)]
            except Damaged as error:
                self._left.append(Unread(f"base backup {base.id}", error.message))

    # --- the new ---

    def _write(
        self, before: Generation, listed: Sequence[LogListing], segments: Sequence[Small], parts: Sequence[Small]
    ) -> Generation:
        """Writes everything of the next generation except its record."""
        wanted = {(gap.stream, number) for gap in self._vault.gaps.all() for number in gap.numbers}
        self._held |= self._late_gaps() if before.changes else set()
        number = before.number + 1
        signs = plan.signs(listed, self._began)
        changes = self._set(number, before.changes, segments, wanted, stale=frozenset(before.kept) - signs)
        scans = self._set(number, before.bases, parts, set())
        taken = {each.name for each in segments} - {each.name for each in self._left}
        replaced = {each.id for one in (changes, scans) if one is not None for each in one.merged}
        return msgspec.structs.replace(
            before,
            number=number,
            sets=[
                *(each for each in before.sets if each.id not in replaced),
                *(one.set for one in (changes, scans) if one is not None),
            ],
            kept=before.kept if changes is None else sorted(signs & (taken | set(before.kept))),
            unsettled=[*before.unsettled, *([] if changes is None else [changes.set.id])],
            runs=list(chains.open_ends([*before.runs, *self._runs], since=int(self._began) - LINKED_DAYS * DAY)),
            held=sorted(self._held | set(before.held)),
        )

    def _late_gaps(self) -> set[tuple[str, str]]:
        """Changes that a set took over before anybody said that they are missing."""
        record = self._vault.compacted.in_force().record
        return set() if record is None else self._vault.coverage.held_all_along(record.modified)

    def _set(
        self,
        number: int,
        sets: Sequence[Set],
        small: Sequence[Small],
        wanted: set[tuple[str, str]],
        *,
        stale: frozenset[str] = frozenset(),
    ) -> _NewSet | None:
        """Writes a set of these small objects, and of the sets (of its kind) that it should replace.

        Returns None if none of them could be read. A base backup with an unreadable part is left unchanged.

        `stale`: names of segments that a set already replaces, and that need not stay any longer.
        """
        size = sum(each.size for each in small)
        merged = plan.to_merge(sets, size)
        partitions = plan.partitions_for(size + sum(each.size for each in merged), merged)
        key_of = KeyReader(self._vault.catalog.key_schema)
        with Sorter(self._vault.compacted, key_of, partitions, merged, buffer=self._memory.buffer) as sorter:
            taken = self._take(sorter, small, wanted)
            bases = _whole_bases(small, taken)
            if not taken or (small[0].base is not None and not bases):
                return None
            self._over |= {
                each.name: taken[each.name].lines for each in small if each.name in taken and each.base in (None, *bases)
            }
            over = {name: each.version for name, each in taken.items()} | self._versions(stale)
            set_id = compacted.set_id(number, [*sources.marked(over), *(each.id for each in merged)])
            self._vault.compacted.write_sources(set_id, over)
            written = self._write_parts(sorter, set_id, [*(base for one in merged for base in one.bases), *bases])
        return _NewSet(lacking(written, merged), merged)

    def _versions(self, stale: Iterable[str]) -> dict[str, str]:
        """Returns the versions of existing segments; a missing one needs no hiding."""
        found = dict[str, str]()
        for name in sorted(stale):
            with suppress(MissingObject):
                found[name] = self._vault.log.version(name)
        return found

    def _take(self, sorter: Sorter, small: Sequence[Small], wanted: set[tuple[str, str]]) -> dict[str, Taken]:
        """Reads them all. Returns the names of the sound ones, and the part taken from each."""
        self._progress.phase("reading small objects", len(small))
        taken = dict[str, Taken]()
        with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
            bodies = self._memory.bodies
            for one, reading in ahead(pool, self._read, small, bodies, weight=lambda each: each.size):
                self._progress.advance(1)
                try:
                    read = reading()
                    lines = SoundEntries(read.claim, read.body)
                except Damaged as error:
                    self._left.append(Unread(one.name, error.message.removeprefix(f"{one.name}: ")))
                    continue
                sorter.add(lines, one.received)
                taken[one.name] = Taken(read.claim.count, read.version)
                self._note(read.fetched)
                self._held |= wanted and wanted.intersection((each.stream, each.sequence) for each in lines)
                self._held |= self._passed(one, wanted)
        return taken

    def _read(self, one: Small) -> SmallRead:
        return one.read(self._vault)

    def _passed(self, one: Small, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """Returns the missing change that a segment without lines says to have come."""
        segment = self._vault.log.segment_of(one.name) if wanted else None
        passed = set() if segment is None else passed_by(segment)
        return {(stream, number) for stream, number in wanted if (stream, int(number)) in passed}

    def _note(self, fetched: FetchedSegment | None) -> None:
        if fetched is not None:
            self._links.note(fetched)
            self._runs += [] if fetched.run is None else [fetched.run]

    def _record_missing(self, found: Inventory) -> None:
        """Records a gap for a segment that is missing from a writer's chain, since the one that names it is now hidden."""
        for gone in self._links.of_writers(found, since=None):
            since, until = gone.lost
            self._vault.gaps.record(Gap(f"{gone.name}: {gone.why}", since, until, self._vault.catalog.stream))

    def _write_parts(self, sorter: Sorter, set_id: str, bases: Sequence[str]) -> Set:
        self._progress.phase("writing compacted objects", sorter.partitions)
        lines, size, seconds = 0, 0, list[int]()
        for part in self._written(sorter, set_id, of_bases=bool(bases)):
            self._progress.advance(1)
            lines, size = lines + part.lines, size + part.size
            seconds += part.seconds or ()
        since, until = min(seconds, default=0), max(seconds, default=0)
        return Set(set_id, sorter.partitions, lines, size, since, until, list(bases))

    def _written(self, sorter: Sorter, set_id: str, *, of_bases: bool) -> Iterator[SetPart]:
        """Writes the set's objects, one after the other."""
        for number in range(sorter.partitions):
            lines = sorter.sorted_lines(number)
            body, index = frames.pack(lines if of_bases else self._watch.looking_at(lines))
            self._vault.compacted.write_part(set_id, number, sorter.partitions, body)
            yield SetPart(index.lines, len(body), index.seconds)

    # --- the old ---

    def _settle(self, generation: Generation, *, again: bool = False) -> Generation:
        """Hides the sources of sets, including those that an earlier run did not come to. `generation` is or was in force.

        All later generations are made from it, so its sources count in none of them. `again`: an earlier run may have hidden some
        of them; a segment that was written anew since is not a source, and stays.
        """
        if not generation.unsettled:
            return generation
        store = self._vault.compacted
        over = {name: version for each in generation.unsettled for name, version in store.sources(each).items()}
        for name in generation.kept:
            over.pop(name, None)
        names = [name for name in self._vault.log.current_names() if name in over]
        settled = msgspec.structs.replace(generation, number=generation.number + 1, unsettled=[])
        self._hide(names, (lambda name: self._is_still(name, over[name])) if again else _always)
        try:
            store.commit(settled)
        except Overtaken:
            return store.current()  # whose generation that is hides what is over
        self._hide(store.dead(settled))
        return settled

    def _is_still(self, name: str, version: str) -> bool:
        """True if that version is the newest one."""
        return version == sources.ANY or self._vault.log.version(name) == version

    def _hide(self, names: Iterable[str], due: Callable[[str], bool] = _always) -> None:
        """Puts delete markers on those that are due. Their versions stay, for readers that have listed them and for the owner."""
        self._progress.phase("hiding what is compacted", None)

        def hide(name: str) -> bool:
            if not due(name):
                return False
            self._vault.store.delete(name)
            return True

        with ThreadPoolExecutor(HIDERS, thread_name_prefix="hider") as pool:
            for batch in batches(names, 1_000):
                for is_hidden in pool.map(hide, batch):
                    self._hidden += is_hidden
                    self._progress.advance(1)


def _whole_bases(small: Sequence[Small], taken: Collection[str]) -> list[str]:
    """Returns the base backups whose parts were all taken."""
    broken = {each.base for each in small if each.name not in taken}
    return list(dict.fromkeys(each.base for each in small if each.base is not None and each.base not in broken))
