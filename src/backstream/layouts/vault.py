"""One table in a vault, to be read: its catalog, log, gaps and images, an item's history, and the recovery window."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from backstream.errors import Damaged
from backstream.layouts import catalog as catalogs
from backstream.layouts.catalog import Catalog
from backstream.layouts.gaps import Gap, Gaps
from backstream.layouts.log import DAY, ChangeLog, LogListing
from backstream.layouts.rows import entry_of, parse_metadata
from backstream.layouts.segments import Kind
from backstream.model import naming, wire
from backstream.model.entry import Entry, Place
from backstream.model.schema import canonical_key
from backstream.model.window import KnownGap, Window
from backstream.ports import ObjectStore

READERS = 8  # a long history asks for the metadata of each version: a request each


class TableVault:
    """What a vault holds of one table. Reading never writes."""

    def __init__(self, store: ObjectStore, catalog: Catalog) -> None:
        self.store = store
        self.catalog = catalog
        self.log = ChangeLog(store, catalog.table, catalog.compress)
        self.gaps = Gaps(store, catalog.table)

    @classmethod
    def open(cls, store: ObjectStore, table: str) -> TableVault:
        """The table's vault. NotFound where `init` has not been run for it, UsageError where it is no table's name."""
        naming.check_table_name(table)
        return cls(store, catalogs.load(store, table))

    # --- images ---

    def key(self, entry: Entry) -> bytes:
        """The canonical key of an entry's item."""
        return canonical_key(self.catalog.key_schema, wire.decode(entry.keys))

    def key_of(self, image: bytes) -> bytes:
        """The canonical key of an image. Damaged where it is no item of this table."""
        return wire.key_of(self.catalog.key_schema, image)

    def image(self, entry: Entry) -> bytes:
        """The image an entry speaks of (of a REMOVE: the old one), from wherever it lives.

        Damaged, naming the object and version, where what lies there is not an item with the entry's key.
        """
        if entry.place is None:
            inline = entry.old if entry.removed else entry.image
            if inline is None:
                raise Damaged(f"the log's entry {entry.sequence} has neither an image nor the place of one")
            return inline
        body = self.store.get(entry.place.name, entry.place.version).body
        try:
            found = self.key_of(body)
        except Damaged as error:
            raise Damaged(f"{_where(entry.place)}: {error.message}") from error
        if found != self.key(entry):
            raise Damaged(f"{_where(entry.place)}: the image of another item")
        return body

    # --- one item's history ---

    def history(self, key: bytes) -> list[Entry]:
        """Every change of one item that the vault holds, in their order, each once. `key`: the canonical key."""
        names = self._names(key)
        found = self._from_log(key) if names is None else self._from_rows(key, names)
        unique = {entry.order: entry for entry in found}
        return [unique[order] for order in sorted(unique)]

    def _names(self, key: bytes) -> list[str] | None:
        """The names of the item's objects under every naming there ever was; None where they cannot be known from the key."""
        fields = wire.decode(key)
        names = []
        for catalog in catalogs.every_version(self.store, self.catalog.table):
            tenant = None
            if catalog.layout is not catalogs.Layout.ROWS:
                return None
            if catalog.tenant_attribute is not None:
                if catalog.tenant_attribute not in fields:
                    return None
                tenant = naming.tenant_folder(fields[catalog.tenant_attribute])
            names.append(naming.object_name(catalog.table, catalog.naming, key, tenant))
        return list(dict.fromkeys(names))

    def _from_rows(self, key: bytes, names: list[str]) -> Iterator[Entry]:
        versions = [each for name in names for each in self.store.versions(name) if each.name == name and not each.marker]
        with ThreadPoolExecutor(READERS, thread_name_prefix="history") as pool:
            for row in pool.map(lambda each: parse_metadata(self.store.head(each.name, each.version)), versions):
                if row is not None:
                    yield entry_of(row, key)

    def _from_log(self, key: bytes) -> Iterator[Entry]:
        for listed in self.log.listing():
            if listed.segment is not None:
                yield from (entry for entry in self.log.read(listed) if self.key(entry) == key)

    # --- the recovery window ---

    def window(self, now: float, lanes: int | None) -> Window:
        """From when to when a restore is exact. Never more than what was made durable.

        `lanes`: in how many lines of shards the stream runs, None where that cannot be asked. Lambda is not told which shard a
        batch is from: only where there is a single line of shards does its newest change say that all before it have come.
        """
        gaps = sorted((KnownGap(g.since, g.until, g.reason) for g in self.open_gaps()), key=lambda gap: gap.since)
        return Window(since=self.catalog.complete_from, durable=self._durable(now, lanes), gaps=gaps)

    def _durable(self, now: float, lanes: int | None) -> int | None:
        oldest = self.catalog.complete_from or 0
        for piece in self.log.newest_first_days(now, oldest):
            claims = [claim for each in piece if (claim := _claim(each, now, lanes)) is not None]
            if claims:
                return max(claims)
        return None

    def open_gaps(self) -> list[Gap]:
        """The gaps that still stand: not those whose missing change has arrived since."""
        return [gap for gap in self.gaps.all() if not self._closed(gap)]

    def _closed(self, gap: Gap) -> bool:
        if gap.sequence is None:
            return False
        wanted = int(gap.sequence)
        for listed in self.log.listing(since=gap.since, until=gap.until):
            segment = listed.segment
            if segment is None or segment.stream != gap.stream or not int(segment.first) <= wanted <= int(segment.last):
                continue
            if any(int(entry.sequence) == wanted for entry in self.log.read(listed)):
                return True
        return False


def _claim(listed: LogListing, now: float, lanes: int | None) -> int | None:
    """Up to which second a segment proves that all changes have arrived.

    A change's second may hold more changes, so it is the second before. What a stream no longer holds (one day) has been delivered
    or was given up by Lambda, whose handler records that as a gap.
    """
    segment = listed.segment
    if segment is None:
        return None
    if segment.kind is Kind.MARK:
        return segment.max_time
    if segment.kind in (Kind.TAIL, Kind.LAMBDA) and lanes == 1:
        return segment.max_time - 1
    if segment.kind in (Kind.LAMBDA, Kind.PARALLEL):
        return min(segment.max_time - 1, int(now) - DAY)
    return None


def _where(place: Place) -> str:
    return f"{place.name} (version {place.version})"
