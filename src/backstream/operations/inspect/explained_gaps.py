"""Gaps that `verify` recorded because rows differed, closed once the vault holds the changes that explain each of those rows.

A vault lags behind its table, so a row may differ because its change is still on its way. At that time nobody can distinguish that
from a loss. Later one can: see docs/notes/0031.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from backstream.errors import AccessDenied, BackstreamError, Damaged
from backstream.model.changes.entry import Entry
from backstream.model.changes.explained import is_explained
from backstream.model.clocks import CLOCKS_APART
from backstream.vault.gaps.gaps import DifferingRow, Gap
from backstream.vault.table_vault import TableVault


def note_explained(vault: TableVault, now: float, *, proven_before: int | None = None) -> int:
    """Notes the gaps of differing rows that are closed, and returns their number. A reader must have proven all seconds up to their
    end.

    `proven_before`: only gaps whose end has been proven since, for frequent calls. Nothing is noted if the vault may not be
    written, or if a part of the log cannot be read.
    """
    durable = vault.coverage.durable(now)
    if durable is None:
        return 0
    noted = 0
    for gap in vault.gaps.all():
        if gap.differing is None or not (proven_before or -1) < gap.until <= durable or vault.gaps.has_arrived(gap.evidence):
            continue
        try:
            if _is_explained(vault, gap, gap.differing):
                vault.gaps.arrived(gap.evidence)
                noted += 1
        except (AccessDenied, Damaged):
            continue
    return noted


def try_to_note(vault: TableVault, now: float, notice: Callable[[str], None], *, proven_before: int | None = None) -> None:
    """Does as `note_explained`, for a process whose work this is not: `notice` is told of an error, and the gaps stand."""
    try:
        note_explained(vault, now, proven_before=proven_before)
    except BackstreamError as error:
        notice(f"whether a gap of rows that differed is closed cannot be looked at: {error.message}; until it is, the gap stands")


def _is_explained(vault: TableVault, gap: Gap, rows: Sequence[DifferingRow]) -> bool:
    keys = {each.key.encode() for each in rows}
    changes = vault.engine.changes(vault, keys, gap.since - CLOCKS_APART, gap.until + CLOCKS_APART)
    return all(_has_arrived(changes, row, gap) for row in rows)


def _has_arrived(changes: Mapping[bytes, Sequence[Entry]], row: DifferingRow, gap: Gap) -> bool:
    since = gap.since - CLOCKS_APART
    these = [each for each in changes.get(row.key.encode(), ()) if each.seconds >= since]
    return is_explained(these, held=row.held, seen=row.seen, since=row.since, until=row.until)
