"""Chooses the window of a screen: from its address, or the one that shows most."""

from __future__ import annotations

import msgspec

from backstream.errors import UsageError
from backstream.model import moment, moment_arguments
from backstream.operations.changes import ChangeWindow
from backstream.vault.table_vault import TableVault

USUAL = 86_400  # seconds before the newest change
WHOLE = 2 * USUAL  # of a history that is shorter all is shown
MARGIN = 60


class ShownWindow(msgspec.Struct, frozen=True):
    """The changes after second `since`, up to and including `until`.

    `first`, `last`: the whole range of changes; None if there are none.
    """

    since: int
    until: int
    first: int | None = None
    last: int | None = None

    @property
    def window(self) -> ChangeWindow:
        """Returns the window in the form of operations."""
        return ChangeWindow(self.since, self.until)

    def query(self, **more: str) -> dict[str, str]:
        """Returns the parameters of an address."""
        return {
            "from": moment.iso(self.since),
            "to": moment.iso(self.until),
            **{name: value for name, value in more.items() if value},
        }

    def moved(self, part: float, zoom: float) -> ShownWindow:
        """Returns the same, moved by a part of its length, and that many times as long around its middle."""
        length = self.until - self.since
        middle = self.since + length / 2 + part * length
        half = max(0.5, length * zoom / 2)
        since = max(0, int(middle - half))
        return ShownWindow(since, max(since + 1, int(middle + half)), self.first, self.last)


def span_of(vault: TableVault, since: str, until: str, now: float, reach: tuple[int, int] | None) -> ShownWindow:
    """Returns the window of an address.

    `reach`: the seconds of the first and the last change. Raises UsageError if it is invalid.
    """
    first, last = reach or (None, None)
    end = _end(until, now, last)
    begin = moment_arguments.parse(since, now) if since else _begin(vault, end, first)
    if begin >= end:
        raise UsageError(
            f"the window ends before it begins: {moment.iso(begin)} to {moment.iso(end)}",
            hint="A window holds the changes made after its first moment, up to and including its last one.",
        )
    return ShownWindow(begin, end, first, last)


def _end(until: str, now: float, last: int | None) -> int:
    if until:
        return min(moment_arguments.parse(until, now), int(now))
    return int(now) if last is None else min(int(now), last + MARGIN)


def _begin(vault: TableVault, end: int, first: int | None) -> int:
    begin = vault.coverage.followed_from - 1 if first is None else first - 1
    return max(0, begin if end - begin <= WHOLE else end - USUAL, min(begin, end - 1) if begin >= end else 0)
