"""Lists the tables that a vault holds anything of."""

from __future__ import annotations

from backstream.model.tables.naming import SYSTEM_FOLDER, is_table_name
from backstream.ports import ObjectStore
from backstream.vault import catalog as catalogs
from backstream.vault import catalog_versions


def tables(store: ObjectStore) -> list[str]:
    """Returns the names of all tables with a catalog in the vault, hidden ones too."""
    return [table for table in folders(store) if any(True for _ in catalog_versions.versions(store, table))]


def folders(store: ObjectStore) -> list[str]:
    """Returns the names of all tables with any object in the vault, with a catalog or without. Costs one LIST for each."""
    found, after = [], ""
    while (entry := next(store.versions(f"{SYSTEM_FOLDER}/", after=after), None)) is not None:
        table = entry.name.split("/")[1]
        # Another folder belongs to no table, such as the one in which `doctor` tries to write.
        if is_table_name(table) and (not entry.marker or _holds_anything(store, table)):
            found.append(table)
        after = f"{SYSTEM_FOLDER}/{table}0"  # "0" follows "/": past all of this table's objects
    return found


def _holds_anything(store: ObjectStore, table: str) -> bool:
    """True if there is more than delete markers."""
    return any(not each.marker for each in store.versions(catalogs.folder(table)))
