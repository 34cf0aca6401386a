"""Missing changes of single items: found as the log is read, recorded as gaps of these items, and looked for again.

A recorded gap of an item stands as long as the item's chain is broken there, so it is closed once its change has arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import msgspec

from backstream.engine.local.broken import of_item
from backstream.errors import BackstreamError, GapInTheWay
from backstream.model import moment
from backstream.model.changes.broken_chain import BrokenChain
from backstream.model.changes.entry import Entry
from backstream.model.window import Window
from backstream.ports import UnreadableSource
from backstream.vault.gaps.gaps import Gap
from backstream.vault.table_vault import TableVault

MOST_RECORDED = 1_000  # by one command: each is an object
MOST_REPORTED = 10_000
NAMED = 10
REASON = "a change of this item is missing: the next one was made upon another state than the last one left"


class MissingChange(msgspec.Struct, frozen=True):
    """A change of an item that is not in the vault. `since`, `until`: the seconds between which it was made (ISO 8601, UTC).

    `pending`: it may still arrive.
    """

    key: msgspec.Raw
    since: str
    until: str
    pending: bool = False


def reported(found: Sequence[BrokenChain]) -> list[MissingChange]:
    """Returns the same for a report, ten thousand at most."""
    return [
        MissingChange(msgspec.Raw(each.key), moment.iso(each.since), moment.iso(each.until), each.pending)
        for each in found[:MOST_REPORTED]
    ]


def in_words(found: Sequence[BrokenChain]) -> str:
    """Describes the first few of them, and states how many more there are."""
    more = f"; and {len(found) - NAMED:,} more" if found[NAMED:] else ""
    return "; ".join(map(str, found[:NAMED])) + more


def record(vault: TableVault, found: Iterable[BrokenChain]) -> str:
    """Records losses as gaps of their items, a thousand at most. Returns why that failed; empty if it did not.

    A reader may not have permission to write, and must be told of the losses all the same.
    """
    lost = [_gap(vault, each) for each in found if not each.pending]
    if not lost:
        return ""
    try:
        known = {gap.id for gap in vault.gaps.of_items()}
        for gap in [gap for gap in lost if gap.id not in known][:MOST_RECORDED]:
            vault.gaps.record(gap)
    except BackstreamError as error:
        return f"the missing changes could not be recorded in the vault: {error.message}"
    return ""


def lost_between(vault: TableVault, key: bytes, one: Entry, other: Entry, window: Window, now: float) -> BrokenChain | None:
    """Returns the change that is missing between two successive entries of an item; None if none is, or if it may still arrive."""
    return next((each for each in of_item(vault, key, [one, other], window, now) if not each.pending), None)


def _gap(vault: TableVault, found: BrokenChain) -> Gap:
    return Gap(reason=REASON, since=found.since, until=found.until, stream=vault.catalog.stream, key=found.key.decode())


def uncertain_at(
    vault: TableVault, at: int, now: float, keys: Collection[bytes] | None = None, window: Window | None = None
) -> list[BrokenChain]:
    """Returns the items whose state at a second is uncertain, by recorded gaps that still stand. `keys`: only these items, None for
    all. `window`: its sources are not read again.

    The state is known again from the second of the change that shows the loss, because a change carries the whole item.
    """
    suspected = {gap.key.encode() for gap in vault.coverage.of_items(window) if gap.key is not None and gap.since <= at < gap.until}
    of_these = suspected if keys is None else suspected.intersection(keys)
    return [each for each in standing(vault, of_these, now) if each.since <= at < each.until]


def standing(vault: TableVault, keys: set[bytes], now: float) -> list[BrokenChain]:
    """Returns the losses of these items that the log still shows. Nothing is read if there are no keys.

    If a part of the log cannot be read, all recorded losses stand.
    """
    if not keys:
        return []
    unread: list[UnreadableSource] = []
    broken = vault.engine.broken_chains(vault, now, keys=keys, unread=unread.append)
    found = [each for each in broken if not each.pending]
    return found or [BrokenChain(key, each.since, each.until) for key in keys for each in _recorded(vault, key) if unread]


def _recorded(vault: TableVault, key: bytes) -> list[Gap]:
    return [gap for gap in vault.gaps.of_items() if gap.key == key.decode()]


def check_items(vault: TableVault, keys: Collection[bytes], at: int, now: float, window: Window, *, allow_gap: bool) -> list[str]:
    """Describes the uncertainties of these items at a second. Raises GapInTheWay unless they are accepted."""
    found = uncertain_at(vault, at, now, keys, window)
    if found and not allow_gap:
        raise missing_of_items(found)
    return list(map(str, found))


def missing_of_items(found: Sequence[BrokenChain]) -> GapInTheWay:
    """Returns the error for items that lack changes in the log: nothing is done."""
    return GapInTheWay(
        f"changes of {len({each.key for each in found}):,} items are missing from the vault: {in_words(found)}",
        hint="Other items may have lost changes with them. Make a new base backup (`backstream backfill TABLE`), choose a moment "
        "before that, or continue with --allow-gap, which takes what is known.",
    )
