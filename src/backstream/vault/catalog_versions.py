"""The versions of a table's catalog. Every change of the catalog is kept as one."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.ports import ObjectStore
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import Catalog


def versions(store: ObjectStore, table: str) -> Iterator[tuple[str, str]]:
    """Yields the name of the catalog's object with each of its versions, newest first. Their contents are not read."""
    return ((catalogs.name_of(table), each.version) for each in store.versions_of(catalogs.name_of(table)) if not each.marker)


def version(store: ObjectStore, name: str, each: str) -> Catalog:
    """Returns one version of the catalog. Raises Damaged if it cannot be read."""
    return catalogs.decode(store.get(name, each).body, name)


def in_force(store: ObjectStore, table: str, at: int) -> tuple[Catalog, float]:
    """Returns the catalog that was current at the end of a second, and when the store received it.

    Returns the oldest if none is that old.
    """
    name = catalogs.name_of(table)
    there = [each for each in store.versions_of(name) if not each.marker]
    if not there:
        return catalogs.load(store, table), float(at)
    chosen = next((each for each in there if each.modified < at + 1), there[-1])
    return catalogs.decode(store.get(name, chosen.version).body, name), chosen.modified
