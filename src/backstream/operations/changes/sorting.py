"""Sorts many changes by time, or item by item, in bounded memory: changes that do not fit wait on disk, in sorted runs."""

from __future__ import annotations

import heapq
import struct
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec

from backstream.engine.local.spill import explained
from backstream.model.changes.entry import Entry
from backstream.operations.changes.reading import OVERHEAD

ROOM = 32 << 20  # bytes of changes that wait in memory
CHUNK = 500  # changes that are read back together
CHUNK_BYTES = 256 << 10  # of memory, if these are more than one: a chunk of each run is held

_LENGTH = struct.Struct("<Q")

Pair = tuple[Entry, Entry | None]  # a change, and the entry that tells the state before it where that is another one
AnyRank = tuple[int | str | bytes, ...]
Rank = tuple[int, str, int, bytes]
Ranked = tuple[AnyRank, Entry, Entry | None]

_rank = itemgetter(0)
_encode = msgspec.msgpack.Encoder().encode
_chunks = msgspec.msgpack.Decoder(list[Pair])


def rank(entry: Entry) -> Rank:
    """Returns the place of a change among all changes: its time, then stream and sequence number, then the key."""
    return entry.micros, entry.stream, int(entry.sequence), entry.keys


class TimeSorter:
    """Takes changes in any order, and returns them in the order of their time, or of `rank_of`, each once."""

    def __init__(self, room: int = ROOM, rank_of: Callable[[Entry], AnyRank] = rank) -> None:
        self._room = room
        self._rank_of = rank_of
        self._held = 0
        self._waiting: list[Ranked] = []
        self._runs: list[_SortedRun] = []
        self._last: AnyRank | None = None

    def add(self, pairs: Sequence[Pair], size: int | None = None) -> None:
        """Takes these. `size`: their bytes in memory, if that is known."""
        if self._rank_of is rank:  # a call less for each of millions
            self._waiting += [((entry.micros, entry.stream, int(entry.sequence), entry.keys), entry, old) for entry, old in pairs]
        else:
            self._waiting += [(self._rank_of(entry), entry, old) for entry, old in pairs]
        self._held += sum(map(_weight, pairs)) if size is None else size
        if self._held > self._room:
            self._waiting.sort(key=_rank)
            self._runs.append(_SortedRun(self._waiting, self._rank_of))
            self._waiting, self._held = [], 0

    def until(self, micros: int | None) -> Iterator[Pair]:
        """Yields those made before a microsecond, or all for None. Nothing may be added until all of them are taken."""
        ready = self._cut(micros)
        if self._runs:
            runs = [run.until(micros) for run in self._runs]
            yield from self._each_once(heapq.merge(ready, *runs, key=_rank))
            self._runs = [run for run in self._runs if not run.is_over]
        else:
            yield from self._each_once(ready)

    def _cut(self, micros: int | None) -> Sequence[Ranked]:
        self._waiting.sort(key=_rank)
        place = len(self._waiting) if micros is None else bisect_left(self._waiting, (micros, "", 0, b""), key=_rank)
        ready, self._waiting = self._waiting[:place], self._waiting[place:]
        self._held = self._held * len(self._waiting) // max(1, len(ready) + len(self._waiting))
        return ready

    def _each_once(self, ranked: Iterable[Ranked]) -> Iterator[Pair]:
        last = self._last
        for place, entry, old in ranked:
            if place != last:
                self._last = last = place
                yield entry, old

    def close(self) -> None:
        """Leaves nothing behind."""
        for run in self._runs:
            run.close()
        self._runs, self._waiting = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _weight(pair: Pair) -> int:
    entry, old = pair
    images = len(entry.image or b"") + len(entry.old or b"")
    return OVERHEAD + images + (0 if old is None else len(old.image or b"") + OVERHEAD)


def _chunked(ranked: Sequence[Ranked]) -> Iterator[list[Pair]]:
    chunk, held = list[Pair](), 0
    for _, entry, old in ranked:
        held += _weight((entry, old))
        if chunk and (held > CHUNK_BYTES or len(chunk) == CHUNK):
            yield chunk
            chunk, held = [], _weight((entry, old))
        chunk.append((entry, old))
    if chunk:
        yield chunk


class _SortedRun:
    """Sorted changes in a file that only this process can see."""

    def __init__(self, ranked: Sequence[Ranked], rank_of: Callable[[Entry], AnyRank]) -> None:
        self._rank_of = rank_of
        with explained(Path(tempfile.gettempdir())):
            self._file = cast("BinaryIO", tempfile.TemporaryFile())  # noqa: SIM115 - it is read later
            for chunk in _chunked(ranked):
                body = _encode(chunk)
                self._file.write(_LENGTH.pack(len(body)) + body)
            self._file.seek(0)
        self._ready: list[Ranked] = []
        self._place = 0
        self.is_over = False

    def until(self, micros: int | None) -> Iterator[Ranked]:
        """Yields the next ones that were made before a microsecond."""
        while (found := self._head()) is not None and (micros is None or found[1].micros < micros):
            self._place += 1
            yield found

    def _head(self) -> Ranked | None:
        if self._place >= len(self._ready) and not self.is_over:
            self._ready, self._place = self._chunk(), 0
            self.is_over = not self._ready
            if self.is_over:
                self.close()
        return None if self.is_over else self._ready[self._place]

    def _chunk(self) -> list[Ranked]:
        length = self._file.read(_LENGTH.size)
        if not length:
            return []
        pairs = _chunks.decode(self._file.read(_LENGTH.unpack(length)[0]))
        return [(self._rank_of(entry), entry, old) for entry, old in pairs]

    def close(self) -> None:
        """Closes the file, which removes it."""
        self._file.close()
