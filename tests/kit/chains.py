"""The chain of a log's runs: each names the sequence number before it, so that a missing one is seen."""

from __future__ import annotations

from backstream.operations.capture.shards import OLDEST
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault


def broken_links(vault: TableVault) -> list[str]:
    """What is wrong with the runs of a tail's log, in words: nothing, where each follows another and only a first one follows none.

    Runs may overlap: one that was cut off and one that was read again lie side by side.
    """
    wrong: list[str] = []
    ends: dict[tuple[str, str], set[str]] = {}
    runs = [each for each in vault.log.listing() if each.segment is not None and each.segment.kind is SegmentKind.TAIL]
    for each in runs:
        assert each.segment is not None
        ends.setdefault((each.segment.stream, each.segment.shard), set()).add(each.segment.last)
    firsts: dict[tuple[str, str], set[str]] = {}
    for each in runs:
        assert each.segment is not None
        shard = (each.segment.stream, each.segment.shard)
        after = vault.log.metadata(each)["after"]
        if after == OLDEST:
            firsts.setdefault(shard, set()).add(each.segment.first)
        elif after not in ends[shard] or int(after) >= int(each.segment.first):
            wrong.append(f"{each.name} follows {after}, which ends no run before it")
    wrong += [f"{shard}: {len(firsts.get(shard, ()))} runs follow none" for shard in ends if len(firsts.get(shard, ())) != 1]
    return wrong
