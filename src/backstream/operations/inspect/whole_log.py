"""Every change of the log from a second on: one iterator for all who read the whole of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from backstream.engine.local.prefetch import ahead
from backstream.errors import Damaged
from backstream.model.changes.entry import Entry
from backstream.vault.log import segments
from backstream.vault.table_vault import TableVault

READERS = 8
IN_FLIGHT = 16


def changes_since(vault: TableVault, since: int) -> Iterator[Entry]:
    """Yields the log's entries from the hour of a second on, segments that end by then excepted, in no order.

    An unreadable object is skipped: it proves nothing. Memory is bounded by a few objects.
    """
    found = vault.inventory(since=since)
    reads: list[Callable[[], Sequence[Entry]]] = [
        partial(vault.log.read, each) for each in found.segments if each.segment is not None and each.segment.max_time > since
    ]
    for one in found.sets:
        reads += [partial(_of_part, vault, part.name) for part in vault.compacted.parts(one)]
    with ThreadPoolExecutor(READERS, thread_name_prefix="later") as pool:
        for _, reading in ahead(pool, lambda read: read(), reads, IN_FLIGHT):
            try:
                yield from reading()
            except Damaged:
                continue


def _of_part(vault: TableVault, name: str) -> Sequence[Entry]:
    return segments.read(*vault.compacted.claim_and_body(name))
