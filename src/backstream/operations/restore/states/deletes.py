"""Refuses an in-place restore that would delete most of a table, unless the user states how many deletes are expected.

A vault whose log was hidden, or another table's vault, looks like an empty table. See docs/notes/0021-unknown-is-not-absent.md.
"""

from __future__ import annotations

from backstream.model.counts import counted
from backstream.operations.bulk import expected_deletes
from backstream.operations.restore.request import RestoreRequest
from backstream.operations.restore.states.row_states import RowCounts


def needed(tally: RowCounts, request: RestoreRequest) -> int | None:
    """Returns the number that `--expect-deletes` needs; None if no number is needed.

    Most of a table means more than half of its live rows, or any row if the state at the moment holds none at all. Rows that were
    requested by their keys need no number.
    """
    if request.keys or not tally.deletes:
        return None
    return tally.deletes if tally.then == 0 or 2 * tally.deletes > tally.live else None


def check(tally: RowCounts, request: RestoreRequest, table: str, when: str) -> None:
    """Raises Refused if more would be deleted than expected, or most of the table without any expectation."""
    empty = f"; the vault holds no row of {when}" if tally.then == 0 else ""
    unexpected = f"{tally.deletes:,} of the {counted(tally.live, 'row')} of {table}{empty}"
    expected_deletes.check(tally.deletes, request.expect_deletes, needed(tally, request), unexpected, table)
