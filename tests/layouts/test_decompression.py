"""zstd data of one frame or of many, as other tools write it: all of it is read, or none."""

from __future__ import annotations

import struct

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backstream.vault import decompression
from backstream.vault.decompression import UNREADABLE, zstd

SKIPPABLE = struct.pack("<II", 0x184D2A53, 5) + b"index"


def sized(data: bytes, *, checksum: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum).compress(data)


def streamed(data: bytes) -> bytes:
    """A frame that does not say how large its contents are."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(data) + compressor.flush()


contents = st.one_of(
    st.binary(max_size=40), st.integers(0, 300_000).map(bytes), st.integers(1, 9).map(lambda n: b"0123456789abcdef" * 9_000 * n)
)
made = st.lists(
    st.tuples(st.sampled_from([sized, streamed, lambda data: sized(data, checksum=False)]), contents), min_size=1, max_size=4
)


@given(made, st.sampled_from([1, 1_000, decompression.BLOCK]), st.data())
def test_all_frames_are_read_or_none(frames: list[tuple[object, bytes]], block: int, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decompression, "BLOCK", block)
        frames = [(make, content[: 3_000 * block]) for make, content in frames]  # byte by byte, a megabyte takes long
        whole = b"".join(make(content) + data.draw(st.sampled_from([b"", SKIPPABLE])) for make, content in frames)  # type: ignore[operator]
        assert b"".join(zstd(whole)) == b"".join(content for _, content in frames)
        ends = {0}
        cut = data.draw(st.integers(1, len(whole) - 1))
        start = 0
        while start < len(whole):
            start = decompression._frame_end(whole, start)
            ends.add(start)
        if cut not in ends:
            with pytest.raises(UNREADABLE):
                list(zstd(whole[:cut]))


@pytest.mark.parametrize("body", [b"", b"\x28", b"no frame at all", SKIPPABLE[:-1], sized(b"rows") + b"more", sized(b"") + b"x"])
def test_what_is_no_zstd_is_no_data(body: bytes) -> None:
    with pytest.raises(UNREADABLE):
        list(zstd(body))


def test_an_empty_frame_ends_nothing() -> None:
    """zstandard's one-shot reader says of these that there is no data."""
    assert b"".join(zstd(sized(b"") + sized(b"rows"))) == b"rows"
    assert b"".join(zstd(sized(b"one ") + sized(b"") + streamed(b"two"))) == b"one two"
