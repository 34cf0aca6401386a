"""The witness's position in each shard of a stream: the body of its watermarks. Its next run reads only later records."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from backstream.errors import Damaged
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.vault import decompression
from backstream.vault.log.segments import Codec

FORMAT = 1
_NUMBER = re.compile(r"[0-9]{1,100}")


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """One shard. All records up to `last` are in the vault, or in a recorded gap.

    `last`: the sequence number of a DynamoDB stream, or the position in a Kinesis shard; None if the shard held nothing yet.
    `seconds`: the second of the newest change up to there; `claim`: the second up to which all changes of the shard are in the
    vault (epoch seconds). `ended`: True if the shard is closed and `last` is its end.
    """

    last: str | None = None
    seconds: int | None = None
    claim: int | None = None
    ended: bool = False


Positions = Mapping[str, Position]  # by the shard's id


class _PositionsBody(msgspec.Struct):
    format: int
    shards: dict[str, Position]


def encode(positions: Positions) -> bytes:
    """Returns the body of a watermark. The same positions give the same bytes."""
    body = _PositionsBody(FORMAT, dict(sorted(positions.items())))
    return Codec.ZSTD.compress(msgspec.json.encode(body))


def decode(body: bytes) -> Positions:
    """The inverse of `encode`. Raises Damaged if the body is not its output."""
    try:
        found = msgspec.json.decode(decompression.zstd_frame(body, object_limits.GENERATION), type=_PositionsBody)
    except (Damaged, *UNDECODABLE) as error:
        raise Damaged(f"the positions of a watermark cannot be read: {_why(error)}") from error
    if found.format > FORMAT:
        raise Damaged(f"the positions of a watermark are of format {found.format}", hint="Use a newer Backstream.")
    odd = [each.last for each in found.shards.values() if each.last is not None and not _NUMBER.fullmatch(each.last)]
    if odd:
        raise Damaged(f"the positions of a watermark cannot be read: {odd[0]!r:.100} is no position")
    return found.shards


def _why(error: Exception) -> str:
    return error.message if isinstance(error, Damaged) else reason(error)
