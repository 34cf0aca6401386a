"""Partitions on disk: data that does not fit in memory is cut by the hash of its key and processed one partition at a time.

A partition is one file for each writer; a writer is a process. A file is a row of chunks, and a chunk is

    its lengths (two numbers of eight bytes)    the heads: key, head and the value's length, in MessagePack    the values

so that heads are read without the values, which may be large, and a value is read by its spot on demand. The files live as long as
the process that made their folder, and nobody else reads them: the format may change at any time.

Small data never reaches the disk: a writer that holds less than `SMALL` when it is read gives the same chunks from memory.
"""

from __future__ import annotations

import functools
import io
import struct
import tempfile
import threading
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Generic, Self, TypeVar

import msgspec

from backstream import private_files
from backstream.errors import Failed
from backstream.temporary_folders import TemporaryFolder, sweep_once

Head = TypeVar("Head")

PAIRS = 20_000  # that a partition should hold
MOST_PARTITIONS = 65_536
BUFFER = 12 << 20  # bytes that a writer keeps back
SMALL = 1 << 20  # bytes that are read from memory
OWN = "0"  # the writer that is the folder's own process
_OVERHEAD = 400  # bytes: about what a pair takes in memory besides its value
_LENGTHS = struct.Struct("<QQ")
NO_VALUE = -1
_encode = msgspec.msgpack.Encoder().encode


class Spot(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """The place of a value: its writer, and the offset in the partition's file."""

    writer: str
    offset: int
    length: int


_Waiting = tuple[list[tuple[bytes, Head, int]], list[bytes]]  # heads, each with its value's length, and values


class SpillWriter(Generic[Head]):
    """Adds pairs to the partitions in a folder, each with a head of the type that the folder's `Spill` was made for.

    `folder`: returns the folder; called when something is written to it. `number`: gives a key's partition, modulo their count. It
    buffers at most `buffer` bytes. Safe to call from many threads. Raises Failed if the disk is full.
    """

    def __init__(
        self,
        folder: Callable[[], Path],
        partitions: int,
        name: str = OWN,
        buffer: int = BUFFER,
        number: Callable[[bytes], int] = zlib.crc32,
    ) -> None:
        self._folder = folder
        self._partitions = partitions
        self._number = number
        self._name = name
        self._room = buffer
        self._held = 0
        self._on_disk = False
        self._waiting: defaultdict[int, _Waiting[Head]] = defaultdict(lambda: ([], []))
        self._lock = threading.Lock()

    def add(self, key: bytes, head: Head, value: bytes | None = None) -> None:
        """Keeps a pair; the same key may come many times."""
        self.extend([(key, head, value)])

    def extend(self, pairs: Sequence[tuple[bytes, Head, bytes | None]]) -> None:
        """Keeps many pairs."""
        number_of, partitions, waiting = self._number, self._partitions, self._waiting
        with self._lock:
            for key, head, value in pairs:
                heads, values = waiting[number_of(key) % partitions]
                if value is None:
                    heads.append((key, head, NO_VALUE))
                else:
                    heads.append((key, head, len(value)))
                    values.append(value)
                    self._held += len(value)
            self._held += len(pairs) * _OVERHEAD
            if self._held >= self._room:
                self._flush()

    def flush(self) -> None:
        """Writes everything that is still buffered."""
        with self._lock:
            self._flush()

    def written(self, partition: int) -> BinaryIO | None:
        """Returns the chunks that this writer has added to a partition, as a file to be closed; None if there are none."""
        with self._lock:
            if self._on_disk or self._held >= SMALL:
                self._flush()
                return opened(self._folder() / f"{partition}.{self._name}")
            return io.BytesIO(chunk(*self._waiting[partition])) if partition in self._waiting else None

    def _flush(self) -> None:
        if not self._waiting:
            return
        folder = self._folder()
        with explained(folder):
            for number, (heads, values) in self._waiting.items():
                with private_files.append(folder / f"{number}.{self._name}") as file:
                    file.write(chunk(heads, values))
        self._on_disk = True
        self._waiting.clear()
        self._held = 0


def chunk(heads: list[tuple[bytes, Head, int]], values: list[bytes]) -> bytes:
    """Returns the bytes of a chunk."""
    encoded = _encode(heads)
    return b"".join([_LENGTHS.pack(len(encoded), sum(map(len, values))), encoded, *values])


HeadsDecoder = msgspec.msgpack.Decoder[list[tuple[bytes, Head, int]]]


def heads_decoder(head: type[Head]) -> HeadsDecoder[Head]:
    """Returns the decoder of chunks' heads of this type."""
    return msgspec.msgpack.Decoder(list[tuple[bytes, head, int]])  # type: ignore[valid-type]


def heads_in(file: BinaryIO, name: str, decoder: HeadsDecoder[Head]) -> Iterator[tuple[bytes, Head, Spot | None]]:
    """Yields the pairs of a file of chunks from its beginning, each with the spot of its value. `name`: the file's writer."""
    offset = 0
    while lengths := file.read(_LENGTHS.size):
        of_heads, of_values = _LENGTHS.unpack(lengths)
        pairs = decoder.decode(file.read(of_heads))
        offset += _LENGTHS.size + of_heads
        following = offset + of_values
        for key, head, length in pairs:
            if length == NO_VALUE:
                yield key, head, None
            else:
                yield key, head, Spot(name, offset, length)
                offset += length
        offset = file.seek(following)


def opened(path: Path) -> BinaryIO | None:
    """Opens a file of a partition; None if nothing was written to it."""
    return path.open("rb") if path.exists() else None


class Spill(Generic[Head]):
    """Keys, each with a head and perhaps a value (bytes), in partitions in a temporary folder.

    Files are open only while they are written or read, so their number is not bounded by what a process may hold open. `head`: the
    type of the heads, one that MessagePack can carry. `writers`: the names of the writers besides this process.
    """

    def __init__(
        self, partitions: int, head: type[Head], *, buffer: int = BUFFER, number: Callable[[bytes], int] = zlib.crc32
    ) -> None:
        self.partitions = partitions
        sweep_once()
        self._held = ExitStack()
        self.writer: SpillWriter[Head] = SpillWriter(lambda: self.folder, partitions, buffer=buffer, number=number)
        self.writers: list[str] = [OWN]
        self._decoder = heads_decoder(head)
        self._picked: Picked | None = None

    @functools.cached_property
    def folder(self) -> Path:
        """The folder of the partitions. It is made at the first access."""
        with explained(Path(tempfile.gettempdir())):
            return self._held.enter_context(TemporaryFolder()).path

    def heads(self, partition: int) -> Iterator[tuple[bytes, Head, Spot | None]]:
        """Yields the pairs of one partition, each with the spot of its value. All pairs of a key are in one partition."""
        for name, file in self._written(partition):
            with file:
                yield from heads_in(file, name, self._decoder)

    def pick(self, partition: int, spots: Mapping[bytes, Spot]) -> Picked:
        """Returns one value for each key, left on disk until it is asked for; readable until the next partition is picked."""
        self._close_picked()
        self._picked = Picked(dict(self._written(partition)), spots)
        return self._picked

    def _written(self, partition: int) -> Iterator[tuple[str, BinaryIO]]:
        for name in self.writers:
            file = self.writer.written(partition) if name == OWN else opened(self.folder / f"{partition}.{name}")
            if file is not None:
                yield name, file

    def _close_picked(self) -> None:
        if self._picked is not None:
            self._picked.close()
            self._picked = None

    def close(self) -> None:
        """Removes everything. A second call does nothing."""
        self._close_picked()
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Pairs(Spill[None]):
    """Keys and values, without heads. Adding is safe from many threads."""

    def __init__(self, partitions: int, *, buffer: int = BUFFER) -> None:
        super().__init__(partitions, type(None), buffer=buffer)

    def add(self, key: bytes, value: bytes) -> None:
        """Keeps a pair; the same key may come many times."""
        self.writer.extend([(key, None, value)])

    def read(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Yields the pairs of one partition, each writer's in the order in which they came."""
        with closing(Picked(dict(self._written(partition)), {})) as values:
            for key, spot in self.spots(partition):
                yield key, values.at(spot)

    def spots(self, partition: int) -> Iterator[tuple[bytes, Spot]]:
        """Yields the keys of one partition, each with the spot of its value, with which `pick` finds it again."""
        return ((key, spot) for key, _, spot in self.heads(partition) if spot is not None)


class Picked(Mapping[bytes, bytes]):
    """Values that stay on disk until they are asked for, one by one."""

    def __init__(self, files: Mapping[str, BinaryIO], spots: Mapping[bytes, Spot]) -> None:
        self._files = files
        self._spots = spots

    def __getitem__(self, key: bytes) -> bytes:
        return self.at(self._spots[key])

    def at(self, spot: Spot) -> bytes:
        """Returns the value at that spot."""
        file = self._files[spot.writer]
        file.seek(spot.offset)
        return file.read(spot.length)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._spots)

    def __len__(self) -> int:
        return len(self._spots)

    def close(self) -> None:
        """Closes the files; no value can be read any more."""
        for file in self._files.values():
            file.close()


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(
            f"the temporary folder {folder} cannot be written: {error.strerror}", hint="Set TMPDIR to a folder with more room."
        ) from error


def partitions_for(rows: int) -> int:
    """Returns the number of partitions for a spill of `rows` rows."""
    return max(1, min(MOST_PARTITIONS, -(-rows // PAIRS)))
