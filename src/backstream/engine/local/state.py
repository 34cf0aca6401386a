"""The embedded engine: a table's state at a moment on one machine, in bounded memory whatever the table's size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from backstream.engine.local.broken import broken_in, settled
from backstream.engine.local.log_decoder import DecodedSource, LineSource, Taker, Task
from backstream.engine.local.memory import Memory
from backstream.engine.local.partition import Folded, Partition
from backstream.engine.local.prefetch import ahead
from backstream.engine.local.spill import Pairs, Spill, partitions_for
from backstream.engine.local.worker_pool import Crew
from backstream.errors import Damaged
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING
from backstream.model.changes.item_chain import ChainEvidence, WholeTableRead
from backstream.model.clocks import CLOCKS_APART
from backstream.model.values import object_limits
from backstream.model.window import Window
from backstream.ports.engine import UnreadableSource
from backstream.vault.bases import Part
from backstream.vault.coverage import RestoreBase
from backstream.vault.log import segments
from backstream.vault.log.compacted import Set
from backstream.vault.log.links import Links
from backstream.vault.log.log import LogListing
from backstream.vault.log.segments import SegmentHeader
from backstream.vault.table_vault import TableVault

Progress = Callable[[int], None]
READERS = 4  # objects read side by side
TOGETHER = 64  # objects at most that are taken by one order
WORTH_WORKERS = 40_000  # entries; to start processes for fewer takes longer than to do without
DEFAULT = Memory()
FEW_KEYS = 1_000  # so many are looked up in each compacted set, of more it is read whole


class State:
    """The state of a table at a moment: for each item the entry that gives its state then, deletes included.

    Entering it reads the base backup that the state builds on, if there is one, and the log since into partitions on disk;
    `partition` folds them one at a time. `unreadable` names the objects that could not be read, and foreign objects in the log:
    their contents are not in the state. `keys`: only these items (canonical keys). `since`: only the log's hours from that second
    on, and no base backup, so it holds the changes since then and perhaps a little more. `rows`: the number of items there may be
    in all, if the vault may know of fewer. `passed_over` names the unreadable objects of a base backup that an equally good one
    replaces. Old images are left out: an entry's image is the image after its change.

    `names`: the name of every row object that the log names up to the moment (after `read_on`, at any time), each with the time at
    which the store received the segment that says so.
    """

    names: Pairs

    def __init__(
        self,
        vault: TableVault,
        at: int,
        progress: Progress = lambda _: None,
        *,
        keys: Collection[bytes] | None = None,
        since: int | None = None,
        rows: int = 0,
        memory: Memory = DEFAULT,
    ) -> None:
        self._vault = vault
        self._memory = memory
        self._at = at
        self._progress = progress
        self._keys = None if keys is None else frozenset(keys)
        self._rows = rows
        self._since = since
        whole = RestoreBase(None, voids=vault.coverage.before_horizon)
        self._bases = [whole] if since is not None else vault.coverage.bases_for(at)
        self._basis = self._bases[0]
        self.unreadable: list[UnreadableSource] = []
        self.passed_over: list[UnreadableSource] = []
        self._base_is_whole = True

    def __enter__(self) -> Self:
        while not self._read_all() and self._bases[1:]:
            self._close()
            self.passed_over += self.unreadable
            self.unreadable = []
            self._bases = self._bases[1:]
        return self

    def _read_all(self) -> bool:
        """Reads the first of the bases, and the log since.

        Returns False, without reading the log, if the base is damaged and there are others.
        """
        self._basis = self._bases[0]
        parts = self._parts()
        found = self._vault.inventory(since=self._begin, until=self._end)
        listing = [each for each in found.segments if self._concerns(each)]
        changes = [(each.segment.count, each.size) for each in listing if each.segment is not None]
        changes += [(each.lines, each.size) for each in found.sets] + [(part.count, part.size) for part in parts]
        rows = max(self._rows, sum(said for said, size in changes if said <= object_limits.lines_in(size)))
        self._spill: Spill[Entry] = Spill(partitions_for(rows), Entry, buffer=self._memory.buffer)
        self.names = Pairs(self._spill.partitions, buffer=self._memory.buffer // 4)
        try:
            with self._crew(self._memory.workers if rows >= WORTH_WORKERS else 0) as crew:
                self._read(crew, (self._part(part) for part in parts))
                self._base_is_whole = not self.unreadable
                if self.unreadable and self._bases[1:]:
                    return False
                links = Links(self._vault.log)
                self._read(crew, (self._segment(listed, links) for listed in listing))
                self._read(crew, (each for one in found.sets for each in self._set(one)))
            self.unreadable += [
                UnreadableSource(each.name, each.why, each.lost) for each in links.missing(found, since=self._begin, until=self._at)
            ]
        except BaseException:
            self._close()
            raise
        return True

    @property
    def _end(self) -> int:
        """Returns the last second of the log to read.

        A change that was made before another one of its item may be stamped with a later time, and without it that item's chain
        would seem broken.
        """
        return self._at + CLOCKS_APART

    @property
    def _begin(self) -> int | None:
        """Returns the second before which the log does not matter; None if all of it does."""
        return self._since if self._basis.base is None else self._basis.log_since

    def _crew(self, workers: int) -> Crew:
        task = Task(
            schema=self._vault.catalog.key_schema,
            # Not its hour's: of what is older only a part is read, and chains would seem broken. A state's entries have any age.
            since=0 if self._basis.is_state else self._begin or 0,
            at=self._end,
            keys=self._keys,
            voids=self._basis.voids,
            partitions=self._spill.partitions,
            states=str(self._spill.folder) if workers else "",
            names=str(self.names.folder) if workers else "",
            buffer=self._memory.buffer,
        )
        crew = Crew(task, workers, None if workers else Taker(task, self._spill.writer, self.names.writer))
        for spill in (self._spill, self.names):
            spill.writers += [name for name in crew.names if name not in spill.writers]
        return crew

    def _parts(self) -> Sequence[Part]:
        base = self._basis.base
        if base is None:
            return []
        try:
            parts = self._vault.bases.whole(base)
        except Damaged as error:
            self.unreadable.append(UnreadableSource(f"base backup {base.id}", error.message, (base.begin, base.end)))
            parts = self._vault.bases.parts(base.id)
        self._name_planted(self._vault.bases.planted(parts))
        return parts

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        for spill in (self._spill, self.names):
            spill.close()

    @property
    def partitions(self) -> int:
        """The number of partitions."""
        return self._spill.partitions

    @property
    def floor(self) -> int:
        """See `model.changes.fold.FoldState.newest`."""
        return self._basis.floor

    def partition(self, number: int) -> Partition:
        """Returns the entries that give the items' states in one partition, by canonical key; use it up before the next one is
        asked for.
        """
        folded = Folded(self._spill.heads(number), self.floor, self._at)
        return Partition(folded, self._spill.pick(number, folded.spots))

    def __iter__(self) -> Iterator[Partition]:
        return map(self.partition, range(self.partitions))

    def broken(self, window: Window, now: float) -> Iterator[BrokenChain]:
        """Yields the items that lack changes up to the moment, including changes that may still arrive."""
        evidence = self._evidence(window)
        for number in range(self.partitions):
            proven = settled(self._vault.catalog, window, now)
            yield from broken_in(self._spill.heads(number), evidence, proven, self._vault.erasures)

    def _evidence(self, window: Window) -> ChainEvidence:
        base, gaps = self._basis.base, [(gap.since, gap.until) for gap in window.gaps]
        if base is not None:
            # A base backup with an unreadable part does not tell which items did not exist.
            read_whole = self._base_is_whole and not self._basis.is_state
            readings = [WholeTableRead(base.begin, base.end)] if read_whole else []
            return ChainEvidence(readings=readings, settled=self._at, gaps=gaps)
        begun = self._vault.catalog.complete_from
        if begun is None or self.floor == BEGINNING:
            return ChainEvidence(settled=self._at, gaps=gaps)
        return ChainEvidence(begin=self.floor, readings=[WholeTableRead(self.floor, begun)], settled=self._at, gaps=gaps)

    def read_on(self) -> None:
        """Notes in `names` what came after the moment, too."""
        later_on = self._vault.inventory(since=self._at)
        segments = (each for each in later_on.segments if each.segment is not None and not self._concerns(each))
        sets = (each for each in later_on.sets if each.since > self._end)
        with self._crew(0) as crew:
            self._read(crew, (self._segment(each, only_names=True) for each in segments))
            self._read(crew, (each for one in sets for each in self._set(one, only_names=True)))

    def _concerns(self, listed: LogListing) -> bool:
        """True if a segment can hold changes up to the moment. A foreign object is kept, so that it is reported."""
        return listed.segment is None or (listed.segment.count > 0 and listed.segment.min_time <= self._end)

    # --- reading ---

    def _segment(self, listed: LogListing, links: Links | None = None, *, only_names: bool = False) -> _SourceObject:
        def read() -> LineSource:
            found = self._vault.log.fetch(listed)
            if links is not None:
                links.note(found)
            return LineSource(found.claim, listed.modified, change_log=True, only_names=only_names, body=found.body)

        return _SourceObject(listed.name, listed.size, listed.seconds, read)

    def _set(self, one: Set, *, only_names: bool = False) -> Iterator[_SourceObject]:
        """Yields a set's objects; if only a few items are asked for, the parts of them that may hold their lines."""
        compacted = self._vault.compacted

        def source(claim: SegmentHeader, body: bytes) -> LineSource:
            return LineSource(claim, 0.0, change_log=True, only_names=only_names, body=body)

        def around(key: bytes) -> Callable[[], LineSource]:
            return lambda: source(*compacted.around(one, key)[1:])

        if self._keys is not None and len(self._keys) <= FEW_KEYS:
            for key in self._keys:
                self._name_planted(compacted.planted_around(one, key))
                yield _SourceObject(compacted.name_of(one, key), segments.FRAME_BYTES, (one.since, one.until), around(key))
            return
        try:
            for part in compacted.parts(one):
                self._name_planted(compacted.planted(part))
                read = partial(compacted.claim_and_body, part.name)
                yield _SourceObject(part.name, part.size, (one.since, one.until), lambda read=read: source(*read()))  # type: ignore[misc]
        except Damaged as error:
            self.unreadable.append(UnreadableSource(f"compacted set {one.id}", error.message, (one.since, one.until)))

    def _name_planted(self, planted: Sequence[Damaged]) -> None:
        """Reports a later version of an object that is written once. It is not read."""
        for each in planted:
            name, _, why = each.message.rpartition(": ")
            self.unreadable.append(UnreadableSource(name, why, None))

    def _part(self, part: Part) -> _SourceObject:
        def read() -> LineSource:
            claim, body = self._vault.bases.claim_and_body(part)
            return LineSource(claim, part.modified, change_log=False, only_names=False, body=body)

        return _SourceObject(part.name, part.size, part.seconds, read)

    def _read(self, crew: Crew, objects: Iterable[_SourceObject]) -> None:
        """Has the objects taken, in as few orders as possible, and reports those that cannot be read."""
        in_flight = deque[tuple[list[_SourceObject], Future[list[DecodedSource]]]]()
        for each in self._orders(objects):
            in_flight.append((each[0], crew.take(each[1])))
            if len(in_flight) > len(crew.names):
                self._note(*in_flight.popleft())
        while in_flight:
            self._note(*in_flight.popleft())

    def _orders(self, objects: Iterable[_SourceObject]) -> Iterator[tuple[list[_SourceObject], list[LineSource]]]:
        """Yields sources together with their objects, some MB at a time. They are read ahead."""
        together, sources, size = list[_SourceObject](), list[LineSource](), 0
        most = self._memory.bodies // 8
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            for one, reading in ahead(pool, lambda each: each.read(), objects, most * 2, weight=lambda each: each.size):
                try:
                    sources.append(reading())
                except Damaged as error:
                    self._cannot_read(one, error.message)
                    continue
                together.append(one)
                size += one.size
                if size >= most or len(sources) >= TOGETHER:
                    yield together, sources
                    together, sources, size = [], [], 0
        if together:
            yield together, sources

    def _note(self, objects: Sequence[_SourceObject], taking: Future[list[DecodedSource]]) -> None:
        for one, taken in zip(objects, taking.result(), strict=True):
            if taken.damaged is not None:
                self._cannot_read(one, taken.damaged)
            self._progress(taken.entries)

    def _cannot_read(self, one: _SourceObject, why: str) -> None:
        if one.seconds is not None and one.seconds[0] > self._at:
            return  # nothing of it counts at the moment
        self.unreadable.append(UnreadableSource(one.name, why.removeprefix(f"{one.name}: "), one.seconds))


class _SourceObject(msgspec.Struct, frozen=True):
    """An object to be taken: its name, its size in bytes, the seconds in its name, and a function that reads it."""

    name: str
    size: int
    seconds: tuple[int, int] | None
    read: Callable[[], LineSource]
