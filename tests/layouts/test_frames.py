"""Objects of frames: lines sorted by key, those of one key read without the others, and to all other tools plain `.ndjson.zst`."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from backstream.errors import Damaged
from backstream.vault.log import frames, segments
from backstream.vault.log.frames import FrameLine, FrameSpan, Index

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
HEAD = 8  # bytes of the skippable frame around the index

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
beginnings = st.sampled_from(["", "a", "tenant/" * 20, "\U0001f600\u00e9", "\uffff", "\U00010000"])
names = st.one_of(texts, st.builds("{}{}".format, beginnings, texts), st.builds("{}{}".format, beginnings, st.integers(0, 99)))
counts = st.one_of(st.integers(1, 3), st.sampled_from([30]))  # of one key's lines: some span frames


def key_of(name: str) -> bytes:
    """A key as the log's lines have it."""
    return json.dumps({"id": {"S": name}}, ensure_ascii=False, separators=(",", ":")).encode()


def lines_of(holding: dict[str, int]) -> list[FrameLine]:
    """So many lines of each of these keys, in their order."""
    every = sorted((key_of(name), number) for name, count in holding.items() for number in range(count))
    return [FrameLine(key, 1_000 + number, b"%s %d" % (key, number)) for key, number in every]


contents = st.dictionaries(names, counts, max_size=30).map(lines_of)
sizes = st.integers(1, 400)  # of a frame


def pack(lines: Sequence[FrameLine], frame_bytes: int) -> tuple[bytes, Index]:
    with patch.object(frames, "FRAME_BYTES", frame_bytes):
        return frames.pack(lines)


def text_of(lines: Sequence[FrameLine]) -> bytes:
    return b"".join(line.text + b"\n" for line in lines)


def blocks(body: bytes) -> list[bytes]:
    claim = frames.read_index(body).claim
    segments.check_frames(claim, body)
    return [block + b"\n" for block in segments.blocks(claim, body)]


def of_span(body: bytes, span: FrameSpan) -> list[list[bytes]]:
    """The lines of each of a span's frames, by what is in the object from its start on alone."""
    piece = body[span.start : span.start + span.size]
    return [zstandard.ZstdDecompressor().decompress(frame).splitlines() for frame in split(piece)]


def split(piece: bytes) -> Iterator[bytes]:
    """The zstd frames that lie here one after another: each is known by where the last one ended."""
    while piece:
        reader = zstandard.ZstdDecompressor().decompressobj()
        reader.decompress(piece)
        yield piece[: len(piece) - len(reader.unused_data)]
        piece = reader.unused_data


# --- what goes in comes out ---------------------------------------------------------------------------------------------------


@given(lines=contents, frame_bytes=sizes)
def test_all_lines_come_back_in_their_order(lines: list[FrameLine], frame_bytes: int) -> None:
    body, index = pack(lines, frame_bytes)
    assert frames.read_index(body) == index
    assert b"".join(blocks(body)) == text_of(lines)
    assert index.lines == len(lines)
    assert [each.lines for each in index.frames] == [block.count(b"\n") for block in blocks(body)]
    seconds = [line.seconds for line in lines]
    assert index.seconds == ((min(seconds), max(seconds)) if lines else None)


@given(lines=contents, frame_bytes=sizes)
def test_frames_end_where_they_are_full(lines: list[FrameLine], frame_bytes: int) -> None:
    """The last line may reach beyond, so without it a frame is not full; and all but the last one are."""
    found = blocks(pack(lines, frame_bytes)[0])
    for block in found:
        assert len(block) - len(block.splitlines()[-1]) - 1 < frame_bytes
    assert all(len(block) >= frame_bytes for block in found[:-1])


@given(lines=contents, frame_bytes=sizes)
def test_a_key_s_span_holds_its_lines_and_few_others(lines: list[FrameLine], frame_bytes: int) -> None:
    body, index = pack(lines, frame_bytes)
    for key in {line.key for line in lines}:
        mine = [line.text for line in lines if line.key == key]
        span = index.of_key(key)
        assert span is not None
        found = of_span(body, span)
        assert [text for frame in found for text in frame if text in mine] == mine
        assert sum(map(len, found)) == span.claim.count
        holding = [frame for frame in found if set(frame) & set(mine)]
        assert len(found) <= len(holding) + 1, "but one frame, in which it might have begun"


@given(lines=contents, frame_bytes=sizes, name=names)
def test_of_a_key_that_is_not_there_others_are_read_at_most(lines: list[FrameLine], frame_bytes: int, name: str) -> None:
    key = key_of(name)
    body, index = pack([line for line in lines if line.key != key], frame_bytes)
    span = index.of_key(key)
    if span is not None:
        found = of_span(body, span)
        assert len(found) <= 2
        assert not [text for frame in found for text in frame if text.startswith(key + b" ")]


def test_one_key_of_many_frames_and_its_neighbours() -> None:
    lines = lines_of({"a": 3, "b": 1_000, "c": 3})
    body, index = pack(lines, 100)
    assert len(index.frames) > 100
    for name, count in (("a", 3), ("b", 1_000), ("c", 3)):
        span = index.of_key(key_of(name))
        assert span is not None
        held = [text for frame in of_span(body, span) for text in frame if text.startswith(key_of(name))]
        assert len(held) == count
    assert index.of_key(b"!") is None


def test_boundaries_are_as_short_as_they_can_be() -> None:
    """An index is read for every item that is asked for: a long key must not make it large."""
    long = "x" * 2_000
    _, index = pack(lines_of({f"{number}{long}": 1 for number in range(17, 23)}), 1)
    assert [each.from_key for each in index.frames] == ["{", *(f'{{"id":{{"S":"{text}' for text in ("18", "19", "2", "21", "22"))]


def test_boundaries_rise_as_utf_8_does() -> None:
    """An astral character follows U+FFFF, as in UTF-8, not as in UTF-16."""
    _, index = pack(lines_of({"\uffff": 1, "\U0001f600": 1, "z": 1}), 1)
    firsts = [each.from_key.encode() for each in index.frames]
    assert all(one < other for one, other in pairwise(firsts))
    assert [each.decode()[-1] for each in firsts[1:]] == ["\uffff", "\U0001f600"]


@given(lines=contents, frame_bytes=sizes)
def test_the_same_lines_make_the_same_object(lines: list[FrameLine], frame_bytes: int) -> None:
    assert pack(lines, frame_bytes) == pack(list(lines), frame_bytes)


def test_nothing_is_an_object_too() -> None:
    body, index = frames.pack([])
    assert frames.read_index(body) == index == Index(0, None, [])
    assert blocks(body) == []
    assert index.of_key(key_of("a")) is None


# --- to other tools it is plain ndjson ----------------------------------------------------------------------------------------


@given(lines=contents, frame_bytes=sizes)
def test_a_stream_reader_passes_over_the_index(lines: list[FrameLine], frame_bytes: int) -> None:
    body, _ = pack(lines, frame_bytes)
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body), read_across_frames=True) as reader:
        assert reader.read() == text_of(lines)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the command zstd is not installed")
@pytest.mark.parametrize("count", [0, 1, 500])
def test_the_command_zstd_passes_over_the_index(tmp_path: Path, count: int) -> None:
    lines = lines_of({f"item-{number}": 2 for number in range(count)})
    path = tmp_path / "part.ndjson.zst"
    path.write_bytes(pack(lines, 1_000)[0])
    assert subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout == text_of(lines)
    subprocess.run(["zstd", "-t", "-q", path], check=True)


# --- damage -------------------------------------------------------------------------------------------------------------------

SOME = lines_of({"a": 4, "b": 2, "\U0001f600": 3})


def test_every_cut_is_noticed() -> None:
    body, _ = pack(SOME, 60)
    for length in range(len(body)):
        with pytest.raises(Damaged):
            blocks(body[:length])


def test_a_lost_beginning_is_noticed() -> None:
    """Then the index is whole, and the frames are not where it says."""
    body, index = pack(SOME, 60)
    for length in (1, index.frames[0].size, index.frames[0].size + 1):
        with pytest.raises(Damaged):
            blocks(body[length:])


def test_every_altered_bit_is_noticed_or_does_no_harm() -> None:
    """Among them those that make an empty frame of a full one, as zstd sees it."""
    body, index = pack(SOME, 60)
    assert len(index.frames) == 3
    unnoticed = 0
    for place in range(len(body) * 8):
        altered = body[: place // 8] + bytes([body[place // 8] ^ 1 << place % 8]) + body[place // 8 + 1 :]
        try:
            assert b"".join(blocks(altered)) == text_of(SOME), f"bit {place % 8} of byte {place // 8}"
            unnoticed += 1
        except Damaged:
            continue
    assert unnoticed < 8 * 8 + 20, "the head of the skippable frame, and bits that zstd does not use"


@pytest.mark.parametrize("foreign", [b"", b"x", b"not ours at all", b"\0" * 100, zstandard.compress(text_of(SOME)), b"BKS1" * 2])
def test_foreign_bytes_have_no_index(foreign: bytes) -> None:
    with pytest.raises(Damaged):
        frames.read_index(foreign)


def test_an_index_of_which_only_the_end_is_there_is_not_read() -> None:
    body, _ = pack(SOME, 60)
    size = frames.index_size(body[-8:])
    assert frames.read_index(body[-size:]) == frames.read_index(body)
    with pytest.raises(Damaged, match="shorter than its index"):
        frames.read_index(body[1 - size :])


def test_an_index_of_other_words_is_not_read() -> None:
    packed = frames._packed(zstandard.ZstdCompressor(), Index(1, None, []))
    text = zstandard.compress(b'{"lines":"many"}')
    foreign = packed[:HEAD] + text + len(text).to_bytes(4, "little") + b"BKS1"
    with pytest.raises(Damaged, match="index cannot be read"):
        frames.read_index(foreign)


# --- golden: what version 1 of the format wrote must be read for ever ---------------------------------------------------------

GOLDEN_LINES = lines_of({"caf\u00e9": 2, "flight-1": 7, "flight-10": 1, "\U0001f600": 2})
SAME = '{"id":{"S":"flight-1"}}'
GOLDEN_FRAMES = [("{", 3), (SAME, 3), (SAME, 3), ('{"id":{"S":"flight-10', 3)]


def test_golden_frames() -> None:
    """Four frames of three lines, of which three hold lines of one key."""
    body = (GOLDEN / "compacted-part.ndjson.zst").read_bytes()
    index = frames.read_index(body)
    assert b"".join(blocks(body)) == text_of(GOLDEN_LINES)
    assert (index.lines, index.seconds) == (12, (1_000, 1_006))
    assert [(each.from_key, each.lines) for each in index.frames] == GOLDEN_FRAMES
    span = index.of_key(key_of("flight-1"))
    assert span is not None
    assert [text for frame in of_span(body, span) for text in frame if text.startswith(SAME.encode())] == [
        line.text for line in GOLDEN_LINES if line.key == key_of("flight-1")
    ]


def test_what_is_written_now_is_as_golden() -> None:
    """But for compressed bytes, which another version of zstd may make others."""
    body, index = pack(GOLDEN_LINES, 65)
    assert [(each.from_key, each.lines) for each in index.frames] == GOLDEN_FRAMES
    assert body[-4:] == b"BKS1"
    size = int.from_bytes(body[-8:-4], "little")
    assert body[-size - 16 : -size - 8] == (0x184D2A5B).to_bytes(4, "little") + (size + 8).to_bytes(4, "little")
    assert json.loads(zstandard.decompress(body[-size - 8 : -8])) == {
        "lines": 12,
        "seconds": [1_000, 1_006],
        "frames": [[from_key, frame.size, lines] for frame, (from_key, lines) in zip(index.frames, GOLDEN_FRAMES, strict=True)],
    }
