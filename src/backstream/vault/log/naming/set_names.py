"""Names of compacted sets, and of the object in a set that holds a key."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def partition_of(key: bytes, partitions: int) -> int:
    """Returns the index of the object with a key's lines: the first bits of the key's sha256. `partitions` is a power of two."""
    return int.from_bytes(sha256(key).digest()[:4]) * partitions >> 32


def set_id(number: int, sources: Sequence[str]) -> str:
    """Returns a deterministic set id, so an interrupted compaction resumes. `number` is the generation that the set counts from."""
    digest = sha256("\n".join(sorted(sources)).encode()).hexdigest()[:12]
    return f"{number:08d}-{digest}"
