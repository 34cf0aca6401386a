"""Incremental exports as AWS makes them: what became of each item between two moments, computed from a plain model of the table."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence

import msgspec

from backstream.model import moment
from backstream.model.changes.change import MICROS
from backstream.ports import Files
from backstream.vault.aws_export import manifests
from backstream.vault.aws_export.manifests import DataFile, ExportNames, ManifestSummary
from backstream.vault.catalog import Catalog

Write = tuple[int, bytes, bytes | None]  # in that second the item with this canonical key became this image, or was deleted


class Net(msgspec.Struct, frozen=True):
    """One line to be: an item's last write in the window, and its images before the window and at its end."""

    micros: int
    keys: bytes
    old: bytes | None
    new: bytes | None

    def line(self) -> bytes:
        """As AWS writes it."""
        parts: dict[str, object] = {"Metadata": {"WriteTimestampMicros": {"N": str(self.micros)}}, "Keys": msgspec.Raw(self.keys)}
        for name, image in (("OldImage", self.old), ("NewImage", self.new)):
            if image is not None:
                parts[name] = msgspec.Raw(image)
        return msgspec.json.encode(parts) + b"\n"


def net_changes(writes: Iterable[Write], since: int, until: int, *, unchanged: bool = True) -> list[Net]:
    """What became of each item from `since` on and before `until` (seconds); `writes` in their order.

    None for an item that did not exist at either end; `unchanged`: whether there is one for an item that is in the end as it was.
    """
    before: dict[bytes, bytes | None] = {}
    after: dict[bytes, tuple[int, bytes | None]] = {}
    for second, key, image in writes:
        if second < since:
            before[key] = image
        elif second < until:
            after[key] = second, image
    found = [Net(second * MICROS + 123_456, key, before.get(key), image) for key, (second, image) in after.items()]
    return [net for net in found if net.old != net.new or (unchanged and net.new is not None)]


def write_incremental(
    store: Files, export_id: str, catalog: Catalog, since: float, until: float, changes: Sequence[Net], *, files: int = 2
) -> str:
    """Write the export; its id. Its data files lie in the folder that all incremental exports share."""
    names = ExportNames(export_id)
    rows = []
    for number in range(files):
        part = changes[number::files]
        name = f"{manifests.FOLDER}data/{export_id}-{number}.json.gz"
        body = gzip.compress(b"".join(change.line() for change in part), mtime=0)
        store.put(name, body)
        rows.append(
            DataFile(item_count=len(part), md5_checksum=manifests.checksum(body), etag=manifests.etag(body), data_file_s3_key=name)
        )
    summary = ManifestSummary(
        version="2023-08-01",
        export_arn=f"{catalog.table_arn}/export/{export_id}",
        start_time=moment.iso_millis(until + 60),
        end_time=moment.iso_millis(until + 120),
        table_arn=catalog.table_arn,
        export_from_time=moment.iso_millis(since),
        export_to_time=moment.iso_millis(until),
        manifest_files_s3_key=names.files,
        item_count=len(changes),
        output_format=manifests.JSON,
        output_view="NEW_AND_OLD_IMAGES",
        export_type=manifests.INCREMENTAL,
    )
    for name, body in ((names.files, manifests.encode_files(rows)), (names.summary, manifests.encode_summary(summary))):
        store.put(manifests.checksum_names(name)[0], manifests.checksum(body).encode())
        store.put(name, body)
    return export_id
