"""`changes`: every change of a window in the order of time, or item by item, with the attributes that it changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import Damaged, NothingMatches, PartlyDone
from backstream.model.changes import merge
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import entries
from backstream.model.changes.listing_lines import listed_entries
from backstream.model.values import wire
from backstream.operations.bulk.progress import Progress, Silent
from backstream.operations.changes import window as windows
from backstream.operations.changes.choosing import chosen, tells_nothing, with_own_images
from backstream.operations.changes.gathered import Gathered, ItemChanges
from backstream.operations.changes.items import ItemPiece, by_item, looks_back
from backstream.operations.changes.listing import Listing
from backstream.operations.changes.reading import Decode, WindowLog
from backstream.operations.changes.seen import ChangeRecord, SeenChange, Times, items_with_images, record, with_images
from backstream.operations.changes.selection import ChangeCriteria, ChangeSelection
from backstream.operations.changes.sorting import Pair, TimeSorter
from backstream.operations.changes.window import ChangeWindow
from backstream.operations.inspect import safety
from backstream.operations.inspect.actors import Actors, ActorSource
from backstream.ports import Clock
from backstream.vault.table_vault import TableVault

TOGETHER = 128  # changes of several items whose images are fetched together
NOTHING_CHANGED = "NONE"  # the event of an item that is at the end as it was at the beginning


class ChangesContext(msgspec.Struct, frozen=True):
    """The context for reading changes besides the vault."""

    clock: Clock
    memory: Memory = Memory()
    progress: Progress = Silent()


class NetRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item: its state before a window against the state after it.

    Fields are as in `ChangeRecord`, but `time`, `sequence` and `actor` belong to its last selected change; `event` is INSERT,
    MODIFY or REMOVE by the two states, or NONE if they are the same; `changes` is the number of selected changes.
    """

    time: str
    sequence: str | None
    event: str
    actor: str | None
    key: msgspec.Raw
    before: msgspec.Raw
    after: msgspec.Raw
    changed: list[str]
    changes: int
    note: str = ""
    actor_source: ActorSource | None = None


class Changes:
    """The selected changes of a window. Making it checks that the vault knows them: see `window.check` for its errors.

    `certainty`: the vault's certainty about the window; `warnings`: descriptions of unreadable objects, and `gone`: of the first
    images that cannot be read; both are complete once all changes were taken.
    """

    def __init__(
        self, vault: TableVault, span: ChangeWindow, asked: ChangeCriteria, around: ChangesContext, *, allow_gap: bool = False
    ) -> None:
        windows.check_order(span)
        self._vault = vault
        self._span = span
        self._around = around
        self._allow_gap = allow_gap
        self.asked = asked
        self.warnings: list[str] = []
        self.gone: list[str] = []
        self.actors = Actors.of_vault(vault, self._unread_finding)
        self.selection = ChangeSelection(vault, asked, self.actors)
        now = around.clock.now()
        self.window = vault.window(now)
        self.certainty = windows.check(vault, span, self.window, now, allow_gap=allow_gap)
        self.doubtful = 0

    @property
    def table(self) -> str:
        """The table's name."""
        return self._vault.catalog.table

    @property
    def span(self) -> ChangeWindow:
        """The window."""
        return self._span

    @property
    def vault(self) -> TableVault:
        """The vault."""
        return self._vault

    @property
    def progress(self) -> Progress:
        """Shows how far it is."""
        return self._around.progress

    def log(self, decode: Decode = entries) -> WindowLog:
        """Returns the log of the window."""
        keys, memory = self.selection.keys, self._around.memory
        return WindowLog(self._vault, self._span, self.unread, keys=keys, memory=memory, decode=decode)

    def unread(self, what: str) -> None:
        """Notes what cannot be read. Raises the error of it unless gaps are allowed."""
        if not self._allow_gap:
            raise safety.unreadable_backup([what])
        self.warnings.append(what)

    def _unread_finding(self, error: Damaged) -> None:
        """Notes an unreadable finding: the actor of a change is then unknown. It is called for each change."""
        if error.message not in self.warnings:
            self.unread(error.message)

    # --- in the order of time ---

    def each(self) -> Iterator[SeenChange]:
        """Yields the selected changes, oldest first.

        Raises NothingMatches if a selection matches none, and PartlyDone if an image is gone.
        """
        found = 0
        for seen in self.known():
            found += 1
            yield seen
        self.check_found(found)
        if self.gone:
            raise PartlyDone(unread_images(self.gone), hint="All other changes are listed.")

    def known(self, *, briefly: bool = False) -> Iterator[SeenChange]:
        """Yields the same. It is no error if there are none, or if an image is gone: see `SeenChange.gone`.

        `briefly`: without event ids and digests, where that is quicker.
        """
        found = self._in_time(listed_entries if briefly and self.selection.is_all else entries)
        return chosen(found, self.selection, self._note_doubt)

    def _note_doubt(self, seen: SeenChange) -> None:
        self.doubtful += 1
        self._note_gone(seen)

    def _note_gone(self, seen: SeenChange) -> None:
        if seen.gone and len(self.gone) < safety.NAMED:
            self.gone.append(seen.doubt)

    def check_found(self, found: int) -> None:
        """Raises NothingMatches if a selection matches no change, and NotFound if a change that was named is not in the window."""
        if not found and not self.selection.is_all:
            raise self.selection.nothing(self.table, self._span)
        self.selection.check_all_found(self.table, self._span)

    def _in_time(self, decode: Decode) -> Iterator[SeenChange]:
        with TimeSorter() as sorter:
            if not looks_back(self._vault):
                yield from self._as_they_lie(sorter, decode)
                return
            for item in self._items():
                if self.selection.may_be(item.key):
                    sorter.add(item.pairs)
            yield from with_images(self._vault, sorter.until(None))

    def _as_they_lie(self, sorter: TimeSorter, decode: Decode) -> Iterator[SeenChange]:
        """Yields changes as soon as nothing earlier can come, if each line holds both images."""
        for piece in self.log(decode).pieces():
            if piece.before is not None:
                yield from self._inline(sorter.until(piece.before * MICROS))
            sorter.add([(entry, None) for entry in piece.entries], piece.size)
        yield from self._inline(sorter.until(None))

    def _inline(self, pairs: Iterator[Pair]) -> Iterator[SeenChange]:
        return with_own_images(self._vault, self.selection, pairs)

    def keys(self) -> list[bytes]:
        """Returns the canonical keys of the items that changed; no image is read. Raises NothingMatches if there are none.

        Only filters on keys are applied.
        """
        found: dict[bytes, None] = {}
        for piece in self.log().pieces():
            found.update(dict.fromkeys(key for key in map(self._vault.key, piece.entries) if self.selection.may_be(key)))
        if not found and self.selection.is_all:
            raise NothingMatches(f"nothing of {self.table} changed from {self._span}", hint="Nothing was touched.")
        self.check_found(len(found))
        return list(found)

    # --- item by item ---

    def items(self) -> Iterator[ItemChanges]:
        """Yields each item with a selected change: see `ItemChanges`. Raises the errors of `check_found`."""
        found = 0
        for each in self._chosen_items():
            found += 1
            yield each
        self.check_found(found)

    def _items(self, *, only_ends: bool = False) -> Iterator[ItemPiece]:
        return by_item(self._vault, self._span, self.log(), self.unread, self._around.memory, only_ends=only_ends)

    def _chosen_items(self) -> Iterator[ItemChanges]:
        by_key = self.selection.is_by_key
        gathered = Gathered()
        for pieces in self._together():
            images = items_with_images(self._vault, [each.pairs for each in pieces])
            for piece, changes in zip(pieces, images, strict=True):
                for each in changes:
                    taken = self.selection.takes(each)
                    gathered.add(each, chosen=taken)
                    if taken:
                        self._note_gone(each)
                if piece.is_last:
                    if gathered.selected:
                        yield gathered.item(piece, selected=piece.count if by_key else gathered.selected)
                    gathered = Gathered()

    def _together(self) -> Iterator[list[ItemPiece]]:
        """Yields pieces whose images are fetched side by side."""
        together, count = list[ItemPiece](), 0
        for piece in self._items(only_ends=self.selection.is_by_key):
            if self.selection.may_be(piece.key):
                together.append(piece)
                count += len(piece.pairs)
            if count >= TOGETHER:
                yield together
                together, count = [], 0
        yield together

    # --- for programs ---

    def records(self) -> Iterator[ChangeRecord]:
        """Yields the same as `each`, as records."""
        if self.selection.is_all and not looks_back(self._vault) and self.actors.knows_none:
            return self._all_records()
        return self._selected_records()

    def _selected_records(self) -> Iterator[ChangeRecord]:
        times, by = Times(), self.actors.first
        for seen in self.each():
            yield record(seen, by(seen), times)

    def _all_records(self) -> Iterator[ChangeRecord]:
        """Yields records from the lines alone."""
        listing = Listing(self._vault.key_reader, self._other_records)
        with TimeSorter() as sorter:
            for piece in self.log(listed_entries).pieces():
                if piece.before is not None:
                    yield from listing.records(sorter.until(piece.before * MICROS))
                sorter.add([(entry, None) for entry in piece.entries], piece.size)
            yield from listing.records(sorter.until(None))

    def _other_records(self, pair: Pair) -> Iterator[ChangeRecord]:
        for seen in self._inline(iter([pair])):
            if not tells_nothing(seen):
                self.doubtful += bool(seen.doubt)
                yield record(seen, self.actors.first(seen), Times())

    def net(self) -> Iterator[NetRecord]:
        """Yields one record for each item with a selected change, in no order."""
        times = Times()
        for item in self.items():
            self.doubtful += bool(item.doubt)
            yield self._net(item, times)

    def _net(self, item: ItemChanges, times: Times) -> NetRecord:
        last = [each for each, chosen in zip(item.changes, item.chosen, strict=True) if chosen][-1]
        names, by = merge.changed_names(item.before, item.after), self.actors.first(last)
        return NetRecord(
            time=times.of(last.entry.micros),
            sequence=last.sequence if last.is_numbered else None,
            event=_net_event(item.before, item.after, names),
            actor=None if by is None else by.actor,
            key=msgspec.Raw(item.key),
            before=msgspec.Raw(b"null" if item.before is None else wire.one_line(item.before)),
            after=msgspec.Raw(b"null" if item.after is None else wire.one_line(item.after)),
            changed=names,
            changes=item.selected,
            note=item.doubt,
            actor_source=None if by is None else by.source,
        )


def unread_images(gone: Sequence[str]) -> str:
    """Returns the words for images that cannot be read."""
    return f"images of changes cannot be read: {'; '.join(gone)}"


def _net_event(before: bytes | None, after: bytes | None, changed: Sequence[str]) -> str:
    if before is None or after is None:
        return NOTHING_CHANGED if before is after else "INSERT" if before is None else "REMOVE"
    return "MODIFY" if changed else NOTHING_CHANGED
