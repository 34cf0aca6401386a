"""The messages about rows that a restore did not write, and about a selection that matches nothing."""

from __future__ import annotations

from backstream.errors import NothingMatches
from backstream.model import moment
from backstream.model.counts import counted
from backstream.operations.restore.request import RestoreRequest
from backstream.vault.table_vault import TableVault

NEVER_SEEN = "neither the vault nor the live table has ever held a row of this key"
NAMED = 5


def nothing_matches(vault: TableVault, request: RestoreRequest, nearest: str) -> NothingMatches:
    """Returns the error for a selection that matches no row. `nearest`: the nearest names, as text."""
    at, table = moment.iso(request.at), vault.catalog.table
    erased = next(((key, one) for key in request.keys if (one := vault.erasures.of(key)) is not None), None)
    if erased is not None:
        return NothingMatches(
            f"no row of {table} can be restored by {erased[0].decode()}: {erased[1]}",
            hint="Nothing was touched. It is gone for good.",
        )
    if request.keys and all(each is None for each in (request.tenant, request.partition, request.where)):
        named = ", ".join(key.decode() for key in request.keys[:NAMED])
        more = f" and {len(request.keys) - NAMED:,} more" if request.keys[NAMED:] else ""
        return NothingMatches(f"no row of {table} matches {named}{more}: {NEVER_SEEN}", hint="Nothing was touched. Check the key.")
    asked = {"tenant": request.tenant, "partition": request.partition, "where": request.where}
    words = [f"--{name} {value!r}" for name, value in asked.items() if value is not None]
    words += [f"{counted(len(request.keys), 'key')}"] if request.keys else []
    return NothingMatches(
        f"no row of {table} at {at} matches {' and '.join(words)}", hint=f"Nothing was touched. {nearest}".strip()
    )


def erased_words(vault: TableVault, count: int, request: RestoreRequest) -> list[str]:
    """Returns the notes about rows of the moment that were erased: they cannot be restored."""
    if not count:
        return []
    of_all = "" if request.keys or not request.selects else " of the whole table"
    told = [each for each in vault.erasures.all if each.lacks_at(request.at, request.keys or None)]
    return [f"{counted(count, 'row')}{of_all} of {moment.iso(request.at)} is not restored: {'; '.join(map(str, told[-NAMED:]))}"]


def spared_words(count: int, request: RestoreRequest) -> str:
    """Returns the note about rows that were left alone."""
    word = f"{count} live rows are left alone: the vault does not prove what they were at {moment.iso(request.at)}"
    offer = "; --delete-unknown deletes those that may or may not have existed"
    return word if request.delete_unknown or request.keep_unknown else word + offer
