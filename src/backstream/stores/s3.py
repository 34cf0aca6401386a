"""S3 as a `ports.ObjectStore`, over a botocore client, and what a bucket needs to be one.

Retries of single requests are the client's own (`client_config`); the store adds what the client cannot do: a body that breaks off
while it is read, and a conditional write that meets its own first attempt.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from botocore.config import Config

from backstream.errors import AlreadyExists, Damaged, MissingBucket, MissingObject, Unavailable, UnversionedBucket
from backstream.ports import Clock, ListedObject, ObjectInfo, ObjectVersion, StoredObject
from backstream.retries import full_jitter
from backstream.stores.failures import BOTO_ERRORS, NO_BUCKET, TryAgain, named
from backstream.stores.version_listing import read_versions

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef, PublicAccessBlockConfigurationTypeDef

_Answer = TypeVar("_Answer")

_WRITE_ID = "backstream-write"  # metadata of a conditional write, hidden from callers
_DOCUMENT = "BackstreamDocument"  # where a version listing's XML stands in botocore's answer
_CLOSED: PublicAccessBlockConfigurationTypeDef = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_MORE_ATTEMPTS = 4
_REMEMBERED = 10_000


def client_config(*, connections: int = 32, answer_within: float | None = None) -> Config:
    """How the store's client should be made: `connections` is how many threads will use it.

    Standard retries answer throttling and 5xx with backoff. The timeouts are short for S3, whose bodies here are small: a dead
    connection is noticed in seconds. With `answer_within` (seconds) a single attempt has so long: its caller knows how much time
    there is for more.
    """
    return Config(
        retries={"mode": "standard", "total_max_attempts": 5 if answer_within is None else 1},
        connect_timeout=answer_within or 5,
        read_timeout=answer_within or 30,
        max_pool_connections=connections,
        tcp_keepalive=True,
    )


class S3Store:
    """See `ports.ObjectStore`. The store's names lie below `prefix/`, so `x/users` never sees `x/users-archive`.

    `client` is a botocore S3 client; its answers to ListObjectVersions get one more field, which leaves other users of it alone.
    `versioned`: a write to a bucket without versions is refused; False for one that may keep none, as `ports.Files` need none.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str, clock: Clock, *, versioned: bool = True) -> None:
        self._client = client
        self._bucket = bucket
        self._root = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._clock = clock
        self._versioned = versioned
        self._bucket_found = False
        self._unanswered = _UnansweredWrites()
        client.meta.events.register("before-parse.s3.ListObjectVersions", _keep_document, unique_id=_DOCUMENT)

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._root}".rstrip("/")

    def check(self) -> None:
        with self._explained("GetBucketVersioning", ""):
            status = self._client.get_bucket_versioning(Bucket=self._bucket).get("Status")
        if status != "Enabled":
            raise self._unversioned(status or "never enabled")
        self._bucket_found = True

    def _unversioned(self, why: str) -> UnversionedBucket:
        return UnversionedBucket(
            f"The bucket {self._bucket} keeps no versions ({why}): overwritten objects are lost.",
            hint=f"aws s3api put-bucket-versioning --bucket {self._bucket} --versioning-configuration Status=Enabled",
        )

    # --- writing ---

    def put(self, name: str, body: bytes, metadata: Mapping[str, str] | None = None, *, if_absent: bool = False) -> str:
        if if_absent:
            return self._put_if_absent(name, body, dict(metadata or {}))
        with self._explained("PutObject", name):
            answer = self._client.put_object(**self._object(name), Body=body, Metadata=metadata or {})
        return self._new_version(answer)

    def _put_if_absent(self, name: str, body: bytes, metadata: dict[str, str]) -> str:
        """Create, and know one's own write again.

        An attempt whose answer is lost may have written. So each carries an id, and a refusal counts only if the id on top is
        another; an attempt that stays without an answer leaves its id to the next call for the same write.
        """
        write = (name, sha256(body).digest(), tuple(sorted(metadata.items())))
        write_id = self._unanswered.take(write)
        try:
            return self._again(lambda: self._try_put_if_absent(name, body, {**metadata, _WRITE_ID: write_id}))
        except Unavailable:
            self._unanswered.keep(write, write_id)
            raise

    def _try_put_if_absent(self, name: str, body: bytes, metadata: dict[str, str]) -> str:
        try:
            with self._explained("PutObject", name):
                answer = self._client.put_object(**self._object(name), Body=body, Metadata=metadata, IfNoneMatch="*")
            return self._new_version(answer)
        except AlreadyExists:
            if version := self._version_of_write(name, metadata[_WRITE_ID]):
                return version
            raise AlreadyExists(f"{self.url}/{name} exists already.") from None

    def _version_of_write(self, name: str, write_id: str) -> str | None:
        """The current version, if it is that write's."""
        try:
            there = self._head(name)
        except MissingObject:
            return None  # deleted since
        return there["VersionId"] if there["Metadata"].get(_WRITE_ID) == write_id else None

    def delete(self, name: str) -> str:
        with self._explained("DeleteObject", name):
            answer = self._client.delete_object(**self._object(name))
        return self._new_version(answer)

    def _new_version(self, answer: Mapping[str, Any]) -> str:
        version: str = answer.get("VersionId", "null")
        if version == "null" and self._versioned:
            raise self._unversioned("versioning was turned off")
        return version

    # --- reading ---

    def get(self, name: str, version: str | None = None) -> StoredObject:
        return self._again(lambda: self._get(name, version))

    def _get(self, name: str, version: str | None) -> StoredObject:
        with self._explained("GetObject", name, version):
            answer = self._client.get_object(**self._object(name, version))
            body = answer["Body"].read()
        return StoredObject(_info(name, answer), body)

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        return _info(name, self._head(name, version))

    def _head(self, name: str, version: str | None = None) -> HeadObjectOutputTypeDef:
        try:
            with self._explained("HeadObject", name, version):
                return self._client.head_object(**self._object(name, version))
        except MissingObject as missing:
            if not missing.marker:
                self._find_bucket()
            raise

    def _find_bucket(self) -> None:
        """Raise `MissingBucket` if that is what is missing: a HEAD's answer has no body to say so. Asked once."""
        if self._bucket_found:
            return
        try:
            with self._explained("HeadBucket", ""):
                self._client.head_bucket(Bucket=self._bucket)
        except MissingObject as missing:
            raise MissingBucket(missing.message, hint=NO_BUCKET.hint) from missing
        self._bucket_found = True

    # --- listing ---

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        place: dict[str, Any] = {"StartAfter": self._root + after} if after else {}
        while True:
            with self._explained("ListObjectsV2", prefix):
                page: Mapping[str, Any] = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._root + prefix, **place)
            for row in page.get("Contents", ()):
                if name := row["Key"].removeprefix(self._root):  # empty: the "folder" that the S3 console makes
                    yield ListedObject(name, row["Size"], row["LastModified"].timestamp())
            if self._is_last(page):
                return
            place = {"ContinuationToken": page["NextContinuationToken"]}

    def versions(self, prefix: str) -> Iterator[ObjectVersion]:
        place: dict[str, Any] = {}
        while True:
            with self._explained("ListObjectVersions", prefix):
                page: Mapping[str, Any] = self._client.list_object_versions(
                    Bucket=self._bucket, Prefix=self._root + prefix, **place
                )
            for row in read_versions(page[_DOCUMENT]):
                if name := row.name.removeprefix(self._root):
                    yield msgspec.structs.replace(row, name=name)
            if self._is_last(page):
                return
            place = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        # S3 can list by prefix only: names come in order, so that what follows the name's own versions only starts like it.
        return itertools.takewhile(lambda row: row.name == name, self.versions(name))

    def _is_last(self, page: Mapping[str, Any]) -> bool:
        try:
            return not page["IsTruncated"]
        except KeyError:  # some other document, which must not pass for an empty listing
            raise Damaged(
                f"A listing of {self.url} was answered with something else.",
                hint="Check AWS_ENDPOINT_URL_S3, and for proxies between here and S3.",
            ) from None

    # --- words ---

    def _object(self, name: str, version: str | None = None) -> dict[str, Any]:
        """The parameters that say which object, or which version of it."""
        which = {"Bucket": self._bucket, "Key": self._root + name}
        return which if version is None else {**which, "VersionId": version}

    @contextmanager
    def _explained(self, operation: str, name: str, version: str | None = None) -> Iterator[None]:
        """Whatever botocore raises, in our own errors."""
        try:
            yield
        except BOTO_ERRORS as error:
            subject = f"{self.url}/{name}" if name else self.url
            raise named(error, operation, f"{subject} (version {version})" if version else subject) from error

    def _again(self, call: Callable[[], _Answer]) -> _Answer:
        """Call until it does not end in `TryAgain`, a few times."""
        for delay in full_jitter(random.random, attempts=_MORE_ATTEMPTS):
            try:
                return call()
            except TryAgain:
                self._clock.sleep(delay)
        return call()


class _UnansweredWrites:
    """The ids of conditional writes that may or may not have happened, until the same write is tried again."""

    def __init__(self) -> None:
        self._ids: dict[object, str] = {}
        self._lock = threading.Lock()

    def take(self, write: object) -> str:
        """The id under which this write was tried before, now its new owner's alone; or a new one."""
        with self._lock:
            return self._ids.pop(write, None) or token_hex(16)

    def keep(self, write: object, write_id: str) -> None:
        """Remember it. Of very many the oldest are forgotten: their writers have long given up."""
        with self._lock:
            self._ids[write] = write_id
            if len(self._ids) > _REMEMBERED:
                del self._ids[next(iter(self._ids))]


def _keep_document(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """botocore's hook before it parses an answer: what we add here stands in the parsed answer too."""
    customized_response_dict[_DOCUMENT] = response_dict["body"]


def _info(name: str, answer: HeadObjectOutputTypeDef | GetObjectOutputTypeDef) -> ObjectInfo:
    return ObjectInfo(
        name=name,
        version=answer.get("VersionId", "null"),
        size=answer["ContentLength"],
        modified=answer["LastModified"].timestamp(),
        metadata={key: value for key, value in answer["Metadata"].items() if key != _WRITE_ID},
    )


def create_bucket(client: S3Client, bucket: str, region: str) -> None:
    """Make the bucket a vault can lie in: closed to the public, keeping versions. One that is ours already is only made so.

    `AlreadyExists` if the name is another account's, `AccessDenied` and `Unavailable` as everywhere.
    """
    place: dict[str, Any] = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # by an earlier run, which may have ended before the rest
            client.create_bucket(Bucket=bucket, **place)
        client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=_CLOSED)
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    except BOTO_ERRORS as error:
        raise named(error, "CreateBucket", f"s3://{bucket}") from error
