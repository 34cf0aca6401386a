"""The catalog with another horizon."""

from __future__ import annotations

import msgspec

from backstream.errors import Unavailable
from backstream.model import moment
from backstream.vault.catalog import Catalog
from backstream.vault.horizon import Horizon


class ErasureBegan(Unavailable):
    """An erasure began after the state was read, so the state may hold what is erased: it must not be published."""


def check_erasures(catalog: Catalog, known: Catalog) -> None:
    """Raises ErasureBegan if a catalog names other erasures than the one by which a state was read."""
    if catalog.erasures != known.erasures:
        what = f"an erasure of {catalog.table} began at the same time: this run stops"
        raise ErasureBegan(what, hint="Run the same command again.")


def with_horizon(catalog: Catalog, horizon: Horizon) -> Catalog:
    """Returns the catalog with this horizon; the same one if it has a later one already."""
    if catalog.horizon is not None and catalog.horizon.second >= horizon.second:
        return catalog
    last = catalog.base_backup
    passed = last is not None and moment.parse_iso_micros(last.began) // 1_000_000 <= horizon.second
    return msgspec.structs.replace(
        catalog, horizon=horizon, complete_from=None, base_backup=None if passed else catalog.base_backup
    )
