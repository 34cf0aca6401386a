"""Keeps the right version on top of a row object while several writers keep changes of one item at the same time.

Two tails, or a function beside a tail, may each be in the middle of an item's life. The slower one may put a delete marker, or a
late version, above a newer version of the other one. So each writer looks again after that, puts the newest version back on top,
and repeats this until the newest version is on top. The last marker of all is followed by a look that sees everything, so none
stays above a newer version. Only a writer that dies between the two leaves one: `check` reports it, `--repair` removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from backstream.model.changes.entry import ImagePlace
from backstream.ports import ObjectStore
from backstream.vault.rows.row_versions import RowVersion, newest_row
from backstream.vault.rows.version_search import LATE_VERSIONS, row_if_any

Until = Callable[[RowVersion], bool]


class TopSeen(msgspec.Struct, frozen=True):
    """One look at an object.

    `rows`: its versions, newest first, as far as was looked; `markers`: the delete markers on top of them.
    """

    rows: Sequence[RowVersion]
    markers: frozenset[str]

    @property
    def newest(self) -> RowVersion:
        """The version that holds the item's state."""
        return newest_row(self.rows)

    @property
    def is_on_top(self) -> bool:
        """True if that state is the first below the markers."""
        return same_state(self.rows[0], self.newest)


def look(store: ObjectStore, name: str, known: Sequence[RowVersion], until: Until) -> TopSeen:
    """Returns the object's versions now, down to the first one for which `until` is true.

    `known` versions are not requested again.
    """
    before = {row.place.version: row for row in known}
    rows, markers = list[RowVersion](), set[str]()
    for each in islice(store.versions_of(name), LATE_VERSIONS):
        if each.marker:
            markers |= set() if rows else {each.version}
            continue
        row = before.get(each.version) or row_if_any(store, name, each.version)
        if row is not None:
            rows.append(row)
            if until(row):
                break
    return TopSeen(rows, frozenset(markers))


def settle(
    store: ObjectStore,
    name: str,
    known: Sequence[RowVersion],
    *,
    until: Until = lambda _: False,
    left: Until = lambda _: False,
    mine: Sequence[str] = (),
    shared: bool = False,
) -> Sequence[RowVersion]:
    """Puts the newest version on top, under a marker if it is a delete. Returns the versions that were seen, newest first.

    `left`: tells whether the item has moved to another object since the newest version; then a marker belongs on top. `shared`:
    True if others may have put a marker for that reason; it stays, unless all markers are `mine`.
    """
    while True:
        seen = look(store, name, known, until)
        if not seen.rows:
            return seen.rows
        known, newest = seen.rows, seen.newest
        if until(seen.rows[-1]):  # by its place from now on: a copy that is put again may lie above what has come meanwhile
            until = is_at(seen.rows[-1].place)
        if not seen.is_on_top:
            _put_again(store, newest)
        elif newest.entry.removed or left(newest):
            if seen.markers:
                return seen.rows
            store.delete(name)
        elif not seen.markers or (shared and not seen.markers <= set(mine)):
            return seen.rows
        else:
            _put_again(store, newest)


def _put_again(store: ObjectStore, row: RowVersion) -> None:
    stored = store.get(row.place.name, row.place.version)
    store.put(row.place.name, stored.body, stored.info.metadata)


def same_state(one: RowVersion, other: RowVersion) -> bool:
    """True if two versions are of one change, or of one scan."""
    return msgspec.structs.replace(one.entry, place=None) == msgspec.structs.replace(other.entry, place=None)


def is_at(place: ImagePlace | None) -> Until:
    """Returns a test for this version; with None no version passes."""
    return lambda row: row.place == place
