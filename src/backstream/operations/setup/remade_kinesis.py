"""A Kinesis stream that was deleted and created again has the same ARN: only the time of its creation tells.

What the one before still held is gone, and nothing tells when the table's changes began to go to the new one. See docs/notes/0037.
"""

from __future__ import annotations

import msgspec

from backstream.model import moment
from backstream.operations.setup.identity import Turn, label_second, proven_until
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog
from backstream.vault.gaps import Gap
from backstream.vault.table_vault import TableVault

REMADE = "the Kinesis stream was deleted and created again"


def is_remade(vault: TableVault, created: int | None, now: float) -> bool:
    """Whether the stream is younger than what is proven: another one of its name proved that. `created`: the second, if known.

    What is proven ends minutes before the last look at a Kinesis stream, so no stream that was looked at is younger; and its
    label tells when it was first taken for the source.
    """
    if vault.catalog.kinesis is None or created is None:
        return False
    return created > max(proven_until(vault, now), label_second(vault.catalog.stream) or 0)


def turn_to_remade(vault: TableVault, created: int | None, now: float) -> Turn:
    """Where the stream is another one by now: record the gap, then give its changes a label of their own. Else nothing.

    Shards and their numbers begin anew in it, so nothing of how far the one before was read counts.
    """
    if not is_remade(vault, created, now):
        return Turn(vault)
    gap, before = record_remade(vault, now), vault.catalog.stream
    catalog = catalogs.change(vault.store, vault.catalog.table, lambda each: _labelled(each, before, gap.stream))
    return Turn(vault.with_catalog(catalog), gap)


def record_remade(vault: TableVault, now: float) -> Gap:
    """Record and return the gap from what is proven until now. Its `stream` is the label of what comes after it."""
    gap = Gap(REMADE, min(proven_until(vault, now), int(now)), int(now), label_at(now, vault.catalog.stream))
    vault.gaps.record(gap)
    return gap


def _labelled(catalog: Catalog, before: str, label: str) -> Catalog:
    """The same where another reader was faster."""
    return msgspec.structs.replace(catalog, stream=label) if catalog.stream == before else catalog


def label_at(now: float, after: str = "") -> str:
    """As DynamoDB labels its streams: by the time at which they begin, so that they are in order; greater than `after`."""
    while (label := moment.iso(now).removesuffix("Z") + ".999") <= after:
        now += 1
    return label
