"""A gap: changes that are known to be missing. Pure: `gaps` and `index` store it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from backstream.model import moment
from backstream.model.changes.change import is_sequence


class DifferingRow(msgspec.Struct, frozen=True, array_like=True):
    """A row that `verify` found to differ, and that did not change between two seconds. `key` is the canonical key.

    `held` is the digest of the vault's state of it, and `seen` the digest of the table's state. See `values.digests`.
    """

    key: str
    held: str
    seen: str
    since: int
    until: int


class Gap(msgspec.Struct, frozen=True, omit_defaults=True):
    """Changes made between `since` and `until` (seconds, both included) may be missing.

    `sequence`: the one missing change, if it is known; the gap is closed once the log holds it. `batch`: the object in the
    on-failure destination whose changes are missing; the gap is closed once `redrive` has brought them. `sequences`: the batch's
    changes, if they could be read; the gap is also closed once the log holds all of them. `key`: the canonical key of the only item
    that lacks a change; None if it may be any item. `differing`: all rows in which vault and table differed; the gap is closed once
    the vault holds the changes that explain each of them. It is None if they are not known: see docs/notes/0031.
    """

    reason: str
    since: int
    until: int
    stream: str
    shard: str | None = None
    sequence: str | None = None
    batch: str | None = None
    sequences: tuple[str, ...] = ()
    key: str | None = None
    differing: tuple[DifferingRow, ...] | None = None

    @property
    def id(self) -> str:
        """The id of the gap. A gap that is found twice keeps its id: a change or a batch whatever the reason, a period by its
        begin.

        An item's gap is identified by the second of the change that shows it.
        """
        what: tuple[str, ...] = (self.stream, self.shard or "", self.reason, str(self.since))
        if self.key is not None:
            what = ("item", self.key, str(self.until))
        elif self.sequence:
            what = (self.stream, self.sequence)
        elif self.batch:
            what = ("batch", self.batch)
        return hashlib.sha256("|".join(what).encode()).hexdigest()[:16]

    @property
    def unread(self) -> bool:
        """True if nobody ever read the stream of that time, in any shard: no reader has to go back there."""
        return self.shard is self.sequence is self.key is self.batch is None and self.differing is None

    @property
    def evidence(self) -> str:
        """The name of exactly these rows that differed."""
        return f"differing|{self.id}|{hashlib.sha256(msgspec.json.encode(self.differing)).hexdigest()}"

    @property
    def numbers(self) -> tuple[str, ...]:
        """The sequence numbers of the missing changes; none if one of them is unknown or not a number."""
        found = self.sequences if self.sequence is None else (self.sequence,)
        return found if all(map(is_sequence, found)) else ()


def together(one: Gap, other: Gap) -> Gap:
    """Returns the longer one of two records of a gap, with the rows of both. A row that differed once is explained or missing."""
    known = one.differing is not None and other.differing is not None
    rows = {*(one.differing or ()), *(other.differing or ())}
    return msgspec.structs.replace(
        max(one, other, key=lambda each: each.until),
        differing=tuple(sorted(rows, key=msgspec.structs.astuple)) if known else None,
    )


def merged(gaps: Iterable[Gap]) -> list[Gap]:
    """Returns each gap once, in its longest form."""
    longest: dict[str, Gap] = {}
    for gap in gaps:
        known = longest.get(gap.id)
        longest[gap.id] = gap if known is None else together(known, gap)
    return list(longest.values())


def is_sound(gap: Gap) -> bool:
    """True if its times exist."""
    return moment.is_known(gap.since) and moment.is_known(gap.until)
