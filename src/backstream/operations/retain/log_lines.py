"""Reads every line of the change log and of later base backups, to learn which row versions they name.

One object that cannot be read stops everything: it may name any version.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.errors import Damaged, MissingObject, Refused
from backstream.model.changes.entry import Entry, states
from backstream.operations.bulk.line_object import LineObject, of_segment, of_set
from backstream.operations.bulk.progress import Progress
from backstream.vault.bases import Part
from backstream.vault.log import segments
from backstream.vault.log.compacted import Set
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.segments import LineTally, SegmentHeader
from backstream.vault.table_vault import TableVault

READERS = 4


class LogLines:
    """Reads the lines of a vault whose catalog has the horizon."""

    def __init__(self, vault: TableVault, memory: Memory, progress: Progress) -> None:
        self._vault = vault
        self._memory = memory
        self._progress = progress

    def of_log(self, found: Inventory) -> Iterator[list[Entry]]:
        """Yields the entries of the log, some at a time. Raises Refused if an object cannot be read."""
        self._progress.phase("reading the change log", None)
        small = (each for each in found.segments if each.segment is not None and each.segment.count)
        yield from self._each(of_segment(self._vault.log, each) for each in small)
        for one in found.sets:
            yield from self._each(self.of_set(one))

    def of_later_bases(self) -> Iterator[list[Entry]]:
        """Yields the entries of all base backups that began after the horizon, complete or not."""
        bases, horizon = self._vault.bases, self._vault.catalog.horizon
        passed = bases.passed() | ({horizon.base} if horizon is not None else set())
        yield from self._each_part(part for base in bases.ids() if base not in passed for part in bases.parts(base))

    def of_kept_states(self) -> Iterator[list[Entry]]:
        """Yields the entries of the states that are kept from before the horizon. Raises Refused if one is not whole."""
        try:
            parts = [part for base in self._vault.bases.every_kept() for part in self._vault.bases.whole(base)]
        except (Damaged, MissingObject) as error:
            raise _refused("a kept state", error.message) from error
        yield from self._each_part(iter(parts))

    def _each_part(self, parts: Iterator[Part]) -> Iterator[list[Entry]]:
        read = self._vault.bases.claim_and_body
        yield from self._each(LineObject(part.name, part.size, partial(read, part)) for part in parts)

    def of_set(self, one: Set) -> Iterator[LineObject]:
        """Yields a set's objects."""
        try:
            yield from of_set(self._vault.compacted, one)
        except Damaged as error:
            raise _refused(f"compacted set {one.id}", error.message) from error

    def _each(self, objects: Iterator[LineObject]) -> Iterator[list[Entry]]:
        with ThreadPoolExecutor(READERS, thread_name_prefix="log") as pool:
            bodies = self._memory.bodies // 2
            for one, reading in ahead(pool, lambda each: each.read(), objects, bodies, weight=lambda each: each.size):
                try:
                    yield from _entries(*reading())
                except (Damaged, MissingObject) as error:
                    raise _refused(one.name, error.message.removeprefix(f"{one.name}: ")) from error
                self._progress.advance(1)


def _entries(claim: SegmentHeader, body: bytes) -> Iterator[list[Entry]]:
    if claim.frames is not None:
        segments.check_frames(claim, body)
    tally = LineTally()
    for found in map(states, segments.blocks(claim, body)):
        entries = [entry for entry, _ in found]
        tally.add(entries, claim.count)
        yield entries
    tally.check(claim)


def _refused(name: str, why: str) -> Refused:
    return Refused(
        f"{name} cannot be read ({why}): it may name anything, so nothing more was removed",
        hint="`backstream check` names all that is damaged. Bring it back from the bucket's versions or from a replica.",
    )
