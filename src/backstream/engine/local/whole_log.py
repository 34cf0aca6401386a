"""Reads a table's whole log, and all of its base backups, to find missing changes: not to restore anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from backstream.engine.local.broken import settled
from backstream.engine.local.memory import Memory
from backstream.engine.local.state import DEFAULT, Hold, Progress, State
from backstream.errors import Damaged
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING
from backstream.model.changes.item_chain import ChainEvidence, WholeTableRead
from backstream.model.clocks import CLOCKS_APART
from backstream.model.window import AFTER_ALL, Window
from backstream.ports.engine import UnreadableSource
from backstream.vault import bases
from backstream.vault.bases import Base, Part
from backstream.vault.coverage import RestoreBase
from backstream.vault.table_vault import TableVault


def broken_chains(
    vault: TableVault,
    now: float,
    *,
    since: int | None = None,
    until: int | None = None,
    keys: Collection[bytes] | None = None,
    memory: Memory = DEFAULT,
    progress: Progress = lambda _: None,
    unread: Callable[[UnreadableSource], None] = lambda _: None,
    hold: Hold | None = None,
) -> Iterator[BrokenChain]:
    """Yields the items that lack changes in everything that the vault holds of a table, in bounded memory. It only reads.

    `since`, `until`: only changes that are missing between two seconds, and only the log around them is read; `keys`: only these
    items; `now`: the clock's second; `unread` receives every object that could not be read, before the first item comes. Changes
    that are `pending` may still arrive.
    """
    window = vault.window(now)
    with _WholeLog(vault, since, AFTER_ALL if until is None else until, progress, keys, memory, hold) as log:
        for each in log.unreadable:
            unread(each)
        for found in log.broken(window, now):
            if since is None or found.until >= since:
                yield found


def changes_of(
    vault: TableVault, keys: Collection[bytes], since: int, until: int, hold: Hold | None = None
) -> dict[bytes, list[Entry]]:
    """Returns these items' changes in the log's hours between two seconds, and a little around them, in no order.

    Raises Damaged if a part of the log cannot be read.
    """
    with _Changes(vault, until, keys=keys, since=since, hold=hold) as log:
        for each in log.unreadable:
            raise Damaged(f"{each.name}: {each.why}")
        return log.by_key()


class _Changes(State):
    """A part of the log with all its changes in memory."""

    def by_key(self) -> dict[bytes, list[Entry]]:
        """Returns the changes of each item, without scanned states."""
        found: dict[bytes, list[Entry]] = {}
        for key, entry in self._held.entries():
            if entry.began is None:
                found.setdefault(key, []).append(entry)
        return found


class _WholeLog(State):
    """All lines of the log, and of every base backup that is complete, in partitions."""

    def __init__(
        self,
        vault: TableVault,
        since: int | None,
        until: int,
        progress: Progress,
        keys: Collection[bytes] | None,
        memory: Memory,
        hold: Hold | None,
    ) -> None:
        super().__init__(vault, until, progress, keys=keys, memory=memory, hold=hold)
        self._from = since
        self._whole: list[Base] = []

    def _all_bases(self) -> list[RestoreBase]:
        return [RestoreBase(None, ignored=self._vault.coverage.before_horizon)]

    @property
    def _begin(self) -> int | None:
        return None if self._from is None else self._from - CLOCKS_APART

    def _parts(self) -> Sequence[Part]:
        parts: list[Part] = []
        self._whole = []
        for base in self._vault.bases.complete():
            if base.kind is bases.BaseKind.INCREMENTAL or base.begin > self._at or base.end < (self._begin or 0):
                continue
            try:
                parts += self._vault.bases.whole(base)
                self._whole.append(base)
            except Damaged as error:
                self.unreadable.append(UnreadableSource(f"base backup {base.id}", error.message, (base.begin, base.end)))
        return parts

    def broken(self, window: Window, now: float) -> Iterator[BrokenChain]:
        """See `State.broken`."""
        begun = self._vault.catalog.complete_from
        empty = [] if begun is None or begun < (self._begin or 0) else [WholeTableRead(begun - CLOCKS_APART, begun)]
        # A base backup with an unreadable part does not tell which items did not exist.
        damaged = {each.name.split("/")[-2] for each in self.unreadable if "/base/" in each.name}
        read = [WholeTableRead(base.begin, base.end) for base in self._whole if base.id not in damaged and base.kind.was_read]
        evidence = ChainEvidence(
            begin=BEGINNING if begun is None else begun - CLOCKS_APART,
            readings=empty + read,
            settled=self._at,
            gaps=[(gap.since, gap.until) for gap in window.gaps],
            horizon=window.horizon,
        )
        return self._held.broken(evidence, settled(self._vault.catalog, window, now), self._vault.erasures)
