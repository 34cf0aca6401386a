"""Checks what a catalog says, so that nobody works with one that no tool has written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backstream.errors import UsageError
from backstream.model import moment
from backstream.model.condition import path_of
from backstream.model.values.schema import KEY_TYPES
from backstream.vault import horizon

if TYPE_CHECKING:
    from backstream.vault.catalog import Catalog

ERASURE = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}")  # the id of an erasure


def is_sound(catalog: Catalog) -> bool:
    """True if its times are times, its paths are paths, and its key is one that a table can have."""
    try:
        for each in _times(catalog):
            moment.parse_iso_micros(each)
        if catalog.actor_attribute is not None:
            path_of(catalog.actor_attribute)
        if catalog.requests is not None:
            catalog.requests.check()
    except (ValueError, OverflowError, UsageError):
        return False
    if catalog.bucket_owner is not None and not re.fullmatch("[0-9]{12}", catalog.bucket_owner):
        return False
    if not _keeps_soundly(catalog):
        return False
    if not all(ERASURE.fullmatch(each) for each in catalog.erasures):
        return False
    if not all(moment.is_known(life.created) for life in catalog.lives):
        return False
    if catalog.forgotten is not None and not re.fullmatch("[0-9a-f]{32}", catalog.forgotten):
        return False
    complete = catalog.complete_from is None or moment.is_known(catalog.complete_from)
    return complete and horizon.is_sound(catalog.horizon) and all(each.type in KEY_TYPES for each in catalog.key_schema.attributes)


def _keeps_soundly(catalog: Catalog) -> bool:
    periods = (catalog.keep, catalog.keep_daily, catalog.keep_monthly)
    if not all(each is None or (each and moment.is_known(each)) for each in periods):
        return False
    return horizon.are_sound(catalog.kept_states, catalog.horizon)


def _times(catalog: Catalog) -> Iterator[str]:
    """Yields all that is a time in ISO 8601."""
    yield catalog.initialised
    if catalog.adopted is not None:
        yield from (catalog.adopted.since, catalog.adopted.until)
    if catalog.base_backup is not None:
        yield from (catalog.base_backup.began, catalog.base_backup.ended)
    yield from (each.since for each in catalog.ways or ())
    for each in catalog.erasures:
        yield moment.iso(moment.parse_compact(each.partition("-")[0]))
