"""Finds objects among a table's rows that cannot be rows: of zero bytes, or not written by this tool.

They are reported, never restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.prefetch import ahead
from backstream.errors import BackstreamError, MissingObject
from backstream.operations.restore.report import Failure
from backstream.ports import TableState
from backstream.vault.rows.row_versions import parse_metadata
from backstream.vault.table_vault import TableVault

READERS = 16
IN_FLIGHT = 64
EMPTY = "an object of zero bytes stands where a row should be"
FOREIGN = "a foreign object: it was not written by Backstream"


class _ListedObject(msgspec.Struct):
    """One current object, as the listing shows it; in `TableState.names` beside the times at which the log named it."""

    size: int
    modified: float


def strangers(vault: TableVault, state: TableState) -> Iterator[Failure]:
    """Yields the current objects in the table's folder that cannot be one of its rows.

    An object that is no younger than the segment that names it is that segment's row. The others - written over a row, unknown to
    the log, or left by a crash before the segment was written - are checked: a row's metadata identifies it.
    """
    for listed in vault.store.list(f"{vault.catalog.table}/"):
        if listed.size or not listed.name.endswith("/"):  # a lone "folder", as the S3 console makes them, is nobody's row
            state.names.add(listed.name.encode(), msgspec.json.encode(_ListedObject(listed.size, listed.modified)))
    if any(True for _ in _unexplained(state)):
        state.read_on()
    with ThreadPoolExecutor(READERS, thread_name_prefix="reader") as pool:
        for (name, _), looking in ahead(pool, lambda each: _why(vault, *each), _unexplained(state), IN_FLIGHT):
            if why := looking():
                yield Failure(name, why)


def _unexplained(state: TableState) -> Iterator[tuple[str, int]]:
    """Yields names and sizes of objects that the log does not account for, and of empty ones."""
    for partition in range(state.names.partitions):
        accounted: dict[bytes, float] = {}
        objects: dict[bytes, _ListedObject] = {}
        for name, value in state.names.read(partition):
            if value.startswith(b"{"):
                objects[name] = msgspec.json.decode(value, type=_ListedObject)
            else:
                accounted[name] = max(accounted.get(name, 0.0), float(value))
        for name, listed in objects.items():
            if not listed.size or listed.modified > accounted.get(name, -1.0):
                yield name.decode(), listed.size


def _why(vault: TableVault, name: str, size: int) -> str:
    if not size:
        return EMPTY
    try:
        row = parse_metadata(vault.store.head(name))
    except MissingObject:
        return ""  # deleted since it was listed
    except BackstreamError as error:
        return error.message
    # An adopted bucket also holds an older tool's objects, and that tool may still be writing. The log holds the ones that count.
    return FOREIGN if row is None and vault.catalog.adopted is None else ""
