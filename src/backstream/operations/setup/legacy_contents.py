"""The report of `init --adopt`: the contents of an older tool's bucket when it was adopted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model.tables.legacy_names import Style


class LegacyContents(msgspec.Struct, frozen=True):
    """The contents of an older tool's bucket. `since`, `until`: the arrival of the first and the last version taken in (seconds).

    `versions` were taken in, of `items`; `deletes` of them are delete markers; `mended`: versions whose binary values were not
    DynamoDB JSON, corrected in the log; `unsure`: changes of an item that arrived under two names in one instant. `foreign` and
    `unreadable` count, and name the first of, the objects left alone: those with other names, and those without an item.
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
