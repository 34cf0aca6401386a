"""Finds the period that signatures cover, and the vault's head: checked before anything in a vault is trusted."""

from __future__ import annotations

import msgspec

from backstream.errors import Refused
from backstream.model import moment
from backstream.model.clocks import CLOCKS_APART
from backstream.ports import Vouching
from backstream.vault.table_vault import TableVault


class SignedCover(msgspec.Struct, frozen=True):
    """The coverage of a table's vault by signatures. Times are ISO 8601.

    `since`, `until`: the moments that signatures cover, None if there are none, or if nobody asked for them; `head`: the counter of
    the newest watermark, None if there is none, or if an older version wrote it. Keep the head outside the bucket: a vault with a
    smaller head has been put back to an older state.
    """

    since: str | None = None
    until: str | None = None
    head: int | None = None


def covered(vault: TableVault, now: float) -> SignedCover:
    """Returns the coverage, from the catalog and the newest watermark.

    Raises NotSigned if the reader requires signatures and these have none.
    """
    mark = vault.coverage.watermark(now)
    head = None if mark is None else vault.log.counter(mark)
    signing = vault.catalog.signing
    if not isinstance(vault.store, Vouching) or signing is None or mark is None or mark.segment is None:
        return SignedCover(head=head)
    starts = [each for each in vault.window(now).starts if each.begin + CLOCKS_APART >= signing.since]
    if not starts:
        return SignedCover(head=head)
    since = min(each.end if each.exact is None else each.exact for each in starts)
    return SignedCover(moment.iso(since), moment.iso(mark.segment.max_time), head)


def check(vault: TableVault, now: float, at: int | None, *, min_head: int | None = None) -> SignedCover:
    """Returns the coverage of the vault.

    Raises Refused if it lacks the moment `at` (seconds, None: any), or if the vault was put back.
    """
    found = covered(vault, now)
    check_head(found, min_head)
    if not isinstance(vault.store, Vouching):
        return found
    what = f"the vault of {vault.catalog.table}"
    if found.since is None or found.until is None:
        raise Refused(
            f"{what} is signed, but no moment is covered: no base backup was made, and no watermark set, since it is",
            hint="Run `backstream backfill` and `backstream witness` (or a tail) with the key that signs.",
        )
    if at is not None and not found.since <= moment.iso(at) <= found.until:
        raise Refused(
            f"{moment.iso(at)} is not covered by signatures: {what} is from {found.since} to {found.until}",
            hint="Choose a moment in between; a later watermark covers more (`backstream witness`).",
        )
    return found


def check_head(found: SignedCover, min_head: int | None) -> None:
    """Raises Refused if the vault's head is less than one that was seen before."""
    if min_head is not None and (found.head is None or found.head < min_head):
        raise Refused(
            f"the vault's head is {found.head}, and {min_head} was seen before: an older state of the vault has been put back",
            hint="Its newest objects are missing. Look for them in the bucket's versions, or in a replica of it.",
        )


def in_words(found: SignedCover) -> str:
    """Describes the coverage for people; empty if there is nothing to say."""
    if found.since is None:
        return ""
    return f"signatures cover {found.since} to {found.until}; the vault's head is {found.head}"
