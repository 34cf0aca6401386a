"""A store that passes every call on: what stores that see another one through build on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from backstream.ports import (
    Found,
    ListedObject,
    ManyWrites,
    NewObject,
    ObjectInfo,
    ObjectStore,
    ObjectVersion,
    StoredObject,
    Tag,
    Wanted,
    Written,
)


class PassingStore:
    """Passes every call on. See `ports.ObjectStore`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @property
    def url(self) -> str:
        return self._store.url

    def check(self) -> None:
        self._store.check()

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        return self._store.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        return self._store.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return self._store.get_each(wanted)

    @property
    def writes_many(self) -> bool:
        return isinstance(self._store, ManyWrites) and self._store.writes_many

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        if not isinstance(self._store, ManyWrites):
            raise TypeError(f"{self._store!r} writes one object at a time")  # whoever asks has looked at `writes_many`
        return self._store.put_each(wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._store.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._store.head(name, version)

    def delete(self, name: str) -> str:
        return self._store.delete(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        return self._store.list(prefix, after=after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._store.versions(prefix, after=after)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._store.versions_of(name)
