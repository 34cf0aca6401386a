"""Objects among a table's rows that cannot be rows: of zero bytes, or not written by this tool. Named, never restored."""

from __future__ import annotations

from collections.abc import Iterator

from backstream.engines.embedded import KNOWN, State
from backstream.errors import Damaged, MissingObject
from backstream.layouts.rows import parse_metadata
from backstream.layouts.vault import TableVault
from backstream.operations.restore.request import Failure


def strangers(vault: TableVault, state: State) -> Iterator[Failure]:
    """The current objects in the table's folder that cannot be one of its rows.

    An object that the log does not speak of may be a row that came after the moment, or what a crash left before its segment was
    written; both say so in their metadata.
    """
    for listed in vault.store.list(f"{vault.catalog.table}/"):
        state.names.add(listed.name.encode(), str(listed.size).encode())
    for partition in range(state.names.partitions):
        known: set[bytes] = set()
        sizes: dict[bytes, bytes] = {}
        for name, value in state.names.read(partition):
            if value == KNOWN:
                known.add(name)
            else:
                sizes[name] = value
        for name, size in sizes.items():
            if size == b"0":
                yield Failure(name.decode(), "an object of zero bytes stands where a row should be")
            elif name not in known and (why := _foreign(vault, name.decode())):
                yield Failure(name.decode(), why)


def _foreign(vault: TableVault, name: str) -> str:
    try:
        row = parse_metadata(vault.store.head(name))
    except MissingObject:
        return ""  # deleted since it was listed
    except Damaged as error:
        return error.message
    return "" if row is not None else "a foreign object: it was not written by Backstream"
