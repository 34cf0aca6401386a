"""Removes versions for good, and keeps account of the removed ones and of those that a lock keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from backstream.model import moment
from backstream.operations.erase.report import Blocked
from backstream.ports import NameKeeper, ObjectStore, ObjectVersion, VersionLock, VersionRemover


class Removing:
    """`removed`: the number of versions and markers that were removed, by the names of their objects."""

    def __init__(self, store: ObjectStore, remover: VersionRemover) -> None:
        self._store = store
        self._remover = remover
        self.removed: Counter[str] = Counter()
        self._locks: dict[tuple[str, str], VersionLock] = {}

    def remove(self, rows: Sequence[ObjectVersion]) -> None:
        """Removes these versions. One that is locked stays, and is noted."""
        for each in self._remover.remove_each(rows):
            if each.lock is None:
                self.removed[each.version.name] += 1
            else:
                self._locks[each.version.name, each.version.version] = each.lock

    def is_locked(self, row: ObjectVersion) -> bool:
        """True if a version is locked, which is noted."""
        lock = self._remover.lock_of(row)
        if lock is not None:
            self._locks[row.name, row.version] = lock
        return lock is not None

    def clear_markers(self, prefix: str) -> None:
        """Removes the delete markers of objects if a version of theirs was removed and nothing else of them is left."""
        rows = self._store.versions(prefix)
        for name, of_name in groupby(rows, key=lambda row: row.name):
            left = list(of_name)
            if name in self.removed and all(row.marker for row in left):
                self.remove(left)

    def add(self, other: Removing, url: str) -> None:
        """Adds the account of another bucket."""
        self.removed.update({f"{url}/{name}": count for name, count in other.removed.items()})
        self._locks |= {(f"{url}/{name}", version): lock for (name, version), lock in other._locks.items()}

    def forget(self, name: str) -> None:
        """Takes the name itself away, where a store keeps one without versions."""
        if isinstance(self._remover, NameKeeper):
            self._remover.forget(name)

    @property
    def blocked(self) -> list[Blocked]:
        """Returns the versions that locks keep, in the order of names."""
        return [blocked(name, version, lock) for (name, version), lock in sorted(self._locks.items(), key=lambda each: each[0])]


def blocked(name: str, version: str, lock: VersionLock) -> Blocked:
    """Returns a locked version as a report names it."""
    return Blocked(name, version, None if lock.until is None else moment.iso(int(lock.until) + 1))


def until_all(found: Sequence[Blocked]) -> str | None:
    """Returns the time from which all of these can be removed, as far as their locks end by themselves."""
    return max((each.until for each in found if each.until is not None), default=None)
