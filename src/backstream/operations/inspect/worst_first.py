"""The order of several tables in which an operator looks at them: the worst first."""

from __future__ import annotations

from backstream.operations.inspect.status import Status


def badness(each: Status) -> tuple[object, ...]:
    """Returns what sorts the worst first: findings, gaps, no exact restore, a failed drill, then the lag; then the name."""
    last = each.last_drill
    failed = last is not None and not last.passed
    lag = float("inf") if each.lag_seconds is None else each.lag_seconds
    return (not wrong(each), not each.gaps, bool(each.ranges), not failed, -lag, each.table)


def wrong(each: Status) -> list[str]:
    """Returns the findings of a table, a word each: damage, hidden objects, missed objectives, and what is not proven."""
    found = [*(["DAMAGED"] if each.damaged else []), *(["HIDDEN"] if each.hidden else []), *(["MISSED"] if each.missed else [])]
    return [*found, *(["UNPROVEN"] if each.unproven else [])]
