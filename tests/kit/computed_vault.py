"""A vault of any number of rows that needs no disk: a read-only store whose objects are computed from their names.

Run as a module it restores the whole of it to a file and prints the report:

    python -m kit.computed_vault 1000000 out.ndjson
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from backstream.clock import SystemClock
from backstream.engine.local.engine import LocalEngine
from backstream.errors import Failed, MissingObject
from backstream.model.changes.change import MICROS
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.model.tables.naming import Naming
from backstream.model.values.schema import KeyAttribute, KeySchema
from backstream.operations.restore import RestoreContext, RestoreRequest, ToFile, restore
from backstream.operations.setup.init import InitOptions, init
from backstream.ports import Found, ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import one_by_one
from backstream.stores.memory import MemoryStore
from backstream.tables.memory import MemoryTable
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Layout
from backstream.vault.log import segments
from backstream.vault.log.segments import Codec, SegmentKind
from backstream.vault.table_vault import TableVault
from kit.clock import ManualClock

TABLE = "computed"
SCHEMA = KeySchema(KeyAttribute("id", "S"))
BEGAN = 1_767_225_600  # 2026-01-01
AT = BEGAN + 3_600
SEGMENT = 5_000
STREAM = "2026-01-01T00:00:00.000"


def row_key(number: int) -> bytes:
    return f'{{"id":{{"S":"row-{number:08d}"}}}}'.encode()


def row_image(number: int) -> bytes:
    """A small row, of some 150 bytes."""
    fields = f'"carrier":{{"S":"UA"}},"delay":{{"N":"{number % 97}"}},"note":{{"S":"{"on time, " * 8}"}}'
    return f'{{"id":{{"S":"row-{number:08d}"}},{fields}}}'.encode()


def entry(number: int, *, inline: bool) -> Entry:
    """The log's entry of a row's only change."""
    return Entry(
        stream=STREAM,
        sequence=str(10**24 + number),
        micros=(BEGAN + 1 + number % 3_500) * MICROS,
        event="INSERT",
        event_id=f"{number:032x}",
        actor=None,
        keys=row_key(number),
        image=row_image(number) if inline else None,
        place=None if inline else ImagePlace(f"{TABLE}/row-{number:08d}", "1"),
    )


def init_table(store: ObjectStore, layout: Layout) -> TableVault:
    """A catalog for the computed rows."""
    clock = ManualClock(BEGAN)
    table = MemoryTable(TABLE, clock, SCHEMA)
    table.enable_stream()
    return TableVault(store, init(store, table, InitOptions(layout=layout, naming=Naming.PLAIN)).catalog, engines=LocalEngine)


class ComputedStore:
    """The rows layout of `count` rows, each with one version, and their log."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._few = MemoryStore(ManualClock(BEGAN))
        init_table(self._few, Layout.ROWS)
        self._log = catalogs.folder(TABLE) + "log/"
        # A segment's name depends on its entries: worked out once, its body each time it is asked for.
        starts = range(0, count, SEGMENT)
        self._segments = dict(sorted((self._log + segments.of_batch(self._run(n), SegmentKind.LAMBDA).path, n) for n in starts))

    def _run(self, start: int) -> list[Entry]:
        return [entry(number, inline=False) for number in range(start, min(start + SEGMENT, self._count))]

    @property
    def url(self) -> str:
        return "computed:"

    def check(self) -> None:
        return

    def get(self, name: str, version: str | None = None) -> StoredObject:
        if name in self._segments:
            return _stored(name, segments.pack(self._run(self._segments[name]), Codec.ZSTD))
        if name.startswith(f"{TABLE}/row-"):
            return _stored(name, row_image(int(name.rpartition("-")[2])))
        return self._few.get(name, version)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return one_by_one(self.get, wanted)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._few.get_range(name, start, length)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        raise MissingObject(f"nobody should ask for the metadata of {name}: the log accounts for it ({version})")

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        names = self._segments if prefix == self._log else (f"{TABLE}/row-{number:08d}" for number in range(self._count))
        if prefix in (self._log, f"{TABLE}/"):
            return (ListedObject(name, 100, float(BEGAN)) for name in names if name > after)
        return self._few.list(prefix, after=after)

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        if prefix not in (self._log, f"{TABLE}/"):
            return self._few.versions(prefix, after=after)
        listed = self.list(prefix, after=after)
        return (ObjectVersion(each.name, "1", each.size, each.modified, latest=True, marker=False) for each in listed)

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._few.versions_of(name)

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        raise Failed(f"a restore writes nothing into the vault: {name} {len(body)} {metadata} {if_absent} {if_match}")

    def delete(self, name: str) -> str:
        raise Failed(f"a restore deletes nothing from the vault: {name}")


def _stored(name: str, body: bytes) -> StoredObject:
    return StoredObject(ObjectInfo(name, "1", len(body), float(BEGAN), {}), body)


def main(count: int, path: Path) -> None:
    """Restore it all and say so."""
    store, clock = ComputedStore(count), SystemClock()
    around = RestoreContext(lambda name: MemoryTable(name, clock), clock, path.parent)
    report = restore(TableVault.open(store, TABLE, engines=LocalEngine), RestoreRequest(AT, ToFile(path)), around)
    sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
