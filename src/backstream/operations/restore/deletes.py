"""An in-place restore that would delete most of a table is refused unless the user says how many deletes are expected.

A vault whose log was hidden, or another table's vault, looks like an empty table. See docs/notes/0021-unknown-is-not-absent.md.
"""

from __future__ import annotations

from backstream.errors import Refused
from backstream.model.counts import counted
from backstream.operations.restore.request import RestoreRequest
from backstream.operations.restore.row_states import RowCounts


def needed(tally: RowCounts, request: RestoreRequest) -> int | None:
    """The number that `--expect-deletes` needs; None where no number is needed.

    Most of a table: more than half of its live rows, or any row where the state at the moment holds none at all. Rows that were
    asked for by their keys need no number.
    """
    if request.keys or not tally.deletes:
        return None
    return tally.deletes if tally.then == 0 or 2 * tally.deletes > tally.live else None


def check(tally: RowCounts, request: RestoreRequest, table: str, when: str) -> None:
    """Refused where more would be deleted than is expected, or most of the table without any expectation."""
    expected, deletes = request.expect_deletes, tally.deletes
    if expected is None and needed(tally, request) is not None:
        empty = f"; the vault holds no row of {when}" if tally.then == 0 else ""
        raise Refused(
            f"this would delete {deletes:,} of the {counted(tally.live, 'row')} of {table}{empty}; nothing was touched",
            hint=f"Look at it with --dry-run. If all of these are to go, say so: --expect-deletes {deletes}",
        )
    if expected is not None and deletes > expected:
        raise Refused(
            f"this would delete {counted(deletes, 'row')} of {table}, more than the {expected:,} that are expected; "
            "nothing was touched",
            hint=f"Look at it with --dry-run. If all of these are to go, say so: --expect-deletes {deletes}",
        )
