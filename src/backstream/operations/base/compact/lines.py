"""Sorts the lines of small objects and of sets by key, each once, in bounded memory, by way of a folder on disk."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Self

import msgspec

from backstream.engine.local.spill import Spill
from backstream.errors import Damaged
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry, from_line, to_line
from backstream.model.values.wire import KeyReader
from backstream.vault.log import segments
from backstream.vault.log.compacted import Compacted, Set, partition_of
from backstream.vault.log.frames import FrameLine
from backstream.vault.log.segments import LineTally, SegmentHeader

DIGITS = 40  # that a sequence number has at most


class Rank(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """The order of one key's lines in a set: scanned lines, then changes, which have a stream."""

    stream: str
    sequence: str  # filled up with zeros, so that text compares as numbers do
    since: int
    micros: int

    @property
    def seconds(self) -> int:
        """The second of the line."""
        return self.micros // MICROS

    @classmethod
    def of(cls, entry: Entry) -> Rank:
        """Returns the rank of an entry."""
        return cls(entry.stream, entry.sequence.zfill(DIGITS), entry.since, entry.micros)


_Lines = list[tuple[Entry, bytes]]
Ranked = tuple[bytes, Rank, FrameLine]


class SoundEntries(Iterable[Entry]):
    """The entries of one small object, after its check."""

    def __init__(self, claim: SegmentHeader, body: bytes) -> None:
        self._claim, self._body = claim, body
        tally, self._held = LineTally(), list[_Lines]()
        for found in self._blocks():
            tally.add([entry for entry, _ in found], claim.count)
            self._held = [*self._held, found][:2]  # of several, which are too large to be held, the second says so
        tally.check(claim)

    def _blocks(self) -> Iterator[_Lines]:
        for block in segments.blocks(self._claim, self._body):
            yield [(from_line(text), text) for text in block.splitlines()]

    def _each(self) -> Iterator[tuple[Entry, bytes]]:
        blocks = self._held if len(self._held) < 2 else self._blocks()
        return (each for found in blocks for each in found)

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entry, _ in self._each())

    def lines(self, received: float) -> Iterator[tuple[Entry, bytes]]:
        """Yields each entry with its original line; only if the image lies elsewhere, the line gets the time at which it was
        received.
        """
        for entry, text in self._each():
            if entry.place is None or entry.received is not None:
                yield entry, text
            else:
                kept = msgspec.structs.replace(entry, received=received)
                yield kept, to_line(kept)


class Sorter:
    """Collects the lines of small objects. `sorted_lines` then yields the lines of one partition, merged with the sets' lines."""

    def __init__(self, compacted: Compacted, key_of: KeyReader, partitions: int, merged: Sequence[Set], *, buffer: int) -> None:
        self.partitions = partitions
        self._compacted = compacted
        self._key_of = key_of
        self.merged = merged
        number = partial(partition_of, partitions=partitions)
        self._spill: Spill[Rank] = Spill(partitions, Rank, buffer=buffer, number=number)
        self._fetched: dict[str, tuple[str, SegmentHeader, bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._spill.close()

    def add(self, taken: SoundEntries, received: float) -> None:
        """Takes these entries of an object that the store received then (epoch seconds)."""
        self._spill.writer.extend([(self._key_of(entry.keys), Rank.of(entry), text) for entry, text in taken.lines(received)])

    def sorted_lines(self, number: int) -> Iterator[FrameLine]:
        """Yields the lines of one partition in their order, none twice. Ask for partitions one after another."""
        of_sets = (self._of_set(each, number) for each in self.merged)
        return _each_once(heapq.merge(self._new(number), *of_sets, key=lambda each: each[:2]))

    def _new(self, number: int) -> Iterator[Ranked]:
        found = sorted(self._spill.heads(number), key=lambda each: each[:2])
        values = self._spill.pick(number, {})
        for key, rank, spot in found:
            assert spot is not None  # noqa: S101 - every line has its text
            yield key, rank, FrameLine(key, rank.seconds, values.at(spot))

    def _of_set(self, one: Set, number: int) -> Iterator[Ranked]:
        """Yields the lines of a set that belong here: the set may have fewer partitions."""
        name = self._compacted.part_name(one.id, number * one.partitions // self.partitions, one.partitions)
        if one.id not in self._fetched or self._fetched[one.id][0] != name:
            self._fetched[one.id] = (name, *self._compacted.claim_and_body(name))
        _, claim, body = self._fetched[one.id]
        try:
            segments.check_frames(claim, body)
            yield from self._read(claim, body, number)
        except Damaged as error:
            raise error.of(name) from error

    def _read(self, claim: SegmentHeader, body: bytes, number: int) -> Iterator[Ranked]:
        for block in segments.blocks(claim, body):
            for text in block.splitlines():
                entry = from_line(text)
                key = self._key_of(entry.keys)
                if partition_of(key, self.partitions) == number:
                    yield key, Rank.of(entry), FrameLine(key, entry.seconds, text)


def _each_once(every: Iterable[Ranked]) -> Iterator[FrameLine]:
    """Yields, among equal lines, the one that was received last."""
    for _, same in groupby(every, key=lambda each: each[:2]):
        lines = [line for _, _, line in same]
        yield from lines if len(lines) == 1 else _distinct(lines)


def _distinct(lines: Iterable[FrameLine]) -> Iterable[FrameLine]:
    found: dict[Entry, tuple[float, FrameLine]] = {}
    for line in lines:
        entry = from_line(line.text)
        what, received = msgspec.structs.replace(entry, received=None), entry.received or 0.0
        if what not in found or received > found[what][0]:
            found[what] = received, line
    return [line for _, line in found.values()]
