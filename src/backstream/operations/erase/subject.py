"""The subject of erasures: which items, by the salted hashes of their keys, and up to which second."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backstream.model.changes.entry import Entry
from backstream.model.changes.fold import BEGINNING
from backstream.vault.erasure.erasures import Erasure

NEVER = BEGINNING - 1


class Subject:
    """The items of some erasures. A change counts as erased if it was made up to the second of the item's erasure, or at any
    time if the erasure discards later changes too.
    """

    def __init__(self, erasures: Iterable[Erasure]) -> None:
        self.erasures = list(erasures)
        self._keys = [(each, frozenset(row.key for row in each.rows)) for each in self.erasures]
        self._objects = [(each, frozenset(each.objects)) for each in self.erasures]
        self._seen: dict[bytes, int] = {}  # only keys that are erased: others are too many

    def until(self, key: bytes) -> int:
        """Returns the last second whose changes of an item are erased, by its canonical key; `NEVER` if the item is not erased."""
        if key in self._seen:
            return self._seen[key]
        found = max(
            (each.until for each, keys in self._keys if each.of_key(key) in keys or each.is_of_partition(key)), default=NEVER
        )
        if found > NEVER:
            self._seen[key] = found
        return found

    def has(self, key: bytes, entry: Entry) -> bool:
        """True if an entry of the log is erased."""
        return entry.seconds <= self.until(key)

    def until_of_object(self, name: str) -> int:
        """Returns the same second for a row object; `NEVER` if it is not of the subject."""
        return max((each.until for each, names in self._objects if each.of_object(name) in names), default=NEVER)


def lived(entries: Sequence[Entry]) -> tuple[tuple[int, int | None], ...]:
    """Returns the seconds between which an item existed, by all of its entries: the first is included, the last is not."""
    found: list[tuple[int, int | None]] = []
    for second, exists in _turns(entries):
        open_since = found[-1][0] if found and found[-1][1] is None else None
        if exists and open_since is None:
            found.append((second, None))
        elif not exists and open_since is not None:
            found[-1] = (open_since, second)
    return tuple(each for each in found if each[0] != each[1])


def _turns(entries: Sequence[Entry]) -> list[tuple[int, bool]]:
    """Returns from which second on the item existed or did not, in the order of its changes; a read comes before its changes."""
    scans = [(each.since, 0, each.order, each.seconds, not each.removed) for each in entries if each.scanned]
    changes = [(each.seconds, 1, each.order, each.seconds, not each.removed) for each in entries if not each.scanned]
    ordered = sorted([*scans, *changes], key=lambda each: each[:3])
    turns: list[tuple[int, bool]] = []
    latest = BEGINNING
    for _, _, _, second, exists in ordered:
        latest = max(latest, second)
        turns.append((latest, exists))
    return turns
