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
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from backstream.errors import AlreadyExists, Damaged, MissingObject
from backstream.layouts.catalog import Catalog
from backstream.model import moment, naming, wire
from backstream.model.change import MICROS, Change, Order, is_sequence
from backstream.model.decoding import MISSHAPEN
from backstream.model.entry import NO_SEQUENCE, Entry, Place, Scanned, bare_change, bare_scan, of_change, of_scanned
from backstream.model.fold import BEGINNING, Known
from backstream.model.schema import canonical_key
from backstream.ports import ObjectInfo, ObjectStore

FORMAT = "1"
REMEMBERED_NAMES = 100_000
# How far back a repeated change is looked for in its object; one that lies deeper is kept a second time, which does no harm.
LATE_VERSIONS = 1_000
LATE_NAMES = 200
NOTHING = "nothing"


class Top(msgspec.Struct, frozen=True):
    """What a row object is known to hold: enough to tell whether a change is newer than all of it. See `model.fold.Known`."""

    order: Order | None = None
    latest: int = BEGINNING
    began: int = BEGINNING

    @classmethod
    def of(cls, known: Known) -> Top:
        """The same, in little memory."""
        order = None if known.change is None else known.change.order
        return cls(order, known.latest, BEGINNING if known.scan is None else known.scan.since)

    @classmethod
    def of_row(cls, row: RowVersion) -> Top | None:
        """What an object holds whose top that version is; None where it does not say all."""
        if not row.entry.scanned:
            return cls(row.entry.order, row.entry.seconds)
        return None if row.upon is None else cls(row.upon.order, row.upon.latest, row.entry.since)

    def precedes(self, change: Change) -> bool:
        """Whether a change is newer."""
        newer = self.order is None or change.order > self.order
        return newer and max(self.latest, change.seconds) >= self.began

    def __str__(self) -> str:
        return NOTHING if self.order is None else f"{self.order.stream} {self.order.sequence} {self.latest}"

    @classmethod
    def parse(cls, text: str) -> Top:
        """The changes of `str(top)`. ValueError where it is none."""
        if text == NOTHING:
            return cls()
        stream, sequence, latest = text.rsplit(" ", 2)
        return cls(Order(stream, int(sequence)), int(latest))

    def with_change(self, change: Change) -> Top:
        """The same, with a change that is newer on top."""
        return Top(change.order, max(self.latest, change.seconds), self.began)


class RowVersion(msgspec.Struct, frozen=True):
    """One version of a row object: the log's entry of it, as its metadata tells it, but for the key; and the key's attributes.

    `upon`: the changes that a scanned image was put on top of, so that nobody has to look for them below it; None where not known.
    """

    entry: Entry
    key_names: tuple[str, ...]
    upon: Top | None = None

    @property
    def place(self) -> Place:
        """The object and version."""
        assert self.entry.place is not None  # noqa: S101 - every row version is made with its place
        return self.entry.place


def metadata_of(entry: Entry, key_names: tuple[str, ...], upon: Top | None = None) -> dict[str, str]:
    """What a row version says of itself."""
    return {
        "format": FORMAT,
        **({"began": moment.iso(entry.since)} if entry.scanned else {"stream": entry.stream, "sequence": entry.sequence}),
        "time": moment.iso_micros(entry.micros),
        "event": entry.event,
        "event-id": entry.event_id,
        "keys": json.dumps(key_names),  # escaped to ASCII, as S3's metadata must be
        **({"actor": entry.actor} if entry.actor is not None else {}),
        **({"upon": str(upon)} if upon is not None else {}),
    }


def parse_metadata(info: ObjectInfo) -> RowVersion | None:
    """The inverse of `metadata_of`; None for an object that this tool did not write."""
    meta = info.metadata
    if meta.get("format") != FORMAT:
        return None
    try:
        began = meta.get("began")
        if began is None and not is_sequence(meta["sequence"]):
            raise ValueError("no sequence number")
        entry = Entry(
            stream=meta["stream"] if began is None else "",
            sequence=meta["sequence"] if began is None else NO_SEQUENCE,
            micros=moment.parse_iso_micros(meta["time"]),
            event=meta["event"],
            event_id=meta.get("event-id", ""),
            actor=meta.get("actor"),
            keys=b"",
            place=Place(info.name, info.version),
            began=None if began is None else moment.parse_iso_micros(began) // MICROS,
        )
        upon = meta.get("upon")
        return RowVersion(entry, tuple(json.loads(meta["keys"])), None if upon is None else Top.parse(upon))
    except MISSHAPEN as error:
        raise Damaged(f"{info.name}: the metadata of version {info.version} cannot be read: {error!r:.200}") from error


class Rows:
    """Keeps images as versions of row objects. Safe from many threads, as long as one item's changes come from one at a time.

    It remembers what it knows of each object's top, so that a stream in order costs one PUT per change; only what may be late or
    repeated is looked up. `remember` bounds that memory (names).
    """

    def __init__(self, store: ObjectStore, catalog: Catalog, *, remember: int = REMEMBERED_NAMES) -> None:
        self._store = store
        self._catalog = catalog
        self._tops: OrderedDict[str, Top] = OrderedDict()
        self._late: OrderedDict[str, list[RowVersion]] = OrderedDict()
        self._remember = remember
        self._lock = threading.Lock()

    def keep(self, change: Change) -> Entry:
        """Make the change's image durable; the entry for the log. The same change again gives the version that is there."""
        name = self._name(change.keys, change.old if change.event == "REMOVE" else change.new)
        top, body = self._top(name), None
        if top.precedes(change):
            place = self._add(name, change)
            self._note(name, top.with_change(change))
            self._forget_late(name)
        else:
            place, body = self._keep_late(name, change)
        self._leave_old_tenant(change, name)
        return of_change(change, place, body)

    def _name(self, keys: bytes, image: bytes | None) -> str:
        catalog = self._catalog
        key = canonical_key(catalog.key_schema, wire.decode(keys))
        tenant = None
        if catalog.tenant_attribute is not None:
            tenant = naming.tenant_folder(wire.attribute(image or keys, catalog.tenant_attribute))
        return naming.object_name(catalog.table, catalog.naming, key, tenant, catalog.key_order)

    def _add(self, name: str, change: Change) -> Place:
        row = self._put(name, change)
        if change.event == "REMOVE":
            self._store.delete(name)
        return row.place

    def _put(self, name: str, change: Change) -> RowVersion:
        return self._put_entry(name, bare_change(change), _body_of(change))

    def _put_entry(self, name: str, entry: Entry, body: bytes, upon: Top | None = None, *, if_absent: bool = False) -> RowVersion:
        key_names = self._catalog.key_schema.names
        version = self._store.put(name, body, metadata_of(entry, key_names, upon), if_absent=if_absent)
        place = Place(name, version)
        bare = msgspec.structs.replace(entry, keys=b"", image=None, old=None, place=place, before=None, after=None, body=None)
        return RowVersion(bare, key_names, upon)

    def _forget_late(self, name: str) -> None:
        with self._lock:
            self._late.pop(name, None)

    # --- scanned images ---

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """Make a scanned image durable, where the object's top is not that image already; what is newer stays on top.

        The entry of a state without an item has no place where a tombstone tells that already.
        """
        name = self._name(scanned.keys, scanned.image or scanned.old)
        while True:
            top, body = self._current(name)
            if top is not None and _tells(top, body, scanned):
                return of_scanned(scanned, None if scanned.image is None else top.place, body), False
            kept = scanned.image or scanned.old or body or scanned.keys
            try:
                place = self._add_scanned(name, scanned, top, kept, empty=top is None and body is None)
            except AlreadyExists:
                continue  # somebody was faster in an empty place: look again at what is there now
            self._leave_scanned_tenant(scanned, name)
            return of_scanned(scanned, place, kept), True

    def _current(self, name: str) -> tuple[RowVersion | None, bytes | None]:
        """The version that a row object is known by, under a delete marker the tombstone; and the current body, None without one.

        A body without a version is a foreign object's.
        """
        try:
            stored = self._store.get(name)
        except MissingObject as missing:
            return (next(row_versions(self._store, name), None) if missing.marker else None), None
        return parse_metadata(stored.info), stored.body

    def _add_scanned(self, name: str, scanned: Scanned, top: RowVersion | None, kept: bytes, *, empty: bool) -> Place:
        """A version of it on top, and then again on top of that whatever is newer: what was there, or has come meanwhile."""
        upon = Top() if empty else None if top is None else Top.of_row(top)  # below a foreign object anything may lie
        row = self._put_entry(name, bare_scan(scanned), kept, upon, if_absent=empty)
        newest = row
        if not empty:
            since = None if top is None else top.place
            above = itertools.takewhile(lambda each: each.place != since, row_versions(self._store, name))
            newest = newest_row([row, *([] if top is None else [top]), *itertools.islice(above, LATE_VERSIONS)])
            if newest.place != row.place:
                self._put_again(newest)
        if newest.entry.removed:
            self._ensure_marker(name)
        return row.place

    # --- late and repeated changes ---

    def _top(self, name: str) -> Top:
        with self._lock:
            if name in self._tops:
                self._tops.move_to_end(name)
                return self._tops[name]
        top = self._look_up(name)
        self._note(name, top)
        return top

    def _note(self, name: str, top: Top) -> None:
        with self._lock:
            self._tops[name] = top
            self._tops.move_to_end(name)
            while len(self._tops) > self._remember:
                self._tops.popitem(last=False)

    def _look_up(self, name: str) -> Top:
        try:
            current = parse_metadata(self._store.head(name))
        except MissingObject as missing:
            # Below a delete marker lies the tombstone that tells which delete it was.
            current = next(row_versions(self._store, name), None) if missing.marker else None
        if current is None:
            return Top()
        top = Top.of_row(current)
        if top is not None:
            return top
        # A scanned image that does not say what it was put upon: the change below it is the newest there is.
        change = next((row.entry for row in row_versions(self._store, name) if not row.entry.scanned), None)
        known = Known().with_entry(current.entry)
        return Top.of(known if change is None else known.with_entry(change))

    def _keep_late(self, name: str, change: Change) -> tuple[Place, bytes | None]:
        """A change that something newer (or itself) has overtaken: kept once, and the newest put back on top for plain S3 tools.

        The place, and the bytes there where an earlier delivery wrote them.
        """
        known = self._known_versions(name)
        kept, body = self._kept_before(known, change)
        top = known[0] if known else None
        if kept is None:
            kept = top = self._put(name, change)
            known.insert(0, kept)
        newest = newest_row(known)
        self._note(name, Top.of(known_of(known)))
        if top is not None and not _same_state(top, newest):
            known.insert(0, self._put_again(newest))
        if newest.entry.removed:
            self._ensure_marker(name)
        return kept.place, body

    def _kept_before(self, known: Sequence[RowVersion], change: Change) -> tuple[RowVersion | None, bytes | None]:
        """The version that an earlier delivery of a change made, and its bytes. One of another image is none, whatever it says."""
        for row in known:
            if not row.entry.scanned and row.entry.order == change.order:
                body = self._store.get(row.place.name, row.place.version).body
                if _same(_body_of(change), body):
                    return row, body
        return None, None

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
        stored = self._store.get(row.place.name, row.place.version)
        version = self._store.put(row.place.name, stored.body, stored.info.metadata)
        return msgspec.structs.replace(row, entry=msgspec.structs.replace(row.entry, place=Place(row.place.name, version)))

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
        old_name = self._name(change.keys, change.old)
        if old_name != name and self._top(old_name).precedes(change):
            self._ensure_marker(old_name)

    def _leave_scanned_tenant(self, scanned: Scanned, name: str) -> None:
        """The same, of an item that was found under another tenant than that of what the vault held."""
        if self._catalog.tenant_attribute is None or scanned.image is None or scanned.old is None:
            return
        old_name = self._name(scanned.keys, scanned.old)
        if old_name == name:
            return
        top, _ = self._current(old_name)
        if top is not None and top.entry.since < scanned.began:
            self._ensure_marker(old_name)


def _body_of(change: Change) -> bytes:
    """What a row object holds of a change: of a delete the item as it was."""
    return (change.old if change.event == "REMOVE" else change.new) or b""


def known_of(rows: Iterable[RowVersion]) -> Known:
    """What one object's versions say together."""
    known = Known()
    for row in rows:
        known = known.with_entry(row.entry)
    return known


def newest_row(rows: Sequence[RowVersion]) -> RowVersion:
    """Of one object's versions, at least one, that which tells the item's state."""
    newest = known_of(rows).newest()
    return next(row for row in rows if row.entry == newest)


def _same_state(one: RowVersion, other: RowVersion) -> bool:
    """Whether two versions are of one change, or of one scan."""
    return msgspec.structs.replace(one.entry, place=None) == msgspec.structs.replace(other.entry, place=None)


def _tells(top: RowVersion, body: bytes | None, scanned: Scanned) -> bool:
    """Whether the version on top says already what was found. What an export says has a version of its own: see `Window.voids`."""
    if top.entry.micros > scanned.micros or (scanned.source and top.entry.event_id != scanned.source):
        return False
    return scanned.image is None if top.entry.removed else _same(scanned.image, body)


def _same(image: bytes | None, body: bytes | None) -> bool:
    """Whether a row's body is this image; whatever cannot be read is not."""
    try:
        return image is not None and body is not None and wire.same_image(image, body)
    except Damaged:
        return False


def row_versions(store: ObjectStore, name: str) -> Iterator[RowVersion]:
    """The versions of one row object that this tool wrote, in the order in which the store got them, newest first."""
    for version in store.versions_of(name):
        if not version.marker:
            row = parse_metadata(store.head(name, version.version))
            if row is not None:
                yield row


def entry_of(row: RowVersion, keys: bytes) -> Entry:
    """The log's entry of a row version. `keys`: the key of its item, in DynamoDB JSON."""
    return msgspec.structs.replace(row.entry, keys=keys)


def keys_in(row: RowVersion, body: bytes) -> bytes:
    """The key in a row version's body: the version says which attributes it has. Damaged where the body lacks one."""
    fields: Mapping[str, object] = wire.decode(body)
    missing = [name for name in row.key_names if name not in fields]
    if missing:
        raise Damaged(f"{row.place.name}: version {row.place.version} lacks the key attribute {missing[0]!r}")
    return msgspec.json.encode({name: fields[name] for name in row.key_names})
