"""Pairs on their way to the buckets of a cluster, as chunks of `spill`: gathered at one end, and kept at the other."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from backstream.engine.local.spill import NO_VALUE, OWN, HeadsDecoder, Picked, SpillWriter, Spot, chunk, heads_in

Head = TypeVar("Head")
Bucketed = tuple[int, bytes]  # a bucket's number, and bytes for it

FLUSH = 16 << 20  # bytes that a task gathers before it hands them to the shuffle
BLOB = 4 << 20  # bytes of values in one chunk, about
IN_MEMORY = 16 << 20  # bytes of a bucket that are not yet written to this machine's disk


class ShuffleWriter(SpillWriter[Head]):
    """Gathers pairs as chunks, one after another for each bucket. See `SpillWriter`. `kind`: bytes that come before each chunk."""

    def __init__(self, buckets: int, kind: bytes = b"", room: int = FLUSH, number: Callable[[bytes], int] = zlib.crc32) -> None:
        super().__init__(_no_folder, buckets, buffer=room, number=number)
        self._kind = kind
        self._ready: list[Bucketed] = []

    def _flush(self) -> None:
        for number in sorted(self._waiting):
            heads, values = self._waiting[number]
            self._ready += [(number, self._kind + blob) for blob in _blobs(heads, values)]
        self._waiting.clear()
        self._held = 0

    def drained(self) -> Iterator[Bucketed]:
        """Yields the chunks that are ready."""
        ready, self._ready = self._ready, []
        yield from ready


def _no_folder() -> Path:
    raise RuntimeError("nothing is written to this machine's disk")


def _blobs(heads: Sequence[tuple[bytes, Head, int]], values: Sequence[bytes]) -> Iterator[bytes]:
    """Yields the pairs of a bucket in chunks of a bounded size: Spark keeps many of them in memory."""
    coming, some, theirs, size = iter(values), list[tuple[bytes, Head, int]](), list[bytes](), 0
    for head in heads:
        some.append(head)
        if head[2] != NO_VALUE:
            theirs.append(next(coming))
            size += head[2]
        if size >= BLOB:
            yield chunk(some, theirs)
            some, theirs, size = [], [], 0
    if some:
        yield chunk(some, theirs)


class ChunkFile:
    """The chunks of one bucket, in memory or, where they are many, on this machine's disk."""

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._file = cast("BinaryIO", tempfile.SpooledTemporaryFile(IN_MEMORY))  # noqa: SIM115 - `close` closes it
        for each in chunks:
            self._file.write(each)

    def heads_of(self, decoder: HeadsDecoder[Head]) -> Iterator[tuple[bytes, Head, Spot | None]]:
        """Yields the pairs, each with the spot of its value."""
        self._file.seek(0)
        return heads_in(self._file, OWN, decoder)

    def values(self, spots: Mapping[bytes, Spot]) -> Picked:
        """Returns the values at these spots, and by `at` those at others. They can be read as long as this is open."""
        return Picked({OWN: self._file}, spots)

    def whole(self) -> bytes:
        """Returns all of it."""
        self._file.seek(0)
        return self._file.read()

    def close(self) -> None:
        """Removes it."""
        self._file.close()
