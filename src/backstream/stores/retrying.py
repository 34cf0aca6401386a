"""Adds retries to any `ports.ObjectStore`: a call that is `Unavailable` is tried again, within a budget of seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import takewhile
from typing import TypeVar

from backstream.errors import Unavailable
from backstream.ports import (
    Clock,
    Found,
    ListedObject,
    ManyWrites,
    NewObject,
    ObjectInfo,
    ObjectStore,
    ObjectVersion,
    StoredObject,
    Tag,
    Wanted,
    Written,
)
from backstream.retries import Attempt, full_jitter, persistently

_Answer = TypeVar("_Answer")
_Row = TypeVar("_Row", ListedObject, ObjectVersion)

BUDGET_SECONDS = 60.0


class RetryingStore:
    """Retries `Unavailable`, and nothing else, with full jitter.

    Each call may wait until `budget` seconds have passed since it began, or until `deadline()` (epoch seconds: a Lambda's last
    moment) if that is sooner. Then the last error is raised. A retried `put` or `delete` may leave the same version twice, when
    only the first answer was lost; with `if_absent` the store below recognises its own write.

    A listing that breaks off is started again behind the last row that was handed out, with a new budget: its reader sees each row
    once. `versions` cannot start in the middle of a name, so it skips the rows already seen; that costs pages, never a row.

    In `get_each`, objects that are `Unavailable` are requested again after some of the others; each has its own budget, from its
    first failure.
    """

    def __init__(
        self,
        store: ObjectStore,
        clock: Clock,
        *,
        budget: float = BUDGET_SECONDS,
        deadline: Callable[[], float] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._budget = budget
        self._deadline = deadline
        self._jitter = jitter

    @property
    def url(self) -> str:
        return self._store.url

    def check(self) -> None:
        self._patiently(self._store.check)

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        return self._patiently(lambda: self._store.put(name, body, metadata, if_absent=if_absent, if_match=if_match))

    def get(self, name: str, version: str | None = None) -> StoredObject:
        return self._patiently(lambda: self._store.get(name, version))

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        def ask(attempts: Iterator[Attempt[Wanted[Tag]]]) -> Found[Attempt[Wanted[Tag]]]:
            return self._store.get_each((each, each.item[1], each.item[2]) for each in attempts)

        with closing(
            persistently(ask, wanted, worth_another=_unavailable, delays=self._delays, sleep=self._clock.sleep)
        ) as outcomes:
            for (tag, _, _), outcome in outcomes:
                yield tag, outcome

    @property
    def writes_many(self) -> bool:
        return isinstance(self._store, ManyWrites) and self._store.writes_many

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        store = self._store
        if not isinstance(store, ManyWrites):
            raise TypeError(f"{store!r} writes one object at a time")  # whoever asks has looked at `writes_many`
        return store.put_each(wanted)  # who writes many at a time continues with the others: see `ports.ManyWrites`

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._patiently(lambda: self._store.get_range(name, start, length))

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return self._patiently(lambda: self._store.head(name, version))

    def delete(self, name: str) -> str:
        return self._patiently(lambda: self._store.delete(name))

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        return self._resumed(lambda last: self._store.list(prefix, after=last.name if last else after))

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        return self._resumed(lambda last: _behind(last, self._store.versions(prefix, after=after)))

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        return self._resumed(lambda last: _behind(last, self._store.versions_of(name)))

    def _patiently(self, call: Callable[[], _Answer]) -> _Answer:
        delays = self._delays()
        while True:
            try:
                return call()
            except Unavailable:
                if not self._waited(delays):
                    raise

    def _resumed(self, start: Callable[[_Row | None], Iterator[_Row]]) -> Iterator[_Row]:
        """Yields the rows of `start(None)`; if they break off, continues with `start(last row)`, and so on."""
        last, failed_behind, delays = None, None, self._delays()
        while True:
            try:
                for row in start(last):
                    yield row
                    last = row
            except Unavailable:
                if last is not failed_behind:  # it got further this time
                    failed_behind, delays = last, self._delays()
                if not self._waited(delays):
                    raise
            else:
                return

    def _delays(self) -> Iterator[float]:
        """Yields the waits of one call that begins now, until its last moment."""
        last_moment = self._clock.now() + self._budget
        if self._deadline is not None:
            last_moment = min(last_moment, self._deadline())
        return takewhile(lambda delay: self._clock.now() + delay <= last_moment, full_jitter(self._jitter))

    def _waited(self, delays: Iterator[float]) -> bool:
        """Sleeps before the next attempt. Returns False, at once, if that would come too late."""
        delay = next(delays, None)
        if delay is None:
            return False
        self._clock.sleep(delay)
        return True


def _unavailable(outcome: object) -> bool:
    return isinstance(outcome, Unavailable)


def _behind(last: ObjectVersion | None, rows: Iterator[ObjectVersion]) -> Iterator[ObjectVersion]:
    """Yields the rows that follow `last` in a listing begun anew, in which newer versions may precede it."""
    if last is None:
        yield from rows
        return
    found = False
    for row in rows:
        if found or row.name > last.name:
            yield row
        found = found or (row.name, row.version) == (last.name, last.version)
