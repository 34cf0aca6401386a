"""Partitions on disk: what does not fit in memory is cut by the hash of its key and looked at one partition at a time."""

from __future__ import annotations

import struct
import tempfile
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

_LENGTHS = struct.Struct("<II")
_BUFFER = 32 * 1024


class Spill:
    """Pairs of key and value (bytes), kept in `partitions` files of a temporary folder. Adding is safe from many threads."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._folder = tempfile.TemporaryDirectory(prefix="backstream-")
        root = Path(self._folder.name)
        self._files: list[BinaryIO] = [(root / str(n)).open("w+b", buffering=_BUFFER) for n in range(partitions)]
        self._lock = threading.Lock()

    def add(self, key: bytes, value: bytes) -> None:
        """Keep a pair; the same key may come many times."""
        file = self._files[zlib.crc32(key) % self.partitions]
        with self._lock:
            file.write(_LENGTHS.pack(len(key), len(value)))
            file.write(key)
            file.write(value)

    def read(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """The pairs of one partition, in the order in which they came. All pairs of a key are in one partition."""
        file = self._files[partition]
        file.seek(0)
        while head := file.read(_LENGTHS.size):
            key_length, value_length = _LENGTHS.unpack(head)
            yield file.read(key_length), file.read(value_length)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for file in self._files:
            file.close()
        self._folder.cleanup()


def partitions_for(items: int) -> int:
    """How many partitions keep one of them at about ten thousand pairs, within what a process may hold open."""
    return max(1, min(256, items // 10_000))
