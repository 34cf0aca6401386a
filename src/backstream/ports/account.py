"""The account around a table and its vault: buckets, functions, mappings, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Described = Mapping[str, Any]  # AWS's own answer, or a part of it, decoded


class BucketSettings(Protocol):
    """How one bucket is set up, as S3 tells it. A setting that it does not have is None, or empty: that is an answer.

    Errors as of `ObjectStore`; one that may not be read is `AccessDenied`, one that the endpoint does not know `Failed`.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    def find(self) -> str:
        """HeadBucket: the bucket's region, empty where the endpoint does not say. `MissingBucket`."""

    def is_of(self, account: str) -> bool:
        """HeadBucket with ExpectedBucketOwner: whether it is that account's, of a bucket that `find` finds."""

    def server_time(self) -> float:
        """S3's time now (epoch seconds, whole), whatever it answers. Failed where it does not say."""

    def versioning(self) -> str:
        """GetBucketVersioning: `Enabled`, `Suspended`, or nothing where it never was."""

    def encryption(self) -> str | None:
        """GetBucketEncryption: the algorithm that objects are encrypted with by default (`AES256`, `aws:kms`)."""

    def public_access_block(self) -> Described:
        """GetPublicAccessBlock's configuration."""

    def policy(self) -> Described:
        """GetBucketPolicy's document. Damaged where it is no JSON."""

    def object_lock(self) -> Described:
        """GetObjectLockConfiguration's configuration."""

    def lifecycle(self) -> Sequence[Described]:
        """GetBucketLifecycleConfiguration's rules."""


class Account(Protocol):
    """Who asks, and what is deployed: functions, what feeds them, and alarms. Errors: `AccessDenied`, `Unavailable`, `Failed`."""

    def identity(self) -> Described:
        """GetCallerIdentity: `Account`, `Arn`."""

    def function(self, name: str) -> Described:
        """GetFunctionConfiguration. `NotFound`."""

    def reserved_concurrency(self, name: str) -> int | None:
        """GetFunctionConcurrency: how many invocations may run at once, None where none are reserved."""

    def mappings(self, *, stream: str = "", function: str = "") -> Sequence[Described]:
        """ListEventSourceMappings, every page: those of a stream, of a function, or of both."""

    def alarms(self) -> Sequence[Described]:
        """DescribeAlarms, every page: the metric alarms of the region."""
