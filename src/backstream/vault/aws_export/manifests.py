"""The manifests of an export, their fields in AWS's order, their names and their checksums."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from backstream.errors import Damaged
from backstream.model.values.decoding import UNDECODABLE, reason

FOLDER = "AWSDynamoDB/"
JSON = "DYNAMODB_JSON"
ION = "ION"
FULL_VERSION = "2020-06-30"
INCREMENTAL = "INCREMENTAL_EXPORT"


class ManifestSummary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The contents of `manifest-summary.json`.

    Times are ISO 8601, UTC. Fields that only one kind of export has are UNSET in the other.
    """

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
    filter_specification: Any = UNSET

    @property
    def filtered(self) -> bool:
        """True if items were left out by a filter: such an export proves nothing about them."""
        return self.filter_specification not in (UNSET, None, {}, "")

    @property
    def incremental(self) -> bool:
        """True if the lines are net changes rather than items."""
        return self.export_type == INCREMENTAL or self.export_from_time is not UNSET


class DataFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of `manifest-files.json`. `md5_checksum` is base64, over the file's bytes as stored (compressed)."""

    item_count: int
    md5_checksum: str = ""
    etag: str = ""
    data_file_s3_key: str

    @property
    def name(self) -> str:
        """The file's name below the folder that the export was made into."""
        return below_root(self.data_file_s3_key)


_fields = msgspec.json.Decoder(dict[str, Any])


class ExportNames(msgspec.Struct, frozen=True):
    """The names of one export's files, below the folder (bucket and prefix) that it was made into."""

    id: str

    @property
    def folder(self) -> str:
        """The folder of this export alone."""
        return f"{FOLDER}{self.id}/"

    @property
    def started(self) -> str:
        """The name of the object that marks the export as begun."""
        return f"{self.folder}_started"

    @property
    def summary(self) -> str:
        """The name of the manifest that is written last."""
        return f"{self.folder}manifest-summary.json"

    @property
    def files(self) -> str:
        """The name of the manifest that lists the data files."""
        return f"{self.folder}manifest-files.json"

    @property
    def data(self) -> str:
        """The folder of a full export's data files. ImportTable takes it as its prefix."""
        return f"{self.folder}data/"


def below_root(key: str) -> str:
    """Returns a manifest's S3 key without the prefix.

    AWS writes some keys with it and some without, and an export may have been moved.
    """
    before, found, after = key.rpartition(FOLDER)
    return found + after if found else before + after


def checksum_names(manifest: str) -> tuple[str, str]:
    """Returns the two possible names of a manifest's checksum: the name that AWS writes, and the name in its documentation."""
    stem = manifest.removesuffix(".json")
    return f"{stem}.md5", f"{stem}.checksum"


def checksum(body: bytes) -> str:
    """Returns a file's MD5 in base64, as manifests and checksum files state it."""
    return base64.b64encode(_md5(body).digest()).decode()


def etag(body: bytes) -> str:
    """Returns the ETag that S3 gives to a single PUT of these bytes, unless the bucket encrypts with KMS."""
    return _md5(body).hexdigest()


def _md5(body: bytes) -> hashlib._Hash:
    return hashlib.md5(body, usedforsecurity=False)


def encode_summary(summary: ManifestSummary) -> bytes:
    """The bytes of `manifest-summary.json`."""
    return msgspec.json.encode(summary)


def decode_summary(body: bytes) -> ManifestSummary:
    """The inverse of `encode_summary`. Raises Damaged if the bytes are not a summary."""
    try:
        fields = _given(body)
        filters = [value for name, value in fields.items() if name.lower() == "filterspecification"]  # AWS shows no example of it
        return msgspec.convert(fields | ({"filterSpecification": filters[0]} if filters else {}), ManifestSummary)
    except UNDECODABLE as error:
        raise Damaged(f"not an export's summary: {reason(error)}") from error


def encode_files(files: Sequence[DataFile]) -> bytes:
    """Returns the bytes of `manifest-files.json`, one line per file."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in files)


def decode_files(body: bytes) -> list[DataFile]:
    """The inverse of `encode_files`. Raises Damaged if the bytes are not a list of files, or name one twice."""
    try:
        files = [msgspec.convert(_given(line), DataFile) for line in body.split(b"\n") if line.strip()]
    except UNDECODABLE as error:
        raise Damaged(f"not an export's list of files: {reason(error)}") from error
    for name, count in Counter(each.name for each in files).items():
        if count > 1 or name.endswith("/") or not name:
            raise Damaged(f"it names {name!r} {count} times" if count > 1 else f"it names no file: {name!r}")
    return files


def _given(body: bytes) -> dict[str, Any]:
    """Returns the fields of a JSON object. A field that is null counts as absent."""
    return {name: value for name, value in _fields.decode(body).items() if value is not None}
