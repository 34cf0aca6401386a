"""Lists the tables that a vault holds anything of, by its folders alone."""

from __future__ import annotations

import difflib

from backstream.errors import BackstreamError
from backstream.model.tables.naming import SYSTEM_FOLDER, is_table_name
from backstream.ports import ObjectStore
from backstream.vault.one_level import folders_in

MOST_NAMED = 10


def folders(store: ObjectStore) -> list[str]:
    """Returns the names of all tables with any object in the vault, with a catalog or without. Costs one LIST for each."""
    # Another folder belongs to no table: `doctor` tries to write in one of its own.
    there = ((name, row) for name, row in folders_in(store, f"{SYSTEM_FOLDER}/") if is_table_name(name))
    return [table for table, row in there if not row.marker or _holds_anything(store, table)]


def others(store: ObjectStore, table: str) -> str:
    """Returns a hint for a name that the vault does not know: the nearest name, and its tables. Empty if it holds none.

    Empty, too, for a role that may not list the vault: the hint is lost then, not the error that it belongs to.
    """
    try:
        known = folders(store)
    except BackstreamError:
        return ""
    if not known:
        return ""
    near = difflib.get_close_matches(table, known, n=1) or [each for each in known if each.lower() == table.lower()]
    meant = f"Did you mean {near[0]!r}? " if near else ""
    rest = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return f"{meant}The vault holds {', '.join(map(repr, known[:MOST_NAMED]))}{rest}."


def _holds_anything(store: ObjectStore, table: str) -> bool:
    """True if there is more than delete markers."""
    return any(not each.marker for each in store.versions(f"{SYSTEM_FOLDER}/{table}/"))
