"""The versions of the subject's row objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from backstream.errors import Damaged, MissingObject
from backstream.operations.erase.subject import NEVER, Subject
from backstream.ports import ObjectInfo, ObjectVersion
from backstream.vault.rows.row_versions import parse_metadata
from backstream.vault.table_vault import TableVault


def row_versions(vault: TableVault, subject: Subject, folders: Sequence[str]) -> Iterator[list[ObjectVersion]]:
    """Yields for each of the subject's row objects the versions and markers to remove: those up to the erasure's second."""
    for each in folders:
        for name, rows in groupby(vault.store.versions(each), key=lambda row: row.name):
            until = subject.until_of_object(name)
            if until > NEVER:
                yield _up_to(vault, list(rows), until)


def _up_to(vault: TableVault, rows: list[ObjectVersion], until: int) -> list[ObjectVersion]:
    """Returns the rows below the oldest version that stays, in the order of a listing."""
    stays = [place for place, row in enumerate(rows) if not row.marker and _second(vault, row) > until]
    last = max(stays, default=-1)
    return [row for place, row in enumerate(rows) if place not in stays and (place > last or not row.marker)]


def _second(vault: TableVault, row: ObjectVersion) -> int:
    try:
        return second_of(vault.store.head(row.name, row.version))
    except MissingObject:
        return int(row.modified)  # somebody else has just removed it


def row_folders(vault: TableVault) -> list[str]:
    """Returns the folders in which row objects of the table lie."""
    own, adopted = f"{vault.catalog.table}/", vault.catalog.adopted
    return [own] if adopted is None or adopted.folder.startswith(own) else [own, adopted.folder]


def second_of(info: ObjectInfo) -> int:
    """Returns the second of a row version's change; of a foreign object, when it arrived."""
    with suppress(Damaged):
        found = parse_metadata(info)
        if found is not None:
            return found.entry.seconds
    return int(info.modified)
