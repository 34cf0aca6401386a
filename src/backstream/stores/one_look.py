"""A store as one look sees it: each listing is made once, however often parts of it are asked for. For reports of one moment.

This way no change is seen between two of its listings. So it has to ask at the end whether anything has changed that
matters (`has_changed`), and to look anew if so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from typing import Generic, TypeVar

from backstream.ports import ListedObject, ObjectStore, ObjectVersion, Vouching
from backstream.stores.passing import PassingStore

_Row = TypeVar("_Row", ListedObject, ObjectVersion)


class _Listing(Generic[_Row]):
    """One listing. Its rows are fetched as they are asked for, and kept."""

    def __init__(self, prefix: str, after: str, rows: Iterator[_Row]) -> None:
        self._prefix = prefix
        self._after = after
        self._rows: Iterator[_Row] = rows
        self._seen: list[_Row] = []
        self._lock = threading.Lock()

    def covers(self, prefix: str, after: str) -> bool:
        """True if it has all rows that another one would have."""
        return prefix.startswith(self._prefix) and self._after <= max(after, prefix)

    def of(self, prefix: str, after: str) -> Iterator[_Row]:
        """Yields the rows of another listing that this one covers, and fetches no more of them than are asked for."""
        for row in self._every():
            if row.name > after and row.name.startswith(prefix):
                yield row
            elif row.name > prefix and not row.name.startswith(prefix):
                return  # names are in the order of their bytes

    def _every(self) -> Iterator[_Row]:
        place = 0
        while True:
            with self._lock:
                if place == len(self._seen):
                    row = next(self._rows, None)
                    if row is None:
                        return
                    self._seen.append(row)
            yield self._seen[place]
            place += 1


class OneLook(PassingStore):
    """Reads only. `together`: prefixes that stand for all that begin with them: these are listed at once. `few`: where folders lie
    that hold few objects.
    """

    def __init__(self, store: ObjectStore, together: Sequence[str] = (), few: Sequence[str] = ()) -> None:
        super().__init__(store)
        self._together = together
        self._few = few
        self._current: list[_Listing[ListedObject]] = []
        self._versions: list[_Listing[ObjectVersion]] = []
        self._lock = threading.Lock()

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        return self._once(self._current, self._store.list, prefix, after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._once(self._versions, self._store.versions, prefix, after)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """Yields the versions of one name. For an object in a folder of few, all of the folder is listed, once."""
        folder = name.rpartition("/")[0] + "/"
        if any(folder.startswith(each) for each in self._few):
            return (row for row in self.versions(folder) if row.name == name)
        return self._store.versions_of(name)

    def _once(
        self, known: MutableSequence[_Listing[_Row]], make: Callable[..., Iterator[_Row]], prefix: str, after: str
    ) -> Iterator[_Row]:
        with self._lock:
            found = next((each for each in known if each.covers(prefix, after)), None)
            if found is None:
                whole = next((each for each in self._together if prefix.startswith(each)), None)
                where, since = (prefix, after) if whole is None else (whole, "")
                found = _Listing(where, since, make(where, after=since))
                known.append(found)
        return found.of(prefix, after)

    def has_changed(self) -> bool:
        """True if one of the listings that are made at once would have other rows now."""
        return any(tuple(self._store.versions(prefix)) != tuple(self.versions(prefix)) for prefix in self._together)


class VouchingLook(OneLook):
    """The same, of a store that returns only signed objects."""

    def __init__(self, store: ObjectStore, vouching: Vouching, together: Sequence[str], few: Sequence[str]) -> None:
        super().__init__(store, together, few)
        self._vouching = vouching

    def vouch(self, name: str, version: str | None) -> None:
        """See `ports.Vouching`."""
        self._vouching.vouch(name, version)

    def is_covered(self, modified: float) -> bool:
        """See `ports.Vouching`."""
        return self._vouching.is_covered(modified)


def one_look(store: ObjectStore, together: Sequence[str] = (), few: Sequence[str] = ()) -> OneLook:
    """Returns the store as one look sees it. See `OneLook`."""
    return VouchingLook(store, store, together, few) if isinstance(store, Vouching) else OneLook(store, together, few)
