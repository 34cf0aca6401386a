"""Finds the version of a row object that an earlier delivery of a change made, with few requests however many versions there are.

The versions lie in the order of their arrival, which is nearly always the order of their changes. So the search halves what is left
of them, and then looks at the newest ones, where a late version lies. A version that arrived long before the change was made cannot
hold it. A copy that is not found is kept a second time, which does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from backstream.errors import MissingObject
from backstream.model.changes.change import Change, Order
from backstream.model.clocks import FAR_APART
from backstream.ports import ObjectStore, ObjectVersion
from backstream.vault.rows.row_versions import RowVersion, parse_metadata

LATE_VERSIONS = 1_000  # that are listed of an object: one page
NEWEST = 16  # among which a version is looked for that did not come in its order


class VersionSearch:
    """The newest versions of one object, as they were listed once. Each is asked for its metadata once. Not safe for threads."""

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._listed = [each for each in islice(store.versions_of(name), LATE_VERSIONS) if not each.marker]
        self._asked: dict[str, RowVersion | None] = {}

    @property
    def rows(self) -> list[RowVersion]:
        """The versions that were asked for, in no order."""
        return [row for row in self._asked.values() if row is not None]

    def add(self, rows: Iterable[RowVersion]) -> None:
        """Notes versions that are known from elsewhere; new ones lie on top."""
        known = {each.version for each in self._listed}
        for row in rows:
            self._asked[row.place.version] = row
            if row.place.version not in known:
                self._listed.insert(
                    0, ObjectVersion(row.place.name, row.place.version, 0, float("inf"), latest=False, marker=False)
                )

    def of(self, change: Change) -> Iterator[RowVersion]:
        """Yields versions that say that they hold this change, each once."""
        told = set[str]()
        newest = (self._row(place) for place in range(min(NEWEST, len(self._listed))))
        for row in chain(self._by_halves(change.order, self._arrived_since(change.seconds - FAR_APART)), newest):
            if row is not None and not row.entry.scanned and row.entry.order == change.order and row.place.version not in told:
                told.add(row.place.version)
                yield row

    def _by_halves(self, order: Order, end: int) -> Iterator[RowVersion]:
        begin = 0
        while begin < end:
            place, row = self._change_near((begin + end) // 2, begin, end)
            if row is None:
                return
            if row.entry.order == order:
                yield row
                return
            begin, end = (place + 1, end) if row.entry.order > order else (begin, place)

    def _change_near(self, middle: int, begin: int, end: int) -> tuple[int, RowVersion | None]:
        """Returns a version that holds a change, from the middle on, or before it, and its place; None if there is none."""
        for place in chain(range(middle, end), range(middle - 1, begin - 1, -1)):
            row = self._row(place)
            if row is not None and not row.entry.scanned:
                return place, row
        return middle, None

    def _arrived_since(self, second: float) -> int:
        """Returns the number of versions that arrived at that second or later, by the store's clock."""
        return next((place for place, each in enumerate(self._listed) if each.modified < second), len(self._listed))

    def _row(self, place: int) -> RowVersion | None:
        listed = self._listed[place]
        if listed.version not in self._asked:
            self._asked[listed.version] = row_if_any(self._store, listed.name, listed.version)
        return self._asked[listed.version]


def row_if_any(store: ObjectStore, name: str, version: str) -> RowVersion | None:
    """Returns a version from its metadata; None for a foreign one, and for one that a lifecycle rule has just removed."""
    try:
        return parse_metadata(store.head(name, version))
    except MissingObject:
        return None
