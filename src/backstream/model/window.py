"""The recovery window: from when to when a restore is exact, and what stands in the way of a moment."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model import moment


class KnownGap(msgspec.Struct, frozen=True):
    """Changes made between two seconds (both included) that may be missing, and why."""

    since: int
    until: int
    reason: str

    def __str__(self) -> str:
        return f"{moment.iso(self.since)} to {moment.iso(self.until)}: {self.reason}"


class Window(msgspec.Struct, frozen=True):
    """What the vault may claim, in seconds.

    `since`: from then on it knows every item, None where it lacks a base backup; `durable`: every change up to then has arrived,
    None where that is not known of any; `gaps`: those that stand open, oldest first.
    """

    since: int | None
    durable: int | None
    gaps: Sequence[KnownGap]

    @property
    def until(self) -> int | None:
        """The last second at which a restore of the whole table is exact; None where there is none."""
        if self.since is None or self.durable is None:
            return None
        end = min([self.durable, *(gap.since - 1 for gap in self.gaps)])
        return end if end >= self.since else None

    def gaps_before(self, at: int) -> list[KnownGap]:
        """The gaps that make the state at a moment uncertain."""
        return [gap for gap in self.gaps if gap.since <= at]

    def __str__(self) -> str:
        if self.since is None:
            known = "no base backup: the table was not empty at `init`"
        elif self.until is None:
            known = f"from {moment.iso(self.since)}; nothing has been read from the stream yet"
        else:
            known = f"{moment.iso(self.since)} to {moment.iso(self.until)}"
        return f"recovery window: {known}"
