"""How a stream's shards lie side by side: what may be concluded from one batch depends on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from backstream.ports import Shard


def lanes(shards: Sequence[Shard]) -> int:
    """How many lines of shards are read independently: 1 where each shard follows another, so that all changes are in order."""
    listed = {shard.id for shard in shards}
    children = Counter(shard.parent for shard in shards if shard.parent in listed)
    roots = sum(1 for shard in shards if shard.parent not in listed)
    return roots + sum(count - 1 for count in children.values())
