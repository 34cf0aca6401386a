"""Gaps: what is known to be missing from a log. Written once, never changed; whether one still stands is read off the log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import msgspec

from backstream.errors import AlreadyExists, Damaged
from backstream.layouts import hidden
from backstream.layouts.catalog import folder
from backstream.layouts.hidden import Newest
from backstream.model import moment
from backstream.model.decoding import UNDECODABLE, reason
from backstream.ports import ObjectStore


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """Changes made between `since` and `until` (seconds, both included) may be missing.

    `sequence`: the one change that is missing, where it is known; the gap is closed once the log holds it.
    """

    reason: str
    since: int
    until: int
    stream: str
    shard: str | None = None
    sequence: str | None = None

    @property
    def id(self) -> str:
        """The same gap, found twice, is one: of a single change whatever the reason, of a time by where it begins."""
        what = (self.stream, self.sequence) if self.sequence else (self.stream, self.shard or "", self.reason, str(self.since))
        return hashlib.sha256("|".join(what).encode()).hexdigest()[:16]


class Gaps:
    """The gaps of one table."""

    def __init__(self, store: ObjectStore, table: str) -> None:
        self._store = store
        self._prefix = folder(table) + "gaps/"

    def record(self, gap: Gap) -> None:
        """Keep it; a gap that is already known stays as it is."""
        try:
            self._store.put(f"{self._prefix}{gap.id}.json", msgspec.json.encode(gap), {"format": "1"}, if_absent=True)
        except AlreadyExists:
            return  # the same gap under the same name: that is what was asked for

    def all(self) -> Iterator[Gap]:
        """Every gap ever recorded. Damaged where one cannot be read: it must not pass for none."""
        return map(self.read, self.records())

    def records(self) -> Iterator[Newest]:
        """The objects in which they are kept, hidden ones too: no gap is ever taken back."""
        listing = hidden.newest(self._store, self._prefix)
        return (each for each in listing if not each.markers or each.name.endswith(".json"))

    def read(self, record: Newest) -> Gap:
        """A gap by its record. Damaged where it cannot be read."""
        try:
            gap = msgspec.json.decode(hidden.read(self._store, record).body, type=Gap)
        except UNDECODABLE as error:
            raise Damaged(f"the record of a gap cannot be read: {record.name}: {reason(error)}") from error
        if not (moment.is_known(gap.since) and moment.is_known(gap.until)):
            raise Damaged(f"the record of a gap cannot be read: {record.name}: it is of no time")
        return gap
