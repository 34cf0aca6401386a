"""Reads one table in a vault: its catalog, log, gaps, base backups, drills and images, and an item's history."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import cached_property, partial
from typing import ParamSpec, TypeVar

import msgspec

from backstream.errors import BackstreamError, Damaged, HorizonMoved, MissingObject, NotSigned, raising
from backstream.model import moment
from backstream.model.changes import fold
from backstream.model.changes.entry import Entry, ImagePlace
from backstream.model.changes.invocation_record import FOLDER
from backstream.model.tables import naming
from backstream.model.tables.owner import account_of
from backstream.model.values import digests, wire
from backstream.model.values.sound_images import ImageReader
from backstream.model.window import Window
from backstream.ports import Engine, Executors, ObjectStore, StoredObject, Tag, Vouching, Wanted
from backstream.vault import catalog as catalogs
from backstream.vault.attribution.findings import AttributionStore
from backstream.vault.bases import Bases
from backstream.vault.catalog import Catalog
from backstream.vault.coverage import Coverage, RestoreBase, counts
from backstream.vault.drills import Drills
from backstream.vault.erasure import forgotten
from backstream.vault.erasure.erasures import Erasures
from backstream.vault.erasure.forgotten import Forgotten
from backstream.vault.gaps.failure_destination import Destination, Destinations
from backstream.vault.gaps.gaps import Gaps
from backstream.vault.log import inventory, segments
from backstream.vault.log.checked_records import RecordVersion
from backstream.vault.log.compacted import Compacted, Set
from backstream.vault.log.filters.segment_filters import SegmentFilters
from backstream.vault.log.inventory import Inventory
from backstream.vault.log.links import Links
from backstream.vault.log.log import ChangeLog, LogListing
from backstream.vault.rows import legacy_rows

_Words = ParamSpec("_Words")
_Waiting = TypeVar("_Waiting")

OnDamage = Callable[[Damaged], None]
Engines = Callable[[], "Engine[TableVault]"]
Images = Generator[tuple[Tag, bytes | BackstreamError | None], None, None]
AT_HAND = 64  # images that need not be fetched, waiting for others to be begun
READERS = 8  # a long history asks for the metadata of each version: a request each


class TableVault:
    """A vault's contents for one table. Reading never writes.

    `destinations`: opens the bucket that receives the batches which Lambda discards; None if nobody can reach it. `engines`: makes
    the engine that computes the table's states, at the first request; None if there will be none.
    """

    def __init__(
        self, store: ObjectStore, catalog: Catalog, destinations: Destinations | None = None, engines: Engines | None = None
    ) -> None:
        self.store = store
        self.catalog = catalog
        self.destinations = destinations
        self._engines = engines
        self.accept_settings = False  # whether what the catalog names is used whoever it belongs to
        self._key_of = wire.KeyReader(catalog.key_schema)
        self._key_of_item = ImageReader(catalog.key_schema)
        # A signature is of all bytes of a segment: its verifier reads them, and has no use of a filter.
        filtering = self._key_of if catalog.signing is None else None
        self.log = ChangeLog(store, catalog.table, catalog.compress, filtering)
        self.gaps = Gaps(store, catalog.table)
        self.bases = Bases(store, catalog.table, catalog.compress, catalog.horizon, catalog.kept_states)
        self.compacted = Compacted(store, catalog.table)
        self.drills = Drills(store, catalog.table)
        self.findings = AttributionStore(store, catalog.table)
        self.erasures = Erasures(store, catalog.table, catalog.erasures)
        arrived_since = partial(legacy_rows.arrived_since, store)
        self.coverage = Coverage(catalog, self.log, self.gaps, self.bases, self.compacted, arrived_since, lambda: self.destination)

    @classmethod
    def open(
        cls,
        store: ObjectStore,
        table: str,
        destinations: Destinations | None = None,
        engines: Engines | None = None,
        proven: set[RecordVersion] | None = None,
    ) -> TableVault:
        """Opens the table's vault. `proven`: records that others of this vault have checked, see `CheckedRecords`.

        Raises NotFound if `init` has not been run for it, and UsageError if it is not a table's name.
        """
        naming.check_table_name(table)
        found = cls(store, catalogs.load(store, table), destinations, engines)
        if proven is not None:
            found.compacted.checked.proven = proven
        return found

    def seen_through(self, store: ObjectStore) -> TableVault:
        """The same vault, read by way of another store."""
        found = TableVault(store, self.catalog, self.destinations, self._engines)
        found.accept_settings = self.accept_settings
        return found

    def with_catalog(self, catalog: Catalog) -> TableVault:
        """Returns the same vault, read with another catalog."""
        return TableVault(self.store, catalog, self.destinations, self._engines)

    @cached_property
    def engine(self) -> Engine[TableVault]:
        """The engine that computes the table's states."""
        if self._engines is None:
            raise RuntimeError("this vault was opened without an engine")
        return self._engines()

    @property
    def executors(self) -> Executors | None:
        """The machines that work for the engine; None if there is only this one."""
        return None if self._engines is None else self.engine.executors

    @cached_property
    def destination(self) -> Destination | None:
        """Returns the destination of discarded batches; None if there is none, or no access to it. It is made at the first call."""
        return None if self.catalog.failures is None else self.destination_at(self.catalog.failures)

    def destination_at(self, url: str) -> Destination | None:
        """Returns another bucket, or this one, as the destination of discarded batches; None if nobody can reach one.

        The bucket must belong to the table's own account, unless `accept_settings` is set: the catalog's statement is not trusted.
        """
        if self.destinations is None:
            return None
        account = None if self.accept_settings else account_of(self.catalog.table_arn)
        return Destination(self.destinations(url, account), self.store, self.catalog.table, self.catalog.table_arn)

    @property
    def owns_destination(self) -> bool:
        """True if the bucket that the catalog names can be listed as one of the table's own account."""
        if self.catalog.failures is None or self.destinations is None:
            return False
        try:
            store = self.destinations(self.catalog.failures, account_of(self.catalog.table_arn))
            next(iter(store.list(FOLDER)), None)
        except BackstreamError:
            return False
        return True

    @cached_property
    def forgotten(self) -> Forgotten:
        """The items whose changes are discarded: see `forgotten.load`."""
        return forgotten.load(self.store, self.catalog)

    # --- images ---

    def key(self, entry: Entry) -> bytes:
        """Returns the canonical key of an entry's item."""
        return self._key_of(entry.keys)

    def key_of(self, image: bytes) -> bytes:
        """Returns the canonical key of an image. Raises Damaged if it is not an item of this table."""
        return self._key_of(image)

    def key_of_item(self, image: bytes) -> bytes:
        """Returns the same as `key_of`. Raises Damaged also if DynamoDB can hold no such item: see `ImageReader`."""
        return self._key_of_item(image)

    @property
    def key_reader(self) -> wire.KeyReader:
        """The reader behind `key_of`, for callers that ask millions of times."""
        return self._key_of

    def image(self, entry: Entry) -> bytes:
        """Returns an entry's image (for a REMOVE: the old one), from wherever it is stored.

        Raises Damaged, naming the object and version, if that place does not hold an item with the entry's key.
        """
        if entry.place is None:
            return self._inline(entry)
        try:
            return self._of_item(entry, entry.place, self.store.get(entry.place.name, entry.place.version))
        except MissingObject as missing:
            raise _gone(entry.place) from missing

    def images(self, wanted: Iterable[tuple[Tag, Entry | None]]) -> Images[Tag]:
        """Yields the images of many entries, each with its tag, in no order; None if there is no entry.

        An error that `image` would raise comes as a value, and the others continue. It reads `wanted` ahead as
        `ObjectStore.get_each` does, plus a few dozen entries that need no request.
        """
        at_hand: deque[tuple[Tag, bytes | BackstreamError | None]] = deque()
        coming, more = iter(wanted), True

        def rows() -> Iterator[Wanted[tuple[Tag, Entry, ImagePlace]]]:
            """Yields the images to fetch. Those that need no request wait in `at_hand`, and it stops if too many wait."""
            nonlocal more
            for tag, entry in coming:
                if entry is not None and entry.place is not None:
                    yield (tag, entry, entry.place), entry.place.name, entry.place.version
                    continue
                at_hand.append((tag, None if entry is None else _value(self._inline, entry)))
                if len(at_hand) >= AT_HAND:
                    return
            more = False

        while more:
            with closing(self.store.get_each(rows())) as fetched:
                for (tag, entry, place), found in fetched:
                    yield from _emptied(at_hand)
                    if isinstance(found, MissingObject):
                        found = _gone(place)
                    yield tag, found if isinstance(found, BackstreamError) else _value(self._of_item, entry, place, found)
            yield from _emptied(at_hand)

    def _inline(self, entry: Entry) -> bytes:
        """Returns the image in the entry itself."""
        image = entry.old if entry.removed else entry.image
        if image is None:
            raise Damaged(f"the log's entry {entry.sequence} has neither an image nor the place of one")
        self.check_own(entry, image)
        return image

    def check_own(self, entry: Entry, image: bytes) -> None:
        """Raises Damaged if an image that an entry holds itself is not of the entry's item, or DynamoDB can hold no such item."""
        try:
            key = self.key_of_item(image)
        except Damaged as error:
            raise Damaged(f"the log's entry {entry.sequence}: {error.message}") from error
        if key != self.key(entry):
            raise Damaged(f"the log's entry {entry.sequence}: the image of another item")

    def _of_item(self, entry: Entry, place: ImagePlace, found: StoredObject) -> bytes:
        """Returns the image in an object, if it is of the entry's item."""
        try:
            key = self.key_of_item(found.body)
        except Damaged as error:
            raise Damaged(f"{_where(place)}: {error.message}") from error
        if key != self.key(entry):
            raise Damaged(f"{_where(place)}: the image of another item")
        if entry.body is None and isinstance(self.store, Vouching) and self.store.is_covered(found.info.modified):
            raise NotSigned(f"{_where(place)}: nobody vouches for it: the log does not name the SHA-256 of its bytes")
        if entry.body is not None and digests.of_body(found.body) != entry.body:
            raise Damaged(f"{_where(place)}: its bytes are not those that the log names (another SHA-256)")
        return found.body

    # --- what is to be read ---

    def inventory(self, *, since: int | None = None, until: int | None = None) -> Inventory:
        """Returns the contents of the log, each change once, without segments from before the horizon. See `inventory.of_log`.

        Raises HorizonMoved if `retain` has removed more by now than this vault's catalog says: it shortens the sets first.
        """
        found = inventory.of_log(self.log, self.compacted, since=since, until=until)
        known = self.catalog.horizon
        if found.generation.begins_after > (-1 if known is None else known.second):
            raise HorizonMoved(
                f"history of {self.catalog.table} up to {moment.iso(found.generation.begins_after)} was removed while it was read",
                hint="Run it again: moments since are not affected.",
            )
        if known is None:
            return found
        later = [each for each in found.segments if each.segment is None or each.segment.max_time > known.second]
        return msgspec.structs.replace(found, segments=later)

    def anew(self) -> TableVault:
        """Returns the same vault with its catalog as it is now."""
        return self.with_catalog(catalogs.load(self.store, self.catalog.table))

    def renewed(self) -> TableVault:
        """Returns the same vault with its catalog as it is now: itself as long as nobody has changed that."""
        catalog = catalogs.load(self.store, self.catalog.table)
        return self if catalog == self.catalog else self.with_catalog(catalog)

    # --- one item's history ---

    def history(self, key: bytes, damaged: OnDamage = raising, taken: Callable[[Entry], Entry] | None = None) -> list[Entry]:
        """Returns every state of one item that the log and the base backups hold, in order, each once. `key` is the canonical key.

        An image may have been removed from the bucket: then `image` raises. `damaged` receives the error of each object in the log
        or of a base backup that cannot be read; if it returns, the rest is read. `taken`: what is held in place of each entry,
        asked in several threads at once.
        """
        return fold.in_order(self._from_log(key, damaged, taken))

    def _is_of(self, key: bytes) -> Callable[[Entry], bool]:
        return lambda entry: self.key(entry) == key

    def _from_log(self, key: bytes, damaged: OnDamage, taken: Callable[[Entry], Entry] | None) -> Iterator[Entry]:
        """Yields the entries of a key in the log and the base backups, in no order.

        It reads a few frames of sets, and all small objects.
        """
        found, links = self.inventory(), Links(self.log)
        wanted, filters = self._is_of(key), SegmentFilters(self.log, self.store, links, [key])
        small = (each for each in found.segments if each.segment is None or each.segment.count)
        reads: list[Callable[[], list[Entry]]] = [
            *(partial(self._counting, partial(self.of_set, each, key, taken)) for each in found.sets),
            *(partial(self._counting, partial(self.of_segment, each, links, wanted, filters)) for each in small),
            *(partial(self.of_set, each, key, taken) for each in inventory.sets_of_bases(self.bases, found.generation)),
            *(partial(self.bases.read, part, wanted) for part in inventory.parts_of_bases(self.bases, found.generation)),
        ]
        light = reads if taken is None else [partial(_each_taken, read, taken) for read in reads]
        with ThreadPoolExecutor(READERS, thread_name_prefix="history") as pool:
            for reading in [pool.submit(read) for read in light]:
                try:
                    yield from reading.result()
                except Damaged as error:
                    damaged(error)
        for each in found.generation.sets:
            for planted in self.compacted.planted_around(each, key):
                damaged(planted)
        for gone in links.missing(found, since=None):
            damaged(Damaged(f"{gone.name}: {gone.why}"))

    def _counting(self, read: Callable[[], list[Entry]]) -> list[Entry]:
        """Returns the entries of the log that count: those after the horizon."""
        ignored = self.coverage.before_horizon
        return [each for each in read() if counts(ignored, each)] if ignored else read()

    def of_segment(self, listed: LogListing, links: Links, wanted: Callable[[Entry], bool], filters: SegmentFilters) -> list[Entry]:
        """Returns the wanted entries of a segment, and notes its run in `links`. One without any, by `filters`, is not read.

        Raises Damaged, naming it, if it cannot be read.
        """
        if filters.rule_out(listed):
            return []
        fetched = self.log.fetch(listed)
        links.note(fetched)
        return self.log.entries(listed, fetched, wanted)

    def of_set(self, one: Set, key: bytes, taken: Callable[[Entry], Entry] | None = None) -> list[Entry]:
        """Returns the entries of the set's frames with one item's lines, or what is `taken` in their place: see `segments.select`.

        Raises Damaged, naming the object, if they cannot be read.
        """
        name, claim, body = self.compacted.around(one, key)
        try:
            return segments.select(claim, body, self._is_of(key), taken)
        except Damaged as error:
            raise error.of(name) from error

    # --- what may be claimed ---

    def window(self, now: float) -> Window:
        """Returns the period in which a restore is exact. See `Coverage.window`."""
        return self.coverage.window(now)

    def basis(self, at: int, window: Window | None = None) -> RestoreBase:
        """Returns the parts of the whole table's state at a second. `window`: its sources are not read again."""
        return self.coverage.basis(at, window)


def _value(work: Callable[_Words, bytes], *args: _Words.args, **kwargs: _Words.kwargs) -> bytes | BackstreamError:
    """Returns the result of the call, or the error that it raises."""
    try:
        return work(*args, **kwargs)
    except BackstreamError as error:
        return error


def _each_taken(read: Callable[[], list[Entry]], taken: Callable[[Entry], Entry]) -> list[Entry]:
    return [taken(each) for each in read()]


def _emptied(waiting: deque[_Waiting]) -> Iterator[_Waiting]:
    while waiting:
        yield waiting.popleft()


def _gone(place: ImagePlace) -> MissingObject:
    return MissingObject(
        f"{_where(place)} is gone from the bucket: the change log names it, and nothing else holds its image",
        hint="A lifecycle rule that expires superseded versions removes it, as `--expire-after` does: see docs/vault.md.",
    )


def _where(place: ImagePlace) -> str:
    return f"{place.name} (version {place.version})"
