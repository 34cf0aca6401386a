"""The embedded engine: a table's state at a moment on one machine, in bounded memory, whatever the table's size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from backstream.engines.ahead import ahead
from backstream.engines.spill import Picked, Spill, Spot, partitions_for
from backstream.errors import Damaged
from backstream.layouts.bases import Part
from backstream.layouts.coverage import Basis
from backstream.layouts.log import LogListing
from backstream.layouts.vault import TableVault
from backstream.model.entry import Entry, from_line, to_line
from backstream.model.fold import Known

Progress = Callable[[int], None]
Source = TypeVar("Source", LogListing, Part)

READERS = 4  # segments read side by side; one holds some MB
IN_FLIGHT = 8
FAR_APART = 60  # seconds: far more than the clocks that stamp changes may disagree


class Unreadable(msgspec.Struct, frozen=True):
    """An object in the log or of a base backup that cannot be read, and why.

    `lost`: the seconds, both included, whose changes or images it holds, as its name says; None where it is no such name.
    """

    name: str
    why: str
    lost: tuple[int, int] | None


class State:
    """The state of a table at a moment: for each item what tells its state then, deletes included.

    Entering it reads the base backup that the state builds on, if there is one, and the log since into partitions on disk;
    `partition` folds them one at a time. `unreadable` names what could not be read, and foreign objects in the log: what they may
    hold is not in the state. `keys`: only these items (canonical keys). `since`: only the log's hours from that second on, and no
    base backup, so that it is what has changed since and perhaps a little more. `rows`: how many items there may be in all, where
    the vault may know of fewer. `passed_over`: what could not be read of a base backup that another, as good,
    stands in for. Old images are left out: an entry's image is that of after its change.

    `names`: the name of every row object that the log speaks of up to the moment (after `read_on`, at any time), each with the time
    at which the store received the segment that says so.
    """

    names: Spill

    def __init__(
        self,
        vault: TableVault,
        at: int,
        progress: Progress = lambda _: None,
        *,
        keys: Collection[bytes] | None = None,
        since: int | None = None,
        rows: int = 0,
    ) -> None:
        self._vault = vault
        self._at = at
        self._progress = progress
        self._keys = keys
        self._rows = rows
        self._since = since
        self._bases = [Basis(None)] if since is not None else vault.coverage.bases_for(at)
        self._basis = self._bases[0]
        self.unreadable: list[Unreadable] = []
        self.passed_over: list[Unreadable] = []

    def __enter__(self) -> Self:
        while not self._read_all() and self._bases[1:]:
            self._close()
            self.passed_over += self.unreadable
            self.unreadable = []
            self._bases = self._bases[1:]
        return self

    def _read_all(self) -> bool:
        """Read the first of the bases, and the log since. False, without the log, where it is damaged and there are others."""
        self._basis = self._bases[0]
        parts = self._parts()
        since = self._since if self._basis.base is None else self._basis.floor - FAR_APART
        listing = [each for each in self._vault.log.listing(since=since, until=self._at) if self._concerns(each)]
        changes = sum(each.segment.count for each in listing if each.segment is not None)
        self._spill = Spill(partitions_for(max(self._rows, changes + sum(part.count for part in parts))))
        self.names = Spill(self._spill.partitions)
        try:
            for part, entries in self._read(self._vault.bases.read, parts):
                self._take(part, entries)
            if self.unreadable and self._bases[1:]:
                return False
            for listed, entries in self._read(self._vault.log.read, listing):
                self._take(listed, filter(self._basis.counts, entries))
        except BaseException:
            self._close()
            raise
        return True

    def _parts(self) -> Sequence[Part]:
        base = self._basis.base
        if base is None:
            return []
        try:
            return self._vault.bases.whole(base)
        except Damaged as error:
            self.unreadable.append(Unreadable(f"base backup {base.id}", error.message, (base.begin, base.end)))
            return self._vault.bases.parts(base.id)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        for spill in (self._spill, self.names):
            spill.__exit__(None, None, None)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._spill.partitions

    @property
    def floor(self) -> int:
        """See `model.fold.Known.newest`."""
        return self._basis.floor

    def partition(self, number: int) -> Partition:
        """What tells the state of each item of one partition, by canonical key; to be used up before the next is asked for."""
        found, inline = {}, {}
        for key, (known, spots) in self._fold(number).items():
            entry = known.newest(self.floor)
            if entry is None:
                continue
            found[key] = known
            if spots and (spot := spots.get(entry.scanned)) is not None:
                inline[key] = spot
        return Partition(found, self.floor, self._spill.pick(number, inline))

    def _fold(self, number: int) -> dict[bytes, tuple[Known, dict[bool, Spot] | None]]:
        """What is known of each item, and where the inline images of the change and of the scanned state among that lie."""
        found: dict[bytes, tuple[Known, dict[bool, Spot] | None]] = {}
        for key, line, spot in self._spill.spots(number):
            entry = from_line(line)
            light = entry if entry.image is None else msgspec.structs.replace(entry, image=None)
            before, spots = found.get(key, _NOTHING)
            known = before.with_entry(light)
            if (known.scan if light.scanned else known.change) is light:
                spots = _with_spot(spots, light, spot if entry.image is not None else None)
            found[key] = known, spots
        return found

    def __iter__(self) -> Iterator[Partition]:
        return map(self.partition, range(self.partitions))

    def read_on(self) -> None:
        """Note in `names` what came after the moment, too."""
        later_on = (each for each in self._vault.log.listing(since=self._at) if each.segment is not None)
        for listed, entries in self._read(self._vault.log.read, (each for each in later_on if not self._concerns(each))):
            self._note_names(listed, entries)

    def _concerns(self, listed: LogListing) -> bool:
        """Whether a segment can hold changes up to the moment. A foreign object is kept, to be named."""
        return listed.segment is None or (listed.segment.count > 0 and listed.segment.min_time <= self._at)

    def _read(self, read: Callable[[Source], list[Entry]], sources: Iterable[Source]) -> Iterator[tuple[Source, list[Entry]]]:
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            for source, reading in ahead(pool, read, sources, IN_FLIGHT):
                try:
                    yield source, reading.result()
                except Damaged as error:
                    why = error.message.removeprefix(f"{source.name}: ")
                    self.unreadable.append(Unreadable(source.name, why, source.seconds))

    def _take(self, source: LogListing | Part, entries: Iterable[Entry]) -> None:
        taken = list(entries)
        self._note_names(source, taken)
        for entry in taken:
            if entry.seconds > self._at:
                continue
            key = self._vault.key(entry)
            if self._keys is None or key in self._keys:
                self._spill.add(key, to_line(entry if entry.old is None else msgspec.structs.replace(entry, old=None)))
        self._progress(len(taken))

    def _note_names(self, source: LogListing | Part, entries: Iterable[Entry]) -> None:
        received = repr(source.modified).encode()
        for entry in entries:
            if entry.place is not None:
                self.names.add(entry.place.name.encode(), received)


_NOTHING: tuple[Known, dict[bool, Spot] | None] = (Known(), None)


def _with_spot(spots: dict[bool, Spot] | None, entry: Entry, spot: Spot | None) -> dict[bool, Spot] | None:
    """The spots by `Entry.scanned`: this entry's is that, or none where its image is elsewhere. No dict while none is needed."""
    if spots is None and spot is None:
        return None
    others = {kind: each for kind, each in (spots or {}).items() if kind is not entry.scanned}
    return others if spot is None else {**others, entry.scanned: spot}


class Partition(Mapping[bytes, Entry]):
    """What tells each item's state; inline images, which may be large, are read from disk when their entry is asked for."""

    def __init__(self, found: Mapping[bytes, Known], floor: int, inline: Picked) -> None:
        self._found = found
        self._floor = floor
        self._inline = inline

    def __getitem__(self, key: bytes) -> Entry:
        entry = self._found[key].newest(self._floor)
        if entry is None:
            raise KeyError(key)
        line = self._inline.get(key)
        return entry if line is None else from_line(line)

    def known(self, key: bytes) -> Known:
        """All that was found out of an item, so that more can be added to it; nothing where it is not here."""
        if key not in self:
            return Known()
        entry, known = self[key], self._found[key]
        return Known(known.change, known.latest, entry) if entry.scanned else Known(entry, known.latest, known.scan)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
