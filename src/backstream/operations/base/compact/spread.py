"""The compaction of many small objects by executors: they read the lines, bring them together, and write the new set's objects.

Everything else is as on one machine, and done there: what is merged, the list of sources, the generation, and what is hidden. An
object's name and bytes depend only on the lines, so a task that runs again writes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import msgspec

from backstream.engine.local.prefetch import ahead, by_weight
from backstream.engine.local.shuffle import ChunkFile, ShuffleWriter
from backstream.engine.local.spill import heads_decoder
from backstream.errors import Damaged
from backstream.model.changes.entry import Entry
from backstream.model.changes.item_chain import ChainEvidence
from backstream.model.values.wire import KeyReader
from backstream.operations.base.compact.lines import Rank, Ranked, Sorter, SoundEntries
from backstream.operations.base.compact.run import CompactionRun, SetPart, Taken, Unread
from backstream.operations.base.compact.small import Small
from backstream.operations.base.compact.watching import SuspectedItems
from backstream.ports.engine import TOLD, GatheredOrders
from backstream.vault.log import frames, sources
from backstream.vault.log.chains import Run
from backstream.vault.log.compacted import Compacted, Set, partition_of
from backstream.vault.log.frames import FrameLine
from backstream.vault.log.writer_chains import Link
from backstream.vault.table_vault import TableVault

READERS = 4
READ_AHEAD = 16 << 20  # bytes
ORDER_BYTES, ORDER_OBJECTS = 64 << 20, 4_000  # of an executor's order at most
LINES = 1 << 32  # more than an object has

Change = tuple[str, str]  # stream and sequence number


class PlacedRank(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """The order of one key's lines, and the place of a line among equal ones: as if one machine had read them."""

    rank: Rank
    place: int


class SmallTaken(msgspec.Struct, frozen=True, array_like=True):
    """The lines that an executor has taken from a small object, or `why` it could not.

    `held`: of the changes that were once recorded as missing, those in it.
    """

    lines: int
    version: str
    runs: list[Run]
    links: list[Link]
    held: list[Change]
    why: str | None = None


_taken = msgspec.msgpack.Decoder(list[SmallTaken])
_ranks = heads_decoder(PlacedRank)


class GatherLines(msgspec.Struct, frozen=True):
    """Reads small objects into the set's objects to be. `wanted`: changes that are recorded as missing."""

    partitions: int
    wanted: frozenset[Change]

    def __call__(self, vault: TableVault, order: tuple[int, Sequence[Small]]) -> Iterator[tuple[int, bytes]]:
        """Yields chunks of lines, and what came of each object. `order`: with the place of the first object among all."""
        first, small = order
        number, key_of = partial(partition_of, partitions=self.partitions), KeyReader(vault.catalog.key_schema)
        writer: ShuffleWriter[PlacedRank] = ShuffleWriter(self.partitions, number=number)
        taken = list[SmallTaken]()
        with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
            reading = ahead(pool, lambda each: each.read(vault), small, READ_AHEAD, weight=lambda each: each.size)
            for place, (one, read) in enumerate(reading, first):
                try:
                    found = read()
                    lines = SoundEntries(found.claim, found.body)
                except Damaged as error:
                    taken.append(SmallTaken(0, sources.ANY, [], [], [], error.message))
                    continue
                writer.extend(
                    [
                        (key_of(entry.keys), PlacedRank(Rank.of(entry), place * LINES + count), text)
                        for count, (entry, text) in enumerate(lines.lines(one.received))
                    ]
                )
                run, link = (None, None) if found.fetched is None else (found.fetched.run, found.fetched.link)
                held = self.wanted.intersection((each.stream, each.sequence) for each in lines) if self.wanted else ()
                taken.append(
                    SmallTaken(
                        found.claim.count,
                        found.version,
                        [] if run is None else [run],
                        [] if link is None else [link],
                        sorted(held),
                    )
                )
                yield from writer.drained()
        writer.flush()
        yield from writer.drained()
        yield TOLD, msgspec.msgpack.encode(taken)


_part = msgspec.msgpack.Decoder(SetPart)


class WriteParts(msgspec.Struct, frozen=True):
    """Writes one object of a set. `evidence`: to look for missing changes with; None for lines of base backups."""

    set_id: str
    partitions: int
    merged: Sequence[Set]
    evidence: ChainEvidence | None

    def __call__(self, vault: TableVault, number: int, chunks: Iterator[bytes], beside: Mapping[bytes, Entry]) -> bytes:  # noqa: ARG002
        """Returns a `SetPart`, in MessagePack."""
        suspects = None if self.evidence is None else SuspectedItems(self.evidence)
        with closing(ChunkFile(chunks)) as held:
            key_of = KeyReader(vault.catalog.key_schema)
            lines = _BucketSorter(vault.compacted, key_of, self.partitions, self.merged, held).sorted_lines(number)
            body, index = frames.pack(lines if suspects is None else suspects.looking_at(lines))
        vault.compacted.write_part(self.set_id, number, self.partitions, body)
        suspected = [] if suspects is None else sorted(suspects.keys)
        return msgspec.msgpack.encode(SetPart(index.lines, len(body), index.seconds, suspected))


class _BucketSorter(Sorter):
    """Sorts the lines of one bucket. `held`: its chunks."""

    def __init__(self, compacted: Compacted, key_of: KeyReader, partitions: int, merged: Sequence[Set], held: ChunkFile) -> None:
        super().__init__(compacted, key_of, partitions, merged, buffer=0)
        self._held = held

    def _new(self, number: int) -> Iterator[Ranked]:  # noqa: ARG002 - it has one bucket
        found = sorted(self._held.heads_of(_ranks), key=lambda each: each[:2])
        values = self._held.values({})
        for key, placed, spot in found:
            assert spot is not None  # noqa: S101 - every line has its text
            yield key, placed.rank, FrameLine(key, placed.rank.seconds, values.at(spot))


class SpreadCompaction(CompactionRun):
    """A compaction with executors."""

    _gathered: GatheredOrders

    def _take(self, sorter: Sorter, small: Sequence[Small], wanted: set[Change]) -> dict[str, Taken]:
        """Has them all read. Returns the names of the sound ones, and the part taken from each."""
        executors = self._vault.executors
        if not small or executors is None:
            return {}
        orders, place = list[tuple[int, list[Small]]](), 0
        for some in by_weight(small, lambda each: each.size, ORDER_BYTES, ORDER_OBJECTS):
            orders.append((place, some))
            place += len(some)
        self._progress.phase("reading small objects", len(orders))
        work = GatherLines(sorter.partitions, frozenset(wanted))
        self._gathered = executors.gathered(self._vault, work, orders, sorter.partitions, self._progress.advance)
        taken = dict[str, Taken]()
        for (_, some), told in zip(orders, self._gathered.told, strict=True):
            for one, found in zip(some, _taken.decode(told), strict=True):
                if found.why is not None:
                    self._left.append(Unread(one.name, found.why.removeprefix(f"{one.name}: ")))
                    continue
                taken[one.name] = Taken(found.lines, found.version)
                self._runs += found.runs
                self._links.extend(found.runs, found.links)
                self._held |= {*found.held, *self._passed(one, wanted)}
        return taken

    def _written(self, sorter: Sorter, set_id: str, *, of_bases: bool) -> Iterator[SetPart]:
        evidence = None if of_bases else self._watch.evidence
        with self._gathered as gathered:
            for found in map(_part.decode, gathered.each(WriteParts(set_id, sorter.partitions, sorter.merged, evidence))):
                self._watch.keys.update(found.suspected)
                yield found
