"""Files that a crash left beside an Iceberg table: written for a commit that never came.

A data file of ours names the position that its commit was made upon. Once the table is past it, that commit can never come: the
file is an orphan, no matter who is writing. Manifests tell no position; those that nothing names are orphans a day later.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
import pyarrow.fs as pafs
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.table import Table

from backstream.errors import Refused
from backstream.operations.export.iceberg.catalogs import explained
from backstream.operations.export.iceberg.table import IcebergTable, position_in

DAY = 86_400


class Orphan(msgspec.Struct, frozen=True):
    """A file that nothing refers to. `removable`: True if no commit that is under way can refer to it either."""

    name: str
    bytes: int
    removable: bool


def orphans(table: IcebergTable, now: float) -> list[Orphan]:
    """Returns the files of ours below the table's folder that no snapshot refers to. Raises Refused if they cannot be listed."""
    with explained(f"the files of {table.name}"):
        known = {_path(each) for each in _referenced(table.table)}
        position = table.position
        return [
            Orphan(info.path, info.size, _is_over(info, position, now))
            for info in _listed(table.table)
            if _path(info.path) not in known and _is_ours(info.path)
        ]


def remove(table: IcebergTable, found: list[Orphan]) -> int:
    """Removes the removable ones, and returns their number."""
    files, _ = _files_of(table.table)
    gone = [each for each in found if each.removable]
    with explained(f"the files of {table.name}"):
        for each in gone:
            files.delete_file(each.name)
    return len(gone)


def _is_ours(name: str) -> bool:
    return position_in(name) is not None or name.endswith((".avro", ".metadata.json"))


def _is_over(info: pafs.FileInfo, position: int | None, now: float) -> bool:
    upon = position_in(info.path)
    if upon is None:
        return info.mtime is not None and info.mtime.timestamp() < now - DAY
    return position is not None and upon < position


def _listed(table: Table) -> list[pafs.FileInfo]:
    files, root = _files_of(table)
    every = files.get_file_info(pafs.FileSelector(root, recursive=True, allow_not_found=True))
    return [each for each in every if each.type == pafs.FileType.File]


def _files_of(table: Table) -> tuple[pafs.FileSystem, str]:
    if not isinstance(table.io, PyArrowFileIO):
        raise Refused(f"the files below {table.location()} cannot be listed: pyiceberg reads them without pyarrow")
    scheme, host, path = PyArrowFileIO.parse_location(table.location())
    return table.io.fs_by_scheme(scheme, host), path


def _referenced(table: Table) -> Iterator[str]:
    """Yields the places of all files that the table's snapshots and its metadata refer to."""
    yield table.metadata_location
    yield from (each.metadata_file for each in table.metadata.metadata_log)
    for snapshot in table.metadata.snapshots:
        yield snapshot.manifest_list
        for manifest in snapshot.manifests(table.io):
            yield manifest.manifest_path
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                yield entry.data_file.file_path


def _path(place: str) -> str:
    """Returns a place without its scheme, as a file system of pyarrow names it."""
    parts = urlsplit(place)
    return place if not parts.scheme else f"{parts.netloc}{parts.path}"
