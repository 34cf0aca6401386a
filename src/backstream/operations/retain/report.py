"""The report of `retain`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

MONTHLY = 0.023  # dollars for a GB and month, S3 Standard, us-east-1: https://aws.amazon.com/s3/pricing/
_GB = 1 << 30


class RemovedKind(msgspec.Struct, frozen=True):
    """The removed objects of one kind: row versions, segments, compacted objects, base backups, gaps, drills."""

    kind: str
    versions: int
    bytes: int


class LeftObject(msgspec.Struct, frozen=True):
    """An object that stays, and the reason."""

    object: str
    why: str


class Retention(msgspec.Struct, frozen=True):
    """The result of a retention. With `dry_run`, the figures say what would be done.

    `horizon`: the first moment that can be restored, ISO 8601; None if all of the history is kept. `removed_versions`,
    `removed_bytes`: of everything that was removed, delete markers included; `kept_bytes`: of everything that stays;
    `dollars_per_month`: what the removed bytes cost in S3 Standard. `removed`: the same by kind. `locked_versions`, `locked_bytes`:
    what Object Lock still keeps, the last of it until `locked_until` (None if nothing has a date). It is not counted as removed; a
    later run removes it. `notes`: what to know besides. `left`: objects that stay because they cannot be read. `kept_states`: the
    moments before the horizon that can be restored all the same, ISO 8601.
    """

    table: str
    horizon: str | None
    removed_versions: int
    removed_bytes: int
    kept_bytes: int
    dry_run: bool
    dollars_per_month: float
    locked_versions: int = 0
    locked_until: str | None = None
    removed: Sequence[RemovedKind] = ()
    notes: Sequence[str] = ()
    seconds: float = 0.0
    left: Sequence[LeftObject] = ()
    kept_states: Sequence[str] = ()
    locked_bytes: int = 0


def dollars(size: int) -> float:
    """Returns the monthly price of these bytes."""
    return round(size / _GB * MONTHLY, 4)
