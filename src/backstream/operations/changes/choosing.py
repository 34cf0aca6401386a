"""Chooses changes, with their images, among a window's changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backstream.model.changes import merge
from backstream.operations.changes.seen import SeenChange, with_images
from backstream.operations.changes.selection import ChangeSelection
from backstream.operations.changes.sorting import Pair
from backstream.vault.table_vault import TableVault


def chosen(found: Iterator[SeenChange], selection: ChangeSelection, doubtful: Callable[[SeenChange], None]) -> Iterator[SeenChange]:
    """Yields the selected ones. `doubtful` is told of each that lacks an image."""
    for seen in found:
        if not tells_nothing(seen) and selection.takes(seen):
            if seen.doubt:
                doubtful(seen)
            yield seen


def tells_nothing(seen: SeenChange) -> bool:
    """True for a read of the table that found nothing new."""
    return seen.entry.scanned and not seen.doubt and not merge.changed_names(seen.old, seen.new)


def with_own_images(vault: TableVault, selection: ChangeSelection, pairs: Iterator[Pair]) -> Iterator[SeenChange]:
    """Yields changes whose lines hold both images, as far as they do: without a look at the changes before them."""
    key_of, may_be, is_all = vault.key, selection.may_be, selection.is_all
    for entry, before in pairs:
        if entry.place is not None or (entry.old is None and entry.event != "INSERT"):
            yield from with_images(vault, iter([(entry, before)]))
            continue
        key = key_of(entry)
        if is_all or may_be(key):
            yield SeenChange(key, entry, entry.old, None if entry.removed else entry.image)
