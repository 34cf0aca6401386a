"""Chooses the second that may become the horizon: one whose state is exact, and on which every later claim can build."""

from __future__ import annotations

from collections.abc import Sequence

from backstream.errors import Refused
from backstream.model import moment
from backstream.model.window import Range, Start, Window

ROUND_FROM = 2 * 86_400  # a period that is at least as long is rounded, so that a run that was interrupted goes on
HOUR = 3_600


def wanted(now: float, keep: int) -> int:
    """Returns the second from which history is to be kept: at least `keep` seconds back, and of long periods the end of an hour.

    No earlier one than 1970.
    """
    second = max(0, int(now) - keep)
    return max(0, second - second % HOUR - 1) if keep >= ROUND_FROM else second


def choose(window: Window, second: int, *, oldest: int | None) -> int | None:
    """Returns the last exact second up to this one; None if there is nothing before it to remove.

    `oldest`: the second of the vault's first change or base backup, None if there is none. Raises Refused if history goes back
    further, and no exact second is there to keep it from.
    """
    if oldest is None or oldest > second:
        return None
    found = _exact(window.ranges, second)
    while found is not None:
        # A moment within or after an export's window builds on the state at its beginning, which must stay.
        split = [bridge.since for bridge in window.bridges if bridge.since <= found < bridge.until]
        if not split:
            break
        found = _exact(window.ranges, min(split) - 1)
    if found is None:
        if window.horizon is not None or _began_later(window, second):
            return None
        raise Refused(
            f"no second up to {moment.iso(second)} can be restored exactly, so there is no state to keep history from: "
            "nothing was removed",
            hint=f"Bring back what is missing, or make a base backup (`backstream backfill`), which lets it go later. {window}",
        )
    check_claims(window, found)
    return found


def _began_later(window: Window, second: int) -> bool:
    return bool(window.ranges) and window.ranges[0].since > second and not window.gaps


def _exact(ranges: Sequence[Range], second: int) -> int | None:
    return max((min(each.until, second) for each in ranges if each.since <= second), default=None)


def check_claims(window: Window, horizon: int) -> None:
    """Raises Refused if a moment after the horizon can be restored now, and could not be with that horizon."""
    starts = [Start(horizon + 1, horizon, "horizon"), *(each for each in window.starts if each.begin > horizon)]
    bridges = [each for each in window.bridges if each.since > horizon]
    after = Window(starts=starts, durable=window.durable, gaps=window.gaps, bridges=bridges).ranges
    for each in window.ranges:
        since = max(each.since, horizon)
        if since <= each.until and not any(one.since <= since and each.until <= one.until for one in after):
            raise Refused(
                f"with a horizon at {moment.iso(horizon)}, {Range(since, each.until)} could not be restored any more: "
                "nothing was removed",
                hint=f"Keep more: choose a longer --keep. {window}",
            )
