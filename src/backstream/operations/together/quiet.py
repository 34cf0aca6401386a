"""Finds a quiet second of a group: one after which no table has a change for a second.

A transaction (TransactWriteItems) writes to several tables. Its stream records carry no id of it, and times are whole seconds, so
a moment may have one table's half of it and not the other's. No transaction lies on both sides of a quiet second, as long as its
records are not stamped more than a second apart. See docs/groups.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from backstream.engine.local.memory import Memory
from backstream.errors import Damaged, Refused
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.operations.changes import ChangeWindow
from backstream.operations.changes.reading import WindowLog
from backstream.vault.table_vault import TableVault

BACK = (60, 600, 3600)  # seconds before the moment that are looked at: the first usually has a quiet one


class Quiet(msgspec.Struct, frozen=True):
    """The answer. `at`: the latest quiet second up to `asked`.

    `changed`: the tables that changed in the second `asked`; `others`: those that did not; `after`: the tables that changed in the
    next one; `unproven`: the tables for which it is not proven that the vault holds all changes of the next second.
    """

    at: int
    asked: int
    changed: Sequence[str] = ()
    others: Sequence[str] = ()
    after: Sequence[str] = ()
    unproven: Sequence[str] = ()

    @property
    def note(self) -> str:
        """Returns what stands in the way of the moment that was asked for; empty if it is quiet itself."""
        if self.at == self.asked:
            return ""
        why = [
            *([f"{', '.join(self.after)} changed in the second after it"] if self.after else []),
            *([f"changes of {', '.join(self.unproven)} in the second after it are not proven yet"] if self.unproven else []),
        ]
        only = self.changed and self.others
        some = f"; {', '.join(self.changed)} changed in its own second, and {', '.join(self.others)} did not" if only else ""
        return (
            f"{moment.iso(self.asked)} is not quiet: {' and '.join(why)}{some}. A transaction may lie on both sides of it. "
            f"The latest quiet second before it is {moment.iso(self.at)}"
        )


def quiet(vaults: Mapping[str, TableVault], at: int, now: float, memory: Memory) -> Quiet:
    """Returns the latest quiet second up to `at`.

    Raises Refused if there is none within an hour, and Damaged if something cannot be read.
    """
    for back in BACK:
        found = {table: _ChangedSeconds(vault, at - back, at + 1, now, memory) for table, vault in vaults.items()}
        for second in range(at, at - back, -1):
            if not any(each.may_change_in(second + 1) for each in found.values()):
                return Quiet(
                    second,
                    at,
                    changed=[table for table, each in found.items() if each.changed_in(at)],
                    others=[table for table, each in found.items() if not each.changed_in(at)],
                    after=[table for table, each in found.items() if each.changed_in(at + 1)],
                    unproven=[table for table, each in found.items() if not each.is_proven(at + 1)],
                )
    raise Refused(
        f"no quiet second within an hour before {moment.iso(at)}: in each one a table of the group changed, or may have changed",
        hint="Transactions may be cut at any of these moments: restore without --settle, and compare what belongs together.",
    )


class _ChangedSeconds:
    """The seconds of one table in which something changed, after `since` and up to `until`."""

    def __init__(self, vault: TableVault, since: int, until: int, now: float, memory: Memory) -> None:
        self._window = vault.window(now)
        self._seconds: set[int] = set()
        for piece in WindowLog(vault, ChangeWindow(since, until), _unread, memory=memory).pieces():
            self._seconds.update(each.micros // MICROS for each in piece.entries if each.began is None)

    def changed_in(self, second: int) -> bool:
        return second in self._seconds

    def is_proven(self, second: int) -> bool:
        """True if every change of that second is in the vault: it was read, and neither lost nor removed since."""
        window = self._window
        if window.durable is None or second > window.durable:
            return False
        if window.horizon is not None and second <= window.horizon:
            return False  # what changed until then does not count any more
        if window.older is not None and second <= window.older.until:
            return False  # an older tool's objects tell when they arrived, not when something changed
        return not any(gap.since <= second <= gap.until for gap in window.gaps)

    def may_change_in(self, second: int) -> bool:
        return self.changed_in(second) or not self.is_proven(second)


def _unread(what: str) -> None:
    raise Damaged(f"whether a second is quiet cannot be told: {what}")
