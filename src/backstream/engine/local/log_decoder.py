"""Decodes the log's bytes into partitions on disk: the part of the engine's work that processes share, see `worker_pool`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Self

import msgspec

from backstream.engine.local.spill import SpillWriter
from backstream.errors import Damaged
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry, states
from backstream.model.values.schema import KeySchema
from backstream.model.values.wire import KeyReader
from backstream.model.window import Ignored
from backstream.vault.coverage import counts
from backstream.vault.log import segments
from backstream.vault.log.segments import LineTally, SegmentHeader


class Task(msgspec.Struct, frozen=True):
    """The part of every source to take, and its destination: the same for all processes that share the work.

    `since`: older entries do not matter; `at`: the last second that matters; `keys`: only these items, None for all; `ignored`: see
    `RestoreBase.counts`; `states`, `names`: folders of partitions, for worker processes.
    """

    schema: KeySchema
    since: int
    at: int
    keys: frozenset[bytes] | None
    ignored: Sequence[Ignored]
    partitions: int
    states: str
    names: str
    buffer: int


class LineSource(msgspec.Struct, frozen=True, array_like=True):
    """An object with lines: its header, when the store received it, and its bytes.

    `change_log`: True unless it belongs to a base backup; `only_names`: True if only the names in it are needed.
    """

    claim: SegmentHeader
    received: float
    change_log: bool
    only_names: bool
    body: bytes


class DecodedSource(msgspec.Struct, frozen=True, array_like=True):
    """The result of a source: the number of its entries, or why it cannot be read; then nothing of it is taken."""

    entries: int
    damaged: str | None = None


class Taker:
    """Takes sources into the partitions: items' states to one writer, the names of the objects in them to the other."""

    def __init__(self, task: Task, states: SpillWriter[Entry], names: SpillWriter[None]) -> None:
        self._task = task
        self._key_of = KeyReader(task.schema)
        self._states, self._names = states, names

    @classmethod
    def by_name(cls, task: Task, name: str) -> Self:
        """Returns the taker of a worker process with this name, which writes to the task's folders."""
        return cls(
            task,
            SpillWriter(lambda: Path(task.states), task.partitions, name, task.buffer),
            SpillWriter(lambda: Path(task.names), task.partitions, name, task.buffer // 4),
        )

    def take(self, source: LineSource) -> DecodedSource:
        """Takes a source's item states up to the moment, and notes the names of the objects in it."""
        try:
            for _ in self.blocks(source):
                pass
        except Damaged as error:
            return DecodedSource(0, error.message)
        return DecodedSource(source.claim.count)

    def blocks(self, source: LineSource) -> Iterator[None]:
        """Takes a source and yields after each block of it. Raises Damaged, before the first, if anything of it is unsound."""
        for found in _sound(source):
            self._take(source, found)
            yield

    def _take(self, source: LineSource, found: _States) -> None:
        self._note_names(source, found)  # of all: an object that the log speaks of is no stranger, whatever counts
        if source.change_log and self._task.ignored:
            found = [each for each in found if counts(self._task.ignored, each[0])]
        if not source.only_names:
            self._states.extend(self._pairs(found))

    def _note_names(self, source: LineSource, found: _States) -> None:
        received = repr(source.received).encode()
        self._names.extend(
            [
                (entry.place.name.encode(), None, received if entry.received is None else repr(entry.received).encode())
                for entry, _ in found
                if entry.place is not None
            ]
        )

    def _pairs(self, found: _States) -> list[tuple[bytes, Entry, bytes | None]]:
        task, key_of = self._task, self._key_of
        begin, end = task.since * MICROS, moment.end_of(task.at)
        pairs = [(key_of(entry.keys), entry, image or None) for entry, image in found if begin <= entry.micros < end]
        return pairs if task.keys is None else [pair for pair in pairs if pair[0] in task.keys]

    def flush(self) -> None:
        """Writes everything that is still buffered."""
        self._states.flush()
        self._names.flush()


_States = list[tuple[Entry, bytes]]


def _sound(source: LineSource) -> Iterable[_States]:
    """Returns all states of a source, after checking it against its header. Raises Damaged if it differs."""
    if source.claim.frames is not None:
        segments.check_frames(source.claim, source.body)
        return _blocks(source)
    tally, held, more = LineTally(), list[_States](), False
    for found in _blocks(source):
        tally.add([entry for entry, _ in found], source.claim.count)
        more = bool(held)
        held = held or [found]
    tally.check(source.claim)
    return _blocks(source) if more else held  # several blocks are too large to be held


def _blocks(source: LineSource) -> Iterator[_States]:
    for block in segments.blocks(source.claim, source.body):
        yield states(block)
