"""Reads every line of the change log and of base backups once: sound objects into partitions by key, the others into findings."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.engine.local.source_objects import Fetched, SetObject, SourceObject, fetch
from backstream.engine.local.spill import Spill, partitions_for
from backstream.errors import Damaged, MissingObject
from backstream.model.changes.entry import Entry
from backstream.model.window import Ignored
from backstream.operations.bulk.progress import Progress
from backstream.operations.inspect.check.line_objects import READERS, Lines, ReadLines, lines_read, orders_of, sound_lines
from backstream.operations.inspect.check.report import FindingKind, RepairableFinding, planted, second_version, wrong
from backstream.ports import Executors
from backstream.vault import below_markers
from backstream.vault.bases import Part
from backstream.vault.below_markers import First
from backstream.vault.coverage import counts
from backstream.vault.log import inventory
from backstream.vault.log.compacted import Set
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.links import Links
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import TableVault


class _LineObject(msgspec.Struct, frozen=True):
    """One object with lines. `seconds`: of its changes, from its name; `count`: the number of lines, None if unknown."""

    source: SourceObject
    seconds: tuple[int, int | None] | None
    count: int | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.source.name


def _named(one: _LineObject, why: str) -> RepairableFinding:
    if one.seconds is None and why in (below_markers.LATER, below_markers.PLANTED):
        return second_version(one.name, why)
    return wrong(FindingKind.FOREIGN if one.seconds is None else FindingKind.DAMAGED, one.name, why, one.seconds, one.count)


class LineReader:
    """Reads the lines.

    `entries`: each line by its canonical key, without images; `read`: their number; `objects`: the number of objects; `unsound`:
    the names of those that could not be read. `kept`: the lines of single states from before the horizon; they are no history.
    """

    def __init__(self, vault: TableVault, memory: Memory, progress: Progress) -> None:
        self._vault = vault
        self._memory = memory
        self._progress = progress
        self.read = 0
        self.objects = 0
        self.unsound: set[str] = set()
        self.entries: Spill[Entry] = Spill(1, Entry)
        self.kept: Spill[Entry] = Spill(1, Entry)
        self._into = self.entries
        self._links = Links(vault.log)
        self._voids: Sequence[Ignored] = vault.coverage.before_horizon  # of the log; lines of base backups count at any age

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.entries.close()
        self.kept.close()

    def take(self, found: Inventory) -> Iterator[RepairableFinding]:
        """Reads everything in this inventory, and the base backups."""
        passed = self._vault.bases.passed()
        parts = [part for base in self._vault.bases.ids() if base not in passed for part in self._vault.bases.parts(base)]
        small = [each for each in found.segments if each.segment is None or each.segment.count]
        of_bases = inventory.sets_of_bases(self._vault.bases, found.generation)
        rows = sum(part.count for part in parts) + sum(one.lines for one in found.generation.sets)
        rows += sum(each.segment.count for each in small if each.segment is not None)
        self.__exit__()
        self.entries, self.kept = (Spill(partitions_for(rows), Entry, buffer=self._memory.buffer) for _ in range(2))
        self._into = self.entries
        self._progress.phase("reading the change log", rows)
        links = self._links = Links(self._vault.log)
        yield from self._take(map(_segment, small))
        for one in found.generation.changes:
            yield from self._set(one)
        self._voids = ()
        for one in of_bases:
            yield from self._set(one)
        yield from map(planted, self._vault.bases.planted(parts))
        yield from self._take(map(_part, parts))
        yield from self._kept_states()
        for gone in links.missing(found, since=None):
            yield wrong(FindingKind.MISSING, gone.name, gone.why, gone.lost)

    def _kept_states(self) -> Iterator[RepairableFinding]:
        """Reads the states that are kept from before the horizon."""
        bases, self._into = self._vault.bases, self.kept
        for base in bases.every_kept():
            if not bases.counts(base):  # else it is the horizon's own, too, and was read
                parts = bases.parts(base.id)
                yield from map(planted, bases.planted(parts))
                yield from self._take(map(_part, parts))
        self._into = self.entries

    def _set(self, one: Set) -> Iterator[RepairableFinding]:
        """Checks a set's objects, which together hold the number of lines in its record."""
        compacted, before, seconds = self._vault.compacted, self.read, (one.since, one.until)
        try:
            parts = compacted.parts(one)
        except Damaged as error:
            yield wrong(FindingKind.MISSING, f"compacted set {one.id}", error.message, seconds, one.lines)
            there = {each.name: each for each in compacted.written(one.id)}
            parts = [there[name] for name in compacted.part_names(one) if name in there]
        for part in parts:
            yield from map(planted, compacted.planted(part))
        damaged = 0
        for found in self._take(_of_set(part, seconds) for part in parts):
            damaged += 1
            yield found
        if not damaged and len(parts) == one.partitions and self.read - before != one.lines:
            why = f"its objects hold {self.read - before:,} lines, its record says {one.lines:,}"
            yield wrong(FindingKind.DAMAGED, f"compacted set {one.id}", why, seconds)
        if not one.bases:
            yield from self._sources(one)

    def _sources(self, one: Set) -> Iterator[RepairableFinding]:
        name = self._vault.compacted.sources_name(one.id)
        why = "the set's sources are not known: segments that it took over may be taken for hidden by somebody else"
        try:
            self._vault.compacted.sources(one.id)
        except MissingObject:
            yield wrong(FindingKind.MISSING, name, why)
        except Damaged as error:
            yield wrong(FindingKind.DAMAGED, name, f"{why} ({error.message})")

    def _take(self, objects: Iterable[_LineObject]) -> Iterator[RepairableFinding]:
        """Reads the objects ahead, and yields a finding for each one that cannot be read, or that differs from its name."""
        executors = self._vault.executors
        for one, taking in self._here(objects) if executors is None else self._elsewhere(executors, objects):
            self.objects += 1
            try:
                self._keep(taking())
            except MissingObject as error:
                self.unsound.add(one.name)
                yield wrong(FindingKind.MISSING, one.name, error.message, one.seconds, one.count)
            except Damaged as error:
                self.unsound.add(one.name)
                yield _named(one, error.message.removeprefix(f"{one.name}: "))

    def _here(self, objects: Iterable[_LineObject]) -> Iterator[tuple[_LineObject, Callable[[], Lines]]]:
        read, bodies = partial(_fetched, self._vault), self._memory.bodies // 2
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            for one, reading in ahead(pool, read, objects, bodies, weight=lambda each: each.source.size):
                yield one, partial(self._checked, reading)

    def _checked(self, reading: Callable[[], Fetched]) -> Lines:
        fetched = reading()
        self._links.extend([] if fetched.run is None else [fetched.run], [] if fetched.link is None else [fetched.link])
        return sound_lines(self._vault, fetched.source.claim, fetched.source.body)

    def _elsewhere(self, executors: Executors, objects: Iterable[_LineObject]) -> Iterator[tuple[_LineObject, Callable[[], Lines]]]:
        """Yields the same, read by executors."""
        kept = deque[list[_LineObject]]()

        def orders() -> Iterator[list[SourceObject]]:
            for order in orders_of(objects, lambda each: each.source.size):
                kept.append(order)
                yield [each.source for each in order]

        for result in executors.each(self._vault, ReadLines(), orders()):
            for one, read in zip(kept.popleft(), lines_read(result), strict=True):
                self._links.extend(read.runs, read.links)
                yield one, read.lines

    def _keep(self, lines: Lines) -> None:
        """Keeps all lines of an object."""
        counting = [each for each in lines if counts(self._voids, each[1])] if self._voids else lines
        self._into.writer.extend(counting)
        self.read += len(lines)
        self._progress.advance(len(lines))


def _fetched(vault: TableVault, one: _LineObject) -> Fetched:
    return fetch(vault, one.source)


def _segment(listed: LogListing) -> _LineObject:
    source = SourceObject(listed.name, listed.size, listed.seconds, listed)
    return _LineObject(source, listed.seconds, None if listed.segment is None else listed.segment.count)


def _part(part: Part) -> _LineObject:
    return _LineObject(SourceObject(part.name, part.size, part.seconds, part), (part.seconds[1], None), part.count)


def _of_set(part: First, seconds: tuple[int, int]) -> _LineObject:
    return _LineObject(SourceObject(part.name, part.size, seconds, SetObject(part.name)), seconds, None)
