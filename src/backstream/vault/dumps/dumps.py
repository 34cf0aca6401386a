"""A dump: a table's items in the order in which they were read, as lines of `{"Item":...}`. It is not a state at one moment.

    _started                    the dump has begun, and whose it is
    data/SSSS-NNNNNNNN.json.gz  part N of segment S; also .json.zst, or .json: what ImportTable wants as its prefix is data/
    manifest.json               of which table, from when to when, how many items, the parts with their MD5; comes last:
                                a dump without it is not whole

The lines have the format of DynamoDB's own full exports. The manifest has another format, because an export is a state at one
moment and a dump is not.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable, Sequence

import msgspec

from backstream.errors import Damaged, Failed, MissingObject, NotFound, TargetNotEmpty
from backstream.model.values.decoding import UNDECODABLE, reason
from backstream.model.values.schema import KeySchema
from backstream.ports import Files
from backstream.vault.aws_export import DataFile, DataFiles
from backstream.vault.aws_export.lines import item_line
from backstream.vault.aws_export.manifests import checksum, etag
from backstream.vault.log.segments import Codec

FORMAT = 1
STARTED = "_started"
MANIFEST = "manifest.json"
DATA = "data/"
IN_MEMORY = 64 << 20  # bytes of lines that all segments hold together
LARGEST_PART, SMALLEST_PART = 32 << 20, 256 << 10  # of lines, before compression
WHAT = "Items as they were read between `began` and `ended`, one page after another: not the table's state at any one moment."


class Compression(enum.StrEnum):
    """The compression of the parts."""

    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"

    @property
    def suffix(self) -> str:
        """The end of a part's name."""
        return ".json" if self is Compression.NONE else f".json.{Codec(self.value).suffix}"

    def compress(self, lines: bytearray) -> bytes:
        """Returns one file's bytes, in a format that `gzip -d` and `zstd -d` read."""
        return bytes(lines) if self is Compression.NONE else Codec(self.value).compress(lines)


class DumpManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `manifest.json`. Times are ISO 8601, UTC. `description` is DescribeTable's `Table` at the start of the dump,
    from which such a table can be created.

    `consistent`: True if each page was read strongly consistent.
    """

    format: int = FORMAT
    what: str = WHAT
    id: str
    table: str
    table_arn: str
    table_id: str
    key_schema: KeySchema
    began: str
    ended: str
    consistent: bool
    compression: Compression
    items: int
    bytes: int
    files: Sequence[DataFile]
    description: msgspec.Raw


class Dump(DataFiles):
    """Reads a complete dump: `manifest` describes it, and `images` reads one of its `files`."""

    def __init__(self, store: Files, manifest: DumpManifest, *, checksums: bool = True) -> None:
        super().__init__(store, checksums=checksums)
        self.manifest = manifest

    @classmethod
    def open(cls, store: Files, *, checksums: bool = True) -> Dump:
        """Opens a dump. Without `checksums`, a file whose MD5 the manifest does not state is read too.

        Raises NotFound if there is none or it was never completed, and Damaged if its manifest is not one.
        """
        body = _found(store, MANIFEST)
        if body is None:
            raise NotFound(f"{store.url} has no {MANIFEST}: there is no dump, or it is not whole", hint="Make the dump again.")
        try:
            return cls(store, _manifest.decode(body), checksums=checksums)
        except UNDECODABLE as error:
            raise Damaged(f"{store.url}/{MANIFEST} is not a dump's manifest: {reason(error)}") from error


class DumpWriter:
    """Writes one dump. Call `start`, fill the `part`s of each segment, and then `complete` if the dump is complete.

    Raises the store's errors. `files`, `items` and `bytes` (compressed) state what was written.
    """

    def __init__(self, store: Files, dump_id: str, compression: Compression, segments: int, part_bytes: int | None = None) -> None:
        self.files: list[DataFile] = []
        self.bytes = 0
        self.compression = compression
        self.part_bytes = part_bytes or max(SMALLEST_PART, min(LARGEST_PART, IN_MEMORY // segments))
        self._store = store
        self._id = dump_id
        self._lock = threading.Lock()

    @property
    def items(self) -> int:
        """The number of items that were written."""
        return sum(each.item_count for each in self.files)

    def start(self) -> None:
        """Marks the dump as begun. Raises TargetNotEmpty if the place holds a dump, or the remains of one."""
        hint = "Give --to another folder, or remove what lies there."
        if _found(self._store, MANIFEST) is not None:
            raise TargetNotEmpty(f"{self._store.url} holds a dump already", hint=hint)
        if _found(self._store, STARTED) is not None:
            raise TargetNotEmpty(f"{self._store.url} holds a dump that was interrupted, or is still being made", hint=hint)
        self._store.put(STARTED, self._id.encode())

    def segment(self, number: int) -> SegmentWriter:
        """Returns the writer of one segment's parts, for one thread."""

        def write(part: int, lines: bytearray, count: int) -> None:
            self._write(f"{DATA}{number:04d}-{part:08d}{self.compression.suffix}", lines, count)

        return SegmentWriter(write, self.part_bytes)

    def _write(self, name: str, lines: bytearray, count: int) -> None:
        body = self.compression.compress(lines)
        self._store.put(name, body)
        file = DataFile(item_count=count, md5_checksum=checksum(body), etag=etag(body), data_file_s3_key=name)
        with self._lock:
            self.files.append(file)
            self.bytes += len(body)

    def finish(self) -> None:
        """Ends all segments. An empty table gets one empty file, because ImportTable needs one."""
        if not self.files:
            self._write(f"{DATA}{0:04d}-{1:08d}{self.compression.suffix}", bytearray(), 0)
        self.files.sort(key=lambda each: each.name)

    def complete(self, manifest: DumpManifest) -> None:
        """Completes the dump. Raises Failed if somebody else has begun another one in the same place meanwhile."""
        if _found(self._store, STARTED) != self._id.encode():
            raise Failed(
                f"another dump was begun in {self._store.url} meanwhile: neither is whole",
                hint="Remove what lies there, and make one of them again.",
            )
        self._store.put(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))


class SegmentWriter:
    """Collects one segment's lines, and writes them one part at a time."""

    def __init__(self, write: Callable[[int, bytearray, int], None], part_bytes: int) -> None:
        self._write = write
        self._part_bytes = part_bytes
        self._lines = bytearray()
        self._count = 0
        self._parts = 0

    def add(self, image: bytes) -> None:
        """Adds one item, byte for byte."""
        self._lines += item_line(image)
        self._count += 1
        if len(self._lines) >= self._part_bytes:
            self.flush()

    def flush(self) -> None:
        """Makes durable the lines that are not durable yet."""
        if not self._count:
            return
        self._parts += 1
        self._write(self._parts, self._lines, self._count)
        self._lines, self._count = bytearray(), 0


def _found(store: Files, name: str) -> bytes | None:
    try:
        return store.get(name).body
    except MissingObject:
        return None


_manifest = msgspec.json.Decoder(DumpManifest)
