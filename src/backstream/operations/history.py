"""`history` and `show`: what an item was, and when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.errors import NotFound
from backstream.layouts.vault import TableVault
from backstream.model import moment
from backstream.model.entry import Entry
from backstream.model.fold import newest
from backstream.operations import safety

READERS = 16


class Version(msgspec.Struct, frozen=True):
    """One version of an item. `time`: ISO 8601, UTC; `image`: DynamoDB JSON as it was kept, null where the item was deleted."""

    time: str
    sequence: str
    event: str
    actor: str | None
    image: msgspec.Raw


class Shown(msgspec.Struct, frozen=True):
    """An item at a moment. `image`: its bytes; `since`: when it became so; `warnings`: what is uncertain."""

    image: bytes
    since: str
    warnings: list[str]


def history(vault: TableVault, key: bytes) -> list[Version]:
    """Every version of an item that the vault holds, oldest first. `key`: the canonical key."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
        return list(pool.map(lambda entry: _version(vault, entry), vault.history(key)))


def _version(vault: TableVault, entry: Entry) -> Version:
    return Version(
        time=moment.iso_micros(entry.micros),
        sequence=entry.sequence,
        event=entry.event,
        actor=entry.actor,
        image=msgspec.Raw(b"null" if entry.removed else vault.image(entry)),
    )


def show(vault: TableVault, key: bytes, at: int, *, now: float, lanes: int | None, allow_gap: bool = False) -> Shown:
    """The item as it was at second `at`. NotFound where it did not exist then; OutsideWindow, GapInTheWay where that is unknown."""
    window = vault.window(now, lanes)
    safety.check_past(at, now, window)
    known = vault.history(key)
    then = newest(known, at)
    warnings = safety.check_item(vault.catalog.table, key, at, then, window, allow_gap=allow_gap)
    if then is None:
        later = f"it was first seen at {moment.iso_micros(known[0].micros)}" if known else "the vault has never seen it"
        raise NotFound(f"{key.decode()} did not exist at {moment.iso(at)}: {later}")
    if then.removed:
        raise NotFound(f"{key.decode()} did not exist at {moment.iso(at)}: it was deleted at {moment.iso_micros(then.micros)}")
    return Shown(vault.image(then), moment.iso_micros(then.micros), warnings)
