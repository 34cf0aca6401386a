"""Requests as IAM sees them: which action, on which resource. What stands between a client and the servers writes them down."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from kit.proxy import FaultProxy, Forward, Request, Response

ACCOUNT, REGION = "000000000000", "us-east-1"
# By method and what the query asks for: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
OF_BUCKET = {
    ("GET", "list-type"): "ListBucket",
    ("GET", "versions"): "ListBucketVersions",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "location"): "GetBucketLocation",
    ("HEAD", ""): "ListBucket",
}
OF_OBJECT = {
    ("GET", ""): "GetObject",
    ("HEAD", ""): "GetObject",
    ("GET", "versionId"): "GetObjectVersion",
    ("HEAD", "versionId"): "GetObjectVersion",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
    ("DELETE", "versionId"): "DeleteObjectVersion",
}
HARMLESS = {
    "prefix",
    "delimiter",
    "encoding-type",
    "start-after",
    "continuation-token",
    "key-marker",
    "version-id-marker",
    "max-keys",
    "x-id",
}


class Call(NamedTuple):
    """One request: `s3:GetObject` on `arn:aws:s3:::bucket/key`. `account`: which the resource belongs to."""

    action: str
    resource: str
    account: str = ACCOUNT


class Recorder:
    """A proxy before a server; `calls` are those that came through it.

    `owners`: the accounts that requests to S3 expected their buckets to be of, None among them where one did not say.
    """

    def __init__(self, target: str) -> None:
        self.calls: set[Call] = set()
        self.owners: set[str | None] = set()
        self._lock = threading.Lock()
        self._stream = ""  # that the last iterator was asked for of
        self._proxy = FaultProxy(target)
        self._proxy.on(self._note)

    def __enter__(self) -> Self:
        self._proxy.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._proxy.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return self._proxy.url

    def _note(self, request: Request, forward: Forward) -> Response:
        with self._lock:
            if request.headers.get("x-amz-target", "").endswith(".GetRecords"):
                call = Call("dynamodb:GetRecords", self._stream)  # its request names an iterator only
            else:
                call = call_of(request)
            if call.action == "dynamodb:GetShardIterator":
                self._stream = call.resource
            self.calls.add(call)
            if call.action.startswith("s3:"):
                self.owners.add(request.headers.get("x-amz-expected-bucket-owner"))
        return forward(request)


def call_of(request: Request) -> Call:
    """What IAM would be asked. KeyError for a request that nobody has thought of: no permission may be overlooked."""
    if request.headers.get("x-amz-target", "").startswith("TrentService."):
        return Call(f"kms:{request.operation}", str(request.json()["KeyId"]))
    if request.headers.get("x-amz-target", "").startswith("AWSGlue."):
        return Call(f"glue:{request.operation}", _of_glue(request.json()))
    if "x-amz-target" in request.headers:
        return Call(f"dynamodb:{request.operation}", _table_or_stream(request.json()))
    split = urlsplit(request.path)
    asked = parse_qs(split.query, keep_blank_values=True).keys() - HARMLESS
    bucket, _, key = unquote(split.path).strip("/").partition("/")
    what = next(iter(asked), "")
    if asked & {
        "uploads",
        "uploadId",
    }:  # parts of one object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
        action = "AbortMultipartUpload" if request.method == "DELETE" else "PutObject"
        return Call(f"s3:{action}", f"arn:aws:s3:::{bucket}/{key}")
    assert len(asked) <= 1, request.path
    if key:
        return Call(f"s3:{OF_OBJECT[request.method, what]}", f"arn:aws:s3:::{bucket}/{key}")
    return Call(f"s3:{OF_BUCKET[request.method, what]}", f"arn:aws:s3:::{bucket}")


def _of_glue(body: Mapping[str, Any]) -> str:
    """The table, or the database if no table is named."""
    here = f"arn:aws:glue:{REGION}:{ACCOUNT}:"
    if "DatabaseName" not in body:
        return f"{here}database/{body.get('Name') or body['DatabaseInput']['Name']}"
    return f"{here}table/{body['DatabaseName']}/{body.get('Name') or body['TableInput']['Name']}"


def _table_or_stream(body: Mapping[str, Any]) -> str:
    if arn := body.get("StreamArn") or body.get("ResourceArn"):
        return str(arn)
    (table,) = body["RequestItems"] if "RequestItems" in body else [body["TableName"]]
    return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
