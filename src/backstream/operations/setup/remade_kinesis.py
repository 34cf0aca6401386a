"""Detects a Kinesis stream that was deleted and created again: it has the same ARN, and only its creation time differs.

The old stream's remaining records are lost, and nothing shows when the table's changes began to go to the new one. See
docs/notes/0037.
"""

from __future__ import annotations

import msgspec

from backstream.model import moment
from backstream.operations.setup.identity import Turn, label_second, proven_until
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault

REMADE = "the Kinesis stream was deleted and created again"


def is_remade(vault: TableVault, created: int | None, now: float) -> bool:
    """True if the stream is younger than the proven period: then another one of its name proved that. `created`: the second, if
    known.

    The proven period ends minutes before the last look at a Kinesis stream, so no stream that was looked at is younger. Its label
    states when it first became the source.
    """
    if vault.catalog.kinesis is None or created is None:
        return False
    return created > max(proven_until(vault, now), label_second(vault.catalog.stream) or 0)


def turn_to_remade(vault: TableVault, created: int | None, now: float) -> Turn:
    """If the stream is another one by now, records the gap, then gives its changes a label of their own. Otherwise does nothing.

    Its shards and their numbers begin anew, so the positions in the old one do not count.
    """
    if not is_remade(vault, created, now):
        return Turn(vault)
    gap, before = record_remade(vault, now), vault.catalog.stream
    catalog = catalogs.change(vault.store, vault.catalog.table, lambda each: _labelled(each, before, gap.stream))
    return Turn(vault.with_catalog(catalog), gap)


def record_remade(vault: TableVault, now: float) -> Gap:
    """Records and returns the gap from the proven second until now. Its `stream` is the label of later changes."""
    gap = Gap(REMADE, min(proven_until(vault, now), int(now)), int(now), label_at(now, vault.catalog.stream))
    vault.gaps.record(gap)
    return gap


def _labelled(catalog: Catalog, before: str, label: str) -> Catalog:
    """Returns the same catalog if another reader was faster."""
    return msgspec.structs.replace(catalog, stream=label) if catalog.stream == before else catalog


def label_at(now: float, after: str = "") -> str:
    """Returns a label like DynamoDB's: the time at which the stream begins, so that labels are in order.

    It is greater than `after`.
    """
    while (label := moment.iso(now).removesuffix("Z") + ".999") <= after:
        now += 1
    return label
