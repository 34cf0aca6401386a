"""Objects that were hidden behind a delete marker since somebody listed them: they are still there, below it.

Compaction hides what it has taken over, and never waits for readers; a reader goes on with what it has listed.
"""

from __future__ import annotations

from backstream.errors import MissingObject
from backstream.ports import ObjectInfo, ObjectStore, StoredObject


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
