"""Objects with lines, read and checked against their names: here, or many at a time by an executor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import msgspec
import zstandard

from backstream.engine.local.prefetch import ahead, by_weight
from backstream.engine.local.source_objects import Fetched, SourceObject, fetch
from backstream.errors import Damaged, MissingObject
from backstream.model.changes.entry import Entry, states
from backstream.vault.log import segments
from backstream.vault.log.chains import Run
from backstream.vault.log.filters import key_filter
from backstream.vault.log.segments import LineTally, SegmentHeader
from backstream.vault.log.writer_chains import Link
from backstream.vault.table_vault import TableVault

READERS = 4
READ_AHEAD = 16 << 20  # bytes
ORDER_BYTES, ORDER_OBJECTS = 8 << 20, 1_000  # of an executor's order at most: all of its lines come back together
LEVEL = 1  # of zstd, for the way back

Lines = list[tuple[bytes, Entry, bytes | None]]  # each with the canonical key of its item; without images
Item = TypeVar("Item")


def sound_lines(vault: TableVault, claim: SegmentHeader, body: bytes) -> Lines:
    """Returns all lines of an object. Raises Damaged if it differs from its name, or holds an image of another item."""
    if claim.frames is not None:
        segments.check_frames(claim, body)
    tally, lines = LineTally(), Lines()
    for found in map(states, segments.blocks(claim, body)):
        tally.add([entry for entry, _ in found], claim.count)
        for entry, image in found:
            if image:
                vault.check_own(entry, image)
            elif claim.ends is not None and entry.place is None and not entry.removed:  # a state that `retain` wrote has such lines
                raise Damaged(f"the log's entry {entry.sequence} has neither an image nor the place of one")
        lines += [(vault.key(entry), entry, None) for entry, _ in found]
    tally.check(claim)
    if claim.filter and not all(key_filter.may_hold(claim.filter, key) for key in {key for key, _, _ in lines}):
        raise Damaged("the filter in its metadata leaves out an item that it has a line of: `history` passes it over")
    return lines


class ObjectRead(msgspec.Struct, frozen=True, array_like=True):
    """The parts of an object that an executor has read: its run or its link, and its lines, or `why` it has none.

    `is_missing`: True if that is because the object is not there.
    """

    runs: list[Run]
    links: list[Link]
    found: list[tuple[bytes, Entry]] = []
    why: str | None = None
    is_missing: bool = False

    def lines(self) -> Lines:
        """Returns the lines. Raises Damaged or MissingObject if it has none."""
        if self.why is not None:
            raise MissingObject(self.why) if self.is_missing else Damaged(self.why)
        return [(key, entry, None) for key, entry in self.found]


_encode = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(list[ObjectRead])


class ReadLines(msgspec.Struct, frozen=True):
    """The work of an executor: reads some objects."""

    def __call__(self, vault: TableVault, order: Sequence[SourceObject]) -> bytes:
        """Returns an `ObjectRead` for each of them, in their order: see `lines_read`."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            reading = ahead(pool, partial(fetch, vault), order, READ_AHEAD, weight=lambda each: each.size)
            found = [_object_read(vault, fetching) for _, fetching in reading]
        return zstandard.ZstdCompressor(level=LEVEL).compress(_encode(found))


def lines_read(result: bytes) -> list[ObjectRead]:
    """Returns what came of an order."""
    return _read.decode(zstandard.ZstdDecompressor().decompress(result))


def _object_read(vault: TableVault, fetching: Callable[[], Fetched]) -> ObjectRead:
    runs, links = list[Run](), list[Link]()
    try:
        fetched = fetching()
        runs += [] if fetched.run is None else [fetched.run]
        links += [] if fetched.link is None else [fetched.link]
        found = sound_lines(vault, fetched.source.claim, fetched.source.body)
    except MissingObject as error:
        return ObjectRead(runs, links, why=error.message, is_missing=True)
    except Damaged as error:
        return ObjectRead(runs, links, why=error.message)
    return ObjectRead(runs, links, [(key, entry) for key, entry, _ in found])


def orders_of(objects: Iterable[Item], size_of: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Yields the objects, as many together as an executor reads at once."""
    return by_weight(objects, size_of, ORDER_BYTES, ORDER_OBJECTS)
