"""Until when the parts of a vault are locked, by what the store says of the newest object of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

import msgspec

from backstream.errors import Damaged, MissingObject
from backstream.model import moment
from backstream.ports import ObjectVersion, VersionLock
from backstream.vault import below_markers
from backstream.vault.catalog import folder, name_of
from backstream.vault.table_vault import TableVault

LockOf = Callable[[ObjectVersion], VersionLock | None]


class LockShown(msgspec.Struct, frozen=True):
    """The lock of one part: of its newest `object`, and so until when the last of it is locked (ISO 8601, UTC).

    `until` is None if it is not locked, or if only a legal hold (`held`) keeps it.
    """

    part: str
    object: str
    until: str | None
    held: bool = False


def locks(vault: TableVault, lock_of: LockOf, now: float) -> list[LockShown]:
    """Returns the lock of each part that the vault has: a few listings, and two requests for each."""
    return [_shown(part, row, lock_of(row)) for part, row in _newest(vault, now)]


def _shown(part: str, row: ObjectVersion, lock: VersionLock | None) -> LockShown:
    until = None if lock is None or lock.until is None else moment.iso(lock.until)
    return LockShown(part, row.name, until, held=lock is not None and lock.until is None)


def _newest(vault: TableVault, now: float) -> Iterator[tuple[str, ObjectVersion]]:
    store, own = vault.store, folder(vault.catalog.table)
    yield from _of_name(vault, "catalog", name_of(vault.catalog.table))
    piece = next((each for each in vault.log.newest_first_days(now, 0) if each), [])
    for listed in sorted(piece, key=lambda each: each.modified)[-1:]:
        yield from _of_name(vault, "change log", listed.name)
    for listed in sorted((each for each in piece if each.segment and each.segment.count), key=lambda each: each.modified)[-1:]:
        with suppress(Damaged, MissingObject):  # `check` names it
            places = [each.place for each in vault.log.read(listed) if each.place is not None]
            for place in places[-1:]:
                yield "rows", ObjectVersion(place.name, place.version, 0, 0.0, latest=True, marker=False)
    for one in vault.compacted.current().changes[-1:]:
        yield from _of_name(vault, "compacted", vault.compacted.part_names(one)[0])
    for record in sorted(below_markers.firsts(store, f"{own}base/complete/"), key=lambda each: each.modified)[-1:]:
        yield from _of_name(vault, "base backups", record.name)
    for part in ("gaps", "drills", "erasures"):
        rows = (row for row in store.versions(f"{own}{part}/") if not row.marker)
        yield from ((part, row) for row in [max(rows, key=lambda each: each.modified, default=None)] if row is not None)


def _of_name(vault: TableVault, part: str, name: str) -> Iterator[tuple[str, ObjectVersion]]:
    rows = (row for row in vault.store.versions_of(name) if not row.marker)
    for row in rows:
        yield part, row
        return
