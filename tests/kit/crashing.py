"""A store whose process dies: at a scripted write, before or after it, and nothing more goes through until it is restarted."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping

from backstream.errors import Failed
from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import one_by_one


class CrashingStore:
    """Passes everything on, until the `writes`-th put or delete: that one is done or not (`after`), then all is dead."""

    def __init__(self, inner: ObjectStore, writes: int, *, after: bool) -> None:
        self._inner = inner
        self._left = writes
        self._after = after
        self._dead = False
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return self._inner.url

    def check(self) -> None:
        self._alive()
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
        with self._lock:
            dying = self._dies()
            version = self._inner.put(name, body, metadata, if_absent=if_absent, if_match=if_match)
            return self._answer(version, dying=dying)

    def delete(self, name: str) -> str:
        with self._lock:
            dying = self._dies()
            return self._answer(self._inner.delete(name), dying=dying)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        self._alive()
        return self._inner.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._alive()
        return self._inner.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        self._alive()
        return self._inner.head(name, version)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        self._alive()
        return self._inner.list(prefix, after=after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        self._alive()
        return self._inner.versions(prefix, after=after)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        self._alive()
        return self._inner.versions_of(name)

    def _alive(self) -> None:
        if self._dead:
            raise Failed("the process is dead")

    def _dies(self) -> bool:
        self._alive()
        self._left -= 1
        if self._left > 0:
            return False
        self._dead = True
        if not self._after:
            raise Failed("the process died before this write")
        return True

    def _answer(self, version: str, *, dying: bool) -> str:
        if dying:
            raise Failed("the process died after this write, before it knew")
        return version
