"""The rows layout: each image a version of its item's object, native DynamoDB JSON as the body, readable by anyone.

Each version's metadata says which change it is, so the log can be rebuilt from the objects alone. A delete is a tombstone version
(body: the old image) and then S3's delete marker: the marker keeps plain S3 tools right, the tombstone keeps time, order and actor.
An interruption between leaves a version that no segment names, which does no harm: the change is delivered again.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping

import msgspec

from backstream.errors import Damaged, MissingObject
from backstream.layouts.catalog import Catalog
from backstream.model import moment, naming, wire
from backstream.model.change import Change, Order
from backstream.model.entry import Entry, Place, of_change
from backstream.model.schema import canonical_key
from backstream.ports import ObjectInfo, ObjectStore

FORMAT = "1"
REMEMBERED_NAMES = 100_000
# How far back a repeated change is looked for in its object; one that lies deeper is kept a second time, which does no harm.
LATE_VERSIONS = 1_000
LATE_NAMES = 200


class RowVersion(msgspec.Struct, frozen=True):
    """One version of a row object, as its metadata tells it."""

    name: str
    version: str
    stream: str
    sequence: str
    micros: int
    event: str
    event_id: str
    actor: str | None
    key_names: tuple[str, ...]

    @property
    def order(self) -> Order:
        """Its change's place among the changes of the item."""
        return Order(self.stream, int(self.sequence))


def metadata_of(change: Change, key_names: tuple[str, ...]) -> dict[str, str]:
    """What a row version says of itself."""
    return {
        "format": FORMAT,
        "stream": change.stream,
        "sequence": change.sequence,
        "time": moment.iso_micros(change.micros),
        "event": change.event,
        "event-id": change.event_id,
        "keys": json.dumps(key_names),  # escaped to ASCII, as S3's metadata must be
        **({"actor": change.actor} if change.actor is not None else {}),
    }


def _row_version(name: str, version: str, change: Change, key_names: tuple[str, ...]) -> RowVersion:
    return RowVersion(
        name=name,
        version=version,
        stream=change.stream,
        sequence=change.sequence,
        micros=change.micros,
        event=change.event,
        event_id=change.event_id,
        actor=change.actor,
        key_names=key_names,
    )


def parse_metadata(info: ObjectInfo) -> RowVersion | None:
    """The inverse of `metadata_of`; None for an object that this tool did not write."""
    meta = info.metadata
    if meta.get("format") != FORMAT:
        return None
    try:
        return RowVersion(
            name=info.name,
            version=info.version,
            stream=meta["stream"],
            sequence=meta["sequence"],
            micros=moment.parse_iso_micros(meta["time"]),
            event=meta["event"],
            event_id=meta.get("event-id", ""),
            actor=meta.get("actor"),
            key_names=tuple(json.loads(meta["keys"])),
        )
    except (KeyError, ValueError) as error:
        raise Damaged(f"{info.name}: the metadata of version {info.version} cannot be read: {error!r}") from error


class Rows:
    """Keeps images as versions of row objects. Safe from many threads, as long as one item's changes come from one at a time.

    It remembers the newest change that it wrote to each object, so that a stream in order costs one PUT per change; only what may
    be late or repeated is looked up. `remember` bounds that memory (names).
    """

    def __init__(self, store: ObjectStore, catalog: Catalog, *, remember: int = REMEMBERED_NAMES) -> None:
        self._store = store
        self._catalog = catalog
        self._newest: OrderedDict[str, Order | None] = OrderedDict()
        self._late: OrderedDict[str, list[RowVersion]] = OrderedDict()
        self._remember = remember
        self._lock = threading.Lock()

    def keep(self, change: Change) -> Entry:
        """Make the change's image durable; the entry for the log. The same change again gives the version that is there."""
        name = self._name(change, change.old if change.event == "REMOVE" else change.new)
        newest = self._newest_order(name)
        if newest is not None and change.order <= newest:
            version = self._keep_late(name, change)
        else:
            version = self._add(name, change)
            self._note(name, change.order)
            self._forget_late(name)
        self._leave_old_tenant(change, name)
        return of_change(change, Place(name, version))

    def _name(self, change: Change, image: bytes | None) -> str:
        catalog = self._catalog
        key = canonical_key(catalog.key_schema, wire.decode(change.keys))
        tenant = None
        if catalog.tenant_attribute is not None:
            tenant = naming.tenant_folder(wire.attribute(image or change.keys, catalog.tenant_attribute))
        return naming.object_name(catalog.table, catalog.naming, key, tenant)

    def _add(self, name: str, change: Change) -> str:
        version = self._put(name, change)
        if change.event == "REMOVE":
            self._store.delete(name)
        return version

    def _put(self, name: str, change: Change) -> str:
        body = change.old if change.event == "REMOVE" else change.new
        return self._store.put(name, body or b"", metadata_of(change, self._catalog.key_schema.names))

    def _forget_late(self, name: str) -> None:
        with self._lock:
            self._late.pop(name, None)

    # --- late and repeated changes ---

    def _newest_order(self, name: str) -> Order | None:
        with self._lock:
            if name in self._newest:
                self._newest.move_to_end(name)
                return self._newest[name]
        order = self._look_up(name)
        self._note(name, order)
        return order

    def _note(self, name: str, order: Order | None) -> None:
        with self._lock:
            self._newest[name] = order
            self._newest.move_to_end(name)
            while len(self._newest) > self._remember:
                self._newest.popitem(last=False)

    def _look_up(self, name: str) -> Order | None:
        try:
            current = parse_metadata(self._store.head(name))
        except MissingObject as missing:
            # Below a delete marker lies the tombstone that tells which delete it was.
            current = next(row_versions(self._store, name), None) if missing.marker else None
        return None if current is None else current.order

    def _keep_late(self, name: str, change: Change) -> str:
        """A change that something newer (or itself) has overtaken: kept once, and the newest put back on top for plain S3 tools."""
        known = self._known_versions(name)
        kept = next((row for row in known if row.order == change.order), None)
        top = known[0] if known else None
        if kept is None:
            kept = top = _row_version(name, self._put(name, change), change, self._catalog.key_schema.names)
            known.insert(0, kept)
        newest = max(known, key=lambda row: row.order)
        self._note(name, newest.order)
        if top is not None and top.order != newest.order:
            known.insert(0, self._put_again(newest))
        if newest.event == "REMOVE":
            self._ensure_marker(name)
        return kept.version

    def _known_versions(self, name: str) -> list[RowVersion]:
        """The newest versions of an object that once had something late; remembered, since late changes come in batches."""
        with self._lock:
            if name in self._late:
                self._late.move_to_end(name)
                return self._late[name]
        known = list(itertools.islice(row_versions(self._store, name), LATE_VERSIONS))
        with self._lock:
            self._late[name] = known
            while len(self._late) > LATE_NAMES:
                self._late.popitem(last=False)
        return known

    def _put_again(self, row: RowVersion) -> RowVersion:
        stored = self._store.get(row.name, row.version)
        return msgspec.structs.replace(row, version=self._store.put(row.name, stored.body, stored.info.metadata))

    def _ensure_marker(self, name: str) -> None:
        try:
            self._store.head(name)
        except MissingObject:
            return
        self._store.delete(name)

    def _leave_old_tenant(self, change: Change, name: str) -> None:
        """An item that moved to another tenant is no longer current under its old one; its versions there stay."""
        if self._catalog.tenant_attribute is None or change.event != "MODIFY" or change.old is None:
            return
        old_name = self._name(change, change.old)
        if old_name == name:
            return
        there = self._newest_order(old_name)
        if there is None or there < change.order:
            self._ensure_marker(old_name)


def row_versions(store: ObjectStore, name: str) -> Iterator[RowVersion]:
    """The versions of one row object that this tool wrote, in the order in which the store got them, newest first."""
    for version in store.versions(name):
        if version.name != name:
            return  # names are in order: what follows only starts like this one
        if not version.marker:
            row = parse_metadata(store.head(name, version.version))
            if row is not None:
                yield row


def entry_of(row: RowVersion, keys: bytes) -> Entry:
    """The log's entry of a row version. `keys`: the key of its item, in DynamoDB JSON."""
    return Entry(
        stream=row.stream,
        sequence=row.sequence,
        micros=row.micros,
        event=row.event,
        event_id=row.event_id,
        actor=row.actor,
        keys=keys,
        place=Place(row.name, row.version),
    )


def keys_in(row: RowVersion, body: bytes) -> bytes:
    """The key in a row version's body: the version says which attributes it has. Damaged where the body lacks one."""
    fields: Mapping[str, object] = wire.decode(body)
    missing = [name for name in row.key_names if name not in fields]
    if missing:
        raise Damaged(f"{row.name}: version {row.version} lacks the key attribute {missing[0]!r}")
    return msgspec.json.encode({name: fields[name] for name in row.key_names})
