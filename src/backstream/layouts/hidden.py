"""Objects behind a delete marker: they are still there, below it, and every reader of the vault sees them.

Compaction hides what it has taken over, and never waits for readers; a reader goes on with what it has listed. And whoever may
delete objects can hide all of a vault, Object Lock or not: a marker removes nothing, so it must not pass for an absence.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from backstream.errors import MissingObject
from backstream.ports import ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject


class Newest(ListedObject, frozen=True):
    """The newest version of a name that has a body. `markers`: those on top of it, newest first; none where it is current."""

    version: str
    markers: tuple[ObjectVersion, ...] = ()


def newest(store: ObjectStore, prefix: str, *, after: str = "") -> Iterator[Newest]:
    """As `ObjectStore.list`, but of hidden objects too: a page of a listing costs the same with versions as without."""
    return (each for each in every(store, prefix, after=after) if each.version)


def every(store: ObjectStore, prefix: str, *, after: str = "") -> Iterator[Newest]:
    """The same, and the names of which nothing but delete markers is left: these have no `version`."""
    for _, rows in groupby(store.versions(prefix, after=after), key=lambda each: each.name):
        yield _of_name(rows)


def emptied(store: ObjectStore, prefix: str) -> Iterator[Newest]:
    """Only those of which nothing but delete markers is left, as a lifecycle rule leaves them."""
    return (each for each in every(store, prefix) if not each.version)


def _of_name(rows: Iterator[ObjectVersion]) -> Newest:
    """Of one name's versions, newest first."""
    markers = list[ObjectVersion]()
    for row in rows:
        if not row.marker:
            return Newest(row.name, row.size, row.modified, row.version, tuple(markers))
        markers.append(row)
    return Newest(markers[0].name, 0, markers[0].modified, "", tuple(markers))


def read(store: ObjectStore, found: Newest) -> StoredObject:
    """The body of one that was listed, or of one that has come on top since."""
    return store.get(found.name, found.version) if found.markers else get(store, found.name)


def head(store: ObjectStore, name: str) -> ObjectInfo:
    """What the store knows of the object that `get` would give."""
    try:
        return store.head(name)
    except MissingObject as missing:
        return store.head(name, _below(store, name, missing))


def get(store: ObjectStore, name: str) -> StoredObject:
    """The current object, or, below a delete marker, the one that it hides. MissingObject where there was never one."""
    try:
        return store.get(name)
    except MissingObject as missing:
        return store.get(name, _below(store, name, missing))


def get_range(store: ObjectStore, name: str, start: int, length: int) -> bytes:
    """The same, of some of its bytes: see `ObjectStore.get_range`."""
    try:
        return store.get_range(name, start, length)
    except MissingObject:
        body = get(store, name).body
        first = max(0, len(body) + start) if start < 0 else start
        return body[first : first + length]


def _below(store: ObjectStore, name: str, missing: MissingObject) -> str:
    """The version below the delete marker; raises what was missing where there is none."""
    below = next((row.version for row in store.versions_of(name) if not row.marker), None) if missing.marker else None
    if below is None:
        raise missing
    return below
