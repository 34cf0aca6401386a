"""The big vault in the rows layout: a folder for the log, and row objects that are worked out from their names and versions.

Run as a module it restores the table to a file and prints the report:

    python -m kit.big_rows FOLDER AT out.ndjson
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.model.changes.entry import ImagePlace
from backstream.operations.restore import RestoreContext, RestoreRequest, ToFile, restore
from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.directory import DirectoryStore
from backstream.stores.many import one_by_one
from backstream.tables.memory import MemoryTable
from backstream.vault.table_vault import TableVault
from kit.big_vault import BEGAN, TABLE, image_of

ROWS = f"{TABLE}/"


def place(item: int, version: int) -> ImagePlace:
    """Where an image lies."""
    return ImagePlace(f"{ROWS}{item:08d}", str(version))


class WithRows:
    """Another store, and as many row objects as there are items. Nothing can be written through it."""

    def __init__(self, inner: ObjectStore, items: int) -> None:
        self._inner = inner
        self._items = items

    @property
    def url(self) -> str:
        return self._inner.url

    def check(self) -> None:
        self._inner.check()

    def get(self, name: str, version: str | None = None) -> StoredObject:
        if not name.startswith(ROWS) or version is None:
            return self._inner.get(name, version)
        body = image_of(int(name.removeprefix(ROWS)), int(version))
        return StoredObject(ObjectInfo(name, version, len(body), float(BEGAN), {}), body)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._inner.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._inner.head(name, version)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        if prefix == ROWS:
            names = (f"{ROWS}{item:08d}" for item in range(self._items))
            return (ListedObject(name, 300, float(BEGAN)) for name in names if name > after)
        return self._inner.list(prefix, after=after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._inner.versions(prefix, after=after)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._inner.versions_of(name)

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        raise NotImplementedError(f"{name} {len(body)} {metadata} {if_absent}")

    def delete(self, name: str) -> str:
        raise NotImplementedError(name)


def main(folder: Path, at: int, path: Path, items: int) -> None:
    """Restore it all and say so."""
    clock = SystemClock()
    around = RestoreContext(lambda name: MemoryTable(name, clock), clock, path.parent)
    vault = TableVault.open(WithRows(DirectoryStore(folder, clock), items), TABLE, engines=LocalEngine)
    report = restore(vault, RestoreRequest(at, ToFile(path)), around)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
