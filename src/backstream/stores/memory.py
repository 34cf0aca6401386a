"""The reference implementation of `ports.ObjectStore`: everything in one dictionary, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from backstream.errors import AlreadyExists, ConditionNotMet, Damaged, MissingObject, UnversionedBucket
from backstream.model.values.object_limits import Limit, too_large, unlimited
from backstream.ports import Clock, Found, ListedObject, ObjectInfo, ObjectVersion, Removal, StoredObject, Tag, VersionLock, Wanted
from backstream.stores.many import one_by_one
from backstream.stores.markers import not_a_marker

_Version = StoredObject | ObjectVersion  # a body, or a delete marker


class MemoryStore:
    """See `ports.ObjectStore`. `versioned=False` makes `check` refuse, as on a bucket that keeps no versions.

    `locks`: by name and version, what keeps it from being removed.
    """

    def __init__(self, clock: Clock, *, versioned: bool = True, limit: Limit = unlimited) -> None:
        self._clock = clock
        self._versioned = versioned
        self._limit = limit
        self._versions: dict[str, list[_Version]] = {}  # oldest first
        self.locks: dict[tuple[str, str], VersionLock] = {}
        self._numbers = count(1)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return "memory:"

    def check(self) -> None:
        if not self._versioned:
            raise UnversionedBucket("The store in memory keeps no versions.", hint="Make it with versioned=True.")

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        with self._lock:
            there = self._versions.setdefault(name, [])
            if if_absent and there and isinstance(there[-1], StoredObject):
                raise AlreadyExists(f"memory:{name} exists already.")
            if if_match is not None:
                self._match(name, there, if_match)
            version = self._next_version()
            info = ObjectInfo(name, version, len(body), self._clock.now(), dict(metadata or {}), version)
            there.append(StoredObject(info, body))
            return info.version

    def _match(self, name: str, there: Sequence[_Version], tag: str) -> None:
        """Raises ConditionNotMet if the current version does not have the tag, and MissingObject if there is none."""
        newest = there[-1] if there else None
        if not isinstance(newest, StoredObject):
            raise MissingObject(f"There is no object memory:{name}.", marker=newest is not None)
        if newest.info.tag != tag:
            raise ConditionNotMet(f"memory:{name} has changed.")

    def get(self, name: str, version: str | None = None) -> StoredObject:
        with self._lock:
            there = self._versions.get(name, [])
            if version is None:
                found = there[-1] if there else None
            else:
                found = next((one for one in there if _row(one).version == version), None)
        if isinstance(found, StoredObject):
            if len(found.body) > self._limit(name):
                raise too_large(f"memory:{name}", self._limit(name), len(found.body))
            return found
        which = name if version is None else f"{name} (version {version})"
        raise MissingObject(f"There is no object memory:{which}.", marker=found is not None)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        body = self.get(name).body
        first = max(0, len(body) + start) if start < 0 else start
        if first >= len(body):
            raise Damaged(f"memory:{name} has {len(body)} bytes: there are none from {start} on.")
        return body[first : first + length]

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self.get(name, version).info

    def delete(self, name: str) -> str:
        with self._lock:
            marker = ObjectVersion(name, self._next_version(), 0, self._clock.now(), latest=True, marker=True)
            self._versions.setdefault(name, []).append(marker)
            return marker.version

    def remove(self, name: str, version: str) -> bool:
        """See `ports.Markers`."""
        with self._lock:
            there = self._versions.get(name, [])
            found = next((one for one in there if _row(one).version == version), None)
            if isinstance(found, StoredObject):
                raise not_a_marker(f"memory:{name}", version)
            if found is not None:
                there.remove(found)
        return found is not None

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        """See `ports.VersionRemover`."""
        for each in wanted:
            lock = self.lock_of(each)
            if lock is None:
                with self._lock:
                    there = self._versions.get(each.name, [])
                    there[:] = [one for one in there if _row(one).version != each.version]
                    if not there:
                        self._versions.pop(each.name, None)
            yield Removal(each, lock)

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        """See `ports.VersionRemover`."""
        lock = self.locks.get((version.name, version.version))
        return lock if lock is not None and (lock.until is None or lock.until > self._clock.now()) else None

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        for row in self.versions(prefix):
            if row.latest and not row.marker and row.name > after:
                yield ListedObject(row.name, row.size, row.modified)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        with self._lock:
            # Python compares text by code points, which is the order of its UTF-8 bytes.
            found = sorted(
                (name, list(there)) for name, there in self._versions.items() if name.startswith(prefix) and name > after
            )
        for _, there in found:
            for place, version in enumerate(reversed(there)):
                yield _row(version, latest=place == 0)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        with self._lock:
            there = list(self._versions.get(name, ()))
        return (_row(version, latest=place == 0) for place, version in enumerate(reversed(there)))

    def _next_version(self) -> str:
        return f"{next(self._numbers):08d}"


def _row(version: _Version, *, latest: bool = False) -> ObjectVersion:
    """Returns the version as a listing shows it."""
    if isinstance(version, StoredObject):
        info = version.info
        return ObjectVersion(info.name, info.version, info.size, info.modified, latest=latest, marker=False)
    return ObjectVersion(version.name, version.version, 0, version.modified, latest=latest, marker=True)
