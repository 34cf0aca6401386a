"""Which place a catalog wants images in: the one point where the layouts part."""

from __future__ import annotations

from backstream.layouts.catalog import Catalog, Layout
from backstream.layouts.inline import Inline
from backstream.layouts.rows import RowStore
from backstream.ports import ObjectStore


def images_for(store: ObjectStore, catalog: Catalog) -> RowStore | Inline:
    """Where new images of this table go from now on."""
    return RowStore(store, catalog) if catalog.layout is Layout.ROWS else Inline()
