"""Lists the tables with a catalog in a vault."""

from __future__ import annotations

from backstream.ports import ObjectStore
from backstream.vault import catalog_versions
from backstream.vault.table_folders import folders


def tables(store: ObjectStore) -> list[str]:
    """Returns the names of all tables with a catalog in the vault, hidden ones too."""
    return [table for table in folders(store) if any(True for _ in catalog_versions.versions(store, table))]
