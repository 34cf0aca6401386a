"""A second engine, as plain as can be: everything in memory, two partitions, no worker. It shows that another can be put in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from backstream.engine.local.broken import broken_in, settled
from backstream.errors import Damaged
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING, FoldState
from backstream.model.changes.item_chain import ChainEvidence, WholeTableRead
from backstream.model.clocks import CLOCKS_APART, FAR_APART
from backstream.model.window import AFTER_ALL, Window
from backstream.ports.engine import EntriesRead, Executors, PartitionWork, StatePartition, UnreadableSource, WorkPlace
from backstream.vault.coverage import RestoreBase
from backstream.vault.log import segments
from backstream.vault.log.links import Links
from backstream.vault.log.log import LogListing
from backstream.vault.table_vault import TableVault

PARTITIONS = 2


class Names:
    """See `ports.engine.NamePartitions`."""

    partitions = 1

    def __init__(self) -> None:
        self._pairs: list[tuple[bytes, bytes]] = []

    def add(self, key: bytes, value: bytes) -> None:
        """Keep it."""
        self._pairs.append((key, value))

    def read(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All of them."""
        return iter(list(self._pairs) if partition == 0 else [])


class Part(StatePartition):
    """See there."""

    def __init__(self, known: Mapping[bytes, FoldState], floor: int) -> None:
        newest = {key: each.newest(floor) for key, each in known.items()}
        self._newest = {key: entry for key, entry in newest.items() if entry is not None}
        self._known = known

    def __getitem__(self, key: bytes) -> Entry:
        return self._newest[key]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)

    def exists(self, key: bytes) -> bool:
        """See there."""
        return key in self._newest and not self._newest[key].removed

    def known(self, key: bytes) -> FoldState:
        """See there."""
        return self._known[key] if key in self._newest else FoldState()


class PlainState:
    """See `ports.engine.TableState`."""

    partitions = PARTITIONS
    spread = False

    def __init__(self, vault: TableVault, at: int, keys: Collection[bytes] | None, since: int | None) -> None:
        self._vault, self._at, self._since = vault, at, since
        self._keys = None if keys is None else frozenset(keys)
        self._bases = [RestoreBase(None)] if since is not None else vault.coverage.bases_for(at)
        self.unreadable: list[UnreadableSource] = []
        self.passed_over: list[UnreadableSource] = []
        self.names = Names()
        self._entries: dict[bytes, list[Entry]] = {}

    @property
    def floor(self) -> int:
        """See there."""
        return self._bases[0].floor

    def __enter__(self) -> Self:
        self._read_base()
        while self.unreadable and self._bases[1:]:
            self.passed_over += self.unreadable
            self.unreadable, self._bases, self._entries = [], self._bases[1:], {}
            self._read_base()
        self._read_log(self._begin, self._at + CLOCKS_APART)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        return

    @property
    def _begin(self) -> int | None:
        return self._since if self._bases[0].base is None else self.floor - FAR_APART

    def _read_base(self) -> None:
        base = self._bases[0].base
        if base is None:
            return
        try:
            parts = self._vault.bases.whole(base)
        except Damaged as error:
            self.unreadable.append(UnreadableSource(f"base backup {base.id}", error.message, (base.begin, base.end)))
            parts = self._vault.bases.parts(base.id)
        for part in parts:
            self._take(part.name, part.seconds, part.modified, partial(self._vault.bases.read, part), log=False)

    def _read_log(self, since: int | None, until: int) -> None:
        found, links = self._vault.inventory(since=since, until=until), Links(self._vault.log)

        def read(listed: LogListing) -> list[Entry]:
            fetched = self._vault.log.fetch(listed)
            links.note(fetched)
            return self._vault.log.entries(listed, fetched)

        for listed in found.segments:
            self._take(listed.name, listed.seconds, listed.modified, partial(read, listed))
        for one in found.sets:
            try:
                for part in self._vault.compacted.parts(one):
                    self._take(part.name, (one.since, one.until), 0.0, partial(self._of_set, part.name))
            except Damaged as error:
                self.unreadable.append(UnreadableSource(f"compacted set {one.id}", error.message, (one.since, one.until)))
        missing = links.missing(found, since=since, until=self._at)
        self.unreadable += [UnreadableSource(each.name, each.why, each.lost) for each in missing]

    def _of_set(self, name: str) -> list[Entry]:
        return segments.read(*self._vault.compacted.claim_and_body(name))

    def _take(
        self,
        name: str,
        seconds: tuple[int, int] | None,
        received: float,
        read: Callable[[], Iterable[Entry]],
        *,
        log: bool = True,
    ) -> None:
        try:
            found = list(read())
        except Damaged as error:
            if seconds is None or seconds[0] <= self._at:
                self.unreadable.append(UnreadableSource(name, error.message.removeprefix(f"{name}: "), seconds))
            return
        for entry in found:
            if entry.place is not None:
                told = received if entry.received is None else entry.received
                self.names.add(entry.place.name.encode(), repr(told).encode())
            key = self._vault.key(entry)
            asked = self._keys is None or key in self._keys
            within = (self._begin or 0) <= entry.seconds <= self._at + CLOCKS_APART
            if asked and within and (not log or self._bases[0].counts(entry)):
                self._entries.setdefault(key, []).append(msgspec.structs.replace(entry, old=None))

    def partition(self, number: int) -> Part:
        """See there."""
        known = {}
        for key, found in self._entries.items():
            if zlib.crc32(key) % PARTITIONS == number:
                known[key] = FoldState()
                for entry in found:
                    known[key] = known[key].with_entry(entry) if entry.seconds <= self._at else known[key]
        return Part(known, self.floor)

    def __iter__(self) -> Iterator[Part]:
        return map(self.partition, range(PARTITIONS))

    def elsewhere(self, work: PartitionWork[TableVault]) -> Iterator[bytes] | None:
        """See there: as if partitions lay on other machines, if that is asked for."""
        return (work(self._vault, self.partition(n), WorkPlace(n, PARTITIONS)) for n in range(PARTITIONS)) if self.spread else None

    def broken(self, window: Window, now: float) -> Iterator[BrokenChain]:
        """See there."""
        base, begun = self._bases[0].base, self._vault.catalog.complete_from
        readings = [] if base is None else [WholeTableRead(base.begin, base.end)]
        if base is None and begun is not None and self.floor != BEGINNING:
            readings = [WholeTableRead(self.floor, begun)]
        begin = self.floor if base is None and readings else BEGINNING
        gaps = [(gap.since, gap.until) for gap in window.gaps]
        evidence = ChainEvidence(begin=begin, readings=readings, settled=self._at, gaps=gaps)
        heads = ((key, entry, None) for key, found in self._entries.items() for entry in found)
        return broken_in(heads, evidence, settled(self._vault.catalog, window, now), self._vault.erasures)

    def read_on(self) -> None:
        """See there."""
        for listed in self._vault.inventory(since=self._at).segments:
            for entry in self._vault.log.read(listed):
                if entry.place is not None:
                    self.names.add(entry.place.name.encode(), repr(listed.modified).encode())


class PlainEngine:
    """See `ports.engine.Engine`. `asked`: for how many states and readings it was asked; `spread`: partitions lie elsewhere."""

    def __init__(self, *, spread: bool = False) -> None:
        self.asked = 0
        self.spread = spread
        self.executors: Executors | None = None

    def state(
        self,
        vault: TableVault,
        at: int,
        progress: EntriesRead = lambda _: None,  # noqa: ARG002 - nobody waits for it
        *,
        keys: Collection[bytes] | None = None,
        since: int | None = None,
        rows: int = 0,  # noqa: ARG002 - it has two partitions, whatever is asked
        expected: EntriesRead = lambda _: None,  # noqa: ARG002 - nobody waits for it
    ) -> PlainState:
        """See the port."""
        self.asked += 1
        made = PlainState(vault, at, keys, since)
        made.spread = self.spread
        return made

    def broken_chains(
        self,
        vault: TableVault,
        now: float,
        *,
        since: int | None = None,
        until: int | None = None,
        keys: Collection[bytes] | None = None,
        progress: EntriesRead = lambda _: None,  # noqa: ARG002 - nobody waits for it
        unread: Callable[[UnreadableSource], None] = lambda _: None,
    ) -> Iterator[BrokenChain]:
        """See the port."""
        self.asked += 1
        with PlainState(vault, AFTER_ALL if until is None else until, keys, since or 0) as log:
            for each in log.unreadable:
                unread(each)
            yield from (each for each in log.broken(vault.window(now), now) if since is None or each.until >= since)

    def changes(self, vault: TableVault, keys: Collection[bytes], since: int, until: int) -> Mapping[bytes, Sequence[Entry]]:
        """See the port."""
        self.asked += 1
        with PlainState(vault, until, keys, since) as log:
            for each in log.unreadable:
                raise Damaged(f"{each.name}: {each.why}")
            found = log._entries.items()
            return {key: [each for each in entries if each.began is None] for key, entries in found}
