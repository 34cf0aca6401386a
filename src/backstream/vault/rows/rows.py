"""The rows layout: each image a version of its item's object, native DynamoDB JSON as the body, readable by anyone.

Each version's metadata identifies its change, so the log can be rebuilt from the objects alone. A delete is a tombstone version
(body: the old image) and then S3's delete marker: the marker keeps plain S3 tools right, the tombstone keeps time, order and actor.
An interruption between the two leaves a version that no segment names, which does no harm, because the change is delivered again.
If several writers work at once, the slower one puts the newer version back on top: see `row_tops`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import msgspec

from backstream.errors import AlreadyExists, BackstreamError, Damaged, Failed, MissingObject, Unavailable
from backstream.model.changes.change import Change
from backstream.model.changes.entry import Entry, ImagePlace, Scanned, bare_change, bare_scan, of_change, of_scanned
from backstream.model.changes.fold import BEGINNING, FoldState
from backstream.model.tables import naming
from backstream.model.values import wire
from backstream.model.values.schema import canonical_key
from backstream.ports import ManyWrites, NewObject, ObjectStore, Tag
from backstream.vault.catalog import Catalog
from backstream.vault.rows import create_only
from backstream.vault.rows.own_versions import OwnVersions
from backstream.vault.rows.row_tops import Until, is_at, same_state, settle
from backstream.vault.rows.row_versions import (
    NewestVersion,
    RowVersion,
    known_of,
    metadata_of,
    newest_row,
    parse_metadata,
    row_versions,
)
from backstream.vault.rows.version_search import VersionSearch

REMEMBERED_NAMES = 100_000
LATE_NAMES = 200
NEW_SECONDS = 900  # after it was made, in which an INSERT is taken to be the newest change of its item


class RowStore:
    """Keeps images as versions of row objects. Safe for many threads, as long as one item's changes come from one thread at a time.

    It remembers the top of each object, so that a stream in order costs one PUT per change; it looks up only changes that may be
    late or repeated. `remember` bounds that memory (names).
    """

    def __init__(
        self, store: ObjectStore, catalog: Catalog, now: Callable[[], float] | None = None, *, remember: int = REMEMBERED_NAMES
    ) -> None:
        """`now`: of a writer whose changes come in the order of their shards; a new item is then created without a look."""
        self._store = store
        self._now = now
        self._catalog = catalog
        self._tops: OrderedDict[str, NewestVersion] = OrderedDict()
        self._late: OrderedDict[str, VersionSearch] = OrderedDict()
        self._own = OwnVersions()
        self._remember = remember
        self._lock = threading.Lock()

    def keep(self, change: Change) -> Entry:
        """Makes the change's image durable and returns the entry for the log. A repeated change returns the existing version."""
        name = self._name(change.keys, change.old if change.event == "REMOVE" else change.new)
        top, body = self._top(name), None
        if top.precedes(change):
            place = self._add(name, change, top, behind=self._forget_late(name))
        else:
            place, body = self._keep_late(name, change, top)
        self._leave_old_tenant(change, name)
        return of_change(change, place, body)

    # --- many at a time ---

    @property
    def keeps_many(self) -> bool:
        return isinstance(self._store, ManyWrites) and self._store.writes_many

    def keep_each(self, changes: Iterable[tuple[Tag, Change]]) -> Generator[tuple[Tag, Entry | BackstreamError | None], None, None]:
        store, others = self._store, deque[Tag]()
        if not isinstance(store, ManyWrites):
            raise TypeError(f"{store!r} writes one object at a time")  # whoever asks has looked at `keeps_many`

        def wanted() -> Iterator[tuple[tuple[Tag, Change, str], NewObject]]:
            for tag, change in changes:
                if (new := self._one_put(change)) is None:
                    others.append(tag)
                else:
                    yield (tag, change, new.name), new

        with closing(store.put_each(wanted())) as outcomes:
            for (tag, change, name), outcome in outcomes:
                yield tag, self._kept(name, change, outcome)
        for tag in others:
            yield tag, None

    def _one_put(self, change: Change) -> NewObject | None:
        """The version that is all that a change needs; None where more has to be looked at."""
        if change.event == "REMOVE" or self._catalog.tenant_attribute is not None:
            return None
        name = self._name(change.keys, change.new)
        with self._lock:
            top, late = self._tops.get(name), name in self._late
        if late or (top is None and not self._is_new(change)):
            return None
        if top is not None and (not top.precedes(change) or (change.event == "INSERT" and top.order is not None)):
            return None
        metadata = metadata_of(bare_change(change), self._catalog.key_schema.names)
        new = NewObject(name, _body_of(change), metadata, if_absent=top is None)
        if new.if_absent and create_only.known(self._store) is None:
            create_only.probe(self._store, new)
            return None  # what lies there now has to be looked at
        return None if new.if_absent and not create_only.known(self._store) else new

    def _is_new(self, change: Change) -> bool:
        """True if nothing newer can be below it, except for a row that another writer, who is ahead, has deleted again.

        An item that was just inserted is new. A writer that comes to it late, as by a redrive or after a pause, looks first.
        """
        return change.event == "INSERT" and self._now is not None and self._now() - change.seconds < NEW_SECONDS

    def _kept(self, name: str, change: Change, outcome: str | BackstreamError) -> Entry | BackstreamError | None:
        """None where there is something already, and where the store was not well, or does not know this: `keep` looks into it."""
        if isinstance(outcome, AlreadyExists | Unavailable) or type(outcome) is Failed:
            return None
        if isinstance(outcome, BackstreamError):
            return outcome
        with self._lock:
            top = self._tops.get(name)
            if top is not None:  # without one it was created: nothing was below
                self._own.note(name, top, self._row(name, outcome, bare_change(change)))
        self._note(name, (top or NewestVersion()).with_change(change))
        return of_change(change, ImagePlace(name, outcome))

    def _name(self, keys: bytes, image: bytes | None) -> str:
        catalog = self._catalog
        key = canonical_key(catalog.key_schema, wire.decode(keys))
        tenant = None
        if catalog.tenant_attribute is not None:
            tenant = naming.tenant_folder(wire.attribute(image or keys, catalog.tenant_attribute))
        return naming.object_name(catalog.table, catalog.naming, key, tenant, catalog.key_order)

    def _add(self, name: str, change: Change, top: NewestVersion, *, behind: bool) -> ImagePlace:
        """Adds a version on top, as far as is known. A look shows whether it hides, or brings back, a change of another writer.

        The look costs a LIST, so it is only for deletes, for versions upon a delete, and for a writer that was just `behind` in
        this object.
        """
        row, known = self._put(name, change), top.with_change(change)
        if change.event == "REMOVE":
            self._store.delete(name)
        if behind or change.event == "REMOVE" or (change.event == "INSERT" and top.order is not None):
            with self._lock:
                own, until = self._own.taken(name, top)
            seen = self._settle(name, [row, *own], until=until)
            if seen and not same_state(newest_row(seen), row):
                known = NewestVersion.of(known_of(seen))
        else:
            with self._lock:
                self._own.note(name, top, row)
        self._note(name, known)
        return row.place

    def _settle(self, name: str, known: Sequence[RowVersion], **how: Any) -> Sequence[RowVersion]:
        return settle(self._store, name, known, shared=self._catalog.tenant_attribute is not None, **how)

    def _put(self, name: str, change: Change) -> RowVersion:
        return self._put_entry(name, bare_change(change), _body_of(change))

    def _put_entry(
        self, name: str, entry: Entry, body: bytes, upon: NewestVersion | None = None, *, if_absent: bool = False
    ) -> RowVersion:
        metadata = metadata_of(entry, self._catalog.key_schema.names, upon)
        return self._row(name, self._store.put(name, body, metadata, if_absent=if_absent), entry, upon)

    def _row(self, name: str, version: str, entry: Entry, upon: NewestVersion | None = None) -> RowVersion:
        place = ImagePlace(name, version)
        bare = msgspec.structs.replace(entry, keys=b"", image=None, old=None, place=place, before=None, after=None, body=None)
        return RowVersion(bare, self._catalog.key_schema.names, upon)

    def _forget_late(self, name: str) -> bool:
        """Returns whether there was something late."""
        with self._lock:
            return self._late.pop(name, None) is not None

    # --- scanned images ---

    def keep_scanned(self, scanned: Scanned) -> tuple[Entry, bool]:
        """Makes a scanned image durable, unless the object's top is already that image. Newer versions stay on top.

        The entry of a state without an item has no place if a tombstone already states that.
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

    def keep_scanned_each(self, page: Sequence[Scanned]) -> dict[int, tuple[Entry, bool]]:
        """Does as `keep_scanned` for those whose place is empty, many at a time, and returns them by position.

        The others are for `keep_scanned`."""
        store, catalog = self._store, self._catalog
        if not isinstance(store, ManyWrites) or not store.writes_many or catalog.tenant_attribute is not None:
            return {}
        wanted = [(place, self._name(each.keys, each.image)) for place, each in enumerate(page) if each.image is not None]
        empty = list[tuple[int, str]]()
        with closing(store.get_each(((place, name), name, None) for place, name in wanted)) as found:
            for which, there in found:
                empty += [which] if isinstance(there, MissingObject) and not there.marker else []
        kept = dict[int, tuple[Entry, bool]]()
        with closing(store.put_each((which, self._scanned_object(which[1], page[which[0]])) for which in empty)) as written:
            for (place, name), version in written:
                if isinstance(version, str):
                    kept[place] = of_scanned(page[place], ImagePlace(name, version), page[place].image), True
        return kept

    def _scanned_object(self, name: str, scanned: Scanned) -> NewObject:
        """For an empty place: below it lies nothing."""
        metadata = metadata_of(bare_scan(scanned), self._catalog.key_schema.names, NewestVersion())
        return NewObject(name, scanned.image or b"", metadata, if_absent=True)

    def _current(self, name: str) -> tuple[RowVersion | None, bytes | None]:
        """Returns the version that gives a row object's state (under a delete marker: the tombstone), and the current body, None
        without one.

        A body without a version belongs to a foreign object.
        """
        try:
            stored = self._store.get(name)
        except MissingObject as missing:
            return (next(row_versions(self._store, name), None) if missing.marker else None), None
        return parse_metadata(stored.info), stored.body

    def _add_scanned(self, name: str, scanned: Scanned, top: RowVersion | None, kept: bytes, *, empty: bool) -> ImagePlace:
        """Puts a version of the scan on top, and then every newer version on top of that: those that existed, or have come
        meanwhile.
        """
        upon = (
            NewestVersion() if empty else None if top is None else NewestVersion.of_row(top)
        )  # below a foreign object anything may lie
        row = self._put_entry(name, bare_scan(scanned), kept, upon, if_absent=empty)
        if not empty or row.entry.removed:
            self._settle(name, [row, *([] if top is None else [top])], until=is_at(None if top is None else top.place))
        return row.place

    # --- late and repeated changes ---

    def _top(self, name: str) -> NewestVersion:
        with self._lock:
            if name in self._tops:
                self._tops.move_to_end(name)
                return self._tops[name]
        top = self._look_up(name)
        self._note(name, top)
        return top

    def _note(self, name: str, top: NewestVersion) -> None:
        with self._lock:
            self._tops[name] = top
            self._tops.move_to_end(name)
            while len(self._tops) > self._remember:
                self._tops.popitem(last=False)

    def _look_up(self, name: str) -> NewestVersion:
        try:
            current = parse_metadata(self._store.head(name))
        except MissingObject as missing:
            # Below a delete marker lies the tombstone that identifies the delete.
            current = next(row_versions(self._store, name), None) if missing.marker else None
        if current is None:
            return NewestVersion()
        top = NewestVersion.of_row(current)
        if top is not None:
            return top
        # A scanned image that does not state what it was put upon: the newest change is right below it.
        change = next((row.entry for row in row_versions(self._store, name) if not row.entry.scanned), None)
        known = FoldState().with_entry(current.entry)
        return NewestVersion.of(known if change is None else known.with_entry(change))

    def _keep_late(self, name: str, change: Change, top: NewestVersion) -> tuple[ImagePlace, bytes | None]:
        """Keeps a change once that something newer (or itself) has overtaken, and puts the newest back on top for plain S3 tools.

        Returns the place, and the bytes there if an earlier delivery wrote them. `top`: the newest that is known. Nobody looks
        below it, since nothing newer lies there. Below a scanned image the newest change may lie.
        """
        search = self._search(name)
        kept, body = self._kept_before(search.of(change), change)
        with self._lock:
            own, until = self._own.taken(name, top)
        if kept is None:
            kept = self._put(name, change)
            search.add([kept])
        seen = self._settle(name, [*search.rows, *own], until=until if top.began == BEGINNING else _nowhere)
        newest = newest_row(seen) if seen else kept
        self._note(name, top if top.is_of(newest) else NewestVersion.of(known_of(seen)))
        search.add(reversed(seen))
        return kept.place, body

    def _kept_before(self, found: Iterable[RowVersion], change: Change) -> tuple[RowVersion | None, bytes | None]:
        """Returns the version that an earlier delivery of a change made, and its bytes.

        A version with another image is not one, whatever it says.
        """
        for row in found:
            try:
                body = self._store.get(row.place.name, row.place.version).body
            except MissingObject:
                continue  # a lifecycle rule has removed it since it was asked for
            if _same(_body_of(change), body):
                return row, body
        return None, None

    def _search(self, name: str) -> VersionSearch:
        """Returns the search among an object's versions. It is remembered, since late changes come in batches."""
        with self._lock:
            if name in self._late:
                self._late.move_to_end(name)
                return self._late[name]
        search = VersionSearch(self._store, name)
        with self._lock:
            self._late[name] = search
            while len(self._late) > LATE_NAMES:
                self._late.popitem(last=False)
        return search

    def _hide(self, name: str, left: Until) -> None:
        """Puts a marker on top of an object that its item has left, unless the item has come back meanwhile."""
        try:
            self._store.head(name)
        except MissingObject:
            return
        self._settle(name, [], left=left, mine=[self._store.delete(name)])

    def _leave_old_tenant(self, change: Change, name: str) -> None:
        """Hides the old object of an item that moved to another tenant. Its versions there stay."""
        if self._catalog.tenant_attribute is None or change.event != "MODIFY" or change.old is None:
            return
        old_name = self._name(change.keys, change.old)
        if old_name != name and self._top(old_name).precedes(change):
            self._hide(old_name, lambda newest: NewestVersion.of(known_of([newest])).precedes(change))

    def _leave_scanned_tenant(self, scanned: Scanned, name: str) -> None:
        """Does the same for an item that was found under another tenant than the vault held it."""
        if self._catalog.tenant_attribute is None or scanned.image is None or scanned.old is None:
            return
        old_name = self._name(scanned.keys, scanned.old)
        if old_name == name:
            return
        top, _ = self._current(old_name)
        if top is not None and top.entry.since < scanned.began:
            self._hide(old_name, lambda newest: newest.entry.since < scanned.began)


def _nowhere(_: RowVersion) -> bool:
    return False


def _body_of(change: Change) -> bytes:
    """Returns the body of a change's row object: for a delete the old image."""
    return (change.old if change.event == "REMOVE" else change.new) or b""


def _tells(top: RowVersion, body: bytes | None, scanned: Scanned) -> bool:
    """True if the version on top already holds what was found.

    The state in an export has a version of its own: see `Window.superseded`.
    """
    if top.entry.micros > scanned.micros or (scanned.source and top.entry.event_id != scanned.source):
        return False
    return scanned.image is None if top.entry.removed else _same(scanned.image, body)


def _same(image: bytes | None, body: bytes | None) -> bool:
    """True if a row's body is this image. An unreadable body is not."""
    try:
        return image is not None and body is not None and wire.same_image(image, body)
    except Damaged:
        return False
