"""The manifests of an export, their fields in AWS's order, their names and their checksums."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from backstream.errors import Damaged
from backstream.model.values.decoding import UNDECODABLE, reason

FOLDER = "AWSDynamoDB/"
JSON = "DYNAMODB_JSON"
FULL_VERSION = "2020-06-30"
INCREMENTAL = "INCREMENTAL_EXPORT"


class ManifestSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`manifest-summary.json`. Times are ISO 8601, UTC. What only one kind of export has is UNSET in the other."""

    version: str
    export_arn: str
    start_time: str
    end_time: str
    table_arn: str
    table_id: str | None = None
    export_time: str | UnsetType = UNSET
    export_from_time: str | UnsetType = UNSET
    export_to_time: str | UnsetType = UNSET
    s3_bucket: str | None = None
    s3_prefix: str | None = None
    s3_sse_algorithm: str | None = None
    s3_sse_kms_key_id: str | None = None
    manifest_files_s3_key: str
    billed_size_bytes: int = 0
    item_count: int
    output_format: str
    output_view: str | UnsetType = UNSET
    export_type: str | UnsetType = UNSET

    @property
    def incremental(self) -> bool:
        """Whether its lines are net changes rather than items."""
        return self.export_type == INCREMENTAL or self.export_from_time is not UNSET


class DataFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of `manifest-files.json`. `md5_checksum`: base64, of the file's bytes as they lie there, compressed."""

    item_count: int
    md5_checksum: str
    etag: str = ""
    data_file_s3_key: str

    @property
    def name(self) -> str:
        """Where it lies below the folder that the export was made into."""
        return below_root(self.data_file_s3_key)


_summary = msgspec.json.Decoder(ManifestSummary)
_file = msgspec.json.Decoder(DataFile)


class ExportNames(msgspec.Struct, frozen=True):
    """The names of one export's files, below the folder (bucket and prefix) that it was made into."""

    id: str

    @property
    def folder(self) -> str:
        """That of this export alone."""
        return f"{FOLDER}{self.id}/"

    @property
    def started(self) -> str:
        """The sign that it has begun."""
        return f"{self.folder}_started"

    @property
    def summary(self) -> str:
        """The manifest that comes last."""
        return f"{self.folder}manifest-summary.json"

    @property
    def files(self) -> str:
        """The manifest of the data files."""
        return f"{self.folder}manifest-files.json"

    @property
    def data(self) -> str:
        """The folder of a full export's data files: what ImportTable wants as its prefix."""
        return f"{self.folder}data/"


def below_root(key: str) -> str:
    """A manifest's S3 key without the prefix: AWS writes some keys with it and some without, and an export may have been moved."""
    before, found, after = key.rpartition(FOLDER)
    return found + after if found else before + after


def checksum_names(manifest: str) -> tuple[str, str]:
    """Where a manifest's checksum may lie: as AWS names it, and as its documentation does."""
    stem = manifest.removesuffix(".json")
    return f"{stem}.md5", f"{stem}.checksum"


def checksum(body: bytes) -> str:
    """A file's MD5 in base64, as manifests and checksum files give it."""
    return base64.b64encode(_md5(body).digest()).decode()


def etag(body: bytes) -> str:
    """What S3 answers to a single PUT of these bytes, unless the bucket encrypts with KMS."""
    return _md5(body).hexdigest()


def _md5(body: bytes) -> hashlib._Hash:
    return hashlib.md5(body, usedforsecurity=False)


def encode_summary(summary: ManifestSummary) -> bytes:
    """The bytes of `manifest-summary.json`."""
    return msgspec.json.encode(summary)


def decode_summary(body: bytes) -> ManifestSummary:
    """The inverse of `encode_summary`. Damaged where it is none."""
    try:
        return _summary.decode(body)
    except UNDECODABLE as error:
        raise Damaged(f"not an export's summary: {reason(error)}") from error


def encode_files(files: Sequence[DataFile]) -> bytes:
    """The bytes of `manifest-files.json`: a line each."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in files)


def decode_files(body: bytes) -> list[DataFile]:
    """The inverse of `encode_files`. Damaged where it is none."""
    try:
        return [_file.decode(line) for line in body.split(b"\n") if line.strip()]
    except UNDECODABLE as error:
        raise Damaged(f"not an export's list of files: {reason(error)}") from error
