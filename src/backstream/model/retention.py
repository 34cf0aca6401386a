"""The shortest history that a catalog may choose: a bucket is not trusted with the end of its own history."""

from __future__ import annotations

from collections.abc import Mapping

from backstream.model import objectives as durations

VARIABLE = "BACKSTREAM_KEEP_AT_LEAST"
USUAL = "30d"


def least(environment: Mapping[str, str]) -> int:
    """Returns it in seconds. Raises UsageError if the variable is not a duration."""
    return durations.parse(environment.get(VARIABLE) or USUAL)
