"""What an older tool's bucket held when it was taken over: the report of `init --adopt`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model.tables.legacy_names import Style


class LegacyContents(msgspec.Struct, frozen=True):
    """What an older tool's bucket holds. `since`, `until`: when the first and the last version taken in arrived (seconds).

    `versions` were taken in, of `items`, `deletes` of them delete markers; `mended`: those whose binary values were not DynamoDB
    JSON, kept in the log as they should be; `unsure`: changes of an item that arrived under two names in one instant. `foreign` and
    `unreadable` count, and name the first of, what was left alone: objects of other names, and those that hold no item.
    """

    since: int
    until: int
    versions: int
    items: int
    deletes: int
    mended: int
    unsure: int
    foreign: int
    unreadable: int
    named: Sequence[str]
    style: Style
    tenant: str | None
