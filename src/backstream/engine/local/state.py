"""The embedded engine: a table's state at a moment on one machine, in bounded memory whatever the table's size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from types import TracebackType
from typing import Self

import msgspec

from backstream.engine.local.broken import settled
from backstream.engine.local.local_partitions import LocalPartitions
from backstream.engine.local.log_decoder import Task
from backstream.engine.local.memory import Memory
from backstream.engine.local.source_objects import EntryPartitions, SetFrames, SetObject, SourceObject
from backstream.engine.local.spill import Pairs
from backstream.errors import Damaged, HorizonMoved, MissingObject, OutsideWindow
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.fold import BEGINNING
from backstream.model.changes.item_chain import ChainEvidence, WholeTableRead
from backstream.model.clocks import CLOCKS_APART
from backstream.model.values import object_limits
from backstream.model.window import Window
from backstream.ports.engine import PartitionWork, StatePartition, UnreadableSource
from backstream.vault.bases import Base, Part
from backstream.vault.coverage import RestoreBase
from backstream.vault.log import segments
from backstream.vault.log.compacted import Set
from backstream.vault.log.links import Links
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import TableVault

Progress = Callable[[int], None]
Hold = Callable[
    [Task, int, int], EntryPartitions
]  # of a task, how many entries there may be, and how many bytes they are stored in
READINGS = 3  # of a vault whose history is removed meanwhile
DEFAULT = Memory()
FEW_KEYS = 1_000  # so many are looked up in each compacted set, of more it is read whole


class State:
    """The state of a table at a moment: for each item the entry that gives its state then, deletes included.

    Entering it reads the base backup that the state builds on, if there is one, and the log since into partitions on disk;
    `partition` folds them one at a time. `unreadable` names the objects that could not be read, and foreign objects in the log:
    their contents are not in the state. `keys`: only these items (canonical keys). `since`: only the log's hours from that second
    on, and no base backup, so it holds the changes since then and perhaps a little more. `rows`: the number of items there may be
    in all, if the vault may know of fewer. `passed_over` names the unreadable objects of a base backup that an equally good one
    replaces. Old images are left out: an entry's image is the image after its change.

    `names`: the name of every row object that the log names up to the moment (after `read_on`, at any time), each with the time at
    which the store received the segment that says so.
    """

    def __init__(
        self,
        vault: TableVault,
        at: int,
        progress: Progress = lambda _: None,
        *,
        keys: Collection[bytes] | None = None,
        since: int | None = None,
        rows: int = 0,
        memory: Memory = DEFAULT,
        hold: Hold | None = None,
        expected: Progress = lambda _: None,
    ) -> None:
        """`hold`: makes the partitions of the entries; None: on this machine's disk, within `memory`. `expected`: see the port."""
        self._vault = vault
        self._hold = hold or (lambda task, rows, _: LocalPartitions(self._vault, task, rows, memory))
        self._at = at
        self._progress = progress
        self._expected = expected
        self._keys = None if keys is None else frozenset(keys)
        self._rows = rows
        self._since = since
        self._generation = 0
        self._bases: list[RestoreBase] = []
        self._basis = RestoreBase(None)
        self.unreadable: list[UnreadableSource] = []
        self.passed_over: list[UnreadableSource] = []
        self._base_is_whole = True

    def __enter__(self) -> Self:
        for left in reversed(range(READINGS)):
            try:
                self._read_one()
            except (HorizonMoved, MissingObject):
                if not left or not self._has_moved():
                    raise
            else:
                if not self.unreadable or not left or not self._has_moved():
                    break
                self._close()
            self._begin_anew()
        return self

    def _read_one(self) -> None:
        """Reads the first of the bases that can be read, or the last one."""
        self._bases = self._all_bases()
        while not self._read_all() and self._bases[1:]:
            self._close()
            self.passed_over += self.unreadable
            self.unreadable = []
            self._bases = self._bases[1:]

    def _has_moved(self) -> bool:
        """True if history was removed since the catalog was read: what is missing may be needed no more."""
        now = self._vault.anew()
        return now.catalog.horizon is not None or now.compacted.current().number != self._generation

    def _begin_anew(self) -> None:
        """Takes the catalog as it is now. Raises OutsideWindow if the moment is before the horizon by now."""
        self._vault = self._vault.anew()
        horizon = self._vault.catalog.horizon
        if horizon is not None and self._at < horizon.second and not self._vault.bases.kept(self._at):
            raise OutsideWindow(
                f"{moment.iso(self._at)} is before the horizon: history is kept from {horizon.since} since just now",
                hint="`retain` has moved the horizon while this moment was read.",
            )
        self.unreadable, self.passed_over = [], []

    def _all_bases(self) -> list[RestoreBase]:
        coverage = self._vault.coverage
        return [RestoreBase(None, ignored=coverage.before_horizon)] if self._since is not None else coverage.bases_for(self._at)

    def _read_all(self) -> bool:
        """Reads the first of the bases, and the log since.

        Returns False if the base is damaged and there are others. Then nothing of this is used.
        """
        self._basis = self._bases[0]
        self._of_log: list[UnreadableSource] = []
        parts = self._parts()
        found = self._vault.inventory(since=self._begin, until=self._end)
        self._generation = found.generation.number
        listing = [each for each in found.segments if self._concerns(each)]
        changes = [(each.segment.count, each.size) for each in listing if each.segment is not None]
        changes += [(each.lines, each.size) for each in found.sets] + [(part.count, part.size) for part in parts]
        rows = max(self._rows, sum(said for said, size in changes if said <= object_limits.lines_in(size)))
        self._expected(sum(said for said, _ in changes))
        self._held = self._hold(self._task, rows, sum(size for _, size in changes))
        links = Links(self._vault.log)
        sets = (each for one in found.sets for each in self._set(one))
        try:
            whole = self._read(chain(map(_of_part, parts), map(_of_segment, listing), sets), links)
        except BaseException:
            self._close()
            raise
        self._base_is_whole = whole and not self.unreadable
        if not whole:
            return False
        self.unreadable += self._of_log
        self.unreadable += [
            UnreadableSource(each.name, each.why, each.lost) for each in links.missing(found, since=self._begin, until=self._at)
        ]
        return True

    def _read(self, objects: Iterable[SourceObject], links: Links) -> bool:
        """Has the objects taken, and notes those that cannot be read.

        Returns False, perhaps before all are taken, if the base is damaged and there are others.
        """
        with closing(self._held.read(objects)) as readings:
            for each in readings:
                for one, why in each.damaged:
                    self._cannot_read(one, why)
                links.extend(each.runs, each.links)
                self._progress(each.entries)
                if self.unreadable and self._bases[1:]:
                    return False
        return not (self.unreadable and self._bases[1:])

    @property
    def _end(self) -> int:
        """Returns the last second of the log to read.

        A change that was made before another one of its item may be stamped with a later time, and without it that item's chain
        would seem broken.
        """
        return self._at + CLOCKS_APART

    @property
    def _begin(self) -> int | None:
        """Returns the second before which the log does not matter; None if all of it does."""
        return self._since if self._basis.base is None else self._basis.log_since

    @property
    def _task(self) -> Task:
        return Task(
            schema=self._vault.catalog.key_schema,
            # Not its hour's: of what is older only a part is read, and chains would seem broken. A state's entries have any age.
            since=0 if self._basis.is_state else self._begin or 0,
            at=self._end,
            keys=self._keys,
            ignored=self._basis.ignored,
            partitions=0,
            states="",
            names="",
            buffer=0,
        )

    def _parts(self) -> Sequence[Part]:
        return [part for base in self._basis.bases for part in self._parts_of(base)]

    def _parts_of(self, base: Base) -> Sequence[Part]:
        try:
            parts = self._vault.bases.whole(base)
        except Damaged as error:
            self.unreadable.append(UnreadableSource(f"base backup {base.id}", error.message, (base.begin, base.end)))
            parts = self._vault.bases.parts(base.id)
        self.unreadable += _planted(self._vault.bases.planted(parts))
        return parts

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._held.close()

    @property
    def partitions(self) -> int:
        """The number of partitions."""
        return self._held.partitions

    @property
    def at(self) -> int:
        """The moment: a second."""
        return self._at

    @property
    def held(self) -> EntryPartitions:
        """The entries."""
        return self._held

    @property
    def names(self) -> Pairs:
        """See above."""
        return self._held.names

    @property
    def floor(self) -> int:
        """See `model.changes.fold.FoldState.newest`."""
        return self._basis.floor

    def partition(self, number: int) -> StatePartition:
        """Returns the entries that give the items' states in one partition, by canonical key; use it up before the next one is
        asked for.
        """
        return self._held.partition(number, self.floor, self._at)

    def __iter__(self) -> Iterator[StatePartition]:
        return map(self.partition, range(self.partitions))

    def elsewhere(self, work: PartitionWork[TableVault]) -> Iterator[bytes] | None:
        """See the port."""
        return self._held.elsewhere(work, self.floor, self._at)

    def broken(self, window: Window, now: float) -> Iterator[BrokenChain]:
        """Yields the items that lack changes up to the moment, including changes that may still arrive."""
        proven = settled(self._vault.catalog, window, now)
        return self._held.broken(self._evidence(window), proven, self._vault.erasures)

    def _evidence(self, window: Window) -> ChainEvidence:
        base, gaps = self._basis.base, [(gap.since, gap.until) for gap in window.gaps]
        if base is not None:
            # A base backup with an unreadable part does not tell which items did not exist.
            read_whole = self._base_is_whole and not self._basis.is_state
            readings = [WholeTableRead(base.begin, base.end)] if read_whole else []
            return ChainEvidence(readings=readings, settled=self._at, gaps=gaps, horizon=window.horizon)
        begun = self._vault.catalog.complete_from
        if begun is None or self.floor == BEGINNING:
            return ChainEvidence(settled=self._at, gaps=gaps, horizon=window.horizon)
        return ChainEvidence(self.floor, [WholeTableRead(self.floor, begun)], self._at, gaps, window.horizon)

    def read_on(self) -> None:
        """Notes in `names` what came after the moment, too."""
        later_on = self._vault.inventory(since=self._at)
        horizon = self._vault.bases.own() if self._basis.is_state else None
        parts = [] if horizon is None or horizon == self._basis.base else map(_of_part, self._vault.bases.parts(horizon.id))
        segments = (_of_segment(each) for each in later_on.segments if each.segment is not None and not self._concerns(each))
        sets = (each for one in later_on.sets if one.since > self._end for each in self._set(one))
        only_names = (msgspec.structs.replace(each, only_names=True) for each in chain(segments, sets, parts))
        self._of_log = []
        for each in self._held.read(only_names):
            for one, why in each.damaged:
                self._cannot_read(one, why)
            self._progress(each.entries)
        self.unreadable += self._of_log

    def _concerns(self, listed: LogListing) -> bool:
        """True if a segment can hold changes up to the moment. A foreign object is kept, so that it is reported."""
        return listed.segment is None or (listed.segment.count > 0 and listed.segment.min_time <= self._end)

    # --- reading ---

    def _set(self, one: Set) -> Iterator[SourceObject]:
        """Yields a set's objects; if only a few items are asked for, the parts of them that may hold their lines."""
        compacted, seconds = self._vault.compacted, (one.since, one.until)
        if self._keys is not None and len(self._keys) <= FEW_KEYS:
            for key in self._keys:
                self._of_log += _planted(compacted.planted_around(one, key))
                yield SourceObject(compacted.name_of(one, key), segments.FRAME_BYTES, seconds, SetFrames(one, key))
            return
        try:
            for part in compacted.parts(one):
                self._of_log += _planted(compacted.planted(part))
                yield SourceObject(part.name, part.size, seconds, SetObject(part.name))
        except Damaged as error:
            self._of_log.append(UnreadableSource(f"compacted set {one.id}", error.message, seconds))

    def _cannot_read(self, one: SourceObject, why: str) -> None:
        if one.seconds is not None and one.seconds[0] > self._at:
            return  # nothing of it counts at the moment
        found = self.unreadable if one.of_base else self._of_log
        found.append(UnreadableSource(one.name, why.removeprefix(f"{one.name}: "), one.seconds))


def _of_segment(listed: LogListing) -> SourceObject:
    return SourceObject(listed.name, listed.size, listed.seconds, listed)


def _of_part(part: Part) -> SourceObject:
    return SourceObject(part.name, part.size, part.seconds, part)


def _planted(planted: Sequence[Damaged]) -> list[UnreadableSource]:
    """Returns later versions of objects that are written once. They are not read."""
    parts = (each.message.rpartition(": ") for each in planted)
    return [UnreadableSource(name, why, None) for name, _, why in parts]
