"""`restore --from-parquet`: restores an exported state into a new table, an existing table, or a file.

Like a dump, the export becomes a vault of its own, in a temporary folder. The restore of that vault makes all checks and counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from backstream.errors import Damaged, MissingObject, Refused, UsageError
from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.model.values import object_limits
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.operations.export import manifest as manifests
from backstream.operations.export.manifest import ExportManifest
from backstream.operations.export.parquet_files import GROUP_BYTES, ExportFile
from backstream.operations.inspect import safety
from backstream.operations.restore import RestoreContext, Restored, RestoreRequest, restore
from backstream.operations.restore.from_file import StillClock, catalog_of, entries_of
from backstream.ports import Files
from backstream.stores.directory import DirectoryStore
from backstream.temporary_folders import TemporaryFolder
from backstream.vault import catalog as catalogs
from backstream.vault.dumps.held import HeldPage, described_by
from backstream.vault.log.log import ChangeLog
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import Engines, TableVault

# Arrow raises errors of Python's own for bytes that are no Parquet, or whose parts contradict each other.
UNREADABLE = (pa.ArrowException, KeyError, OSError, RuntimeError, *UNDECODABLE)
ROWS = 4_000  # that are read together
COLUMNS = ["key", "image"]
LARGEST = 8 * GROUP_BYTES  # of a row group: `export` ends one with the batch that reaches a group's size
LIMITS = "from an export: it holds items and the key schema, no other settings, and rows that are not in it are left alone"


def restore_export(place: Files, table: str, request: RestoreRequest, around: RestoreContext, engines: Engines) -> Restored:
    """Restores the items of an exported state. The request's moment is the export's.

    Raises NotFound or Damaged if it is not an export, or a file of it is not the one that was written. Raises UsageError if it
    holds changes, or another table. Raises Refused if items were left out when it was made, unless the request allows a gap; and
    the errors of `restore`.
    """
    found = manifests.read(place)
    _check(place, found, table, request)
    at = moment.parse_iso_micros(found.until) // MICROS
    with TemporaryFolder() as temporary:
        vault = _taken_in(place, found, at, temporary.path, engines)
        fixed = msgspec.structs.replace(request, at=at, resumable=False, into_another=True, keep_unknown=True)
        report = restore(vault, fixed, around)
    kept = [each for each in report.warnings if each != safety.LIMITS]
    return msgspec.structs.replace(report, warnings=[LIMITS, *found.damaged, *kept], undo=None)


def _check(place: Files, found: ExportManifest, table: str, request: RestoreRequest) -> None:
    if found.kind != manifests.STATE:
        raise UsageError(
            f"{place.url} holds the changes after {found.since}, up to {found.until}: no state can be restored from it",
            hint="Only `export --at MOMENT` holds every item of a moment.",
        )
    if sum(each.rows for each in found.files) != found.rows:
        raise Damaged(f"{place.url}/{manifests.MANIFEST} says {found.rows:,} rows, and its files have other counts")
    if found.table != table:
        raise UsageError(f"{place.url} holds the table {found.table}, not {table}")
    if found.damaged and not request.allow_gap:
        raise Refused(
            f"items were left out when {place.url} was made: {'; '.join(found.damaged)}",
            hint="--allow-gap restores what is there.",
        )


def _taken_in(place: Files, found: ExportManifest, at: int, folder: Path, engines: Engines) -> TableVault:
    store = DirectoryStore(folder, StillClock(at))
    described = described_by(found.key_schema, found.table, found.table_arn, found.table_id)
    catalogs.save(store, catalog_of(described, found.table, at), None)
    vault = TableVault.open(store, found.table)
    log = ChangeLog(store, found.table)
    for file in found.files:
        for images in images_of(place, file, vault):
            log.write_batch(list(entries_of(vault, HeldPage(file.name, images), at)), SegmentKind.ADOPTED, writer="export")
    return TableVault.open(store, found.table, engines=engines)


def images_of(place: Files, file: ExportFile, vault: TableVault) -> Iterator[list[bytes]]:
    """Yields a file's images, some thousand at a time. Raises Damaged if it is not the file that was written."""
    name = f"{place.url}/{file.name}"
    try:
        body = place.get(file.name).body
    except MissingObject as error:
        raise Damaged(f"{name} is gone: the export's manifest names it", hint="Nothing was touched.") from error
    if len(body) != file.bytes or hashlib.sha256(body).hexdigest() != file.sha256:
        raise Damaged(f"{name} is not the file that was written: its SHA-256 is another one", hint="Nothing was touched.")
    try:
        held = pq.ParquetFile(pa.BufferReader(body))
        _check_groups(name, held.metadata)
        for batch in held.iter_batches(ROWS, columns=COLUMNS):
            images = [str(each).encode() for each in batch.column("image").to_pylist()]
            keys = [str(each).encode() for each in batch.column("key").to_pylist()]
            _check_keys(name, vault, images, keys)
            yield images
    except UNREADABLE as error:
        raise Damaged(f"{name} cannot be read: {reason(error)}") from error


def _check_keys(name: str, vault: TableVault, images: Sequence[bytes], keys: Sequence[bytes]) -> None:
    try:
        found = [vault.key_of(each) for each in images]
    except Damaged as error:
        raise error.of(name) from error
    if found != keys:
        raise Damaged(f"{name}: an image does not have the key beside it")


def _check_groups(name: str, metadata: pq.FileMetaData) -> None:
    """Raises Damaged if a row group is larger than any that `export` writes: one is in memory as a whole."""
    for number in range(metadata.num_row_groups):
        size = metadata.row_group(number).total_byte_size  # a look at columns that contradict the schema ends the process
        if size > LARGEST:
            raise object_limits.too_large(f"{name}, row group {number}", LARGEST, size)
