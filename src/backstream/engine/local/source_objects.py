"""The objects that a state is made of, each with the way to read it: from this process, or from an executor of a cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol

import msgspec

from backstream.engine.local.log_decoder import LineSource
from backstream.engine.local.spill import Pairs
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.item_chain import ChainEvidence
from backstream.ports.engine import PartitionWork, StatePartition
from backstream.vault.bases import Part
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.log.chains import Run
from backstream.vault.log.compacted import Set
from backstream.vault.log.log import LogListing
from backstream.vault.log.segments import SegmentHeader
from backstream.vault.log.writer_chains import Link
from backstream.vault.table_vault import TableVault


class SetFrames(msgspec.Struct, frozen=True):
    """The frames of a compacted set that may hold one item's lines."""

    of: Set
    key: bytes


class SetObject(msgspec.Struct, frozen=True):
    """One whole object of a compacted set."""

    name: str


class SourceObject(msgspec.Struct, frozen=True):
    """An object with lines: its name, its size in bytes, the seconds in its name, and what it is.

    `only_names`: True if only the names of row objects in it are needed.
    """

    name: str
    size: int
    seconds: tuple[int, int] | None
    what: LogListing | Part | SetFrames | SetObject
    only_names: bool = False

    @property
    def of_base(self) -> bool:
        """True if it belongs to a base backup."""
        return isinstance(self.what, Part)


class Fetched(msgspec.Struct, frozen=True):
    """The lines of an object, and the segment's run or link, which name the one before."""

    source: LineSource
    run: Run | None = None
    link: Link | None = None


def fetch(vault: TableVault, one: SourceObject) -> Fetched:
    """Reads an object. Its lines are not checked yet. Raises Damaged, and the errors of the store."""
    match one.what:
        case Part() as part:
            header, body = vault.bases.claim_and_body(part)
            return Fetched(LineSource(header, part.modified, change_log=False, only_names=one.only_names, body=body))
        case LogListing() as listed:
            found = vault.log.fetch(listed)
            return Fetched(_of_log(one, found.claim, found.body, listed.modified), found.run, found.link)
        case SetFrames() as frames:
            return Fetched(_of_log(one, *vault.compacted.around(frames.of, frames.key)[1:]))
        case SetObject(name):
            return Fetched(_of_log(one, *vault.compacted.claim_and_body(name)))


def _of_log(one: SourceObject, header: SegmentHeader, body: bytes, received: float = 0.0) -> LineSource:
    return LineSource(header, received, change_log=True, only_names=one.only_names, body=body)


class SourceReading(msgspec.Struct, frozen=True):
    """The outcome of reading some objects: how many entries they hold, and those that cannot be read, each with why.

    `runs`, `links`: the ones that belong to segments among them.
    """

    entries: int
    damaged: list[tuple[SourceObject, str]] = []
    runs: list[Run] = []
    links: list[Link] = []


class EntryPartitions(Protocol):
    """The entries of a state in partitions, wherever they lie: on this machine's disk, or in a cluster."""

    @property
    def partitions(self) -> int:
        """The number of partitions."""

    @property
    def names(self) -> Pairs:
        """The names of row objects in the entries. See `ports.engine.TableState.names`."""

    def read(self, objects: Iterable[SourceObject]) -> Generator[SourceReading, None, None]:
        """Takes the objects' entries, roughly in their order, and yields what came of it. All are taken once it has ended."""

    def partition(self, number: int, floor: int, at: int) -> StatePartition:
        """Returns the states of one partition's items at a second; valid until the next one is asked for."""

    def elsewhere(self, work: PartitionWork[TableVault], floor: int, at: int) -> Iterator[bytes] | None:
        """See `ports.engine.TableState.elsewhere`."""

    def broken(self, evidence: ChainEvidence, proven: int, erasures: Erasures) -> Iterator[BrokenChain]:
        """Yields the items that lack changes. See `broken.broken_in`."""

    def entries(self) -> Iterator[tuple[bytes, Entry]]:
        """Yields every entry with its item's canonical key, without images."""

    def close(self) -> None:
        """Lets go of everything. A second call does nothing."""
