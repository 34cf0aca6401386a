"""The context and the report of a base backup."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from backstream.model import moment
from backstream.operations.bulk.progress import Progress, Silent
from backstream.ports import Clock
from backstream.vault.bases import Base, CompletionRecord
from backstream.vault.table_vault import TableVault


class Backfilled(msgspec.Struct, frozen=True):
    """The result of a base backup. Times are ISO 8601, UTC.

    `rows`: the number of its items; `written`: the number of images that the vault did not have yet; `resumed`: True if an
    interrupted one was continued; `began`, `ended`: the time of the read. Moments from `exact_from` on are exact once the stream
    has been read up to there, null if changes are missing all the same; `captured_to`: the present end of the stream's proof, null
    if it is not known. `forgotten`: items that were passed over in this run, because they were erased with `--forget-future`.
    """

    table: str
    id: str
    kind: str
    rows: int
    written: int
    segments: int
    resumed: bool
    began: str
    ended: str
    exact_from: str | None
    captured_to: str | None
    read_units: float | None
    seconds: float
    warnings: Sequence[str] = ()
    forgotten: int = 0


class BackfillContext(msgspec.Struct, frozen=True):
    """The context of a base backup."""

    clock: Clock
    progress: Progress = Silent()


def report_of(
    vault: TableVault,
    base: Base,
    account: CompletionRecord,
    parts: BackfillContext,
    *,
    written: int,
    segments: int,
    resumed: bool,
    began: float,
    units: float | None,
    forgotten: int = 0,
) -> Backfilled:
    """Returns the report of a complete base backup. `began`: the start of this run, in epoch seconds."""
    now = parts.clock.now()
    window = vault.window(now)
    start = window.start(base.end)
    gaps = window.gaps_before(base.end)
    warnings = [f"changes may be missing: {gap}" for gap in gaps]
    if start is not None and not gaps and (window.durable is None or window.durable < base.end):
        warnings.append(
            f"the recovery window starts at {moment.iso(base.end)} once the stream has been read up to there: "
            f"by a running tail, or by `backstream witness {vault.catalog.table}`"
        )
    return Backfilled(
        table=vault.catalog.table,
        id=base.id,
        kind=base.kind,
        rows=account.rows,
        written=written,
        segments=segments,
        resumed=resumed,
        began=moment.iso(base.begin),
        ended=moment.iso(base.end),
        exact_from=None if start is None or gaps else moment.iso(base.end),
        captured_to=None if window.durable is None else moment.iso(window.durable),
        read_units=units,
        seconds=round(now - began, 3),
        warnings=warnings,
        forgotten=forgotten,
    )
