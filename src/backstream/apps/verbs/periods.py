"""The periods of history that a vault may keep."""

from __future__ import annotations

from backstream.apps.config import Config
from backstream.apps.verbs.arguments import seconds_of
from backstream.errors import Refused, UsageError
from backstream.operations.setup.init import NOWHERE

Period = str | int | None  # `400d`, or seconds; `none`; None if it is not told


def period_of(period: Period) -> int | None:
    """Returns the seconds of a period, 0 for `none`, None if it is not told. Raises UsageError if it is no period."""
    if period is None or period == NOWHERE:
        return None if period is None else 0
    seconds = int(seconds_of(period))
    if seconds < 1:
        raise UsageError(f"a vault cannot keep {seconds} seconds of history", hint="Write a period, as --keep 400d.")
    return seconds


def kept_seconds(config: Config, period: Period) -> int | None:
    """Returns the same for the period whose whole history is kept. Raises Refused if it is shorter than the bucket's lock."""
    seconds = period_of(period)
    return checked_period(config, seconds) if seconds else seconds


def checked_period(config: Config, seconds: int) -> int:
    """Returns a period of history. Raises Refused if it is shorter than the bucket's lock."""
    lock = config.default_lock
    if lock is not None and seconds < lock.seconds:
        raise Refused(
            f"the bucket keeps each version of {config.url} locked, {lock}: a shorter history than that cannot be had",
            hint=f"Keep {lock.days}d or more. Nothing was removed.",
        )
    return seconds
