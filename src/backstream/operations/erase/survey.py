"""Finds the items that a request selects, all of their entries, and the names of their row objects; and checks the reason.

Lines do not tell of every item. `retain` removes the lines of one that was deleted long ago, and a snapshot still holds it. A gap
may name an item of which nothing ever arrived. A crash, or a lock, may leave a row object that no line names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import Any

import msgspec

from backstream.engine.local.memory import Memory
from backstream.engine.local.prefetch import ahead
from backstream.errors import Damaged, MissingObject, UsageError
from backstream.model.changes.entry import Entry
from backstream.model.tables import naming
from backstream.model.tables.naming import KeyOrder, Naming
from backstream.model.values import wire
from backstream.model.values.key_arguments import parse_partition
from backstream.operations.erase import line_objects
from backstream.operations.erase.request import EraseRequest
from backstream.operations.erase.row_objects import row_folders
from backstream.operations.erase.searching import LINES, Search, is_own_record, is_structure
from backstream.operations.erase.subject import Subject
from backstream.ports import ObjectVersion
from backstream.vault import catalog as catalogs
from backstream.vault.catalog import folder
from backstream.vault.erasure.erasures import Erasure
from backstream.vault.table_vault import TableVault

SHORTEST = 3  # letters of a name in a reason: shorter ones are in many sentences
READERS = 8
IsWanted = Callable[[bytes], bool]
OnUnread = Callable[[str, str], None]


class SelectedItems(msgspec.Struct, frozen=True):
    """The selected items by their canonical keys, each with all of its entries, without images.

    Items that only other objects hold have no entries. `over`: for items in lines that no reader of the vault reads any more, the
    second of the last one.
    """

    entries: dict[bytes, list[Entry]]
    over: dict[bytes, int]


def select(vault: TableVault, request: EraseRequest, memory: Memory, unread: OnUnread) -> SelectedItems:
    """Returns the selected items.

    An item that was the tenant's at any time is the tenant's. `unread` receives objects that cannot be read, with the reason.
    """
    wanted = _wanted(vault, request, memory, unread)
    found, read = dict[bytes, list[Entry]](), set[str]()
    for one, claim, body in line_objects.each_read(line_objects.everything(vault), memory, unread):
        read.add(one.name)
        for block in line_objects.blocks(claim, body):
            for entry, _line in block:
                key = vault.key(entry)
                if wanted(key):
                    found.setdefault(key, []).append(entry)
    for key in _keys_elsewhere(vault, request, wanted, memory):
        found.setdefault(key, [])
    over = _in_lines_that_are_over(vault, request, wanted, read, memory)
    for key in (*over, *_with_rows(vault, [each for each in request.keys if each not in found])):
        found.setdefault(key, [])
    return SelectedItems(found, over)


def _with_rows(vault: TableVault, keys: Collection[bytes]) -> list[bytes]:
    """Returns the keys that have row objects."""
    if not keys or not row_objects(vault, {each: [] for each in keys}):
        return []
    return [each for each in keys if row_objects(vault, {each: []})]


def _wanted(vault: TableVault, request: EraseRequest, memory: Memory, unread: OnUnread) -> Callable[[bytes], bool]:
    if request.partition is not None:
        beginning = parse_partition(vault.catalog.key_schema, request.partition)
        return lambda key: key.startswith(beginning)
    if request.tenant is not None:
        return _of_tenant(vault, request.tenant, memory, unread).__contains__
    return frozenset(request.keys).__contains__


def _of_tenant(vault: TableVault, tenant: str, memory: Memory, unread: OnUnread) -> Collection[bytes]:
    """Returns the keys of all items that were a tenant's at any time."""
    attribute = vault.catalog.tenant_attribute
    if attribute is None:
        raise UsageError(
            f"{vault.catalog.table} is not split by tenant",
            hint=f"Run `backstream init {vault.catalog.table} --tenant-attribute NAME` once, or name the items with --keys.",
        )
    belongs = _TenantRule(vault, attribute, tenant)
    keys = set[bytes]()
    for one, claim, body in line_objects.each_read(line_objects.everything(vault), memory, unread):
        for found in line_objects.with_images(claim, body):
            for entry in found:
                try:
                    if belongs(entry):
                        keys.add(vault.key(entry))
                except (Damaged, MissingObject) as error:
                    unread(one.name, error.message)
    return keys


class _TenantRule:
    """Tells whether an entry is of a tenant, by its images, or by the name of its row object where that tells it."""

    def __init__(self, vault: TableVault, attribute: str, tenant: str) -> None:
        self._vault = vault
        self._attribute = attribute
        self._folder = naming.tenant_folder({"S": tenant})
        adopted = vault.catalog.adopted
        self._rows = [*([] if adopted is None else [adopted.folder]), f"{vault.catalog.table}/"]
        ways = catalogs.ways_of(vault.store, vault.catalog)
        self._names_tell = ways is not None and {each.tenant_attribute for each in ways} <= {None, attribute}

    def __call__(self, entry: Entry) -> bool:
        told = self._folder_of(entry)
        if told:
            return told == self._folder
        images = [entry.image, entry.old] if entry.place is None else [self._vault.image(entry)]
        return any(image is not None and self._is_in(image) for image in images)

    def _folder_of(self, entry: Entry) -> str:
        """Returns the tenant's folder that the name of an entry's row object tells; empty if it tells none."""
        if entry.place is None or not self._names_tell:
            return ""
        above = next((each for each in self._rows if entry.place.name.startswith(each)), "")
        told = entry.place.name.removeprefix(above).rpartition("/")[0]
        return "" if "/" in told else told

    def _is_in(self, image: bytes) -> bool:
        return naming.tenant_folder(wire.attribute(image, self._attribute)) == self._folder


def row_objects(vault: TableVault, found: dict[bytes, list[Entry]]) -> set[str]:
    """Returns the names of the items' row objects: those that the log names, and those that they may have by any of the vault's
    ways, which exist.
    """
    named = {entry.place.name for entries in found.values() for entry in entries if entry.place is not None}
    ways = catalogs.ways_of(vault.store, vault.catalog)
    kinds = (
        {(way.naming, way.key_order) for way in ways}
        if ways is not None
        else {(each, order) for each in Naming for order in KeyOrder}
    )
    split = ways is None or any(way.tenant_attribute is not None for way in ways)
    table = vault.catalog.table
    possible = {naming.object_name(table, kind, key, None, order) for key in found for kind, order in kinds}
    if not split:
        return named | {name for name in possible - named if next(vault.store.versions_of(name), None) is not None}
    ids = {name.rpartition("/")[2] for name in possible}
    return named | {name for name in _row_names(vault) if name.rpartition("/")[2] in ids}


def _row_names(vault: TableVault) -> set[str]:
    return {each.name for folder in row_folders(vault) for each in vault.store.versions(folder)}


def check_reason(vault: TableVault, request: EraseRequest, erasure: Erasure, keys: Collection[bytes]) -> None:
    """Raises UsageError if the reason holds a key of the subject, or a text of one, or the tenant's name, as a word."""
    named = next((each for each in _names(request, keys) if _is_word(each, request.reason)), None)
    if named is not None or Search(vault, Subject([erasure])).is_within(request.reason):
        what = "a key" if named is None else repr(named)
        raise UsageError(
            f"the reason names what is to be erased ({what}), and it stays in the record of the erasure",
            hint="Give the number of the request instead. Nothing was changed.",
        )


def _names(request: EraseRequest, keys: Collection[bytes]) -> Iterator[str]:
    yield from (each for each in (request.tenant, request.partition) if each is not None and len(each) >= SHORTEST)
    for key in keys:
        values = msgspec.json.decode(key, type=dict[str, dict[str, str]]).values()
        yield from (text for each in values if len(text := each.get("S", "")) >= SHORTEST)


def _is_word(text: str, sentence: str) -> bool:
    return text in sentence and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", sentence) is not None


def _keys_elsewhere(vault: TableVault, request: EraseRequest, is_wanted: IsWanted, memory: Memory) -> Iterator[bytes]:
    """Yields the canonical keys of selected items in everything but lines, some of them several times.

    An object that cannot be read is passed over here: the search of all versions names it.
    """
    search, own = Search(vault, Subject([])), folder(vault.catalog.table)
    rows = (each for each in vault.store.versions(own) if not each.marker and _may_name(each.name.removeprefix(own)))
    with ThreadPoolExecutor(READERS, thread_name_prefix="elsewhere") as pool:
        for row, reading in ahead(pool, search.values_of, rows, memory.bodies, weight=lambda each: each.size):
            with suppress(Damaged, MissingObject):
                yield from _selected(vault, request, is_wanted, search, row, reading())


def _in_lines_that_are_over(
    vault: TableVault, request: EraseRequest, is_wanted: IsWanted, read: Collection[str], memory: Memory
) -> dict[bytes, int]:
    """Returns the selected items in versions with lines that no reader reads, each with the second of its last line there.

    They are hidden, or belong to sets that do not count, or are from before the horizon. `read`: the names of the objects that
    were read. A version that cannot be read is passed over here: the search of all versions names it.
    """
    attribute, tenant = vault.catalog.tenant_attribute, request.tenant
    belongs = None if tenant is None or attribute is None else _TenantRule(vault, attribute, tenant)

    def is_selected(key: bytes, entry: Entry) -> bool:
        if is_wanted(key) or belongs is None:
            return is_wanted(key)
        with suppress(Damaged, MissingObject):
            return belongs(entry)
        return False

    search, found = Search(vault, Subject([])), dict[bytes, int]()
    with ThreadPoolExecutor(READERS, thread_name_prefix="over") as pool:
        work = partial(search.last_seconds, is_selected=is_selected)
        for _, reading in ahead(pool, work, _versions_over(vault, read), memory.bodies, weight=lambda each: each.size):
            with suppress(Damaged, MissingObject):
                for key, second in reading().items():
                    found[key] = max(found.get(key, second), second)
    return found


def _versions_over(vault: TableVault, read: Collection[str]) -> Iterator[ObjectVersion]:
    """Yields the versions with lines, except for the only one of each object that was read."""
    own = folder(vault.catalog.table)
    for name, rows in groupby(vault.store.versions(own), key=lambda each: each.name):
        bodies = [each for each in rows if not each.marker]
        if _holds_lines(name.removeprefix(own)) and (len(bodies) > 1 or name not in read):
            yield from bodies


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
    return not _holds_lines(place) and not is_structure(place)


def _holds_lines(place: str) -> bool:
    return place.startswith(LINES) and not place.endswith((".json", ".json.zst")) and not is_structure(place)
