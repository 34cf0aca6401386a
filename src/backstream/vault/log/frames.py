"""Packs many lines, sorted by key, into one object, so that one key's lines are read without the others.

    FRAME FRAME ... FRAME INDEX

Each frame is independent zstd data: some whole lines, with a checksum. The index is in a skippable frame at the end, which zstd's
own tools ignore: to them the object is a plain `.ndjson.zst`. A reader of one key fetches the last bytes, and then only that key's
frames.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

import msgspec
import zstandard

from backstream.errors import Damaged
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.vault.decompression import zstd_frame
from backstream.vault.log.segments import FRAME_BYTES, ZSTD_LEVEL, Codec, SegmentHeader

INDEX_GUESS = 16 << 10  # bytes from an object's end, in which its index nearly always lies
_SKIPPABLE = 0x184D2A5B  # https://github.com/facebook/zstd/blob/dev/doc/zstd_compression_format.md#skippable-frames
_HEAD = struct.Struct("<II")  # the skippable frame's magic number, and how many bytes follow
_FOOT = struct.Struct("<I4s")  # the length of the compressed index, and our own magic number
_MAGIC = b"BKS1"


class Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame.

    `from_key`: greater than all keys before it, not greater than its first key; `size`: in bytes; `lines`: their number.
    """

    from_key: str
    size: int
    lines: int


class Index(msgspec.Struct, frozen=True):
    """The index of an object of frames. `seconds`: the times of its first and last change; None if it holds none."""

    lines: int
    seconds: tuple[int, int] | None
    frames: list[Frame]

    @property
    def claim(self) -> SegmentHeader:
        """The header of the whole object."""
        return SegmentHeader(Codec.ZSTD, self.lines, seconds=self.seconds, frames=tuple(each.size for each in self.frames))

    def of_key(self, key: bytes) -> FrameSpan | None:
        """Returns the place of a key's lines, if there are any."""
        first_keys, wanted = [each.from_key for each in self.frames], key.decode()
        first = max(bisect_left(first_keys, wanted) - 1, 0)
        frames = self.frames[first : bisect_right(first_keys, wanted)]
        if not frames:
            return None
        claim = SegmentHeader(Codec.ZSTD, sum(each.lines for each in frames), frames=tuple(each.size for each in frames))
        return FrameSpan(sum(each.size for each in self.frames[:first]), claim)


class FrameSpan(msgspec.Struct, frozen=True):
    """Frames that follow each other: their offset, and their entries in the index."""

    start: int
    claim: SegmentHeader

    @property
    def size(self) -> int:
        """The size in bytes."""
        return sum(self.claim.frames or ())


class FrameLine(msgspec.Struct, frozen=True, gc=False):
    """One line, without its line break, with the canonical key of its item and the second of its change."""

    key: bytes
    seconds: int
    text: bytes


def pack(lines: Iterable[FrameLine]) -> tuple[bytes, Index]:
    """Returns an object of these lines, which are sorted by key (as bytes). The same lines give the same bytes."""
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
    bodies, frames, seconds = list[bytes](), list[Frame](), list[int]()
    before = b""
    for together in _cut(lines):
        bodies.append(compressor.compress(b"".join([each.text + b"\n" for each in together])))
        frames.append(Frame(_separator(before, together[0].key), len(bodies[-1]), len(together)))
        before = together[-1].key
        times = [each.seconds for each in together]
        seconds = [min(times + seconds), max(times + seconds)]
    index = Index(sum(each.lines for each in frames), (seconds[0], seconds[1]) if seconds else None, frames)
    return b"".join([*bodies, _packed(compressor, index)]), index


def _cut(lines: Iterable[FrameLine]) -> Iterator[list[FrameLine]]:
    together, size = list[FrameLine](), 0
    for line in lines:
        together.append(line)
        size += len(line.text) + 1
        if size >= FRAME_BYTES:
            yield together
            together, size = [], 0
    if together:
        yield together


def _separator(before: bytes, key: bytes) -> str:
    """Returns the shortest prefix of `key` that is greater than `before`, or all of it if they are equal, in the order of UTF-8."""
    one, other = before.decode(), key.decode()
    same = next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    return other[: same + 1]


def _packed(compressor: zstandard.ZstdCompressor, index: Index) -> bytes:
    body = compressor.compress(msgspec.json.encode(index))
    return _HEAD.pack(_SKIPPABLE, len(body) + _FOOT.size) + body + _FOOT.pack(len(body), _MAGIC)


# --- reading ------------------------------------------------------------------------------------------------------------------


def index_size(end: bytes) -> int:
    """Returns the size of an object's index in bytes.

    `end` holds at least its last few bytes. Raises Damaged if it has no index.
    """
    if len(end) < _FOOT.size:
        raise Damaged("it is too short to hold an index")
    size, magic = _FOOT.unpack(end[-_FOOT.size :])
    if magic != _MAGIC or size > object_limits.INDEX:
        raise Damaged("it does not end with an index: it is cut short, or not ours")
    return int(size) + _FOOT.size


def whole_index_size(end: bytes) -> int:
    """Returns the same with the head of the skippable frame around it: everything after the last frame of lines."""
    return _HEAD.size + index_size(end)


def read_index(end: bytes) -> Index:
    """Returns the index in an object's last bytes. Raises Damaged if it is not whole."""
    size = index_size(end)
    if size > len(end):
        raise Damaged("it is shorter than its index")
    try:
        index = msgspec.json.decode(zstd_frame(end[-size : -_FOOT.size], object_limits.INDEX), type=Index)
    except Damaged as error:
        raise Damaged(f"its index cannot be read ({error.message})", hint=error.hint) from error
    except UNDECODABLE as error:
        raise Damaged(f"its index cannot be read ({reason(error)})") from error
    if any(each.size <= 0 or each.lines <= 0 for each in index.frames) or index.lines != sum(each.lines for each in index.frames):
        raise Damaged("its index contradicts itself")
    return index
