"""Removes versions in an order that leaves every interruption harmless, and counts them. A locked version stays and is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.model import moment
from backstream.operations.retain.report import RemovedKind
from backstream.ports import ObjectVersion, Removal, VersionLock, VersionRemover

TOGETHER = 4_000  # versions that are ordered at a time
REQUESTS = 8  # side by side, for the locks of a dry run


class Doomed(msgspec.Struct, frozen=True):
    """Versions of one name to remove: first these, and then, once all of them are gone, the others."""

    first: Sequence[ObjectVersion]
    then: Sequence[ObjectVersion] = ()


def whole(rows: Sequence[ObjectVersion]) -> Doomed:
    """Returns the removal of a whole name: its bodies, and then the markers above them, so that nothing comes back meanwhile."""
    return Doomed([each for each in rows if not each.marker], [each for each in rows if each.marker])


class RetentionSweep:
    """Removes, and counts by kind. `remover` None: only counts; `lock_of` then tells what a lock would keep (None: nothing)."""

    def __init__(
        self, remover: VersionRemover | None, lock_of: Callable[[ObjectVersion], VersionLock | None] | None = None
    ) -> None:
        self._remover = remover
        self._lock_of = lock_of
        self._versions: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self.locked = 0
        self.locked_bytes = 0
        self._until: float | None = None

    @property
    def removed(self) -> list[RemovedKind]:
        """Returns the removed objects, by kind."""
        return [RemovedKind(kind, self._versions[kind], self._bytes[kind]) for kind in sorted(self._versions)]

    @property
    def versions(self) -> int:
        """The number of removed versions and markers."""
        return sum(self._versions.values())

    @property
    def bytes(self) -> int:
        """The bytes of the removed versions."""
        return sum(self._bytes.values())

    @property
    def locked_until(self) -> str | None:
        """When the last of the locks that were met ends, ISO 8601."""
        return None if self._until is None else moment.iso(int(self._until))

    def count(self, kind: str, versions: int, size: int) -> None:
        """Counts what was removed, or would be, in another way."""
        self._versions[kind] = self._versions.get(kind, 0) + versions
        self._bytes[kind] = self._bytes.get(kind, 0) + size

    def remove(self, kind: str, doomed: Iterable[Doomed]) -> None:
        """Removes them. Raises what `VersionRemover.remove_each` does."""
        for some in _together(doomed):
            stays = self._remove(kind, [row for each in some for row in each.first])
            free = [each for each in some if not any((row.name, row.version) in stays for row in each.first)]
            self._remove(kind, [row for each in free for row in each.then])

    def _remove(self, kind: str, rows: Sequence[ObjectVersion]) -> set[tuple[str, str]]:
        """Returns the names and versions of those that are locked."""
        outcomes: Iterable[Removal] = ()
        if rows:
            outcomes = self._planned(rows) if self._remover is None else self._remover.remove_each(rows)
        locked = set[tuple[str, str]]()
        for each in outcomes:
            if each.lock is None:
                self.count(kind, 1, each.version.size)
            else:
                locked.add((each.version.name, each.version.version))
                self._count_locked(each.lock, each.version.size)
        return locked

    def _planned(self, rows: Sequence[ObjectVersion]) -> list[Removal]:
        """Returns what a removal would come to. S3 locks no delete markers."""
        ask = self._lock_of
        bodies = [] if ask is None else [each for each in rows if not each.marker]
        if ask is None or not bodies:
            return [Removal(each) for each in rows]
        with ThreadPoolExecutor(REQUESTS, thread_name_prefix="locks") as pool:
            locks = {(each.name, each.version): lock for each, lock in zip(bodies, pool.map(ask, bodies), strict=True)}
        return [Removal(each, locks.get((each.name, each.version))) for each in rows]

    def plan_share(self, kind: str, rows: Sequence[ObjectVersion], share: float) -> None:
        """Counts that this share of the bytes would go, of what no lock keeps."""
        for each in self._planned(rows):
            size = int(each.version.size * share)
            if each.lock is None:
                self.count(kind, 1, size)
            else:
                self._count_locked(each.lock, size)

    def _count_locked(self, lock: VersionLock, size: int) -> None:
        self.locked += 1
        self.locked_bytes += size
        if lock.until is not None:
            self._until = max(self._until or 0.0, lock.until)


def _together(doomed: Iterable[Doomed]) -> Iterator[list[Doomed]]:
    held, size = list[Doomed](), 0
    for each in doomed:
        held.append(each)
        size += len(each.first) + len(each.then)
        if size >= TOGETHER:
            yield held
            held, size = [], 0
    if held:
        yield held
