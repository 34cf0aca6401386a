"""A store that counts the requests that S3 would have been sent: each page of a listing is one of them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import one_by_one

PAGE = 1_000
_Row = TypeVar("_Row", ListedObject, ObjectVersion)


class CountedStore:
    """`requests`: how many of each kind (PUT, GET, HEAD, DELETE, LIST) have gone to the store; `names`: of which objects, by kind.

    A page is counted once a row of it, or its end, is asked for: a listing that is broken off costs what it has read.
    """

    def __init__(self, inner: ObjectStore) -> None:
        self._inner = inner
        self.requests: Counter[str] = Counter()
        self.names: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def _count(self, kind: str, name: str) -> None:
        with self._lock:
            self.requests[kind] += 1
            self.names[kind, name] += 1

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
        self._count("PUT", name)
        return self._inner.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        self._count("GET", name)
        return self._inner.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        self._count("GET", name)
        return self._inner.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        self._count("HEAD", name)
        return self._inner.head(name, version)

    def delete(self, name: str) -> str:
        self._count("DELETE", name)
        return self._inner.delete(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        return self._pages(prefix, lambda: self._inner.list(prefix, after=after))

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._pages(prefix, lambda: self._inner.versions(prefix, after=after))

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._pages(name, lambda: self._inner.versions_of(name))

    def _pages(self, prefix: str, rows: Callable[[], Iterator[_Row]]) -> Iterator[_Row]:
        self._count("LIST", prefix)
        for number, row in enumerate(rows()):
            if number and number % PAGE == 0:
                self._count("LIST", prefix)
            yield row

    @contextmanager
    def counting(self) -> Iterator[Counter[str]]:
        """What is sent meanwhile."""
        before = Counter(self.requests)
        sent: Counter[str] = Counter()
        yield sent
        with self._lock:
            sent.update(self.requests - before)
