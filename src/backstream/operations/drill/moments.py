"""Chooses the second that a drill restores if none is given."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from backstream.errors import OutsideWindow
from backstream.model.window import Range, Window
from backstream.operations.drill.report import Pick
from backstream.vault.table_vault import TableVault


def pick(vault: TableVault, how: Pick, window: Window, now: float) -> int:
    """Returns the newest second that can be restored, or a random one of all proven ones. Raises OutsideWindow if there is none."""
    if how is Pick.RANDOM and window.ranges:
        return any_of(window.ranges, secrets.randbelow)
    return _newest(vault, window, now)


def any_of(ranges: Sequence[Range], random_below: Callable[[int], int]) -> int:
    """Returns a second of these ranges, each second with the same probability."""
    left = random_below(sum(each.until - each.since + 1 for each in ranges))
    for each in ranges:
        seconds = each.until - each.since + 1
        if left < seconds:
            return each.since + left
        left -= seconds
    raise AssertionError(left)  # no number is below the sum, and not below one of its terms


def _newest(vault: TableVault, window: Window, now: float) -> int:
    """Returns the second of the last change, or the last proven one, whichever is later.

    The proof is a few seconds behind the log: without this, a table that was just captured would be tested at a moment before that.
    """
    changed = _last_change(vault)
    seconds = [] if window.until is None else [window.until]
    if changed is not None and window.start(changed) is not None and not window.gaps_before(changed):
        seconds.append(min(changed, int(now)))
    if not seconds:
        table, no_base = vault.catalog.table, window.open_gaps or not window.starts
        way = f"`backstream {'backfill' if no_base else 'witness'} {table}` makes a beginning"
        hint = f"{window}. {way}. --at chooses a moment all the same."
        raise OutsideWindow(f"no second of {table} can be restored exactly yet", hint=hint)
    return max(seconds)


def _last_change(vault: TableVault) -> int | None:
    found = vault.inventory()
    segments = (each.segment.max_time for each in found.segments if each.segment is not None and each.segment.count)
    return max([*segments, *(each.until for each in found.sets)], default=None)
