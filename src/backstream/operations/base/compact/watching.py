"""Finds changes that are missing from items whose lines a compaction rewrites: suspected as the lines go by, and then verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from backstream.engine.local.broken import settled
from backstream.model.changes import item_chain
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry, states
from backstream.model.changes.item_chain import ChainEvidence, ItemChain, Judge
from backstream.operations.inspect.lost_changes import standing
from backstream.vault.log.frames import FrameLine
from backstream.vault.table_vault import TableVault

TOGETHER = 1_000  # lines that are decoded at once


class SuspectedItems:
    """Looks at the lines of the log, sorted by key, as they are rewritten. `keys`: items that seem to lack a change."""

    def __init__(self, evidence: ChainEvidence) -> None:
        self.evidence = evidence
        self.keys: set[bytes] = set()
        self._judge = Judge(evidence)

    def looking_at(self, lines: Iterable[FrameLine]) -> Iterator[FrameLine]:
        """Yields the same lines."""
        for key, of_key in groupby(lines, key=lambda each: each.key):
            seen, chain = list[FrameLine](), ItemChain()
            for line in of_key:
                seen.append(line)
                yield line
                if len(seen) == TOGETHER:
                    _add(chain, seen)
                    seen = []
            self._look(key, chain, seen)

    def _look(self, key: bytes, chain: ItemChain, seen: Sequence[FrameLine]) -> None:
        """Checks an item's lines: few of them directly, many by the chain."""
        if chain:
            _add(chain, seen)
            found = chain.losses(self._judge)
        else:
            found = item_chain.losses(_entries(seen), self._judge) if len(seen) > 1 else []
        if found:
            self.keys.add(key)


class Watch(SuspectedItems):
    """Watches a compaction.

    It does not see the sets that stay unchanged, so a break found here is a suspicion until all lines of the item were read.
    """

    def __init__(self, vault: TableVault, now: float) -> None:
        self._vault = vault
        self._now = now
        window = vault.window(now)
        gaps = [(gap.since, gap.until) for gap in window.gaps]
        super().__init__(ChainEvidence(settled=settled(vault.catalog, window, now), gaps=gaps, horizon=window.horizon))

    def losses(self) -> list[BrokenChain]:
        """Returns the changes that are missing from everything that the vault holds of the item.

        Call it once the new lines are in force.
        """
        return standing(self._vault, self.keys, self._now)


def _add(chain: ItemChain, seen: Sequence[FrameLine]) -> None:
    for entry in _entries(seen):
        chain.add(entry)


def _entries(seen: Sequence[FrameLine]) -> list[Entry]:
    return [entry for entry, _ in states(b"\n".join([line.text for line in seen]))] if seen else []
