"""Work that ends when nobody waits for it any more: its store refuses the next request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from backstream.ports import Clock, Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Vouching, Wanted


class Abandoned(BaseException):
    """Nobody waits for the answer any more. No `Exception`: nothing that reads on after an error catches it."""


class StopToken:
    """Tells work to end. `deadline`: the epoch second at which it has to, None for never."""

    def __init__(self, clock: Clock, deadline: float | None = None) -> None:
        self._clock = clock
        self._deadline = deadline
        self._event = threading.Event()

    def set(self) -> None:
        """End the work at its next step. Safe from any thread."""
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the work has to end."""
        return self._event.is_set() or (self._deadline is not None and self._clock.now() > self._deadline)

    def check(self) -> None:
        """Return while the work may go on; raise `Abandoned` otherwise."""
        if self.is_set:
            raise Abandoned


class StoppableStore:
    """An `ObjectStore` that asks `check` before each request, and before each row of a listing."""

    def __init__(self, store: ObjectStore, check: Callable[[], None]) -> None:
        self._store = store
        self._check = check

    @property
    def url(self) -> str:
        """As of the store."""
        return self._store.url

    def check(self) -> None:
        """As of the store."""
        self._check()
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
        """As of the store."""
        self._check()
        return self._store.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        """As of the store."""
        self._check()
        return self._store.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """As of the store."""
        found = self._store.get_each(wanted)
        try:
            for each in found:
                self._check()
                yield each
        finally:
            found.close()

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """As of the store."""
        self._check()
        return self._store.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        """As of the store."""
        self._check()
        return self._store.head(name, version)

    def delete(self, name: str) -> str:
        """As of the store."""
        self._check()
        return self._store.delete(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """As of the store."""
        for each in self._store.list(prefix, after=after):
            self._check()
            yield each

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        """As of the store."""
        for each in self._store.versions(prefix, after=after):
            self._check()
            yield each

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """As of the store."""
        self._check()
        return self._store.versions_of(name)


class StoppableVouchingStore(StoppableStore):
    """The same of a store that gives out nothing but what is signed."""

    def __init__(self, store: ObjectStore, vouching: Vouching, check: Callable[[], None]) -> None:
        super().__init__(store, check)
        self._vouching = vouching

    def vouch(self, name: str, version: str | None) -> None:
        """As of the store."""
        self._check()
        self._vouching.vouch(name, version)

    def is_covered(self, modified: float) -> bool:
        """As of the store."""
        return self._vouching.is_covered(modified)


def stoppable(store: ObjectStore, check: Callable[[], None]) -> ObjectStore:
    """The store, asking `check` before each request."""
    if isinstance(store, Vouching):
        return StoppableVouchingStore(store, store, check)
    return StoppableStore(store, check)
