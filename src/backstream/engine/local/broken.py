"""Finds broken chains: items that lack a change, among all entries of a partition's items.

The rule is `model.item_chain`; this applies it to one partition after another, so that memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backstream.engine.local.spill import Spot
from backstream.model.changes import item_chain
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING
from backstream.model.changes.item_chain import Break, ChainEvidence, ItemChain, Judge
from backstream.model.window import AFTER_ALL, Window
from backstream.vault.catalog import Catalog
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.log.log import DAY, LATE
from backstream.vault.table_vault import TableVault

_Read = list[Entry] | ItemChain


def settled(catalog: Catalog, window: Window, now: float) -> int:
    """Returns the second up to which no change can arrive any more: proven, or older than anything that a stream still holds."""
    retention = DAY if catalog.kinesis is None else max(DAY, catalog.kinesis.retention)
    return max(-1 if window.durable is None else window.durable, int(now) - retention - LATE)


def of_item(vault: TableVault, key: bytes, entries: Sequence[Entry], window: Window, now: float) -> list[BrokenChain]:
    """Returns the changes that are missing among all entries of an item, earliest first.

    None is of a former life of the table, or was erased.
    """
    catalog, erased = vault.catalog, vault.erasures.until(key)
    begin = catalog.lives[-1].created if catalog.lives else BEGINNING
    gaps = [(gap.since, gap.until) for gap in window.gaps]
    evidence = ChainEvidence(begin, settled=AFTER_ALL, gaps=gaps, horizon=window.horizon)
    proven = settled(catalog, window, now)
    return [_broken(key, found, proven) for found in item_chain.losses(entries, Judge(evidence)) if found.since > erased]


def broken_in(
    heads: Iterable[tuple[bytes, Entry, Spot | None]], evidence: ChainEvidence, proven: int, erasures: Erasures
) -> Iterator[BrokenChain]:
    """Yields the broken chains of one partition. `evidence.settled`: the last second that is checked; `proven`: see `settled`.

    A break that reaches back to an erasure of the item is none: what came before was erased.
    """
    judge = Judge(evidence)
    for key, read in _by_key(heads).items():
        for found in read.losses(judge) if isinstance(read, ItemChain) else item_chain.losses(read, judge):
            if found.since > erasures.until(key):
                yield _broken(key, found, proven)


def _broken(key: bytes, found: Break, proven: int) -> BrokenChain:
    return BrokenChain(key, found.since, found.until, pending=found.until > proven)


def _by_key(heads: Iterable[tuple[bytes, Entry, Spot | None]]) -> dict[bytes, _Read]:
    """Returns all entries of each item. For an item with very many it holds a chain, which is smaller."""
    every: dict[bytes, _Read] = {}
    for key, entry, _ in heads:
        read = every.get(key)
        if read is None:
            every[key] = [entry]
        elif isinstance(read, ItemChain):
            read.add(entry)
        else:
            read.append(entry)
            if len(read) > item_chain.MOST_LINKS:
                every[key] = _chain(read)
    return every


def _chain(entries: Iterable[Entry]) -> ItemChain:
    chain = ItemChain()
    for entry in entries:
        chain.add(entry)
    return chain
