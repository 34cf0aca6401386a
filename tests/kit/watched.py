"""A store that counts what goes through it, and tells when something is about to be written or has been listed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import one_by_one


def nothing(_: str) -> None:
    """Nothing happens."""


class WatchedStore:
    """Passes everything on. `read`: bytes of bodies that were given so far; `writes`: "put" or "delete" and the name, in order.

    `before_write` is called with the name of what is to be put or deleted, `after_list` with the prefix of what was listed whole.
    """

    def __init__(
        self,
        inner: ObjectStore,
        *,
        before_write: Callable[[str], None] = nothing,
        after_list: Callable[[str], None] = nothing,
    ) -> None:
        self._inner = inner
        self._before_write = before_write
        self._after_list = after_list
        self._lock = threading.Lock()
        self.read = 0
        self.writes: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return self._inner.url

    def check(self) -> None:
        self._inner.check()

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        self._before_write(name)
        version = self._inner.put(name, body, metadata, if_absent=if_absent, if_match=if_match)
        with self._lock:
            self.writes.append(("put", name))
        return version

    def delete(self, name: str) -> str:
        self._before_write(name)
        version = self._inner.delete(name)
        with self._lock:
            self.writes.append(("delete", name))
        return version

    def get(self, name: str, version: str | None = None) -> StoredObject:
        found = self._inner.get(name, version)
        self._count(found.body)
        return found

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        found = self._inner.get_range(name, start, length)
        self._count(found)
        return found

    def _count(self, body: bytes) -> None:
        with self._lock:
            self.read += len(body)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._inner.head(name, version)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        yield from self._inner.list(prefix, after=after)
        self._after_list(prefix)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        yield from self._inner.versions(prefix, after=after)
        self._after_list(prefix)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._inner.versions_of(name)
