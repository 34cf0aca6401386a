"""From when to when a vault is covered by signatures, and how far its heads have come: asked before anything is believed of it."""

from __future__ import annotations

import msgspec

from backstream.errors import Refused
from backstream.model import moment
from backstream.model.clocks import CLOCKS_APART
from backstream.ports import Vouching
from backstream.vault.table_vault import TableVault


class SignedCover(msgspec.Struct, frozen=True):
    """What vouches for a table's vault. Times in ISO 8601.

    `since`, `until`: the moments that signatures cover, None where there are none, or nobody asked for them; `head`: the counter of
    the newest watermark, None where there is none or an older version wrote it. Keep it outside the bucket: a vault whose head is
    less has been put back to an older state.
    """

    since: str | None = None
    until: str | None = None
    head: int | None = None


def covered(vault: TableVault, now: float) -> SignedCover:
    """Read it off the catalog and the newest watermark. NotSigned where the reader wants signatures, and these have none."""
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
    """What covers the vault. Refused where that is not the moment `at` (seconds, None: whatever there is), or it was put back."""
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
    """Refused where the vault's head is less than one that was seen before."""
    if min_head is not None and (found.head is None or found.head < min_head):
        raise Refused(
            f"the vault's head is {found.head}, and {min_head} was seen before: an older state of the vault has been put back",
            hint="Its newest objects are missing. Look for them in the bucket's versions, or in a replica of it.",
        )


def in_words(found: SignedCover) -> str:
    """The same for people; empty where there is nothing to say."""
    if found.since is None:
        return ""
    return f"signatures cover {found.since} to {found.until}; the vault's head is {found.head}"
