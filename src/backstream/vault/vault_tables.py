"""Which tables a vault holds anything of."""

from __future__ import annotations

from backstream.model.tables.naming import SYSTEM_FOLDER, is_table_name
from backstream.ports import ObjectStore
from backstream.vault import catalog as catalogs
from backstream.vault import catalog_versions


def tables(store: ObjectStore) -> list[str]:
    """The names of all tables that the vault has a catalog of, hidden ones too."""
    return [table for table in folders(store) if any(True for _ in catalog_versions.versions(store, table))]


def folders(store: ObjectStore) -> list[str]:
    """The names of all tables of which the vault has anything, with a catalog or without. One LIST for each."""
    found, after = [], ""
    while (entry := next(store.versions(f"{SYSTEM_FOLDER}/", after=after), None)) is not None:
        table = entry.name.split("/")[1]
        # Another folder is none's, as that in which `doctor` tries to write.
        if is_table_name(table) and (not entry.marker or _holds_anything(store, table)):
            found.append(table)
        after = f"{SYSTEM_FOLDER}/{table}0"  # "0" follows "/": past all of this table's objects
    return found


def _holds_anything(store: ObjectStore, table: str) -> bool:
    """Whether there is more than delete markers."""
    return any(not each.marker for each in store.versions(catalogs.folder(table)))
