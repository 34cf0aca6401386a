"""Partitions on disk: what does not fit in memory is cut by the hash of its key and looked at one partition at a time."""

from __future__ import annotations

import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from backstream.errors import Failed

PAIRS = 10_000  # that a partition should hold
MOST_PARTITIONS = 1_024
_LENGTHS = struct.Struct("<II")
_BUFFER = 32 * 1024


class Spot(msgspec.Struct, frozen=True):
    """Where a value lies in its partition's file."""

    offset: int
    length: int


class Spill:
    """Pairs of key and value (bytes), kept in `partitions` files of a temporary folder. Adding is safe from many threads.

    Files are open only while they are written or read, so their number is not bounded by what a process may hold open. Failed where
    the disk is full.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._folder = tempfile.TemporaryDirectory(prefix="backstream-")
        self._root = Path(self._folder.name)
        self._buffers = [bytearray() for _ in range(partitions)]
        self._picked: BinaryIO | None = None
        self._lock = threading.Lock()

    def add(self, key: bytes, value: bytes) -> None:
        """Keep a pair; the same key may come many times."""
        number = zlib.crc32(key) % self.partitions
        with self._lock:
            buffer = self._buffers[number]
            buffer += _LENGTHS.pack(len(key), len(value))
            buffer += key
            buffer += value
            if len(buffer) >= _BUFFER:
                self._flush(number)

    def read(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of one partition, in the order in which they came. All pairs of a key are in one partition."""
        return ((key, value) for key, value, _ in self.spots(partition))

    def spots(self, partition: int) -> Iterator[tuple[bytes, bytes, Spot]]:
        """As `read`, each with the spot of its value, by which `pick` finds it again."""
        offset = 0
        with self._written(partition).open("rb") as file:
            while head := file.read(_LENGTHS.size):
                key_length, value_length = _LENGTHS.unpack(head)
                key, value = file.read(key_length), file.read(value_length)
                offset += _LENGTHS.size + key_length
                yield key, value, Spot(offset, value_length)
                offset += value_length

    def pick(self, partition: int, spots: Mapping[bytes, Spot]) -> Picked:
        """One value for each key, left on disk until it is asked for; readable until the next partition is picked."""
        self._close_picked()
        self._picked = self._written(partition).open("rb")
        return Picked(self._picked, spots)

    def _written(self, partition: int) -> Path:
        with self._lock:
            self._flush(partition)
        return self._root / str(partition)

    def _flush(self, number: int) -> None:
        with _explained(self._root), (self._root / str(number)).open("ab") as file:
            file.write(self._buffers[number])
        self._buffers[number].clear()

    def _close_picked(self) -> None:
        if self._picked is not None:
            self._picked.close()
            self._picked = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close_picked()
        self._folder.cleanup()


class Picked(Mapping[bytes, bytes]):
    """Values that stay on disk until they are asked for, one by one."""

    def __init__(self, file: BinaryIO, spots: Mapping[bytes, Spot]) -> None:
        self._file = file
        self._spots = spots

    def __getitem__(self, key: bytes) -> bytes:
        spot = self._spots[key]
        self._file.seek(spot.offset)
        return self._file.read(spot.length)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._spots)

    def __len__(self) -> int:
        return len(self._spots)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(
            f"the temporary folder {folder} cannot be written: {error.strerror}", hint="Set TMPDIR to a folder with more room."
        ) from error


def partitions_for(pairs: int) -> int:
    """How many partitions keep one of them at about ten thousand pairs, and all their buffers within 32 MB."""
    return max(1, min(MOST_PARTITIONS, pairs // PAIRS))
