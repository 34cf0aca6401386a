"""Reads objects below delete markers: they still exist, and every reader of the vault sees them.

Compaction hides the objects that it replaces, and never waits for readers; a reader continues with the objects that it listed.
Also, anybody who may delete objects can hide a whole vault, with or without Object Lock. A marker removes nothing, so it must not
pass for an absence.

Most of a vault's own objects are written once (create-only). The first version of such a name counts. A later version with other
contents was put there by somebody else; it is reported as damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, pairwise, takewhile
from typing import TypeVar

from backstream.errors import BackstreamError, Damaged, MissingObject
from backstream.ports import ListedObject, ObjectInfo, ObjectStore, ObjectVersion, StoredObject, Vouching


class Newest(ListedObject, frozen=True):
    """The newest version of a name that has a body.

    `markers`: the delete markers on top of it, newest first; empty if it is current.
    """

    version: str
    markers: tuple[ObjectVersion, ...] = ()


Found = TypeVar("Found", bound=Newest)


class First(Newest, frozen=True):
    """The first version of a name that is written once. `later` holds the other versions with a body, newest first.

    `over` holds those that no create-only write can have made, because there was no delete marker to write over.
    """

    later: tuple[ObjectVersion, ...] = ()
    over: tuple[ObjectVersion, ...] = ()


def firsts(store: ObjectStore, prefix: str, *, after: str = "") -> Iterator[First]:
    """Yields, like `newest`, names that are written once, each with the version that was written first."""
    return (each for each in every_first(store, prefix, after=after) if each.version)


def every_first(store: ObjectStore, prefix: str, *, after: str = "") -> Iterator[First]:
    """Yields the same, and also names that only delete markers are left of; these have an empty `version`."""
    for _, rows in groupby(store.versions(prefix, after=after), key=lambda each: each.name):
        yield first_of(list(rows))


def first_of(rows: Sequence[ObjectVersion]) -> First:
    """Returns the first version of one name, from its rows (newest first). Its `version` is empty if all rows are markers."""
    bodies = [row for row in rows if not row.marker]
    if not bodies:
        return First(rows[0].name, 0, rows[0].modified, "", tuple(rows))
    markers = tuple(takewhile(lambda row: row.marker, rows))
    first = bodies[-1]
    over = tuple(row for row, below in pairwise(rows) if not row.marker and not below.marker)
    return First(first.name, first.size, first.modified, first.version, markers, tuple(bodies[:-1]), over)


def first(store: ObjectStore, name: str) -> First:
    """Returns the first version of a name that is written once. Raises MissingObject if there is none."""
    rows = list(store.versions_of(name))
    if not rows or not first_of(rows).version:
        raise MissingObject(f"{store.url}/{name} is missing.", marker=bool(rows))
    return first_of(rows)


def pinned(store: ObjectStore, found: Newest) -> StoredObject:
    """Returns exactly the version that was listed, whatever has been written on top of it since."""
    if _is_below(found):
        return store.get(found.name, found.version)
    try:
        current = store.get(found.name)
    except MissingObject:
        return store.get(found.name, found.version)
    return current if current.info.version == found.version else store.get(found.name, found.version)


def pinned_each(store: ObjectStore, found: Iterable[Found]) -> Iterator[tuple[Found, StoredObject]]:
    """The same of many, read side by side, in no order. Raises what `get` would of the first that cannot be had."""
    wanted = ((each, each.name, each.version if _is_below(each) else None) for each in found)
    with closing(store.get_each(wanted)) as reading:
        for each, stored in reading:
            if isinstance(stored, MissingObject) or (isinstance(stored, StoredObject) and stored.info.version != each.version):
                stored = store.get(each.name, each.version)
            if isinstance(stored, BackstreamError):
                raise stored
            yield each, stored


def _is_below(found: Newest) -> bool:
    return bool(found.markers) or (isinstance(found, First) and bool(found.later))


def planted(store: ObjectStore, found: First) -> list[ObjectVersion]:
    """Returns the later versions whose bytes differ from the first version's. Writing the same bytes twice is harmless."""
    same_size = any(each.size == found.size for each in found.later)
    body = store.get(found.name, found.version).body if same_size else b""
    return [each for each in found.later if each.size != found.size or store.get(each.name, each.version).body != body]


def vouch(store: ObjectStore, name: str, version: str | None = None) -> None:
    """Returns if an object may be trusted by its name. Raises NotSigned if the reader requires signatures and it has none."""
    if isinstance(store, Vouching):
        store.vouch(name, version)


def later_version(each: ObjectVersion) -> str:
    """Returns the text that names such a later version in a report of damage."""
    return f"{each.name} (version {each.version})"


def damage_of(store: ObjectStore, found: Newest) -> list[Damaged]:
    """Returns later versions with other contents as errors. They are not read, only reported."""
    later = planted(store, found) if isinstance(found, First) and found.later else []
    return [Damaged(f"{later_version(each)}: {LATER}") for each in later]


LATER = "damage, a second version of an object that is written only once; the first version counts, and this one is not read"


PLANTED = "damage, a record of compacted objects that no compaction made; it is not read"


def newest(store: ObjectStore, prefix: str, *, after: str = "") -> Iterator[Newest]:
    """Yields objects like `ObjectStore.list`, hidden ones included. A page of a listing costs the same with versions as without."""
    return (each for each in every(store, prefix, after=after) if each.version)


def every(store: ObjectStore, prefix: str, *, after: str = "") -> Iterator[Newest]:
    """Yields the same, and also names that only delete markers are left of; these have an empty `version`."""
    for _, rows in groupby(store.versions(prefix, after=after), key=lambda each: each.name):
        yield _of_name(rows)


def emptied(store: ObjectStore, prefix: str) -> Iterator[Newest]:
    """Yields only names that nothing but delete markers are left of, as a lifecycle rule leaves them."""
    return (each for each in every(store, prefix) if not each.version)


def _of_name(rows: Iterator[ObjectVersion]) -> Newest:
    """Returns the newest version with a body, from one name's versions (newest first)."""
    markers = list[ObjectVersion]()
    for row in rows:
        if not row.marker:
            return Newest(row.name, row.size, row.modified, row.version, tuple(markers))
        markers.append(row)
    return Newest(markers[0].name, 0, markers[0].modified, "", tuple(markers))


def read(store: ObjectStore, found: Newest) -> StoredObject:
    """Returns the body of a listed object, or of the version that has replaced it since."""
    return store.get(found.name, found.version) if found.markers else get(store, found.name)


def head(store: ObjectStore, name: str) -> ObjectInfo:
    """Returns the store's metadata of the object that `get` would return."""
    try:
        return store.head(name)
    except MissingObject as missing:
        return store.head(name, _below(store, name, missing))


def get(store: ObjectStore, name: str, *, sure: bool = False) -> StoredObject:
    """Returns the current object, or the one that a delete marker hides. Raises MissingObject if there was never one.

    `sure`: look for versions also where the server says nothing of a marker, as not every server does. It costs a LIST.
    """
    try:
        return store.get(name)
    except MissingObject as missing:
        missing.marker = missing.marker or sure
        return store.get(name, _below(store, name, missing))


def get_range(store: ObjectStore, name: str, start: int, length: int) -> bytes:
    """Returns some of the bytes that `get` would return: see `ObjectStore.get_range`."""
    try:
        return store.get_range(name, start, length)
    except MissingObject:
        return some_of(get(store, name).body, start, length)


def some_of(body: bytes, start: int, length: int) -> bytes:
    """Returns the part of a body that `ObjectStore.get_range` would return."""
    begin = max(0, len(body) + start) if start < 0 else start
    return body[begin : begin + length]


def _below(store: ObjectStore, name: str, missing: MissingObject) -> str:
    """Returns the version below the delete marker. Raises `missing` if there is none."""
    below = next((row.version for row in store.versions_of(name) if not row.marker), None) if missing.marker else None
    if below is None:
        raise missing
    return below
