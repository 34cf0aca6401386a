"""The report of an erasure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Blocked(msgspec.Struct, frozen=True):
    """A version that a lock keeps. `until`: ISO 8601, UTC; None for a legal hold, which somebody has to end."""

    object: str
    version: str
    until: str | None


class NotErased(msgspec.Struct, frozen=True):
    """An object that could not be searched, or not be changed, and the reason."""

    object: str
    why: str


class Erased(msgspec.Struct, frozen=True):
    """The result of an erasure; with `dry_run`, what it would do. `at`: changes up to that second are erased (ISO 8601, UTC).

    `keys`: the number of items; `lines`: lines that were taken out of the log and of base backups; `objects`: objects that held
    something of them; `versions_removed`: versions and delete markers that were removed. `blocked_until`: the time from which
    everything can be erased, if locks keep some of it; `blocked` names these versions. `left`: objects that could not be searched.
    `late`: lines of the subject that arrived while it was erased. `forget_future`: True if later changes are discarded; otherwise
    they count as new.
    """

    table: str
    id: str
    at: str
    reason: str
    keys: int
    objects: int
    lines: int
    versions_removed: int
    blocked_until: str | None
    dry_run: bool
    seconds: float
    blocked: Sequence[Blocked] = ()
    left: Sequence[NotErased] = ()
    late: int = 0
    forget_future: bool = False


class FoundAgain(msgspec.Struct, frozen=True):
    """Something of the subject that is still there. `version`: of the object; `what`: what was found in it."""

    object: str
    version: str
    what: str


class ErasureVerified(msgspec.Struct, frozen=True):
    """The result of `erase --verify`. `objects`, `versions`: how many were read; `found`: what is left of the subject.

    `unread`: objects that could not be read, so that nothing is proven of them. `new`: versions with changes of the same items that
    were made, or arrived, after the erasure. `forget_future`: True if these are to be discarded; then they are in `found`.
    """

    table: str
    id: str
    at: str
    reason: str
    keys: int
    objects: int
    versions: int
    found: Sequence[FoundAgain]
    unread: Sequence[NotErased]
    new: int
    finished: str | None
    seconds: float
    forget_future: bool = False
