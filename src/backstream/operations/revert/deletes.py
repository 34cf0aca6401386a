"""A revert that would delete most of a table is refused unless the user says how many deletes are expected.

A revert deletes only what the log says was created in its window. A window that is far too long can still be most of a table.
"""

from __future__ import annotations

from backstream.model.counts import counted
from backstream.operations.bulk import expected_deletes
from backstream.operations.revert.plan_file import Plan
from backstream.ports import Table

NAMES_ITEMS = ("--key", "--changes")  # selections by which somebody has named what is to go


def needed(plan: Plan, table: Table) -> int | None:
    """The number that `--expect-deletes` needs; None where no number is needed.

    Most of a table: more than half of its live rows. No more than twice as many rows as are to be deleted are read to know.
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
    """Refused where more would be deleted than is expected, or most of the table without any expectation."""
    deletes, name = plan.counts.deleted, plan.head.table
    wanted = needed(plan, table) if expected is None else None  # to know it, the table is read
    unexpected = f"{counted(deletes, 'row')}, more than half of the rows of {name}"
    expected_deletes.check(deletes, expected, wanted, unexpected, name)
