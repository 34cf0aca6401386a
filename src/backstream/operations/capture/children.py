"""Tells whether the stream's list, which lags behind the shards, names all children of a closed shard.

A closed shard has one child (it rolled over, or was merged) or two (it was split), which may be listed one after the other. As long
as one may be missing, nobody reads its records, and nothing later than the parent's end may be claimed.
"""

from __future__ import annotations

from collections.abc import Sequence

from backstream.ports import Shard


def all_listed(parent: Shard, children: Sequence[Shard]) -> bool | None:
    """True if these are all children of a closed shard; None if the list does not tell, so that time must.

    Kinesis gives each shard's range of hash keys: together the children take over the whole of the parent's. DynamoDB gives none.
    There, two are all, since a partition splits in two, and one may be the first of two.
    """
    if not children:
        return False
    if parent.hashes is not None and all(each.hashes is not None for each in children):
        return _covered(parent.hashes, [each.hashes for each in children if each.hashes is not None])
    return True if len(children) > 1 else None


def _covered(whole: tuple[int, int], parts: Sequence[tuple[int, int]]) -> bool:
    reached = whole[0]
    for first, last in sorted(parts):
        if first > reached:
            return False
        reached = max(reached, last + 1)
    return reached > whole[1]
