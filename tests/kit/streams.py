"""Wrappers around a change stream: one that counts, one that lists its shards late, one that fails as told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import msgspec

from backstream.ports import ChangeStream, RecordsPage, StreamFacts


class Wrapped:
    """Passes everything on; what others are made of."""

    def __init__(self, inner: ChangeStream) -> None:
        self.inner = inner

    def facts(self) -> StreamFacts:
        """The stream with its shards."""
        return self.inner.facts()

    def iterator(self, shard: str, after: str | None) -> str:
        """Where to read on."""
        return self.inner.iterator(shard, after)

    def read(self, shard: str, iterator: str) -> RecordsPage:
        """The next records."""
        return self.inner.read(shard, iterator)


class Counting(Wrapped):
    """`delivered`: how often each record was handed out."""

    def __init__(self, inner: ChangeStream) -> None:
        super().__init__(inner)
        self.delivered: Counter[str] = Counter()
        self._lock = threading.Lock()

    def read(self, shard: str, iterator: str) -> RecordsPage:
        page = self.inner.read(shard, iterator)
        with self._lock:
            self.delivered.update(change.sequence for change in page.changes)
        return page


class SmallPages(Wrapped):
    """Gives at most `records` at a time, and calls `between` after each page that held any."""

    def __init__(self, inner: ChangeStream, records: int, between: Callable[[], object] = lambda: None) -> None:
        super().__init__(inner)
        self._records = records
        self._between = between

    def read(self, shard: str, iterator: str) -> RecordsPage:
        page = self.inner.read(shard, iterator)
        if len(page.changes) > self._records:
            changes = page.changes[: self._records]
            page = RecordsPage(changes, self.inner.iterator(shard, changes[-1].sequence), page.server_time)
        if page.changes:
            self._between()
        return page


class LateListing(Wrapped):
    """Lists no shard whose parent is listed until it has been asked `looks` times since that ended, a sibling `apart` later."""

    def __init__(self, inner: ChangeStream, looks: int, apart: int = 0) -> None:
        super().__init__(inner)
        self._looks = looks
        self._apart = apart
        self._asked: Counter[str] = Counter()

    def facts(self) -> StreamFacts:
        facts = self.inner.facts()
        self._asked.update({shard.parent for shard in facts.shards if shard.parent is not None})
        shards, before, there = [], Counter[str](), {shard.id for shard in facts.shards}
        for shard in facts.shards:
            if shard.parent not in there or self._asked[shard.parent] > self._looks + before[shard.parent] * self._apart:
                shards.append(shard)
            before.update(shard.parents)
        return msgspec.structs.replace(facts, shards=shards)


class OneByOne(Wrapped):
    """Lists of each closed shard's children only the first, until `both` says that the other one shows."""

    def __init__(self, inner: ChangeStream, both: Callable[[], bool]) -> None:
        super().__init__(inner)
        self._both = both

    def facts(self) -> StreamFacts:
        facts = self.inner.facts()
        if self._both():
            return facts
        only: dict[str, str] = {}
        shards = [each for each in facts.shards if each.parent is None or only.setdefault(each.parent, each.id) == each.id]
        return msgspec.structs.replace(facts, shards=shards)


class Failing(Wrapped):
    """Calls `trouble(operation)` before each call; what that raises is what the call raises."""

    def __init__(self, inner: ChangeStream, trouble: Callable[[str], None]) -> None:
        super().__init__(inner)
        self._trouble = trouble

    def facts(self) -> StreamFacts:
        self._trouble("facts")
        return self.inner.facts()

    def iterator(self, shard: str, after: str | None) -> str:
        self._trouble("iterator")
        return self.inner.iterator(shard, after)

    def read(self, shard: str, iterator: str) -> RecordsPage:
        self._trouble("read")
        return self.inner.read(shard, iterator)
