"""The body of the witness's watermarks: what format 1 wrote is read for ever."""

from __future__ import annotations

from pathlib import Path

from backstream.vault.log.positions import Position, decode, encode

GOLDEN = Path(__file__).parents[1] / "golden" / "watermark-1" / "positions.zst"
POSITIONS = {
    "shardId-0": Position("9", 1_794_000_000, 1_794_000_007, ended=True),
    "shardId-1": Position("300000000000000000499", 1_795_000_000, 1_795_000_100),
    "shardId-2": Position(None, None, 5),
}


def test_what_format_1_wrote_is_read() -> None:
    assert decode(GOLDEN.read_bytes()) == POSITIONS
    assert decode(encode(POSITIONS)) == POSITIONS


def test_the_same_positions_make_the_same_bytes() -> None:
    assert encode(dict(reversed(POSITIONS.items()))) == encode(POSITIONS)
