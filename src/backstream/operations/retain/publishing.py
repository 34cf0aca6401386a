"""The catalog with another horizon."""

from __future__ import annotations

import msgspec

from backstream.model import moment
from backstream.vault.catalog import Catalog
from backstream.vault.horizon import Horizon


def with_horizon(catalog: Catalog, horizon: Horizon) -> Catalog:
    """Returns the catalog with this horizon; the same one if it has a later one already."""
    if catalog.horizon is not None and catalog.horizon.second >= horizon.second:
        return catalog
    last = catalog.base_backup
    passed = last is not None and moment.parse_iso_micros(last.began) // 1_000_000 <= horizon.second
    return msgspec.structs.replace(
        catalog, horizon=horizon, complete_from=None, base_backup=None if passed else catalog.base_backup
    )
