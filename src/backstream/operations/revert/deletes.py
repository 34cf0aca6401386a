"""Refuses a revert that would delete most of a table, unless the user states how many deletes are expected.

A revert deletes only items that were created in its window, according to the log. A window that is far too long can still cover
most of a table.
"""

from __future__ import annotations

from backstream.model.counts import counted
from backstream.operations.bulk import expected_deletes
from backstream.operations.revert.plan_file import Plan
from backstream.ports import Table

NAMES_ITEMS = ("--key", "--changes")  # selections by which somebody has named what is to go


def needed(plan: Plan, table: Table) -> int | None:
    """Returns the number that `--expect-deletes` needs; None if no number is needed.

    Most of a table means more than half of its live rows. At most twice as many rows as it would delete are read to find out.
    """
    deletes = plan.counts.deleted
    if not deletes or any(name in plan.head.selection for name in NAMES_ITEMS):
        return None
    live = 0
    for page in table.scan():
        live += len(page)
        if live >= 2 * deletes:
            return None
    return deletes


def check(plan: Plan, table: Table, expected: int | None) -> None:
    """Raises Refused if more would be deleted than expected, or most of the table without any expectation."""
    deletes, name = plan.counts.deleted, plan.head.table
    wanted = needed(plan, table) if expected is None else None  # to know it, the table is read
    unexpected = f"{counted(deletes, 'row')}, more than half of the rows of {name}"
    expected_deletes.check(deletes, expected, wanted, unexpected, name)
