"""`--expect-deletes N`: what would delete most of a table, or more than N rows, is refused."""

from __future__ import annotations

from backstream.errors import Refused
from backstream.model.counts import counted


def check(deletes: int, expected: int | None, needed: int | None, unexpected: str, table: str) -> None:
    """Refused where more would be deleted than is expected, or where a number is needed and none is given.

    `needed`: the number that is needed, None where none is; `unexpected`: how many would be deleted, of what, in words.
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
