"""Finds selected items that no line tells of any more: in snapshots and records of the vault, and as row objects alone.

`retain` removes the lines of an item that was deleted long ago, and a snapshot still holds it. A gap may name an item whose
changes never arrived. A crash, or a lock, may leave a row object that no line names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.errors import Damaged, MissingObject
from backstream.model.tables import naming
from backstream.operations.erase.request import EraseRequest
from backstream.operations.erase.searching import LINES, Search, is_own_record, is_structure
from backstream.operations.erase.subject import Subject
from backstream.ports import ObjectVersion
from backstream.vault.catalog import folder
from backstream.vault.table_vault import TableVault

READERS = 8
IsWanted = Callable[[bytes], bool]


def keys_of(vault: TableVault, request: EraseRequest, is_wanted: IsWanted, memory: Memory) -> Iterator[bytes]:
    """Yields the canonical keys of selected items in everything but lines, some of them several times.

    An object that cannot be read is passed over here: the search of all versions names it.
    """
    search, own = Search(vault, Subject([])), folder(vault.catalog.table)
    rows = (each for each in vault.store.versions(own) if not each.marker and _may_name(each.name.removeprefix(own)))
    with ThreadPoolExecutor(READERS, thread_name_prefix="elsewhere") as pool:
        for row, reading in ahead(pool, search.values_of, rows, memory.bodies, weight=lambda each: each.size):
            with suppress(Damaged, MissingObject):
                yield from _selected(vault, request, is_wanted, search, row, reading())


def _selected(
    vault: TableVault, request: EraseRequest, is_wanted: IsWanted, search: Search, row: ObjectVersion, values: list[Any]
) -> Iterator[bytes]:
    typed = is_own_record(row.name.removeprefix(folder(vault.catalog.table)))
    tenant = None if request.tenant is None else naming.tenant_folder({"S": request.tenant})
    for value in values:
        for key, item in search.items_in(value, typed=typed):
            of_item = item.get(vault.catalog.tenant_attribute or "")
            if is_wanted(key) or (isinstance(of_item, dict) and naming.tenant_folder(of_item) == tenant):
                yield key


def _may_name(place: str) -> bool:
    holds_lines = place.startswith(LINES) and not place.endswith((".json", ".json.zst"))
    return not holds_lines and not is_structure(place)
