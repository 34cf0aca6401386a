"""Reads a bucket's settings from S3 by botocore: only a look at a whole deployment needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore import exceptions as aws

from backstream.boto_errors import boto_errors
from backstream.errors import AccessDenied, Damaged, Failed, MissingBucket, MissingObject
from backstream.model import moment
from backstream.ports import Described
from backstream.stores.s3.boto import of_bucket
from backstream.stores.s3.failures import NO_BUCKET, named, subject

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client

# S3's error codes for a setting that a bucket does not have: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_NONE = (
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "ObjectLockConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
)


class S3Settings:
    """See `ports.BucketSettings`. `owner`: the expected account of the bucket."""

    def __init__(self, client: S3Client, bucket: str, owner: str | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._owner = owner

    @property
    def bucket(self) -> str:
        return self._bucket

    def find(self) -> str:
        try:
            answer = self._ask("head_bucket", "HeadBucket")
        except MissingObject as missing:  # the answer to a HEAD has no body that would say what is missing
            raise MissingBucket(missing.message, hint=NO_BUCKET.hint) from missing
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or "")

    def is_of(self, account: str) -> bool:
        try:
            self._ask("head_bucket", "HeadBucket", ExpectedBucketOwner=account)
        except AccessDenied:
            return False
        return True

    def server_time(self) -> float:
        try:
            answer: Mapping[str, Any] = self._client.head_bucket(**of_bucket(self._bucket, self._owner))
        except aws.ClientError as refused:
            answer = refused.response  # a refusal has a date too
        except aws.BotoCoreError as error:
            raise named(error, "HeadBucket", subject(self._bucket)) from error
        date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
        try:
            return moment.parse_http(date)
        except ValueError as error:
            raise Failed(f"S3's answer carries no usable Date header: {date!r}") from error

    def versioning(self) -> str:
        return str(self._ask("get_bucket_versioning", "GetBucketVersioning").get("Status", ""))

    def encryption(self) -> str | None:
        answer = self._ask("get_bucket_encryption", "GetBucketEncryption").get("ServerSideEncryptionConfiguration", {})
        defaults = (rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in answer.get("Rules", ()))
        return next((each["SSEAlgorithm"] for each in defaults if "SSEAlgorithm" in each), None)

    def public_access_block(self) -> Described:
        found = self._ask("get_public_access_block", "GetPublicAccessBlock").get("PublicAccessBlockConfiguration", {})
        return dict(found)

    def policy(self) -> Described:
        text = self._ask("get_bucket_policy", "GetBucketPolicy").get("Policy", "{}")
        try:
            document = json.loads(text)
        except ValueError as error:
            raise Damaged(f"the policy of {subject(self._bucket)} is no JSON: {error}") from error
        return document if isinstance(document, dict) else {}

    def object_lock(self) -> Described:
        return dict(self._ask("get_object_lock_configuration", "GetObjectLockConfiguration").get("ObjectLockConfiguration", {}))

    def lifecycle(self) -> Sequence[Described]:
        answer = self._ask("get_bucket_lifecycle_configuration", "GetBucketLifecycleConfiguration")
        return [dict(rule) for rule in answer.get("Rules", ())]

    def _ask(self, method: str, operation: str, **more: str) -> Mapping[str, Any]:
        """Returns the answer; empty if the bucket has no such setting."""
        try:
            answer: Mapping[str, Any] = getattr(self._client, method)(**{**of_bucket(self._bucket, self._owner), **more})
        except boto_errors() as error:
            if isinstance(error, aws.ClientError) and error.response["Error"].get("Code") in _NONE:
                return {}
            raise named(error, operation, subject(self._bucket)) from error
        return answer
