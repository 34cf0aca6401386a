"""The period of history that a vault may keep."""

from __future__ import annotations

from backstream.apps.config import Config
from backstream.errors import Refused, UsageError


def checked_period(config: Config, seconds: int) -> int:
    """Returns a period of history. Raises UsageError if there is none, and Refused if it is shorter than the bucket's lock."""
    if seconds < 1:
        raise UsageError(f"a vault cannot keep {seconds} seconds of history", hint="Write a period, as --keep 400d.")
    lock = config.default_lock
    if lock is not None and seconds < lock.seconds:
        raise Refused(
            f"the bucket keeps each version of {config.url} locked, {lock}: a shorter history than that cannot be had",
            hint=f"Keep {lock.days}d or more. Nothing was removed.",
        )
    return seconds
