"""What an in-place restore deletes or overwrites is kept in a file before it is, so that the restore can be taken back.

The file holds the images themselves: the vault may not have them yet, or may never have heard of them. It stays until the user
deletes it. `operations.restore_undo` reads it.
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
from backstream.ports import Put, Table, Write

_STEM = "backstream-undo-"


class UndoHead(msgspec.Struct, frozen=True, kw_only=True):
    """The file's first line. `restore`: its id; `began`: the second in which it began; `arn`, `table_id`: the table it wrote to."""

    restore: str
    table: str
    began: int
    arn: str
    table_id: str


class UndoJournal(journal.JournalState[UndoHead]):
    """What a restore has deleted or overwritten, as its file says."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, UndoHead, "restore that can be taken back")


Journal = journal.Journal[UndoHead]


def path_for(restore: str, folder: Path) -> Path:
    """The file of a restore's id."""
    return folder / f"{_STEM}{restore}.ndjson"


def begin(path: Path, head: UndoHead) -> Journal:
    """The file of a restore that begins, or is gone on with. UsageError where it was taken back meanwhile."""
    if not path.exists():
        return Journal.begin(path, head, keeps_images=True)
    standing = UndoJournal(path)
    if standing.taken_back:
        raise UsageError(f"the restore {head.restore} was taken back", hint="Begin a new one, without --resume.")
    return Journal.reopen(path, standing, keeps_images=True)


class Keyed(Protocol):
    """Tells keys: `layouts.vault.TableVault`, or whatever knows the table's key schema."""

    def key_of(self, image: bytes) -> bytes:
        """The canonical key of an image, or of a key."""


class UndoRecorder:
    """Stands before the writes of one restore: what an item is goes into the journal, durable, before the item is written.

    Safe to call from many threads; an item's writes come one after another.
    """

    def __init__(self, keys: Keyed, kept: Journal) -> None:
        self._keys = keys
        self._journal = kept
        self._numbers: dict[bytes, int] = {}

    def keep(self, writes: Sequence[Write], found: dict[bytes, bytes]) -> None:
        """These items, which are as `found`, are going to be written. One that is as it is to be already is not kept again."""
        changes = [self._change(each, found) for each in writes]
        new = [each for each in changes if each.key not in self._numbers and not wire.same_state(each.before, each.after)]
        if new:
            self._numbers.update(zip([each.key for each in new], self._journal.intend(new), strict=True))

    def tried(self, key: bytes) -> None:
        """Its request goes out next."""
        if key in self._numbers:
            self._journal.tried(self._numbers[key])

    def settle(self, key: bytes) -> None:
        """It is written: it will not be tried again."""
        self._numbers.pop(key, None)

    def withdraw(self, key: bytes) -> None:
        """It was not written: somebody had changed the item."""
        if key in self._numbers:
            self._journal.withdraw(self._numbers.pop(key))

    def _change(self, write: Write, found: dict[bytes, bytes]) -> ItemRewrite:
        key = self._keys.key_of(_body(write))
        return ItemRewrite(key, found.get(key), write.image if isinstance(write, Put) else None)


class KeptTable:
    """A table in which each item is looked at and kept before it is written, whoever has changed it; see `writing.Batches`."""

    def __init__(self, keys: Keyed, table: Table, keeper: UndoRecorder) -> None:
        self._keys = keys
        self._table = table
        self._keeper = keeper

    def write(self, writes: Sequence[Write], took: Callable[[float], None] | None = None) -> Sequence[Write]:
        """See `ports.Table.write`."""
        keys = [self._keys.key_of(_body(each)) for each in writes]
        found = {self._keys.key_of(image): image for image in self._table.fetch(keys)}
        self._keeper.keep(writes, found)
        for key in keys:
            self._keeper.tried(key)
        rest = self._table.write(writes) if took is None else self._table.write(writes, took)
        for key in set(keys) - {self._keys.key_of(_body(each)) for each in rest}:
            self._keeper.settle(key)
        return rest


def _body(write: Write) -> bytes:
    return write.image if isinstance(write, Put) else write.keys
