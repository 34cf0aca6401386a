"""S3's requests through a botocore client, which finds credentials, endpoint and region, signs, and retries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from backstream.boto_errors import boto_errors
from backstream.model import request_settings
from backstream.model.request_settings import RequestSettings
from backstream.model.values.object_limits import Limit, too_large, unlimited
from backstream.ports import Found, ListedObject, ObjectInfo, ObjectVersion, StoredObject, Tag, Wanted
from backstream.stores.many import from_threads
from backstream.stores.s3 import listings
from backstream.stores.s3.api import NULL_VERSION, ListingPage, Terms
from backstream.stores.s3.failures import named, not_a_listing, subject

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef, PublicAccessBlockConfigurationTypeDef

_DOCUMENT = "BackstreamDocument"  # where a version listing's XML stands in botocore's answer
_PARAMETERS = {
    request_settings.PAYER_HEADER: "RequestPayer",
    request_settings.SSE_HEADER: "ServerSideEncryption",
    request_settings.KEY_HEADER: "SSEKMSKeyId",
    request_settings.BUCKET_KEY_HEADER: "BucketKeyEnabled",
    request_settings.CLASS_HEADER: "StorageClass",
}
_TRUE_OR_FALSE = (request_settings.BUCKET_KEY_HEADER,)
_CLOSED: PublicAccessBlockConfigurationTypeDef = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


def client_config(*, connections: int = 32, answer_within: float | None = None) -> Config:
    """Returns the client's configuration. `connections` is the number of threads that will use it.

    Standard retries answer throttling and 5xx with backoff. The timeouts are short for S3, whose bodies here are small: a dead
    connection is noticed in seconds. With `answer_within` (seconds) there is a single attempt of that length: its caller knows how
    much time there is for more.
    """
    return Config(
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": 5 if answer_within is None else 1},
        connect_timeout=answer_within or 5,
        read_timeout=answer_within or 30,
        max_pool_connections=connections,
        tcp_keepalive=True,
    )


class BotoApi:
    """See `s3.api.S3Api`. The client's answers to ListObjectVersions get one more field, which does not affect its other users."""

    def __init__(self, client: S3Client, bucket: str, limit: Limit = unlimited, terms: Terms | None = None) -> None:
        self._limit = limit
        self._terms = terms or Terms()
        self._client = client
        self._bucket = bucket
        client.meta.events.register("before-parse.s3.ListObjectVersions", _keep_document, unique_id=_DOCUMENT)

    @property
    def bucket(self) -> str:
        return self._bucket

    def owner(self) -> str | None:
        return self._terms.owner()

    def settings(self, key: str) -> RequestSettings:
        return self._terms.settings(key)

    def limit(self, key: str) -> int:
        return self._limit(key)

    def versioning(self) -> str:
        with self._explained("GetBucketVersioning"):
            return self._client.get_bucket_versioning(**self._of_bucket()).get("Status", "")

    def find(self) -> None:
        with self._explained("HeadBucket"):
            self._client.head_bucket(**self._of_bucket())

    def put(
        self, key: str, body: bytes, metadata: Mapping[str, str], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if if_absent else {} if if_match is None else {"IfMatch": if_match}
        demanded = parameters_of(self.settings(key).of_put(key))
        with self._explained("PutObject", key):
            answer = self._client.put_object(**self._asked(key), Key=key, Body=body, Metadata=metadata, **condition, **demanded)
        return answer.get("VersionId", NULL_VERSION)

    def get(self, key: str, version: str | None) -> StoredObject:
        with self._explained("GetObject", key, version):
            answer = self._client.get_object(**self._object(key, version))
            self._check_size(key, answer)
            body = answer["Body"].read()
        return StoredObject(_info(key, answer), body)

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        return from_threads(self.get, wanted)

    def get_range(self, key: str, which: str) -> bytes:
        with self._explained("GetObject", key):
            answer = self._client.get_object(**self._object(key, None), Range=which)
            self._check_size(key, answer)
            return answer["Body"].read()

    def _check_size(self, key: str, answer: GetObjectOutputTypeDef) -> None:
        """Raises Damaged, and reads no more, if an object is larger than its kind may be."""
        if answer["ContentLength"] > self.limit(key):
            answer["Body"].close()
            raise too_large(subject(self._bucket, key), self.limit(key), answer["ContentLength"])

    def head(self, key: str, version: str | None) -> ObjectInfo:
        with self._explained("HeadObject", key, version):
            return _info(key, self._client.head_object(**self._object(key, version)))

    def delete(self, key: str) -> str:
        with self._explained("DeleteObject", key):
            return self._client.delete_object(**self._asked(key), Key=key).get("VersionId", NULL_VERSION)

    def list_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ListedObject]:
        parameters: dict[str, Any] = {**self._asked(prefix), "Prefix": prefix, **place}
        with self._explained("ListObjectsV2", prefix):
            page: Mapping[str, Any] = self._client.list_objects_v2(**parameters)
        rows = [ListedObject(row["Key"], row["Size"], row["LastModified"].timestamp()) for row in page.get("Contents", ())]
        return ListingPage(rows, self._following(page, {"ContinuationToken": "NextContinuationToken"}))

    def versions_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ObjectVersion]:
        parameters: dict[str, Any] = {**self._asked(prefix), "Prefix": prefix, **place}
        with self._explained("ListObjectVersions", prefix):
            page: Mapping[str, Any] = self._client.list_object_versions(**parameters)
        names = {"KeyMarker": "NextKeyMarker", "VersionIdMarker": "NextVersionIdMarker"}
        return ListingPage(listings.versions(listings.read(page[_DOCUMENT])), self._following(page, names))

    def _following(self, page: Mapping[str, Any], names: Mapping[str, str]) -> Mapping[str, str] | None:
        if "IsTruncated" not in page:
            raise not_a_listing(self._bucket)
        return {name: page[of] for name, of in names.items()} if page["IsTruncated"] else None

    def _object(self, key: str, version: str | None) -> dict[str, Any]:
        """Returns the parameters that name an object, or a version of it."""
        which = {**self._asked(key), "Key": key}
        return which if version is None else {**which, "VersionId": version}

    def _of_bucket(self) -> dict[str, Any]:
        """Returns the parameters that name the bucket and its expected owner."""
        return of_bucket(self._bucket, self.owner())

    def _asked(self, key: str) -> dict[str, Any]:
        """Returns the parameters of each request about objects."""
        return of_bucket(self._bucket, self.owner(), self.settings(key))

    @contextmanager
    def _explained(self, operation: str, key: str = "", version: str | None = None) -> Iterator[None]:
        """Context that turns botocore's errors into the project's."""
        try:
            yield
        except boto_errors() as error:
            raise named(error, operation, subject(self._bucket, key, version)) from error


def _keep_document(response_dict: Mapping[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """botocore's hook before it parses an answer: fields added here appear in the parsed answer too."""
    customized_response_dict[_DOCUMENT] = response_dict["body"]


def _info(key: str, answer: HeadObjectOutputTypeDef | GetObjectOutputTypeDef) -> ObjectInfo:
    return ObjectInfo(
        name=key,
        version=answer.get("VersionId", NULL_VERSION),
        size=answer["ContentLength"],
        modified=answer["LastModified"].timestamp(),
        metadata=answer["Metadata"],
        tag=answer.get("ETag", ""),
    )


def of_bucket(bucket: str, owner: str | None, settings: RequestSettings = request_settings.USUAL) -> dict[str, Any]:
    """Returns botocore's parameters that name the bucket and its expected owner; with settings, also the parameters of requests
    about objects."""
    named = {"Bucket": bucket} if owner is None else {"Bucket": bucket, "ExpectedBucketOwner": owner}
    return {**named, **parameters_of(settings.of_every_request)}


def parameters_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """Returns botocore's parameters for these headers."""
    return {_PARAMETERS[name]: value == "true" if name in _TRUE_OR_FALSE else value for name, value in headers.items()}


def create_bucket(client: S3Client, bucket: str, region: str, owner: str | None = None, *, with_lock: bool = False) -> str | None:
    """Creates a bucket for a vault: keeping versions, closed to the public. If it already belongs to this account, only these
    settings are made. `with_lock`: a new one is made with Object Lock.

    Returns why the bucket could not be closed to the public: a server that does not know that block keeps versions all the same.
    Raises `AlreadyExists` if the name belongs to another account, and `AccessDenied` and `Unavailable` as everywhere.
    """
    operation = "CreateBucket"
    place: dict[str, Any] = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    place |= {"ObjectLockEnabledForBucket": True} if with_lock else {}
    try:
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):  # by an earlier run, which may have ended before the rest
            client.create_bucket(Bucket=bucket, **place)
        operation = "PutBucketVersioning"
        client.put_bucket_versioning(**of_bucket(bucket, owner), VersioningConfiguration={"Status": "Enabled"})
    except boto_errors() as error:
        raise named(error, operation, subject(bucket)) from error
    try:
        client.put_public_access_block(**of_bucket(bucket, owner), PublicAccessBlockConfiguration=_CLOSED)
    except boto_errors() as error:
        return named(error, "PutPublicAccessBlock", subject(bucket)).message
    return None
