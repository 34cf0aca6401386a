"""S3 Object Lock, as far as a vault uses it: how long each new version cannot be removed.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from backstream.errors import UsageError

YEARS = 36_500  # days: S3 takes no longer retention
DAY = 86_400


class LockMode(StrEnum):
    """The mode says who may remove a locked version before its time: in governance mode somebody with a special right, in
    compliance mode nobody."""

    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


class ObjectLock(msgspec.Struct, frozen=True):
    """The default retention of a bucket: each new version is locked for this many days."""

    mode: LockMode
    days: int

    def __str__(self) -> str:
        return f"{self.mode} for {self.days} days"

    @property
    def seconds(self) -> int:
        """The same in seconds."""
        return self.days * DAY

    def is_weaker_than(self, other: ObjectLock) -> bool:
        """True if it protects new versions for less time, or from fewer people."""
        return self.days < other.days or (self.mode is LockMode.GOVERNANCE and other.mode is LockMode.COMPLIANCE)


def of_options(mode: str | None, days: int | None) -> ObjectLock | None:
    """Returns the lock of two options; None if neither is given. Raises UsageError if one is missing or wrong."""
    if mode is None and days is None:
        return None
    if mode is None or days is None:
        raise UsageError("--object-lock and --lock-days go together", hint="Such as --object-lock governance --lock-days 30.")
    try:
        known = LockMode(mode)
    except ValueError as error:
        raise UsageError(f"not a mode of Object Lock: {mode!r}", hint=f"One of {', '.join(LockMode)}.") from error
    if not 1 <= days <= YEARS:
        raise UsageError(f"a lock of {days} days", hint=f"It is 1 to {YEARS:,} days.")
    return ObjectLock(known, days)


def is_on(described: Mapping[str, Any]) -> bool:
    """True if a bucket's GetObjectLockConfiguration says that it has Object Lock."""
    return described.get("ObjectLockEnabled") == "Enabled"


def of_bucket(described: Mapping[str, Any]) -> ObjectLock | None:
    """Returns a bucket's default retention, from GetObjectLockConfiguration; None if it has none."""
    found = (described.get("Rule") or {}).get("DefaultRetention") or {}
    days = found.get("Days") or 365 * (found.get("Years") or 0)
    if not is_on(described) or not days or str(found.get("Mode", "")).lower() not in set(LockMode):
        return None
    return ObjectLock(LockMode(str(found["Mode"]).lower()), int(days))
