"""Reads everything that has lines of items: compacted sets, segments, and the parts of base backups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.errors import Damaged, MissingObject
from backstream.model.changes.entry import Entry, entries, states
from backstream.operations.bulk.line_object import LineObject, of_segment, of_set
from backstream.vault.log import segments
from backstream.vault.log.segments import SegmentHeader
from backstream.vault.table_vault import TableVault

READERS = 8


def of_bases(vault: TableVault) -> Iterator[LineObject]:
    """Yields the parts of all base backups, complete or not."""
    for base in vault.bases.ids():
        for part in vault.bases.parts(base):
            yield LineObject(part.name, part.size, partial(vault.bases.claim_and_body, part))


def everything(vault: TableVault) -> Iterator[LineObject]:
    """Yields all that readers of the vault read."""
    found = vault.inventory()
    for one in found.generation.sets:
        yield from of_set(vault.compacted, one)
    yield from (of_segment(vault.log, each) for each in found.segments if each.segment is None or each.segment.count)
    yield from of_bases(vault)


def blocks(claim: SegmentHeader, body: bytes) -> Iterator[list[tuple[Entry, bytes]]]:
    """Yields the entries of an object without their images, each with its line, some MB at a time."""
    for block in segments.blocks(claim, body):
        yield list(zip((entry for entry, _ in states(block)), block.splitlines(), strict=True))


def with_images(claim: SegmentHeader, body: bytes) -> Iterator[list[Entry]]:
    """Yields the same entries with their images, some MB at a time."""
    return map(entries, segments.blocks(claim, body))


def each_read(
    objects: Iterator[LineObject], memory: Memory, unread: Callable[[str, str], None]
) -> Iterator[tuple[LineObject, SegmentHeader, bytes]]:
    """Yields each object with its header and bytes, read side by side. `unread` receives the others, each with the reason."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="lines") as pool:
        for one, reading in ahead(pool, lambda each: each.read(), objects, memory.bodies, weight=lambda each: each.size):
            try:
                yield one, *reading()
            except (Damaged, MissingObject) as error:
                unread(one.name, error.message.removeprefix(f"{one.name}: "))
