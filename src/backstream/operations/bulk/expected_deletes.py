"""`--expect-deletes N`: refuses to delete most of a table, or more than N rows."""

from __future__ import annotations

from backstream.errors import Refused
from backstream.model.counts import counted


def check(deletes: int, expected: int | None, needed: int | None, unexpected: str, table: str) -> None:
    """Raises Refused if more would be deleted than expected, or if a number is needed and none is given.

    `needed`: the number that is needed, None if none is; `unexpected`: a description of the deletes.
    """
    if expected is None and needed is not None:
        what = unexpected
    elif expected is not None and deletes > expected:
        what = f"{counted(deletes, 'row')} of {table}, more than the {expected:,} that are expected"
    else:
        return
    raise Refused(
        f"this would delete {what}; nothing was touched",
        hint=f"Look at it with --dry-run. If all of these are to go, say so: --expect-deletes {deletes}",
    )
