"""Remembers the versions that a writer has put upon one that it knew, so that it later looks below all of them.

A writer may be behind another one that keeps changes of the same item. Its first version then lies above newer ones, and so does
each later one. When it comes to a delete, it must look down to the version that it began with, not only to its own last one.
"""

from __future__ import annotations

from collections import OrderedDict

from backstream.vault.rows.row_tops import Until
from backstream.vault.rows.row_versions import NewestVersion, RowVersion

MOST_NAMES = 2_000
MOST_ROWS = 8  # of one name; a version further down is taken for the one that it began with


class _Own:
    """`begun`: the newest version before all of `rows`, which are in the order in which they were put."""

    def __init__(self, begun: NewestVersion) -> None:
        self.begun = begun
        self.rows: list[RowVersion] = []


class OwnVersions:
    """The versions that one writer has put and has not looked at since, of the names that it wrote last. Not safe for threads."""

    def __init__(self) -> None:
        self._names: OrderedDict[str, _Own] = OrderedDict()

    def note(self, name: str, before: NewestVersion, row: RowVersion) -> None:
        """Notes a version that was put upon `before`."""
        own = self._names.setdefault(name, _Own(before))
        self._names.move_to_end(name)
        own.rows.append(row)
        if len(own.rows) > MOST_ROWS:
            own.begun = NewestVersion.of_row(own.rows.pop(0)) or own.begun
        while len(self._names) > MOST_NAMES:
            self._names.popitem(last=False)

    def taken(self, name: str, top: NewestVersion) -> tuple[list[RowVersion], Until]:
        """Returns the versions, and a test for the one below all of them, and forgets them. `top`: the newest that is known."""
        own = self._names.pop(name, None)
        return ([], top.is_of) if own is None else (own.rows, own.begun.is_of)
