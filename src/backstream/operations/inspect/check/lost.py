"""Finds changes that the changes around them prove, and that the log lacks: see `model.changes.item_chain`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from backstream.engine.local.broken import broken_in, settled
from backstream.engine.local.spill import Spill
from backstream.errors import Damaged, MissingObject
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING
from backstream.model.changes.item_chain import ChainEvidence, WholeTableRead
from backstream.model.clocks import CLOCKS_APART
from backstream.model.window import AFTER_ALL, Window
from backstream.operations.inspect.check.report import Finding, FindingKind, RepairableFinding
from backstream.vault.bases import Base
from backstream.vault.catalog import folder
from backstream.vault.table_vault import TableVault

WHY = "a change of this item is missing: the next one was made upon another state than the last one left"


def lost_changes(
    vault: TableVault, lines: Spill[Entry], unsound: Collection[str], window: Window, now: float
) -> Iterator[BrokenChain]:
    """Yields each of them. `unsound`: names of objects that could not be read. A change that may still arrive is left out."""
    evidence = _evidence(vault, _whole(vault, unsound), window)
    proven = settled(vault.catalog, window, now)
    for number in range(lines.partitions):
        for broken in broken_in(lines.heads(number), evidence, proven, vault.erasures):
            if not broken.pending:
                yield broken


def _whole(vault: TableVault, unsound: Collection[str]) -> Sequence[Base]:
    """Returns the base backups that were read as a whole: only they show which items did not exist."""
    damaged = {name.split("/")[-2] for name in unsound if "/base/" in name}
    whole = (each for each in vault.bases.complete() if each.kind.was_read and each.id not in damaged)
    return [each for each in whole if _has_all_parts(vault, each)]


def _has_all_parts(vault: TableVault, base: Base) -> bool:
    try:
        vault.bases.whole(base)
    except (Damaged, MissingObject):
        return False
    return True


def _evidence(vault: TableVault, whole: Sequence[Base], window: Window) -> ChainEvidence:
    begun = vault.catalog.complete_from
    empty = [] if begun is None else [WholeTableRead(begun - CLOCKS_APART, begun)]
    return ChainEvidence(
        begin=BEGINNING if begun is None else begun - CLOCKS_APART,
        readings=[*empty, *(WholeTableRead(each.begin, each.end) for each in whole)],
        settled=AFTER_ALL,
        gaps=[(gap.since, gap.until) for gap in window.gaps],
        horizon=window.horizon,
    )


def found_of(vault: TableVault, broken: BrokenChain) -> RepairableFinding:
    """Returns the finding about a broken chain."""
    name = f"{folder(vault.catalog.table)}log/"
    since, until = moment.iso(broken.since), moment.iso(broken.until)
    return RepairableFinding(Finding(FindingKind.LOST, name, WHY, key=msgspec.Raw(broken.key), since=since, until=until, rows=1))
