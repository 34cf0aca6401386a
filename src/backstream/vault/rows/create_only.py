"""Tells if a store keeps a create-only PUT from hiding what is there: servers that speak S3 need not know conditions.

It is seen once for each store: one row is created twice, and the second time must be refused. A server that ignores the condition
then has that row twice, which does no harm; the caller looks at that row again.
"""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

from backstream.errors import AlreadyExists, Failed, Unavailable
from backstream.ports import NewObject, ObjectStore

_seen: WeakKeyDictionary[ObjectStore, bool] = WeakKeyDictionary()
_lock = threading.Lock()


def known(store: ObjectStore) -> bool | None:
    """True if it does; None if nobody has seen it yet."""
    return _seen.get(store)


def probe(store: ObjectStore, new: NewObject) -> None:
    """See it, by a row that may be written. Nothing is learned where the store is not well."""
    with _lock:
        if store in _seen:
            return
        try:
            store.put(new.name, new.body, new.metadata, if_absent=True)
            store.put(new.name, new.body, new.metadata, if_absent=True)
            _seen[store] = False
        except AlreadyExists:
            _seen[store] = True
        except Unavailable:
            return
        except Failed:  # as 501, of a condition that it does not know
            _seen[store] = False
