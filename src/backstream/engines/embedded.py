"""The embedded engine: a table's state at a moment on one machine, in bounded memory, whatever the table's size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import msgspec

from backstream.engines.ahead import ahead
from backstream.engines.spill import Picked, Spill, Spot, partitions_for
from backstream.errors import Damaged
from backstream.layouts.log import LogListing
from backstream.layouts.segments import Segment
from backstream.layouts.vault import TableVault
from backstream.model.entry import Entry, from_line, to_line
from backstream.model.fold import later

Progress = Callable[[int], None]

READERS = 4  # segments read side by side; one holds some MB
IN_FLIGHT = 8


class Unreadable(msgspec.Struct, frozen=True):
    """An object in the log that cannot be read, and why. `segment`: what its name says; None where it is no segment's name."""

    name: str
    why: str
    segment: Segment | None


class State:
    """The state of a table at a moment: for each item its newest change with time <= `at`, deletes included.

    Entering it reads the log into partitions on disk; `partition` folds them one at a time. `unreadable` names the segments that
    could not be read, and foreign objects in the log: what they may hold is not in the state. `keys`: only these items (canonical
    keys). `since`: only the log's hours from that second on, so that it is what has changed since and perhaps a little more. Old
    images are left out: an entry's image is that of after its change.

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
    ) -> None:
        self._vault = vault
        self._at = at
        self._progress = progress
        self._keys = keys
        self._since = since
        self.unreadable: list[Unreadable] = []

    def __enter__(self) -> Self:
        listing = [each for each in self._vault.log.listing(since=self._since, until=self._at) if self._concerns(each)]
        changes = sum(each.segment.count for each in listing if each.segment is not None)
        self._spill = Spill(partitions_for(changes))
        self.names = Spill(self._spill.partitions)
        try:
            for listed, entries in self._read(listing):
                self._take(listed, entries)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        for spill in (self._spill, self.names):
            spill.__exit__(None, None, None)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._spill.partitions

    def partition(self, number: int) -> Mapping[bytes, Entry]:
        """The newest entry of each item of one partition, by canonical key; to be used up before the next is asked for."""
        newest: dict[bytes, Entry] = {}
        inline: dict[bytes, Spot] = {}
        for key, line, spot in self._spill.spots(number):
            entry = from_line(line)
            light = entry if entry.image is None else msgspec.structs.replace(entry, image=None)
            if later(newest.get(key), light) is not light:
                continue
            newest[key] = light
            if entry.image is None:
                inline.pop(key, None)
            else:
                inline[key] = spot
        return _Partition(newest, self._spill.pick(number, inline))

    def __iter__(self) -> Iterator[Mapping[bytes, Entry]]:
        return map(self.partition, range(self.partitions))

    def read_on(self) -> None:
        """Note in `names` what came after the moment, too."""
        later_on = (each for each in self._vault.log.listing(since=self._at) if each.segment is not None)
        for listed, entries in self._read(each for each in later_on if not self._concerns(each)):
            self._note_names(listed, entries)

    def _concerns(self, listed: LogListing) -> bool:
        """Whether a segment can hold changes up to the moment. A foreign object is kept, to be named."""
        return listed.segment is None or (listed.segment.count > 0 and listed.segment.min_time <= self._at)

    def _read(self, listing: Iterable[LogListing]) -> Iterator[tuple[LogListing, list[Entry]]]:
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            for listed, reading in ahead(pool, self._vault.log.read, listing, IN_FLIGHT):
                try:
                    yield listed, reading.result()
                except Damaged as error:
                    self.unreadable.append(Unreadable(listed.name, error.message.removeprefix(f"{listed.name}: "), listed.segment))

    def _take(self, listed: LogListing, entries: list[Entry]) -> None:
        self._note_names(listed, entries)
        for entry in entries:
            if entry.seconds > self._at:
                continue
            key = self._vault.key(entry)
            if self._keys is None or key in self._keys:
                self._spill.add(key, to_line(entry if entry.old is None else msgspec.structs.replace(entry, old=None)))
        self._progress(len(entries))

    def _note_names(self, listed: LogListing, entries: list[Entry]) -> None:
        received = repr(listed.modified).encode()
        for entry in entries:
            if entry.place is not None:
                self.names.add(entry.place.name.encode(), received)


class _Partition(Mapping[bytes, Entry]):
    """Folded entries; inline images, which may be large, are read from disk when their entry is asked for."""

    def __init__(self, newest: Mapping[bytes, Entry], inline: Picked) -> None:
        self._newest = newest
        self._inline = inline

    def __getitem__(self, key: bytes) -> Entry:
        line = self._inline.get(key)
        return self._newest[key] if line is None else from_line(line)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)
