"""Keeps items in a file before an in-place restore deletes or overwrites them, so that the restore can be undone.

The file holds the images themselves, because the vault may not have them yet, or may never get them. It stays until the user
deletes it. `operations.undo` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from backstream.errors import UsageError
from backstream.model.migration import ItemRewrite
from backstream.model.values import wire
from backstream.operations.bulk import journal
from backstream.ports import ConditionalWrite, Table, Write

_STEM = "backstream-undo-"


class UndoHead(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line. `restore`: its id; `began`: the second in which it began; `arn`, `table_id`: the table it wrote to."""

    restore: str
    table: str
    began: int
    arn: str
    table_id: str


class UndoJournal(journal.JournalState[UndoHead]):
    """The rows that a restore has deleted or overwritten, as its file records them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, UndoHead, "restore that can be taken back")


Journal = journal.Journal[UndoHead]


def path_for(restore: str, folder: Path) -> Path:
    """Returns the path of a restore's file, by its id."""
    return folder / f"{_STEM}{restore}.ndjson"


def begin(path: Path, head: UndoHead) -> Journal:
    """Opens the file of a restore that begins or resumes. Raises UsageError if the restore was undone meanwhile."""
    if not path.exists():
        return Journal.begin(path, head, keeps_images=True)
    standing = UndoJournal(path)
    if standing.taken_back:
        raise UsageError(f"the restore {head.restore} was taken back", hint="Begin a new one, without --resume.")
    return Journal.reopen(path, standing, keeps_images=True)


class Keyed(Protocol):
    """Finds keys: a `vault.table_vault.TableVault`, or anything that knows the table's key schema."""

    def key_of(self, image: bytes) -> bytes:
        """Returns the canonical key of an image, or of a key."""


class UndoRecorder:
    """Records each item's image in the journal, durably, before one restore writes the item.

    Safe to call from many threads; an item's writes come one after another.
    """

    def __init__(self, keys: Keyed, kept: Journal) -> None:
        self._keys = keys
        self._journal = kept
        self._numbers: dict[bytes, int] = {}

    def keep(self, writes: Sequence[Write | ConditionalWrite], found: dict[bytes, bytes]) -> None:
        """Keeps these items, which are as `found`, because they are going to be written.

        An item that already has its new state is not kept again.
        """
        changes = [self._change(each, found) for each in writes]
        new = [each for each in changes if each.key not in self._numbers and not wire.same_state(each.before, each.after)]
        if new:
            self._numbers.update(zip([each.key for each in new], self._journal.intend(new), strict=True))

    def tried(self, key: bytes) -> None:
        """Notes that the item's request goes out next."""
        if key in self._numbers:
            self._journal.tried(self._numbers[key])

    def settle(self, key: bytes) -> None:
        """Notes that the item is written: it will not be tried again."""
        self._numbers.pop(key, None)

    def withdraw(self, key: bytes) -> None:
        """Notes that the item was not written: somebody had changed it."""
        if key in self._numbers:
            self._journal.withdraw(self._numbers.pop(key))

    def _change(self, write: Write | ConditionalWrite, found: dict[bytes, bytes]) -> ItemRewrite:
        key = self._keys.key_of(write.body)
        return ItemRewrite(key, found.get(key), write.after)


class KeptTable:
    """A table in which each item is read and kept before it is written, no matter who has changed it; see `bulk.writer`."""

    def __init__(self, keys: Keyed, table: Table, keeper: UndoRecorder) -> None:
        self._keys = keys
        self._table = table
        self._keeper = keeper

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        """See `ports.Table.write`."""
        keys = [self._keys.key_of(each.body) for each in writes]
        found = {self._keys.key_of(image): image for image in self._table.fetch(keys)}
        self._keeper.keep(writes, found)
        for key in keys:
            self._keeper.tried(key)
        rest = self._table.write(writes) if took is None else self._table.write(writes, took)
        for key in set(keys) - {self._keys.key_of(each.body) for each in rest}:
            self._keeper.settle(key)
        return rest
