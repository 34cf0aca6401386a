"""`history` and `show`: what an item was, and when."""

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
from backstream.operations.inspect import lost_changes, safety
from backstream.operations.inspect.actors import ActorClaim, Actors, ActorSource, told_by
from backstream.vault.item_states import newest
from backstream.vault.table_vault import TableVault

READERS = 16


class ItemVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of an item. `time`: ISO 8601, UTC; `image`: DynamoDB JSON as it was kept, null where the item was deleted.

    `sequence`: null where no change of the stream brought it, but a base backup (BACKFILL), a repair or an export: `time` is then
    when the item was found to be so; or an older tool, and it is when its object arrived.
    `actor`: the name by the surest source, `actor_source`; `actors`: every source's word, the surest first. Both are
    left out where no source names anybody. See docs/who.md.
    """

    time: str
    sequence: str | None
    event: str
    actor: str | None
    image: msgspec.Raw
    actor_source: ActorSource | None = None
    actors: list[ActorClaim] = []


class Shown(msgspec.Struct, frozen=True):
    """An item at a moment. `image`: its bytes; `since`: when it became so; `warnings`: what is uncertain.

    `unread`: what could not be read, and might tell another state.
    """

    image: bytes
    since: str
    warnings: list[str]
    unread: list[str] = []


def history(
    vault: TableVault, key: bytes, unread: Callable[[str], None] | None = None, gone: Callable[[str], None] | None = None
) -> list[ItemVersion]:
    """Every version of an item that the log names, oldest first. `key`: the canonical key.

    Refused where a part of the backup cannot be read, or, with `unread`, only that is told of it. A version whose image cannot be
    read, since it is gone from the bucket or damaged, is left out: `gone` is told of it; PartlyDone without that.
    """
    return _versions(vault, key, unread, gone)[0]


def _versions(
    vault: TableVault, key: bytes, unread: Callable[[str], None] | None, gone: Callable[[str], None] | None
) -> tuple[list[ItemVersion], Sequence[Entry]]:
    """See `history`; and all that the log says of the item."""
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
    there = [(entry, _version(actors, entry, image)) for entry, image in zip(entries, images, strict=True) if image is not None]
    followed = zip(there, [None, *(version for _, version in there)], strict=False)
    return [each for (entry, each), before in followed if not (entry.scanned and _tells_nothing_new(each, before))], entries


class ItemHistory(msgspec.Struct, frozen=True):
    """An item's history with all that there is to say of it.

    `versions`: see `history`; `notes`: how fresh it is, and what is or may be missing; `unread`: what could not be read, in words.
    """

    versions: list[ItemVersion]
    notes: list[str]
    unread: list[str]


def tell(vault: TableVault, key: bytes, *, now: float, allow_gap: bool = False) -> ItemHistory:
    """The history of an item, and how fresh it is. Refused where a part of the backup cannot be read, unless `allow_gap`."""
    window = vault.window(now)  # before the log is read: what arrives meanwhile is in it all the more
    unread: list[str] = []
    versions, entries = _versions(vault, key, unread.append if allow_gap else None, unread.append)
    missing = [f"GAP: {each}" for each in of_item(vault.catalog, key, entries, window, now)]
    limits = [] if vault.catalog.adopted is None else [safety.LIMITS]
    gaps = [f"changes may be missing: {safety.named([str(gap) for gap in window.gaps])}"] if window.gaps else []
    fresh = [*safety.not_yet_arrived(vault.catalog.table, int(now), window), *safety.not_seen(window)]
    return ItemHistory(versions, [*limits, *missing, *gaps, *fresh], unread)


def _tells_nothing_new(version: ItemVersion, before: ItemVersion | None) -> bool:
    """Whether a base backup found an item as it was known to be: it is no version of its own."""
    if before is None:
        return False
    one, other = bytes(version.image), bytes(before.image)
    return one == other or (b"null" not in (one, other) and wire.same_image(one, other))


def _told_once(why: str, lost: list[str], unread: Callable[[str], None] | None) -> None:
    if unread is None:
        raise safety.unreadable_backup([why])
    if why not in lost:
        lost.append(why)
        unread(why)


def _image(vault: TableVault, entry: Entry, gone: Callable[[BackstreamError], None]) -> bytes | None:
    """None, and `gone` is told why, where its image cannot be read."""
    try:
        return b"null" if entry.removed else vault.image(entry)
    except (Damaged, MissingObject) as error:
        gone(error)
        return None


def _version(actors: Actors, entry: Entry, image: bytes) -> ItemVersion:
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
    """The item as it was at second `at`. NotFound where it did not exist then; OutsideWindow, GapInTheWay where that is unknown.

    Refused where a part of the backup cannot be read, unless `allow_gap`.
    """
    window = vault.window(now)
    safety.check_past(at, now, window)
    lost: list[str] = []
    then = newest(vault, key, at, vault.basis(at, window), lambda error: lost.append(error.message))
    if lost and not allow_gap:
        raise safety.unreadable_backup(lost)
    warnings = safety.check_item(vault.catalog.table, key, at, then, window, allow_gap=allow_gap)
    warnings += lost_changes.check_items(vault, [key], at, now, window, allow_gap=allow_gap)
    if then is None:
        raise NotFound(f"{key.decode()} did not exist at {moment.iso(at)}: {_first_seen(vault.history(key, lambda _: None), at)}")
    if then.removed:
        raise NotFound(f"{key.decode()} did not exist at {moment.iso(at)}: it was deleted at {moment.iso_micros(then.micros)}")
    return Shown(vault.image(then), moment.iso_micros(then.micros), warnings, lost)


def _first_seen(known: Sequence[Entry], at: int) -> str:
    if not known:
        return "the vault has never seen it"
    if known[0].seconds > at:
        return f"it was first seen at {moment.iso_micros(known[0].micros)}"
    return "it was deleted in a gap: the base backup after that did not find it"
