"""Tells when an item was gone although no change says so: a read of the whole table did not find it, or the table was made anew."""

from __future__ import annotations

from typing import NamedTuple

from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.clocks import CLOCKS_APART
from backstream.model.window import FormerLife
from backstream.vault.coverage import counts
from backstream.vault.table_vault import TableVault


class Gone(NamedTuple):
    """A second from which on an item was not in the table, and what shows that."""

    second: int
    why: str


class Endings:
    """The reads of one table, and the times at which it was created again."""

    def __init__(self, vault: TableVault) -> None:
        self._reads = sorted((each.begin, each.end) for each in vault.bases.complete() if each.kind.was_read)
        self._lives = [FormerLife(each.created, each.stream) for each in vault.catalog.lives]

    def of(self, version: Entry, known: int, after: Entry | None) -> Gone | None:
        """Returns the first proof that a version was gone before the item's next entry; None if there is none.

        `known`: the last second in which the version was found; `after`: the next entry, None if there is none.
        """
        if version.removed:
            return None
        found = [*self._not_found(known, after), *self._of_former_lives(version, known, after)]
        return min(found, default=None)

    def _not_found(self, known: int, after: Entry | None) -> list[Gone]:
        return [
            Gone(end, f"no change says when it went: a base backup that ended at {moment.iso(end)} did not find it")
            for begin, end in self._reads
            if known < begin and (after is None or after.seconds > end + CLOCKS_APART)
        ]

    def _of_former_lives(self, version: Entry, known: int, after: Entry | None) -> list[Gone]:
        return [
            Gone(
                max(life.created, known), f"no change says when it went: the table was created again at {moment.iso(life.created)}"
            )
            for life in self._lives
            if not counts([life], version) and (after is None or counts([life], after))
        ]
