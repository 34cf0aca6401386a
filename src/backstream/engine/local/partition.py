"""One partition of a state: the fold over its heads, and the images of the current entries, which stay on disk until they are asked
for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from backstream.engine.local.spill import Picked, Spot
from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import FoldState, is_later, later_scan
from backstream.model.window import AFTER_ALL
from backstream.ports.engine import StatePartition

Head = tuple[bytes, Entry, Spot | None]  # a key, an entry without its image, and where that lies, if it is inline


class Folded:
    """The fold over many items' entries: the same result as `model.changes.fold`, in a few lookups per entry.

    `newest`: the entry that gives each item's state, by canonical key; `spots`: the place of its image, if that is inline. `at`:
    the moment; later entries do not count.
    """

    def __init__(self, heads: Iterable[Head], floor: int, at: int = AFTER_ALL) -> None:
        self._changes: dict[bytes, Entry] = {}
        self._scans: dict[bytes, Entry] = {}
        self._latest: dict[bytes, int] = {}  # only where that is not the newest change's
        self.newest: dict[bytes, Entry] = {}
        self.spots: dict[bytes, Spot] = {}
        of_changes, of_scans = dict[bytes, Spot | None](), dict[bytes, Spot | None]()
        self._end = moment.end_of(at)
        self._take(heads, of_changes, of_scans)
        self._choose(floor, of_changes, of_scans)

    def _take(self, heads: Iterable[Head], of_changes: dict[bytes, Spot | None], of_scans: dict[bytes, Spot | None]) -> None:
        """Finds each item's newest change and last scan, and the places of their images."""
        changes, scans, end = self._changes, self._scans, self._end
        for key, entry, spot in heads:
            if entry.micros >= end:
                continue
            if entry.began is not None:
                if later_scan(scans.get(key), entry) is entry:
                    scans[key], of_scans[key] = entry, spot
                continue
            known = changes.get(key)
            if known is None:
                changes[key], of_changes[key] = entry, spot
            elif is_later(entry, known):
                changes[key], of_changes[key] = entry, spot
                if known.micros > entry.micros:
                    self._note_latest(key, known)
            elif entry.micros > known.micros:
                self._note_latest(key, entry)

    def _note_latest(self, key: bytes, entry: Entry) -> None:
        """Notes the latest second if the clocks that stamp changes disagree: then the newest change is not the latest."""
        self._latest[key] = max(self._latest.get(key, entry.seconds), entry.seconds)

    def _choose(self, floor: int, of_changes: Mapping[bytes, Spot | None], of_scans: Mapping[bytes, Spot | None]) -> None:
        for key in self._changes | self._scans:
            entry = self.known(key).newest(floor)
            if entry is None:
                continue
            self.newest[key] = entry
            spot = of_changes[key] if entry.began is None else of_scans[key]
            if spot is not None:
                self.spots[key] = spot

    def known(self, key: bytes) -> FoldState:
        """Returns everything that was found out about an item."""
        change = self._changes.get(key)
        if change is None:
            return FoldState(scan=self._scans.get(key))
        return FoldState(change, max(self._latest.get(key, change.seconds), change.seconds), self._scans.get(key))


class Partition(StatePartition):
    """The entries that give the items' states.

    Inline images may be large, so they are read from disk when their entry is asked for.
    """

    def __init__(self, folded: Folded, inline: Picked) -> None:
        self._folded = folded
        self._newest = folded.newest
        self._inline = inline

    def __getitem__(self, key: bytes) -> Entry:
        return self._with_image(key, self._newest[key])

    def _with_image(self, key: bytes, entry: Entry) -> Entry:
        image = self._inline.get(key)
        return entry if image is None else with_image(entry, image)

    def exists(self, key: bytes) -> bool:
        """True if the item exists in this state. No image is read."""
        entry = self._newest.get(key)
        return entry is not None and not entry.removed

    def known(self, key: bytes) -> FoldState:
        """Returns everything that was found out about an item, so that more can be added; empty if it is not here."""
        entry, known = self._newest.get(key), self._folded.known(key)
        if entry is None:
            return FoldState()
        entry = self._with_image(key, entry)
        return FoldState(known.change, known.latest, entry) if entry.scanned else FoldState(entry, known.latest, known.scan)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._newest)

    def __len__(self) -> int:
        return len(self._newest)


def with_image(entry: Entry, image: bytes) -> Entry:
    """Returns the same entry with its image."""
    return msgspec.structs.replace(entry, image=image)
