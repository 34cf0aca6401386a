"""Files of lines, read piece by piece: memory holds a block and a line, whatever the size of the file."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from backstream.errors import Damaged, UsageError
from backstream.model.values import object_limits
from backstream.ports import ListedFiles, ListedObject
from backstream.vault import decompression
from backstream.vault.decompression import BLOCK, UNREADABLE


class RangedFiles(ListedFiles, Protocol):
    """Files that can be listed, and read in parts. Names and errors are as in `ports.ObjectStore`."""

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """See `ObjectStore.get_range`."""

    def put(self, name: str, body: bytes) -> str:
        """See `ports.Files.put`: no reader of a dump calls it."""


FOREIGN = {
    b"SEQ": "a Hadoop SequenceFile",
    b"PAR1": "Parquet",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
    b"\xe0\x01\x00\xea": "binary Ion",
    b"PK\x03\x04": "a zip archive",
}
COMPRESSED = (".snappy", ".lzo", ".lzo_deflate", ".lz4", ".xz")
PACKED = (".gz", ".bz2", ".zst", ".deflate")  # none of them is empty, whatever it holds
GZIP, BZIP2, ZSTD, BOM = b"\x1f\x8b", b"BZh", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf"


def lines(store: RangedFiles, file: ListedObject) -> Iterator[bytes]:
    """Yields the lines of a file, decompressed, without their line breaks. Empty ones are among them.

    Raises Damaged, with the file's name, if it is cut, altered, or has a line beyond its limit; UsageError if it is in a format
    that cannot be read.
    """
    pieces = decompression.bounded(_without_bom(_decompressed(store, file)), object_limits.expanded(file.size))
    try:
        for block in decompression.whole_lines(pieces):
            yield from block.split(b"\n")
    except Damaged as error:
        raise error.of(f"{store.url}/{file.name}") from error
    except UNREADABLE as error:
        raise Damaged(f"{store.url}/{file.name}: cut or altered ({error})", hint="Was it copied whole?") from error


def _decompressed(store: RangedFiles, file: ListedObject) -> Iterator[bytes]:
    if not file.size:
        if file.name.endswith(PACKED):
            raise Damaged(
                f"{store.url}/{file.name}: it is empty, and its name says that it is compressed", hint="Was it copied whole?"
            )
        return iter(())
    begin = store.get_range(file.name, 0, min(4, file.size))
    kind = next((kind for magic, kind in FOREIGN.items() if begin.startswith(magic)), None)
    if kind is not None or file.name.endswith(COMPRESSED):
        what = kind or f"compressed ({file.name.rpartition('.')[2]})"
        raise UsageError(f"{store.url}/{file.name} is {what}, which cannot be read", hint="Convert it to text or gzip first.")
    if begin.startswith(ZSTD) or decompression.is_skippable(begin, 0):
        return decompression.zstd(store.get(file.name).body)
    raw = _RangedFile(store, file)
    if begin.startswith(GZIP):
        return _blocks(gzip.GzipFile(fileobj=io.BufferedReader(raw, BLOCK)))
    if begin.startswith(BZIP2):
        return _unpacked(raw, bz2.BZ2Decompressor)
    return _unpacked(raw, zlib.decompressobj) if file.name.endswith(".deflate") else _blocks(raw)


def _without_bom(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yields the same bytes without the mark that some editors put before UTF-8."""
    for piece in pieces:
        yield piece.removeprefix(BOM)
        break
    yield from pieces


def _blocks(file: io.RawIOBase | io.BufferedIOBase) -> Iterator[bytes]:
    while piece := file.read(BLOCK):
        yield piece


class _Stream(Protocol):
    """One stream of bzip2, or of zlib (Hadoop's default compression)."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, length: int, /) -> bytes: ...


def _unpacked(raw: io.RawIOBase, new: Callable[[], _Stream]) -> Iterator[bytes]:
    """Yields the contents of one stream after the other: tools join files. Raises an error for bytes that are no further stream."""
    stream, begun = new(), False
    for piece in _blocks(raw):
        rest = piece
        while rest:
            begun = True
            yield stream.decompress(rest, BLOCK)
            while more := _more(stream):
                yield more
            rest = b""
            if stream.eof:
                rest, stream, begun = stream.unused_data, new(), False
    if begun:
        raise EOFError("it ends within the compressed data")


def _more(stream: _Stream) -> bytes:
    """Returns the next bytes of what a stream was given already."""
    if stream.eof:
        return b""
    if isinstance(stream, bz2.BZ2Decompressor):
        return b"" if stream.needs_input else stream.decompress(b"", BLOCK)
    return stream.decompress(tail, BLOCK) if (tail := getattr(stream, "unconsumed_tail", b"")) else b""


class _RangedFile(io.RawIOBase):
    """A file that is read by ranges."""

    def __init__(self, store: RangedFiles, file: ListedObject) -> None:
        super().__init__()
        self._store = store
        self._file = file
        self._at = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._file.size - self._at, BLOCK)
        if wanted <= 0:
            return 0
        piece = self._store.get_range(self._file.name, self._at, wanted)
        if len(piece) != wanted:
            raise Damaged(f"it has become shorter while it was read: {self._at + len(piece):,} bytes")
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
