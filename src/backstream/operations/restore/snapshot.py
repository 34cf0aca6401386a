"""`snapshot`: a table's state at a moment, written as one of AWS's full exports, ready for ImportTable.

It is a restore into an export: the same checks, the same fold, the same report of unreadable objects. Only if nothing was left out,
the manifests follow that make it an export.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import msgspec

from backstream.operations.bulk.writer import LeftOut
from backstream.operations.restore import Failure, Into, RestoreContext, RestoreRequest, restore
from backstream.operations.restore.export_part import ExportPart, FilesOpener, decode_part
from backstream.operations.restore.targets.sinks import LeftItem
from backstream.ports import Files, Put, Write
from backstream.vault.aws_export import ExportWriter
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault


class Snapshot(msgspec.Struct, frozen=True):
    """The result of a snapshot. `url`: its folder, `AWSDynamoDB/ID` below the requested place; `bytes`: the size of its data files.

    `complete`: True if it has its manifests. Otherwise `failures` names the first ten thousand of the items left out (`failed`),
    and `url/data/` holds the rest.
    """

    table: str
    at: str
    id: str
    url: str
    items: int
    files: int
    bytes: int
    failed: int
    complete: bool
    seconds: float
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()


def snapshot(
    vault: TableVault,
    at: int,
    to: Files,
    around: RestoreContext,
    *,
    compress: Codec = Codec.GZIP,
    allow_gap: bool = False,
    opener: FilesOpener | None = None,
) -> Snapshot:
    """Writes the whole table's state at a second. Raises OutsideWindow and GapInTheWay before anything is written.

    `opener`: opens the place on other machines, if the state lies there; None: everything is written from here.
    """
    began = around.clock.now()
    export = ExportWriter(to, f"{int(began * 1_000):014d}-{uuid.uuid4().hex[:8]}", compress)
    request = RestoreRequest(at=at, target=Into(export.url, lambda: _ExportSink(export, opener)), allow_gap=allow_gap)
    report = restore(vault, request, around)
    if not report.failed:
        export.complete(vault.catalog, at, began=began, ended=around.clock.now())
    return Snapshot(
        table=report.table,
        at=report.at,
        id=export.names.id,
        url=export.url,
        items=export.items,
        files=len(export.files),
        bytes=export.bytes,
        failed=report.failed,
        complete=not report.failed,
        seconds=round(around.clock.now() - began, 3),
        failures=report.failures,
        warnings=report.warnings,
    )


class _ExportSink:
    """A restore's sink that fills an export. See `operations.restore.targets.sinks.Sink`."""

    gave_up_reason = ""
    touched = False

    def __init__(self, export: ExportWriter, opener: FilesOpener | None) -> None:
        self._export = export
        self._opener = opener
        export.start()

    def add(self, write: Write, live: bytes | None) -> None:  # noqa: ARG002 - an export is always new
        """Adds a line; a moment's state holds no deletes."""
        if isinstance(write, Put):
            self._export.add(write.image)

    def work(self) -> ExportPart | None:
        """Returns the work on one partition: one data file."""
        return None if self._opener is None else ExportPart(self._opener, self._export.names.id, self._export.codec)

    def took(self, result: bytes) -> tuple[int, Sequence[LeftItem]]:
        """Notes the file of a partition."""
        part = decode_part(result)
        if part.file is not None:
            self._export.include(part.file, part.size)
        return part.items, part.left

    def further(self) -> None:
        """Returns no more work."""
        return

    def took_further(self, result: bytes) -> int:  # noqa: ARG002 - there is none
        """Notes nothing."""
        return 0

    def finish(self) -> Sequence[LeftOut[Write]]:
        """Makes all of it durable. An item that the store does not take raises an error; it is not left out."""
        self._export.close()
        return []

    def abandon(self) -> None:
        """Stops here, without manifests."""
        self._export.abandon()
