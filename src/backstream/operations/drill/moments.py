"""Which second a drill restores where none is given."""

from __future__ import annotations

import secrets

from backstream.errors import OutsideWindow
from backstream.model.window import Window
from backstream.operations.drill.report import Pick

DAY = 86_400


def pick(table: str, how: Pick, window: Window) -> int:
    """A second of the newest range of exact ones: its last, or any of its last day. OutsideWindow where there is none."""
    if not window.ranges:
        raise OutsideWindow(f"no second of {table} can be restored exactly yet", hint=f"{window}. --at chooses one all the same.")
    newest = window.ranges[-1]
    if how is Pick.NEWEST:
        return newest.until
    since = max(newest.since, newest.until - DAY)
    return since + secrets.randbelow(newest.until - since + 1)
