"""Work that ends when nobody waits for it any more: its store refuses the next request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from backstream.ports import Clock, Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Vouching, Wanted


class Abandoned(BaseException):
    """Nobody waits for the answer any more. It is not an `Exception`, so that no code that continues after an error catches it."""


class StopToken:
    """Tells work to end. `deadline`: the epoch second at which it must, None for never."""

    def __init__(self, clock: Clock, deadline: float | None = None) -> None:
        self._clock = clock
        self._deadline = deadline
        self._event = threading.Event()

    def set(self) -> None:
        """Ends the work at its next step. Safe from any thread."""
        self._event.set()

    def extend(self, deadline: float) -> None:
        """Moves the deadline, in epoch seconds. Safe from any thread."""
        self._deadline = deadline

    @property
    def is_set(self) -> bool:
        """True if the work must end."""
        return self._event.is_set() or (self._deadline is not None and self._clock.now() > self._deadline)

    def check(self) -> None:
        """Returns while the work may continue; raises `Abandoned` otherwise."""
        if self.is_set:
            raise Abandoned


class StoppableStore:
    """An `ObjectStore` that calls `check` before each request, and before each row of a listing."""

    def __init__(self, store: ObjectStore, check: Callable[[], None]) -> None:
        self._store = store
        self._check = check

    @property
    def url(self) -> str:
        """See the store."""
        return self._store.url

    def check(self) -> None:
        """See the store."""
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
        """See the store."""
        self._check()
        return self._store.put(name, body, metadata, if_absent=if_absent, if_match=if_match)

    def get(self, name: str, version: str | None = None) -> StoredObject:
        """See the store."""
        self._check()
        return self._store.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """See the store."""
        self._check()
        found = self._store.get_each(wanted)
        try:
            for each in found:
                self._check()
                yield each
        finally:
            found.close()

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """See the store."""
        self._check()
        return self._store.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        """See the store."""
        self._check()
        return self._store.head(name, version)

    def delete(self, name: str) -> str:
        """See the store."""
        self._check()
        return self._store.delete(name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """See the store."""
        self._check()
        for each in self._store.list(prefix, after=after):
            self._check()
            yield each

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        """See the store."""
        self._check()
        for each in self._store.versions(prefix, after=after):
            self._check()
            yield each

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """See the store."""
        self._check()
        for each in self._store.versions_of(name):
            self._check()
            yield each


class StoppableVouchingStore(StoppableStore):
    """The same for a store that returns only signed objects."""

    def __init__(self, store: ObjectStore, vouching: Vouching, check: Callable[[], None]) -> None:
        super().__init__(store, check)
        self._vouching = vouching

    def vouch(self, name: str, version: str | None) -> None:
        """See the store."""
        self._check()
        self._vouching.vouch(name, version)

    def is_covered(self, modified: float) -> bool:
        """See the store."""
        return self._vouching.is_covered(modified)


def stoppable(store: ObjectStore, check: Callable[[], None]) -> ObjectStore:
    """Returns the store, which calls `check` before each request."""
    if isinstance(store, Vouching):
        return StoppableVouchingStore(store, store, check)
    return StoppableStore(store, check)
