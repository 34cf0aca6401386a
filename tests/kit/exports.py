"""Exports, looked at from outside: loaded by DynamoDB's own ImportTable, read without our reader, and damaged."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard

from backstream.model.values.schema import KeySchema
from kit.aws import Aws

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.literals import InputCompressionTypeType
    from mypy_boto3_dynamodb.type_defs import ImportTableDescriptionTypeDef


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file, by its path below the folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def objects_below(aws: Aws, bucket: str, prefix: str) -> dict[str, bytes]:
    """Every current object, by its key."""
    s3 = aws.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [row["Key"] for page in pages for row in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def plain(name: str, body: bytes) -> bytes:
    """A data file without its compression."""
    if name.endswith(".gz"):
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompressobj().decompress(body)


def data_lines(files: Mapping[str, bytes]) -> list[bytes]:
    """The lines of all data files."""
    data = [plain(name, body) for name, body in files.items() if "/data/" in name]
    return [line for body in data for line in body.split(b"\n")[:-1]]


def md5(body: bytes) -> str:
    """As manifests give it."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def seal(folder: Path, name: str, **summary_fields: Any) -> None:
    """Make an altered export's checksums right again, so that only what was altered is wrong."""
    for data in _altered(folder, name):
        manifest = folder / "manifest-files.json"
        rows = [json.loads(line) for line in manifest.read_text().splitlines()]
        for row in rows:
            if row["dataFileS3Key"].endswith(data.name):
                row["md5Checksum"] = md5(data.read_bytes())
        manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = folder / "manifest-summary.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), **summary_fields}))
    for each in (folder / "manifest-files.json", summary):
        each.with_suffix(".md5").write_text(md5(each.read_bytes()))


def _altered(folder: Path, name: str) -> Iterator[Path]:
    return (path for path in folder.parent.rglob(name) if "data" in path.parts)


def import_table(
    aws: Aws, bucket: str, prefix: str, table: str, schema: KeySchema, compression: InputCompressionTypeType
) -> ImportTableDescriptionTypeDef:
    """DynamoDB's own import into a new table; how it ended."""
    dynamodb = aws.client("dynamodb")
    parameters: Any = {
        "TableName": table,
        "AttributeDefinitions": [{"AttributeName": each.name, "AttributeType": each.type} for each in schema.attributes],
        "KeySchema": [
            {"AttributeName": each.name, "KeyType": "HASH" if each is schema.hash else "RANGE"} for each in schema.attributes
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    begun = dynamodb.import_table(
        S3BucketSource={"S3Bucket": bucket, "S3KeyPrefix": prefix},
        InputFormat="DYNAMODB_JSON",
        InputCompressionType=compression,
        TableCreationParameters=parameters,
    )["ImportTableDescription"]
    while begun["ImportStatus"] == "IN_PROGRESS":
        time.sleep(0.1)
        begun = dynamodb.describe_import(ImportArn=begun["ImportArn"])["ImportTableDescription"]
    return begun
