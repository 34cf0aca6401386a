"""Selects the place of a table's images: the one point where the layouts part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from backstream.model.changes.entry import Entry, Scanned
from backstream.ports import ObjectStore, ScannedImages
from backstream.vault.catalog import Catalog, Layout
from backstream.vault.log.inline import Inline
from backstream.vault.rows.rows import RowStore


def images_for(store: ObjectStore, catalog: Catalog, now: Callable[[], float] | None = None) -> RowStore | Inline:
    """Returns the place for new images of this table. `now`: the clock of a writer whose changes come in order, see `RowStore`."""
    return RowStore(store, catalog, now) if catalog.layout is Layout.ROWS else Inline()


def keep_scanned(images: ScannedImages, page: Sequence[Scanned], pool: ThreadPoolExecutor) -> list[tuple[Entry, bool]]:
    """Does `ScannedImages.keep_scanned` for each, and returns the results in their order."""
    together = images.keep_scanned_each(page)
    others = [place for place in range(len(page)) if place not in together]
    alone = pool.map(images.keep_scanned, [page[place] for place in others])
    kept = together | dict(zip(others, alone, strict=True))
    return [kept[place] for place in range(len(page))]
