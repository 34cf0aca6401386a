"""Compressed bytes, a piece at a time, and never more of them than their kind may have."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import zstandard

from backstream.errors import Damaged
from backstream.model.values import object_limits

BLOCK = 4 << 20  # bytes that are looked at together
UNREADABLE = (zstandard.ZstdError, zlib.error, OSError, EOFError)  # what decompressors say of bytes that are cut or altered


def zstd_frame(data: bytes, most: int) -> bytes:
    """One zstd frame, which declares its size. Damaged where it is none, or larger than `most` bytes."""
    try:
        declared = zstandard.frame_content_size(data)  # -1 where it does not say
        if declared < 0:
            raise Damaged("zstd data that does not declare its size")
        if declared > most:
            raise object_limits.too_large("zstd data", most, declared)
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except UNREADABLE as error:
        raise Damaged(f"not zstd data ({error})") from error


def frames(body: bytes, sizes: Sequence[int], most: int) -> Iterator[bytes]:
    """Frames that follow each other, each of at most `most` bytes when decompressed; by their compressed sizes."""
    for size, end in zip(sizes, accumulate(sizes), strict=True):
        yield zstd_frame(body[end - size : end], most)


def zstd(body: bytes) -> Iterator[bytes]:
    """The pieces of zstd data."""
    whole = zstandard.frame_content_size(body)
    if 0 <= whole <= BLOCK:
        yield zstandard.ZstdDecompressor().decompress(body, allow_extra_data=False)
        return
    decompressor = zstandard.ZstdDecompressor(max_window_size=object_limits.WINDOW)
    reader, read = decompressor.stream_reader(body, read_across_frames=True), 0
    while piece := reader.read(BLOCK):
        read += len(piece)
        yield piece
    if whole not in (-1, read):
        raise EOFError(f"{read} of {whole} bytes")


def gunzipped(body: bytes) -> Iterator[bytes]:
    """The pieces of gzip data."""
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        while piece := file.read(BLOCK):
            yield piece


def bounded(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The same pieces; Damaged as soon as they are more than `most` bytes together."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise object_limits.too_large("decompressed", most)
        yield piece


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks that end where a line ends, without that line break. Damaged at a line beyond its limit."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        whole, found, rest = piece.rpartition(b"\n")
        if found:
            yield b"".join([*held, whole])
            held, size = [], 0
        held.append(rest if found else piece)
        size += len(held[-1])
        if size > object_limits.LINE:
            raise object_limits.too_large("a line", object_limits.LINE)
    if size:
        yield b"".join(held)
