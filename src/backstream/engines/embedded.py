"""The embedded engine: a table's state at a moment on one machine, in bounded memory, whatever the table's size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from backstream.engines.spill import Spill, partitions_for
from backstream.errors import Damaged
from backstream.layouts.log import LogListing
from backstream.layouts.vault import TableVault
from backstream.model.entry import Entry, from_line, to_line
from backstream.model.fold import later

Progress = Callable[[int], None]
KNOWN = b"known"


class State:
    """The state of a table at a moment: for each item its newest change with time <= `at`, deletes included.

    Entering it reads the log into partitions on disk; `partition` folds them one at a time. `damaged` names the segments that
    could not be read, and foreign objects in the log: what they may hold is not in the state. `names` holds the name of every row
    object that the log speaks of, up to the moment.
    """

    names: Spill

    def __init__(self, vault: TableVault, at: int, progress: Progress = lambda _: None) -> None:
        self._vault = vault
        self._at = at
        self._progress = progress
        self.damaged: list[Damaged] = []

    def __enter__(self) -> Self:
        listing = [each for each in self._vault.log.listing(until=self._at) if self._concerns(each)]
        changes = sum(each.segment.count for each in listing if each.segment is not None)
        self._spill = Spill(partitions_for(changes))
        self.names = Spill(self._spill.partitions)
        for listed in listing:
            self._read(listed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._spill.__exit__(kind, error, trace)
        self.names.__exit__(kind, error, trace)

    @property
    def partitions(self) -> int:
        """How many partitions there are."""
        return self._spill.partitions

    def partition(self, number: int) -> Mapping[bytes, Entry]:
        """The newest entry of each item of one partition, by canonical key."""
        newest: dict[bytes, Entry] = {}
        for key, line in self._spill.read(number):
            newest[key] = later(newest.get(key), from_line(line))
        return newest

    def __iter__(self) -> Iterator[Mapping[bytes, Entry]]:
        return map(self.partition, range(self.partitions))

    def _concerns(self, listed: LogListing) -> bool:
        """Whether a segment can hold changes up to the moment. A foreign object is kept, to be named."""
        return listed.segment is None or (listed.segment.count > 0 and listed.segment.min_time <= self._at)

    def _read(self, listed: LogListing) -> None:
        try:
            entries = self._vault.log.read(listed)
        except Damaged as error:
            self.damaged.append(error)
            return
        for entry in entries:
            if entry.seconds <= self._at:
                self._spill.add(self._vault.key(entry), to_line(entry))
                if entry.place is not None:
                    self.names.add(entry.place.name.encode(), KNOWN)
        self._progress(len(entries))
