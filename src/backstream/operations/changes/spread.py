"""`changes --summary` by executors: they read the log, bring each item's changes together, and count them there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import msgspec

from backstream.engine.local.prefetch import ahead, batches, by_weight
from backstream.engine.local.shuffle import FLUSH, ChunkFile, ShuffleWriter
from backstream.engine.local.source_objects import SourceObject, fetch
from backstream.engine.local.spill import heads_decoder, partitions_for
from backstream.errors import Damaged
from backstream.model.changes.entry import Entry, from_line, to_line
from backstream.operations.changes.choosing import chosen, with_own_images
from backstream.operations.changes.items import looks_back, pieces_of
from backstream.operations.changes.reading import OVERHEAD, READERS, WindowLog, of_object, sound, within
from backstream.operations.changes.run import Changes
from backstream.operations.changes.seen import SeenChange, with_images
from backstream.operations.changes.selection import ChangeCriteria, ChangeSelection
from backstream.operations.changes.sorting import CHUNK, TimeSorter
from backstream.operations.changes.summary import ChangeSummary, Tallies, TallySettings, merged, summary
from backstream.operations.changes.window import ChangeWindow
from backstream.operations.inspect import safety
from backstream.operations.inspect.actors import Actors
from backstream.ports import Executors
from backstream.ports.engine import TOLD, TableState
from backstream.vault.log.chains import Run
from backstream.vault.log.writer_chains import Link
from backstream.vault.table_vault import TableVault

READ_AHEAD = 16 << 20  # bytes
ORDER_BYTES, ORDER_OBJECTS = 64 << 20, 4_000  # of an executor's order at most
DIGITS = 40  # that a sequence number has at most

Place = tuple[int, str, str, bytes]
_heads = heads_decoder(Entry)
_encode = msgspec.msgpack.Encoder().encode


class WindowRead(msgspec.Struct, frozen=True, array_like=True):
    """The result of an order. `unread`: what cannot be read, and why."""

    runs: list[Run]
    links: list[Link]
    unread: list[str]


_read = msgspec.msgpack.Decoder(WindowRead)


class GatherChanges(msgspec.Struct, frozen=True):
    """Reads objects of the log into buckets of items. `keys`: only these, None for all."""

    span: ChangeWindow
    keys: frozenset[bytes] | None
    buckets: int

    def __call__(self, vault: TableVault, order: Sequence[SourceObject]) -> Iterator[tuple[int, bytes]]:
        """Yields chunks of changes, and what came of the order."""
        writer: ShuffleWriter[Entry] = ShuffleWriter(self.buckets)
        told, held = WindowRead([], [], []), 0
        with ThreadPoolExecutor(READERS, thread_name_prefix="changes") as pool:
            for one, reading in ahead(pool, partial(fetch, vault), order, READ_AHEAD, weight=lambda each: each.size):
                try:
                    fetched = reading()
                    told.runs.extend([] if fetched.run is None else [fetched.run])
                    told.links.extend([] if fetched.link is None else [fetched.link])
                    for found in sound(fetched.source.claim, fetched.source.body):
                        inside = within(vault, found, self.span, self.keys)
                        writer.extend([(vault.key(entry), entry, None) for entry in inside])
                        held += sum(len(entry.image or b"") + len(entry.old or b"") + OVERHEAD for entry in inside)
                        if held > FLUSH:  # the writer does not know how large these heads are
                            writer.flush()
                            held = 0
                        yield from writer.drained()
                except Damaged as error:
                    told.unread.append(of_object(one.name, error))
        writer.flush()
        yield from writer.drained()
        yield TOLD, _encode(told)


class BucketCount(msgspec.Struct, frozen=True, array_like=True):
    """The counts of a bucket. `gone`: the first images that cannot be read, each with the place of its change."""

    tallies: Tallies
    undecided: int
    ambiguous: int
    doubtful: int
    gone: list[tuple[Place, str]]
    unread: list[str]


def _place(entry: Entry) -> Place:
    """Returns the place of a change among all: see `sorting.rank`. Sequence numbers are greater than MessagePack's integers."""
    return entry.micros, entry.stream, entry.sequence.zfill(DIGITS), entry.keys


_count = msgspec.msgpack.Decoder(BucketCount)


class CountChanges(msgspec.Struct, frozen=True):
    """Counts the changes of a bucket's items. `looks_back`: see `items.looks_back`; then `beside` has the states before them."""

    asked: ChangeCriteria
    how: TallySettings
    looks_back: bool

    def __call__(self, vault: TableVault, number: int, chunks: Iterator[bytes], beside: Mapping[bytes, Entry]) -> bytes:  # noqa: ARG002
        """Returns a `BucketCount`, in MessagePack."""
        unread = dict[str, None]()
        actors = Actors.of_vault(vault, lambda error: unread.setdefault(error.message))
        selection = ChangeSelection(vault, self.asked, actors)
        doubtful = list[SeenChange]()
        with closing(ChunkFile(chunks)) as held, TimeSorter() as sorter:
            entries = (entry for _, entry, _ in held.heads_of(_heads))
            found = self._seen(vault, selection, entries, beside, sorter)
            tallies = self.how.tallies(chosen(found, selection, doubtful.append), actors)
        gone = [(_place(each.entry), each.doubt) for each in doubtful if each.gone][: safety.NAMED]
        return _encode(BucketCount(tallies, selection.undecided, selection.ambiguous, len(doubtful), gone, list(unread)))

    def _seen(
        self,
        vault: TableVault,
        selection: ChangeSelection,
        entries: Iterator[Entry],
        beside: Mapping[bytes, Entry],
        sorter: TimeSorter,
    ) -> Iterator[SeenChange]:
        if not self.looks_back:
            for some in batches(entries, CHUNK):
                sorter.add([(entry, None) for entry in some])
            return with_own_images(vault, selection, sorter.until(None))
        for item in pieces_of(entries, vault.key, _AsLines(beside)):
            if selection.may_be(item.key):
                sorter.add(item.pairs)
        return with_images(vault, sorter.until(None))


class _AsLines(Mapping[bytes, Entry]):
    """The states of some items as the log's lines tell them."""

    def __init__(self, states: Mapping[bytes, Entry]) -> None:
        self._states = states

    def __getitem__(self, key: bytes) -> Entry:
        return from_line(to_line(self._states[key]))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)


# --- where the command runs -------------------------------------------------------------------------------------------------------


def summed_up(changes: Changes, tenant_attribute: str | None) -> ChangeSummary:
    """Returns the summary of a window: counted by the executors of the vault's engine, or here if there are none."""
    executors = changes.vault.executors
    if executors is None or changes.asked.numbers is not None:
        return summary(changes, tenant_attribute)
    return summary(changes, tenant_attribute, _Counted(changes, executors, tenant_attribute).tallies())


class _Counted:
    def __init__(self, changes: Changes, executors: Executors, tenant_attribute: str | None) -> None:
        self._changes = changes
        self._executors = executors
        self._how = TallySettings.of(changes.span, tenant_attribute)
        self._gone: list[tuple[Place, str]] = []

    def tallies(self) -> Tallies:
        """Has everything counted."""
        changes = self._changes
        log = changes.log()
        orders = list(by_weight(log.objects(), lambda each: each.size, ORDER_BYTES, ORDER_OBJECTS))
        if not orders:
            return merged([])
        if not looks_back(changes.vault):
            return self._of(log, orders, partitions_for(log.rows), None)
        changes.progress.phase("reading the states before", None)
        advance, expect = changes.progress.advance, changes.progress.expect
        with changes.vault.engine.state(changes.vault, changes.span.since, advance, expected=expect) as state:
            for each in state.unreadable:
                changes.unread(f"{each.name}: {each.why}")
            return self._of(log, orders, state.partitions, state)

    def _of(self, log: WindowLog, orders: Sequence[Sequence[SourceObject]], buckets: int, state: TableState | None) -> Tallies:
        changes, progress = self._changes, self._changes.progress
        progress.phase("reading changes", len(orders))
        work = GatherChanges(changes.span, changes.selection.keys, buckets)
        with self._executors.gathered(changes.vault, work, orders, buckets, progress.advance) as gathered:
            told = [_read.decode(each) for each in gathered.told]
            for what in (what for each in told for what in each.unread):
                changes.unread(what)
            log.were_read((run for each in told for run in each.runs), (link for each in told for link in each.links))
            progress.phase("counting", buckets)
            counting = CountChanges(changes.asked, self._how, state is not None)
            return self._noted(merged(self._tallies_of(map(_count.decode, gathered.each(counting, state)))))

    def _tallies_of(self, found: Iterator[BucketCount]) -> Iterator[Tallies]:
        changes = self._changes
        for each in found:
            changes.progress.advance(1)
            changes.doubtful += each.doubtful
            changes.selection.undecided += each.undecided
            changes.selection.ambiguous += each.ambiguous
            self._gone += each.gone
            for what in each.unread:
                if what not in changes.warnings:
                    changes.unread(what)
            yield each.tallies

    def _noted(self, tallies: Tallies) -> Tallies:
        self._changes.gone += [doubt for _, doubt in sorted(self._gone)][: safety.NAMED]
        return tallies
