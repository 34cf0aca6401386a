"""What lies on top of a row object, where several writers keep changes of one item at the same time.

Two tails, or a function beside a tail, may each be in the middle of an item's life. Who is behind comes to put a delete marker,
or a late version, above what the other one has put there meanwhile. So whoever has put one looks again, puts the newest version
back on top, and looks again, until a look finds the newest there. The last marker of all is followed by a look that sees all, so
none stays above a newer version. Only a writer that dies between the two leaves one: `check` names it, `--repair` removes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import msgspec

from backstream.errors import MissingObject
from backstream.model.changes.entry import ImagePlace
from backstream.ports import ObjectStore
from backstream.vault.rows.row_versions import RowVersion, newest_row, parse_metadata

# How far back a repeated change is looked for in its object; one that lies deeper is kept a second time, which does no harm.
LATE_VERSIONS = 1_000

Until = Callable[[RowVersion], bool]


class TopSeen(msgspec.Struct, frozen=True):
    """One look at an object. `rows`: its versions, newest first, as far as was looked; `markers`: those on top of them."""

    rows: Sequence[RowVersion]
    markers: frozenset[str]

    @property
    def newest(self) -> RowVersion:
        """The version that tells the item's state."""
        return newest_row(self.rows)

    @property
    def is_on_top(self) -> bool:
        """Whether that state is the first below the markers."""
        return same_state(self.rows[0], self.newest)


def look(store: ObjectStore, name: str, known: Sequence[RowVersion], until: Until) -> TopSeen:
    """What there is of an object now, down to the first version for which `until` is true. `known`: need not be asked for again."""
    before = {row.place.version: row for row in known}
    rows, markers = list[RowVersion](), set[str]()
    for each in islice(store.versions_of(name), LATE_VERSIONS):
        if each.marker:
            markers |= set() if rows else {each.version}
            continue
        row = before.get(each.version) or _asked(store, name, each.version)
        if row is not None:
            rows.append(row)
            if until(row):
                break
    return TopSeen(rows, frozenset(markers))


def _asked(store: ObjectStore, name: str, version: str) -> RowVersion | None:
    """A version by its metadata; None for a foreign one, and for one that a lifecycle rule has just taken."""
    try:
        return parse_metadata(store.head(name, version))
    except MissingObject:
        return None


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
    """Have the newest version lie on top, under a marker if it is a delete; return the versions that were seen, newest first.

    `left`: whether the item has gone to another object since the newest version; then a marker belongs on top. `shared`: others may
    have put a marker for that reason: it stays, unless all of them are `mine`.
    """
    while True:
        seen = look(store, name, known, until)
        if not seen.rows:
            return seen.rows
        known, newest = seen.rows, seen.newest
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
    """Whether two versions are of one change, or of one scan."""
    return msgspec.structs.replace(one.entry, place=None) == msgspec.structs.replace(other.entry, place=None)


def is_at(place: ImagePlace | None) -> Until:
    """Whether a version is this one; with None none is."""
    return lambda row: row.place == place
