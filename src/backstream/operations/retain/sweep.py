"""Removes versions in an order that leaves every interruption harmless, and counts them. A locked version stays and is counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from backstream.model import moment
from backstream.operations.retain.report import RemovedKind
from backstream.ports import ObjectVersion, VersionRemover

TOGETHER = 4_000  # versions that are ordered at a time


class Doomed(msgspec.Struct, frozen=True):
    """Versions of one name to remove: first these, and then, once all of them are gone, the others."""

    first: Sequence[ObjectVersion]
    then: Sequence[ObjectVersion] = ()


def whole(rows: Sequence[ObjectVersion]) -> Doomed:
    """Returns the removal of a whole name: its bodies, and then the markers above them, so that nothing comes back meanwhile."""
    return Doomed([each for each in rows if not each.marker], [each for each in rows if each.marker])


class RetentionSweep:
    """Removes, and counts by kind. `remover` None: only counts."""

    def __init__(self, remover: VersionRemover | None) -> None:
        self._remover = remover
        self._versions: dict[str, int] = {}
        self._bytes: dict[str, int] = {}
        self.locked = 0
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
        if self._remover is None:
            self.count(kind, len(rows), sum(each.size for each in rows))
            return set()
        locked = set[tuple[str, str]]()
        for each in self._remover.remove_each(rows) if rows else ():
            if each.lock is None:
                self.count(kind, 1, each.version.size)
                continue
            locked.add((each.version.name, each.version.version))
            if each.lock.until is not None:
                self._until = max(self._until or 0.0, each.lock.until)
        self.locked += len(locked)
        return locked


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
