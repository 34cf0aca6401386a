"""A store whose puts fail as told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from backstream.errors import Unavailable
from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import one_by_one


class FaultyStore:
    """Asks `fails(name)` before each put; True: `Unavailable`, and nothing is written. `puts`: the names that were written."""

    def __init__(self, inner: ObjectStore, fails: Callable[[str], bool] = lambda _: False) -> None:
        self._inner = inner
        self.fails = fails
        self.puts: list[str] = []
        self._lock = threading.Lock()

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
        with self._lock:
            if self.fails(name):
                raise Unavailable(f"put of {name} failed as told")
            self.puts.append(name)
        return self._inner.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        return self._inner.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._inner.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._inner.head(name, version)

    def delete(self, name: str) -> str:
        return self._inner.delete(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        return self._inner.list(prefix, after=after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._inner.versions(prefix, after=after)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._inner.versions_of(name)


class Turns:
    """Counts calls with a name that has `part` in it; true on those turns (from 1) that were given."""

    def __init__(self, part: str, *turns: int) -> None:
        self._part = part
        self._turns = turns
        self.count = 0

    def __call__(self, name: str) -> bool:
        if self._part not in name:
            return False
        self.count += 1
        return self.count in self._turns
