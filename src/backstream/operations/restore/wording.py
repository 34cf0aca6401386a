"""The messages about rows that a restore did not write, and about a selection that matches nothing."""

from __future__ import annotations

from backstream.errors import NotFound
from backstream.model import moment
from backstream.model.counts import counted
from backstream.operations.restore.request import RestoreRequest

NEVER_SEEN = "neither the vault nor the live table has ever held a row of this key"
NAMED = 5


def nothing_matches(table: str, request: RestoreRequest, nearest: str) -> NotFound:
    """Returns the error for a selection that matches no row. `nearest`: the nearest names, as text."""
    at = moment.iso(request.at)
    if request.keys and all(each is None for each in (request.tenant, request.partition, request.where)):
        named = ", ".join(key.decode() for key in request.keys[:NAMED])
        more = f" and {len(request.keys) - NAMED:,} more" if request.keys[NAMED:] else ""
        return NotFound(f"no row of {table} matches {named}{more}: {NEVER_SEEN}", hint="Nothing was touched. Check the key.")
    asked = {"tenant": request.tenant, "partition": request.partition, "where": request.where}
    words = [f"--{name} {value!r}" for name, value in asked.items() if value is not None]
    words += [f"{counted(len(request.keys), 'key')}"] if request.keys else []
    return NotFound(f"no row of {table} at {at} matches {' and '.join(words)}", hint=f"Nothing was touched. {nearest}".strip())


def spared_words(count: int, request: RestoreRequest) -> str:
    """Returns the note about rows that were left alone."""
    word = f"{count} live rows are left alone: the vault does not prove what they were at {moment.iso(request.at)}"
    offer = "; --delete-unknown deletes those that may or may not have existed"
    return word if request.delete_unknown or request.keep_unknown else word + offer
