"""One partition of a state as one data file of an export, written where the partition lies."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from backstream.errors import BackstreamError
from backstream.operations.restore.targets.sinks import LeftItem
from backstream.ports import Files
from backstream.ports.engine import StatePartition, WorkPlace
from backstream.vault.aws_export.lines import item_line
from backstream.vault.aws_export.manifests import DataFile
from backstream.vault.aws_export.writer import ExportWriter
from backstream.vault.log.segments import Codec
from backstream.vault.table_vault import TableVault

FilesOpener = Callable[[], Files]  # opens the export's place anywhere; it can be pickled


class WrittenPart(msgspec.Struct, frozen=True, array_like=True):
    """The outcome of a partition. `file`: None if it holds no item; `size`: the file's bytes."""

    items: int
    file: DataFile | None
    size: int
    left: list[LeftItem] = []


decode_part = msgspec.msgpack.Decoder(WrittenPart).decode


class ExportPart(msgspec.Struct, frozen=True):
    """Writes the items of a partition, in the order of their keys: again, it writes the same bytes under the same name.

    If an image cannot be read, the file has another name. So the file of a repetition that could read all is never overwritten.
    """

    opener: FilesOpener
    export: str
    codec: Codec

    def __call__(self, vault: TableVault, partition: StatePartition, place: WorkPlace) -> bytes:
        """Returns what was written, in MessagePack."""
        wanted = ((key, entry) for key, entry in partition.items() if not entry.removed)
        found = sorted(vault.images(wanted), key=lambda each: each[0])
        left = [LeftItem(key, image.message) for key, image in found if isinstance(image, BackstreamError)]
        lines = [item_line(image) for _, image in found if isinstance(image, bytes)]
        if not lines:
            return msgspec.msgpack.encode(WrittenPart(0, None, 0, left))
        writer = ExportWriter(self.opener(), self.export, self.codec)
        file, size = writer.write_file(f"p{place.number:06d}{'-incomplete' if left else ''}", b"".join(lines), len(lines))
        return msgspec.msgpack.encode(WrittenPart(len(lines), file, size, left))
