"""`history` and `show`: an item's states, and their times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.broken import of_item
from backstream.errors import BackstreamError, Damaged, MissingObject, NotFound, PartlyDone
from backstream.model import moment
from backstream.model.changes.entry import Entry
from backstream.model.tables import legacy_names
from backstream.model.values import wire
from backstream.model.window import Window
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.inspect.actors import ActorClaim, Actors, ActorSource, told_by
from backstream.vault.item_states import newest
from backstream.vault.table_vault import TableVault

READERS = 16


class ItemVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of an item. `time`: ISO 8601, UTC; `image`: DynamoDB JSON as it was kept, null if the item was deleted.

    `sequence`: null if it does not come from a change of the stream. From a base backup (BACKFILL), a repair or an export, `time`
    is then when the item was found in this state; from an older tool, it is when its object arrived. `actor`: the name by the
    surest source, `actor_source`; `actors`: every source's claim, the surest first. Both are left out if no source names anybody.
    See docs/who.md.
    """

    time: str
    sequence: str | None
    event: str
    actor: str | None
    image: msgspec.Raw
    actor_source: ActorSource | None = None
    actors: list[ActorClaim] = []


class Shown(msgspec.Struct, frozen=True):
    """An item at a moment. `image`: its bytes; `since`: the begin of this state; `warnings`: the uncertainties.

    `unread`: objects that could not be read, and might hold another state.
    """

    image: bytes
    since: str
    warnings: list[str]
    unread: list[str] = []


def history(
    vault: TableVault, key: bytes, unread: Callable[[str], None] | None = None, gone: Callable[[str], None] | None = None
) -> list[ItemVersion]:
    """Returns every version of an item in the log, oldest first. `key`: the canonical key.

    Raises Refused if a part of the backup cannot be read; with `unread`, it only passes that on. A version whose image cannot be
    read, because it is gone from the bucket or damaged, is left out and passed to `gone`; without `gone` it raises PartlyDone.
    """
    return _versions(vault, key, unread, gone)[0]


def _versions(
    vault: TableVault, key: bytes, unread: Callable[[str], None] | None, gone: Callable[[str], None] | None
) -> tuple[list[ItemVersion], Sequence[Entry]]:
    """See `history`. It also returns all entries of the log about the item."""
    lost: list[str] = []
    entries = vault.history(key, lambda error: lost.append(error.message))
    for each in lost:
        if unread is None:
            raise safety.unreadable_backup(lost)
        unread(each)
    missing: list[BackstreamError] = []
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
        images = list(pool.map(lambda entry: _image(vault, entry, missing.append), entries))
    for error in missing:
        if gone is None:
            raise PartlyDone(error.message, hint=error.hint)
        gone(error.message)
    actors = Actors.of_vault(vault, lambda error: _told_once(error.message, lost, unread))
    there = [(entry, image) for entry, image in zip(entries, images, strict=True) if image is not None]
    told = versions_among([entry for entry, _ in there], lambda before, after: _is_same(there[before][1], there[after][1]))
    return [version_of(actors, *there[each]) for each in told], entries


def versions_among(entries: Sequence[Entry], is_same: Callable[[int, int], bool]) -> list[int]:
    """Returns the places of those of an item's entries that are versions.

    A base backup that found the item in its known state is none. `is_same`: True if two entries, by their places, leave one state.
    """
    return [each for each, entry in enumerate(entries) if not (entry.scanned and each and is_same(each - 1, each))]


class ItemHistory(msgspec.Struct, frozen=True):
    """An item's history with all notes about it.

    `versions`: see `history`; `notes`: its freshness, and changes that are or may be missing; `unread`: descriptions of unreadable
    objects; `erased`: True if it was ever erased, which a note says; `shortened`: True if older history was removed.
    """

    versions: list[ItemVersion]
    notes: list[str]
    unread: list[str]
    erased: bool = False
    shortened: bool = False

    def nothing_of(self, item: str) -> str:
        """Returns what to say of an item without versions."""
        if self.erased:
            return f"the vault holds no version of {item}"
        return f"the history that is kept holds no version of {item}" if self.shortened else f"the vault has never seen {item}"


def tell(vault: TableVault, key: bytes, *, now: float, allow_gap: bool = False) -> ItemHistory:
    """Returns the history of an item, and its freshness.

    Raises Refused if a part of the backup cannot be read, unless `allow_gap`.
    """
    window = vault.window(now)  # before the log is read: what arrives meanwhile is in it all the more
    unread: list[str] = []
    versions, entries = _versions(vault, key, unread.append if allow_gap else None, unread.append)
    return with_notes(vault, key, versions, entries, unread, window, now)


def with_notes(
    vault: TableVault,
    key: bytes,
    versions: list[ItemVersion],
    entries: Sequence[Entry],
    unread: list[str],
    window: Window,
    now: float,
) -> ItemHistory:
    """Returns the history with its notes. `entries`: all of the item's entries; `window`: the vault's, before they were read."""
    missing = [f"GAP: {each}" for each in of_item(vault, key, entries, window, now)]
    limits = [] if vault.catalog.adopted is None else [safety.LIMITS]
    gaps = [f"changes may be missing: {safety.named([str(gap) for gap in window.gaps])}"] if window.gaps else []
    kept = [] if window.horizon is None else [f"history is kept from {moment.iso(window.horizon)}, the horizon"]
    fresh = [*kept, *safety.not_yet_arrived(vault.catalog.table, int(now), window), *safety.not_seen(window)]
    erased = [] if (one := vault.erasures.of(key)) is None else [f"{one}; nothing up to then is in the vault"]
    return ItemHistory(versions, [*limits, *erased, *missing, *gaps, *fresh], unread, bool(erased), bool(kept))


def _is_same(one: bytes, other: bytes) -> bool:
    return one == other or (b"null" not in (one, other) and wire.same_image(one, other))


def _told_once(why: str, lost: list[str], unread: Callable[[str], None] | None) -> None:
    if unread is None:
        raise safety.unreadable_backup([why])
    if why not in lost:
        lost.append(why)
        unread(why)


def _image(vault: TableVault, entry: Entry, gone: Callable[[BackstreamError], None]) -> bytes | None:
    """Returns the image; None if it cannot be read: `gone` receives the error."""
    try:
        return b"null" if entry.removed else vault.image(entry)
    except (Damaged, MissingObject) as error:
        gone(error)
        return None


def version_of(actors: Actors, entry: Entry, image: bytes) -> ItemVersion:
    """Returns the version that an entry and its image make."""
    claims = actors.claims(told_by(entry, image))
    return ItemVersion(
        time=moment.iso_micros(entry.micros),
        sequence=None if entry.scanned or entry.stream == legacy_names.STREAM else entry.sequence,
        event=entry.event,
        actor=claims[0].actor if claims else None,
        image=msgspec.Raw(image),
        actor_source=claims[0].source if claims else None,
        actors=claims,
    )


def show(vault: TableVault, key: bytes, at: int, *, now: float, allow_gap: bool = False) -> Shown:
    """Returns the item's state at second `at`. Raises NotFound if it did not exist then; OutsideWindow and GapInTheWay if that is
    unknown.

    Raises Refused if a part of the backup cannot be read, unless `allow_gap`.
    """
    window = vault.window(now)
    safety.check_past(at, now, window)
    lost: list[str] = []
    then = newest(vault, key, at, vault.basis(at, window), lambda error: lost.append(error.message))
    if lost and not allow_gap:
        raise safety.unreadable_backup(lost)
    warnings = safety.check_item(vault.catalog.table, key, at, then, window, allow_gap=allow_gap)
    warnings += lost_changes.check_items(vault, [key], at, now, window, allow_gap=allow_gap)
    erased = vault.erasures.of(key)
    if erased is not None and (then is None or at <= erased.second):
        raise NotFound(
            f"{key.decode()} at {moment.iso(at)}: {erased}", hint="The vault cannot tell what it was: it is gone for good."
        )
    if then is None:
        first = _first_seen(vault.history(key, lambda _: None), at, window)
        raise NotFound(f"{key.decode()} did not exist at {moment.iso(at)}: {first}")
    if then.removed:
        raise NotFound(f"{key.decode()} did not exist at {moment.iso(at)}: it was deleted at {moment.iso_micros(then.micros)}")
    return Shown(vault.image(then), moment.iso_micros(then.micros), warnings, lost)


def _first_seen(known: Sequence[Entry], at: int, window: Window) -> str:
    kept = "" if window.horizon is None else f"the history that is kept from {moment.iso(window.horizon)} "
    if not known:
        return f"{kept}holds nothing of it" if kept else "the vault has never seen it"
    if known[0].seconds > at:
        first = moment.iso_micros(known[0].micros)
        return f"{kept}has it from {first} on" if kept else f"it was first seen at {first}"
    return "it was deleted in a gap: the base backup after that did not find it"
