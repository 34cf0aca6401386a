"""Selects the place of a table's images: the one point where the layouts part."""

from __future__ import annotations

from backstream.ports import ObjectStore
from backstream.vault.catalog import Catalog, Layout
from backstream.vault.log.inline import Inline
from backstream.vault.rows.rows import RowStore


def images_for(store: ObjectStore, catalog: Catalog) -> RowStore | Inline:
    """Returns the place for new images of this table."""
    return RowStore(store, catalog) if catalog.layout is Layout.ROWS else Inline()
