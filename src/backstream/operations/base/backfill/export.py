"""Reads AWS's own exports: a full one as a base backup, an incremental one as changes. The table is not touched."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from backstream.engine.local.prefetch import batches
from backstream.errors import Damaged, MalformedRecord, Refused
from backstream.model import moment
from backstream.model.changes.change import MICROS, table_name
from backstream.model.changes.entry import Scanned
from backstream.model.clocks import CLOCKS_APART
from backstream.model.values import wire
from backstream.model.values.schema import KeySchema, canonical_key
from backstream.operations.base.backfill.report import BackfillContext, Backfilled, report_of
from backstream.operations.base.backfill.source import SegmentPosition
from backstream.operations.bulk.rate_limited_scan import Stopped
from backstream.operations.setup.identity import check_owner
from backstream.vault.aws_export import DataFile, Export, NetChange
from backstream.vault.bases import FORMAT, Base, BaseKind, CompletionRecord
from backstream.vault.images import images_for, keep_scanned
from backstream.vault.log.segments import SegmentKind
from backstream.vault.table_vault import TableVault

PAGE = 500
SEGMENT_CHANGES = 5_000
WRITERS = 32
FILES_AT_ONCE = 4  # each is in memory, compressed


class FullExport:
    """A `source.TableSource` of a full export: each data file is a segment, and all show the state of one moment."""

    def __init__(self, export: Export, schema: KeySchema) -> None:
        self._export = export
        self._schema = schema
        self._at = _seconds(export.summary.export_time, "exportTime")
        self.kind = BaseKind.EXPORT
        self.id = export.summary.export_arn
        self.segments = max(1, len(export.files))
        self.side_by_side = FILES_AT_ONCE
        self.rows = export.summary.item_count
        self.units = None

    def begin(self) -> int:
        """Returns the export's moment: every change of that second or later may be newer."""
        return self._at - CLOCKS_APART

    def pages(self, segment: int, segments: int, reached: SegmentPosition, stopped: Stopped) -> Iterator[Sequence[Scanned]]:
        """Yields the items of one file, from the first one that is not kept yet."""
        del segments  # as many as there are files
        for file in self._export.files[segment : segment + 1]:
            items = itertools.islice(enumerate(self._export.images(file), 1), reached.rows, None)
            while not stopped() and (page := list(itertools.islice(items, PAGE))):
                yield [self._scanned(file, line, image) for line, image in page]

    def _scanned(self, file: DataFile, line: int, image: bytes) -> Scanned:
        try:
            key = wire.key_of(self._schema, image)
        except Damaged as error:
            raise Damaged(f"{file.name}, line {line}: {error.message}") from error
        return Scanned(key, image, self.begin(), self.end() * MICROS)

    def end(self) -> int:
        """Returns the export's moment, too."""
        return self._at + CLOCKS_APART


def check_export(vault: TableVault, export: Export) -> None:
    """Raises Refused for an export of another table: of another name, account or region, or one that was created again since.
    Refused also for one that a filter has left incomplete.

    Raises Damaged if it does not name its table.
    """
    if export.summary.filtered:
        raise Refused(
            "an export made with a filter: it leaves out items, so it is no base backup, and it proves nothing",
            hint="Export the table again without a FilterSpecification.",
        )
    try:
        exported = table_name(export.summary.table_arn)
    except MalformedRecord as error:
        raise Damaged(f"the export's manifest-summary.json has no usable tableArn: {error.message}") from error
    if exported != vault.catalog.table:
        raise Refused(
            f"an export of the table {exported}, not of {vault.catalog.table}",
            hint="Give the vault's own table an export of its own.",
        )
    check_owner(vault.catalog, export.summary.table_arn)
    ours, theirs = vault.catalog.table_id, export.summary.table_id
    if ours and theirs and ours != theirs:
        raise Refused(
            f"an export of the table {exported} with the id {theirs}; the vault's has the id {ours}: nothing of it was taken in",
            hint=f"The table was deleted and created again. Is the export the newer one? Run `backstream init {exported}` first.",
        )


def take_in(vault: TableVault, export: Export, parts: BackfillContext, *, writer: str) -> Backfilled:
    """Takes an incremental export's net changes into the log, each at the time of its item's last write.

    No export states an item's images between that write and its last write before the export. A second call changes nothing.
    """
    began, summary = parts.clock.now(), export.summary
    account = CompletionRecord(FORMAT, summary.export_arn, summary.item_count, 0)
    base = Base(BaseKind.INCREMENTAL, _name(summary.export_arn), *_window_of(export))
    known = next((each for each in vault.bases.complete() if each == base), None)
    written = forgotten = 0
    if known is None:
        parts.progress.phase(f"incremental export of {vault.catalog.table}", summary.item_count)
        images = images_for(vault.store, vault.catalog)
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="writer") as pool:
            for batch in batches(_net_changes(vault.catalog.key_schema, export), SEGMENT_CHANGES):
                wanted = [each for each in batch if not vault.forgotten.has(each.keys)]
                forgotten += len(batch) - len(wanted)
                kept = keep_scanned(images, wanted, pool)
                vault.log.write_batch([entry for entry, _ in kept], SegmentKind.EXPORT, writer=writer)
                written += sum(new for _, new in kept)
                parts.progress.advance(len(batch))
        vault.bases.finish(base, account)
    return report_of(
        vault,
        base,
        account,
        parts,
        written=written,
        segments=len(export.files),
        resumed=False,
        began=began,
        units=None,
        forgotten=forgotten,
    )


def _net_changes(schema: KeySchema, export: Export) -> Iterator[Scanned]:
    for file in export.files:
        for line, change in enumerate(export.changes(file), 1):
            yield _net(schema, export, file, line, change)


def _net(schema: KeySchema, export: Export, file: DataFile, line: int, change: NetChange) -> Scanned:
    """Returns an item's net change."""
    try:
        key = canonical_key(schema, wire.decode(change.keys))
        if any(image is not None and wire.key_of(schema, image) != key for image in (change.old, change.new)):
            raise Damaged("an image of another item than its Keys")  # noqa: TRY301 - to be named with the others
    except (Damaged, MalformedRecord) as error:
        raise Damaged(f"{file.name}, line {line}: {error.message}") from error
    # Only if the export has old images too, an item without one did not exist before.
    known = "MODIFY" if change.old else ("INSERT" if export.summary.output_view == "NEW_AND_OLD_IMAGES" else None)
    return Scanned(
        keys=key,
        image=change.new,
        began=change.micros // MICROS,
        micros=change.micros,
        old=change.old,
        became=known if change.new else "REMOVE",
        source=_name(export.summary.export_arn),
    )


def _name(arn: str) -> str:
    """Returns the export's own id, at the end of its ARN; ids of exports are never reused."""
    return arn.rpartition("/")[2] or uuid.uuid5(uuid.NAMESPACE_URL, arn).hex


def _window_of(export: Export) -> tuple[int, int]:
    """Returns its seconds.

    If it begins within a second, that second does not count: both the log and the export know only a part of it.
    """
    since, until = (
        _micros(export.summary.export_from_time, "exportFromTime"),
        _seconds(export.summary.export_to_time, "exportToTime"),
    )
    return (since // MICROS, until) if since % MICROS == 0 else (until, until)


def _seconds(text: str | msgspec.UnsetType, field: str) -> int:
    return _micros(text, field) // MICROS


def _micros(text: str | msgspec.UnsetType, field: str) -> int:
    """Returns a summary's time. Raises Damaged if it is not one."""
    try:
        return moment.parse_iso_micros("" if isinstance(text, msgspec.UnsetType) else text)
    except ValueError as error:
        raise Damaged(f"the export's manifest-summary.json has no usable {field}: {text!r}") from error
