"""Writes a full export as AWS does. The summary is written last; without it, no reader takes the export for complete."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from backstream.model import moment
from backstream.ports import Files
from backstream.vault.aws_export import manifests
from backstream.vault.aws_export.lines import item_line
from backstream.vault.aws_export.manifests import DataFile, ExportNames, ManifestSummary
from backstream.vault.catalog import Catalog
from backstream.vault.log.segments import Codec

FILE_BYTES = 32 * 1024 * 1024  # of lines, before compression
WRITERS = 2  # files in the making, that being filled among them: what bounds memory


class ExportWriter:
    """Writes one full export. Call `start`, `add` once for each item, `close`, and then `complete` if the export is complete.

    Raises the store's errors. After `close`, `files`, `items` and `bytes` (compressed) state what was written.
    """

    def __init__(self, store: Files, export_id: str, codec: Codec, *, file_bytes: int = FILE_BYTES) -> None:
        self.names = ExportNames(export_id)
        self.files: list[DataFile] = []
        self.bytes = 0
        self._store = store
        self.codec = codec
        self._file_bytes = file_bytes
        self._pool = ThreadPoolExecutor(WRITERS, thread_name_prefix="export")
        self._writing: deque[Future[tuple[DataFile, int]]] = deque()
        self._handed_over = 0
        self._lines = bytearray()
        self._count = 0

    @property
    def url(self) -> str:
        """The export's own folder."""
        return f"{self._store.url}/{self.names.folder}".rstrip("/")

    @property
    def items(self) -> int:
        """The number of items that were written."""
        return sum(each.item_count for each in self.files)

    def start(self) -> None:
        """Marks the export as begun. A destination that cannot be written to fails here."""
        self._store.put(self.names.started, b"")

    def add(self, image: bytes) -> None:
        """Adds one item, byte for byte."""
        self._lines += item_line(image)
        self._count += 1
        if len(self._lines) >= self._file_bytes:
            self._hand_over()

    def close(self) -> None:
        """Returns once every item is durable. An empty table gets one empty file, as with AWS, because ImportTable needs one."""
        if self._lines or not self._handed_over:
            self._hand_over()
        while self._writing:
            self._take()
        self._pool.shutdown()

    def abandon(self) -> None:
        """Stops here. The written files stay; without manifests they are not an export."""
        self._pool.shutdown(cancel_futures=True)

    def _hand_over(self) -> None:
        self._handed_over += 1
        self._writing.append(self._pool.submit(self.write_file, f"{self._handed_over:08d}", self._lines, self._count))
        self._lines, self._count = bytearray(), 0
        if len(self._writing) >= WRITERS:
            self._take()

    def _take(self) -> None:
        file, size = self._writing.popleft().result()
        self.files.append(file)
        self.bytes += size

    def include(self, file: DataFile, size: int) -> None:
        """Adds a data file that was written elsewhere, by `write_file`."""
        self._handed_over += 1
        self.files.append(file)
        self.bytes += size

    def write_file(self, word: str, lines: bytes | bytearray, count: int) -> tuple[DataFile, int]:
        """Writes one data file, and returns what manifests say of it, and its bytes. The same lines give the same bytes."""
        name = f"{self.names.data}{word}.json.{self.codec.suffix}"
        body = self.codec.compress(lines)
        self._store.put(name, body)
        checksum, etag = manifests.checksum(body), manifests.etag(body)
        return DataFile(item_count=count, md5_checksum=checksum, etag=etag, data_file_s3_key=self._key(name)), len(body)

    def complete(self, catalog: Catalog, at: int, *, began: float, ended: float) -> None:
        """Writes the manifests, which complete the export. Times are epoch seconds; `at` is the moment of the state."""
        bucket, prefix = _bucket_and_prefix(self._store.url)
        summary = ManifestSummary(
            version=manifests.FULL_VERSION,
            export_arn=f"{catalog.table_arn}/export/{self.names.id}",
            start_time=moment.iso_millis(began),
            end_time=moment.iso_millis(ended),
            table_arn=catalog.table_arn,
            table_id=catalog.table_id,
            export_time=moment.iso_millis(at),
            s3_bucket=bucket or None,
            s3_prefix=prefix or None,
            manifest_files_s3_key=self._key(self.names.files),
            item_count=self.items,
            output_format=manifests.JSON,
        )
        self._put_manifest(self.names.files, manifests.encode_files(self.files))
        self._put_manifest(self.names.summary, manifests.encode_summary(summary))

    def _put_manifest(self, name: str, body: bytes) -> None:
        self._store.put(manifests.checksum_names(name)[0], manifests.checksum(body).encode())
        self._store.put(name, body)

    def _key(self, name: str) -> str:
        """Returns the name as manifests give it: with the prefix, from the bucket's root."""
        _, prefix = _bucket_and_prefix(self._store.url)
        return f"{prefix}/{name}" if prefix else name


def _bucket_and_prefix(url: str) -> tuple[str, str]:
    """Returns bucket and prefix; both are empty if the URL is not in a bucket."""
    if not url.startswith("s3://"):
        return "", ""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix
