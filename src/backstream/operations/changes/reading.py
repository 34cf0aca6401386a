"""Reads the changes of a window from the log: from segments under their hours, and from compacted sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.engine.local.source_objects import SetFrames, SetObject, SourceObject, fetch
from backstream.errors import Damaged
from backstream.model.changes.entry import Entry, entries
from backstream.model.values import object_limits
from backstream.operations.changes.window import ChangeWindow
from backstream.vault.log import segments
from backstream.vault.log.chains import Run
from backstream.vault.log.compacted import Set
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.links import Links
from backstream.vault.log.log import FetchedSegment, LogListing
from backstream.vault.log.segments import LineTally, SegmentHeader
from backstream.vault.log.writer_chains import Link
from backstream.vault.table_vault import TableVault

READERS = 4  # objects that are read side by side
OVERHEAD = 700  # bytes that a change takes in memory besides its images
EXPANDED = 12  # times as large as compressed, about
BYTES_A_ROW = 500  # compressed; of larger ones fewer fit in a partition
Decode = Callable[[bytes], list[Entry]]  # of many lines
Unread = Callable[[str], None]  # is told what cannot be read, and raises where that ends it


class Piece(msgspec.Struct, frozen=True):
    """Changes that came together, with their approximate size in memory (bytes).

    `before`: all changes made before this second have come by then; None if that is not known yet.
    """

    entries: Sequence[Entry]
    before: int | None = None
    size: int | None = None


class WindowLog:
    """Reads the changes of one window, each perhaps more than once, in no order. `keys`: only these items, None for all.

    `decode`: like `entry.entries`, or with less detail if that is enough.
    """

    def __init__(
        self,
        vault: TableVault,
        span: ChangeWindow,
        unread: Unread,
        *,
        keys: frozenset[bytes] | None = None,
        memory: Memory | None = None,
        decode: Decode = entries,
    ) -> None:
        self._vault = vault
        self._span = span
        self._unread = unread
        self._keys = keys
        self._most = (memory or Memory()).bodies // 4
        self._decode = decode
        self._links = Links(vault.log)

    @cached_property
    def _found(self) -> Inventory:
        return self._vault.inventory(since=self._span.first, until=self._span.until)

    @property
    def rows(self) -> int:
        """Returns the possible number of changes; more if they are large."""
        segments_ = [each.segment for each in self._found.segments if each.segment is not None and self._concerns(each)]
        count = sum(each.count for each in segments_) + sum(each.lines for each in self._found.sets)
        size = sum(each.size for each in self._found.segments if self._concerns(each)) + sum(each.size for each in self._found.sets)
        return max(min(count, object_limits.lines_in(size)), size // BYTES_A_ROW)

    def pieces(self) -> Iterator[Piece]:
        """Yields all of them: sets first, then segments in the order in which their changes begin."""
        found = self._found
        for each in found.segments:
            if each.segment is None:
                self._unread(f"{each.name}: a foreign object in the change log")
        for one in found.sets:
            for entries_ in self._of_set(one):
                yield Piece(self._within(entries_))
        ordered = sorted((each for each in found.segments if self._concerns(each)), key=_begin)
        with ThreadPoolExecutor(READERS, thread_name_prefix="changes") as pool:
            reading = ahead(pool, self._vault.log.fetch, ordered, self._most, weight=lambda each: each.size)
            for listed, fetched in reading:
                for entries_ in self._of_segment(listed, fetched):
                    inside = self._within(entries_)
                    yield Piece(inside, _begin(listed), len(inside) * (OVERHEAD + EXPANDED * listed.size // _count(listed)))
        self._note_missing()

    def _concerns(self, listed: LogListing) -> bool:
        segment, span = listed.segment, self._span
        return segment is not None and segment.count > 0 and segment.min_time <= span.until and segment.max_time >= span.first

    def _of_segment(self, listed: LogListing, reading: Callable[[], FetchedSegment]) -> Iterator[list[Entry]]:
        try:
            fetched = reading()
            self._links.note(fetched)
            yield from sound(fetched.claim, fetched.body, self._decode)
        except Damaged as error:
            self._unread(of_object(listed.name, error))

    def _of_set(self, one: Set) -> Iterator[list[Entry]]:
        """Yields a set's lines; if only a few items are asked for, the frames that may hold theirs."""
        for each in self._objects_of(one):
            try:
                found = fetch(self._vault, each).source
                yield from sound(found.claim, found.body, self._decode)
            except Damaged as error:
                self._unread(of_object(each.name, error))

    def _objects_of(self, one: Set) -> Iterator[SourceObject]:
        compacted, keys, seconds = self._vault.compacted, self._keys, (one.since, one.until)
        if keys is not None and len(keys) <= one.partitions:
            for key in sorted(keys):
                yield SourceObject(compacted.name_of(one, key), segments.FRAME_BYTES, seconds, SetFrames(one, key))
            return
        try:
            parts = compacted.parts(one)
        except Damaged as error:
            self._unread(error.message)
            return
        for part in parts:
            yield SourceObject(part.name, part.size, seconds, SetObject(part.name))

    # --- for executors ---

    def objects(self) -> Iterator[SourceObject]:
        """Yields the objects to be read, in the order of `pieces`."""
        found = self._found
        for each in found.segments:
            if each.segment is None:
                self._unread(f"{each.name}: a foreign object in the change log")
        for one in found.sets:
            yield from self._objects_of(one)
        for each in sorted((each for each in found.segments if self._concerns(each)), key=_begin):
            yield SourceObject(each.name, each.size, each.seconds, each)

    def were_read(self, runs: Iterable[Run], links: Iterable[Link]) -> None:
        """Notes the runs and links of all segments that were read, and what is missing among them."""
        self._links.extend(runs, links)
        self._note_missing()

    def _note_missing(self) -> None:
        for gone in self._links.missing(self._found, since=self._span.first, until=self._span.until):
            self._unread(f"{gone.name}: {gone.why}")

    def _within(self, found: Sequence[Entry]) -> Sequence[Entry]:
        return within(self._vault, found, self._span, self._keys)


def within(vault: TableVault, found: Sequence[Entry], span: ChangeWindow, keys: frozenset[bytes] | None) -> Sequence[Entry]:
    """Returns the entries of a window. `keys`: only these items, None for all."""
    begin, end = span.micros
    inside = [each for each in found if begin <= each.micros < end]
    return inside if keys is None else [each for each in inside if vault.key(each) in keys]


def of_object(name: str, error: Damaged) -> str:
    """Returns why an object cannot be read, with its name."""
    return error.message if name in error.message else error.of(name).message


def _count(listed: LogListing) -> int:
    return 1 if listed.segment is None else max(1, listed.segment.count)


def _begin(listed: LogListing) -> int:
    return 0 if listed.segment is None else listed.segment.min_time


def sound(claim: SegmentHeader, body: bytes, decode: Decode = entries) -> Iterator[list[Entry]]:
    """Yields the entries of compressed lines, some MB at a time, after checking them against the header.

    Raises Damaged if they differ.
    """
    if claim.frames is not None:
        segments.check_frames(claim, body)
        yield from _blocks(claim, body, decode)
        return
    tally, first, several = LineTally(), list[Entry](), False
    for found in _blocks(claim, body, decode):
        tally.add(found, claim.count)
        several = several or bool(first)
        first = first or found
    tally.check(claim)
    if several:  # too large to be held
        yield from _blocks(claim, body, decode)
    elif first:
        yield first


def _blocks(claim: SegmentHeader, body: bytes, decode: Decode) -> Iterator[list[Entry]]:
    for block in segments.blocks(claim, body):
        yield decode(block)
