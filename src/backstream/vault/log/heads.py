"""Heads link the segments of a run, or of a writer, in addition to the sequence numbers that a run has anyway.

Each segment's metadata has `previous`: the head that its writer had before, in the same run or, for a function, of its last
segment. A head is a digest of a whole segment without its signature. So a replaced segment does not fit its successor, and a
watermark that names heads vouches for all segments before them. A writer without runs also states the predecessor's name (`upon`),
so that its removal shows too (see `writer_chains`).
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

from backstream.model.sealing import NONE, statement_of
from backstream.ports import ObjectStore

DIGITS = 32
NAMED = 20  # heads in a watermark's metadata, which may have 2 KB in all
REMEMBERED = 10_000


def head_of(name: str, body: bytes, metadata: Mapping[str, str]) -> str:
    """Returns the head of a segment."""
    return head_by(name, hashlib.sha256(body).hexdigest(), metadata)


def head_by(name: str, digest: str, metadata: Mapping[str, str]) -> str:
    """Returns the head of a segment whose bytes have that SHA-256 (hex)."""
    return hashlib.sha256(statement_of(name, digest, metadata)).hexdigest()[:DIGITS]


class Head(NamedTuple):
    """A segment as its successor names it: its head, and its name below the log."""

    digest: str
    path: str


class Heads:
    """The heads of one process's segments. Safe for many threads."""

    def __init__(self) -> None:
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._counter = 0
        self._lock = threading.Lock()

    def before(self, chain: str) -> Head:
        """Returns the current head of a chain; `none` if this process has written none of its segments yet."""
        return self._heads.get(chain, Head(NONE, ""))

    def note(self, chain: str, digest: str, path: str) -> None:
        """Continues the chain from this segment."""
        with self._lock:
            self._heads[chain] = Head(digest, path)
            self._heads.move_to_end(chain)
            while len(self._heads) > REMEMBERED:
                self._heads.popitem(last=False)

    def forget(self, chain: str) -> None:
        """Names no predecessor next time."""
        with self._lock:
            self._heads.pop(chain, None)

    def named(self) -> str:
        """Returns the heads of the chains that were last written, as `CHAIN:HEAD`, separated by commas."""
        with self._lock:
            newest = list(self._heads.items())[-NAMED:]
        return ",".join(f"{hashlib.sha256(chain.encode()).hexdigest()[:8]}:{head.digest}" for chain, head in newest)

    def count(self, now: float) -> int:
        """Returns a number that rises from watermark to watermark, over all writers: milliseconds, and never the same twice."""
        with self._lock:
            self._counter = max(self._counter + 1, int(now * 1_000))
            return self._counter


_lock = threading.Lock()
_of_stores: WeakKeyDictionary[ObjectStore, dict[str, Heads]] = WeakKeyDictionary()


def heads_of(store: ObjectStore, table: str) -> Heads:
    """Returns the heads of a table's log in a store: one object per process, however often a function opens the vault."""
    with _lock:
        return _of_stores.setdefault(store, {}).setdefault(table, Heads())
