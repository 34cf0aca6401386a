"""Which second a drill restores where none is given."""

from __future__ import annotations

import secrets

from backstream.errors import OutsideWindow
from backstream.layouts.vault import TableVault
from backstream.model.window import Window
from backstream.operations.drill.report import Pick

DAY = 86_400


def pick(vault: TableVault, how: Pick, window: Window, now: float) -> int:
    """The newest second that can be restored, or a random one of the last day that is proven. OutsideWindow where there is none."""
    if how is Pick.RANDOM and window.ranges:
        newest = window.ranges[-1]
        since = max(newest.since, newest.until - DAY)
        return since + secrets.randbelow(newest.until - since + 1)
    return _newest(vault, window, now)


def _newest(vault: TableVault, window: Window, now: float) -> int:
    """The second of the last change, or the last that is proven, whichever is later.

    What is proven is a few seconds behind what is there: a table that has just been captured would be tried as it was before that.
    """
    changed = _last_change(vault)
    seconds = [] if window.until is None else [window.until]
    if changed is not None and window.start(changed) is not None and not window.gaps_before(changed):
        seconds.append(min(changed, int(now)))
    if not seconds:
        hint = f"{window}. --at chooses one all the same."
        raise OutsideWindow(f"no second of {vault.catalog.table} can be restored exactly yet", hint=hint)
    return max(seconds)


def _last_change(vault: TableVault) -> int | None:
    found = vault.inventory()
    segments = (each.segment.max_time for each in found.segments if each.segment is not None and each.segment.count)
    return max([*segments, *(each.until for each in found.sets)], default=None)
