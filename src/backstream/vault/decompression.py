"""Decompresses bytes piece by piece, and never more of them than their kind may have."""

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
_LONGEST_HEADER = 18  # bytes of a zstd frame
UNREADABLE = (zstandard.ZstdError, zlib.error, OSError, EOFError)  # what decompressors say of bytes that are cut or altered


def zstd_frame(data: bytes, most: int) -> bytes:
    """Returns the contents of one zstd frame, which declares its size.

    Raises Damaged if it is not one, or is larger than `most` bytes.
    """
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
    """Yields frames that follow each other, by their compressed sizes. Each may have at most `most` bytes when decompressed."""
    for size, end in zip(sizes, accumulate(sizes), strict=True):
        yield zstd_frame(body[end - size : end], most)


def zstd(body: bytes) -> Iterator[bytes]:
    """Yields the pieces of zstd data, over all its frames. Raises EOFError if the last frame is cut, or if there is none."""
    if not body:
        raise EOFError("no data")
    start = 0
    while start < len(body):
        end = _frame_end(body, start)
        if not is_skippable(body, start):
            yield from _of_frame(body[start:end])
        start = end


def _of_frame(frame: bytes) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=object_limits.WINDOW)
    if 0 <= zstandard.frame_content_size(frame) <= BLOCK:
        yield decompressor.decompress(frame)
        return
    reader = decompressor.stream_reader(frame)
    while piece := reader.read(BLOCK):
        yield piece


def is_skippable(body: bytes, start: int) -> bool:
    """True if a frame holds no data but an index, or somebody's note (RFC 8878, 3.1.2)."""
    return 0x184D2A50 <= int.from_bytes(body[start : start + 4], "little") <= 0x184D2A5F


def _frame_end(body: bytes, start: int) -> int:
    """Returns the end of the frame that begins at `start`, by the sizes of its blocks (RFC 8878, 3.1.1). Raises EOFError if the end
    is beyond the data.

    zstandard's own readers stop without an error at an empty frame, or in the middle of a later frame that is cut.
    """
    if is_skippable(body, start):
        end = start + 8 + int.from_bytes(body[start + 4 : start + 8], "little")
    else:
        head = body[start : start + _LONGEST_HEADER]
        end, last = start + zstandard.frame_header_size(head), False
        while not last and end < len(body):
            block = int.from_bytes(body[end : end + 3], "little")
            last, run, size = bool(block & 1), block >> 1 & 3 == 1, block >> 3
            end += 3 + (1 if run else size)
        end += 4 if zstandard.get_frame_parameters(head).has_checksum else 0
        if not last:
            end = len(body) + 1
    if end > len(body):
        raise EOFError(f"the frame at byte {start} is cut")
    return end


def gunzipped(body: bytes) -> Iterator[bytes]:
    """The pieces of gzip data."""
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        while piece := file.read(BLOCK):
            yield piece


def bounded(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yields the same pieces. Raises Damaged as soon as they exceed `most` bytes together."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise object_limits.too_large("decompressed", most)
        yield piece


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the same bytes in blocks that end at a line's end, without that line break.

    Raises Damaged at a line beyond its limit.
    """
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
