"""A store that shows each catalog that is read to somebody: what it says of requests holds from then on."""

from __future__ import annotations

from collections.abc import Callable

from backstream.model.sealing import is_catalog, table_of
from backstream.ports import ObjectStore, StoredObject
from backstream.stores.passing import PassingStore


class ReadingCatalogs(PassingStore):
    """Calls `seen` with the table and the bytes of each current catalog that is read."""

    def __init__(self, store: ObjectStore, seen: Callable[[str, bytes], None]) -> None:
        super().__init__(store)
        self._seen = seen

    def get(self, name: str, version: str | None = None) -> StoredObject:
        found = self._store.get(name, version)
        if version is None and is_catalog(name):
            self._seen(table_of(name) or "", found.body)
        return found
