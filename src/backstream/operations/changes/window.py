"""Tells how certain the vault is about a window of changes, and refuses some windows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.errors import GapInTheWay, OutsideWindow, UsageError
from backstream.model import moment
from backstream.model.counts import counted
from backstream.model.window import KnownGap, Window
from backstream.operations.inspect import safety
from backstream.vault.table_vault import TableVault


class ChangeWindow(msgspec.Struct, frozen=True):
    """The changes made after second `since`, up to and including second `until`."""

    since: int
    until: int

    def __str__(self) -> str:
        return f"{moment.iso(self.since)} to {moment.iso(self.until)}"

    @property
    def first(self) -> int:
        """The first second that belongs to it."""
        return self.since + 1

    @property
    def micros(self) -> tuple[int, int]:
        """Its first microsecond, and the first one after it."""
        return moment.end_of(self.since), moment.end_of(self.until)


class Certainty(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """The vault's certainty about a window. Times are ISO 8601, UTC.

    `proven`: True if every change of the window is in the vault; `proven_until`: the second up to which that is proven, None if
    nothing is; `gaps`: descriptions of missing changes; `notes`: notes for an operator.
    """

    since: str
    until: str
    proven: bool
    proven_until: str | None
    gaps: Sequence[str] = ()
    notes: Sequence[str] = ()


def check_order(span: ChangeWindow) -> None:
    """Raises UsageError if a window does not begin before it ends."""
    if span.since >= span.until:
        what = "is empty" if span.since == span.until else "ends before it begins"
        raise UsageError(
            f"the window {what}: from {moment.iso(span.since)} to {moment.iso(span.until)}",
            hint="A window holds the changes made after its first moment, up to and including its last one.",
        )


def check(vault: TableVault, span: ChangeWindow, window: Window, now: float, *, allow_gap: bool) -> Certainty:
    """Returns the vault's certainty about a window. Raises UsageError, OutsideWindow and GapInTheWay if it is refused.

    `allow_gap`: continue although changes are missing; `notes` says so.
    """
    check_order(span)
    safety.check_past(span.until, now, window)
    safety.check_followed(span.since, window)
    notes = _before_all(vault, span, window, allow_gap=allow_gap)
    gaps = [gap for gap in window.gaps if gap.since <= span.until and gap.until >= span.first]
    if gaps and not allow_gap:
        raise _gap(vault.catalog.table, span, window, gaps)
    notes += [f"changes may be missing: {gap}" for gap in gaps] + _erased(vault, span)
    proven = window.durable is not None and span.until <= window.durable
    notes += safety.not_yet_arrived(vault.catalog.table, span.until, window) + safety.not_seen(window)
    return Certainty(
        since=moment.iso(span.since),
        until=moment.iso(span.until),
        proven=proven and not notes,
        proven_until=None if window.durable is None else moment.iso(window.durable),
        gaps=[str(gap) for gap in gaps],
        notes=notes,
    )


def _before_all(vault: TableVault, span: ChangeWindow, window: Window, *, allow_gap: bool) -> list[str]:
    """Checks for a window that begins before the stream was followed: no change is known from that time."""
    followed = vault.coverage.followed_from
    if span.first >= followed:
        return []
    word = f"the vault holds the changes of {vault.catalog.table} since {moment.iso(followed)}, none before"
    if not allow_gap:
        raise OutsideWindow(f"{moment.iso(span.since)} is before the vault's first change: {word}", hint=str(window))
    return [word]


def _erased(vault: TableVault, span: ChangeWindow) -> list[str]:
    """Returns a note for each erasure that took out items of that time."""
    lacking = [(each, each.lacks_between(span.first, span.until)) for each in vault.erasures.all]
    return [f"the changes of {counted(count, 'item')} are gone, if there were any: {each}" for each, count in lacking if count]


def _gap(table: str, span: ChangeWindow, window: Window, gaps: Sequence[KnownGap]) -> GapInTheWay:
    return GapInTheWay(
        f"{table}: changes may be missing between {str(span).replace(' to ', ' and ')}: {safety.named(list(map(str, gaps)))}",
        hint=f"Choose a window without a gap, or continue with --allow-gap: then only the known changes are meant. {window}",
    )
