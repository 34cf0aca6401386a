"""The account around a table and its vault: buckets, functions, mappings, alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

Described = Mapping[str, Any]  # AWS's own answer, or a part of it, decoded


class BucketSettings(Protocol):
    """Reads the settings of one bucket from S3. A setting that the bucket does not have is None or empty, which is an answer.

    Raises the errors of `ObjectStore`: `AccessDenied` for a setting that may not be read, `Failed` for one that the endpoint does
    not know.
    """

    @property
    def bucket(self) -> str:
        """The bucket's name."""

    def find(self) -> str:
        """HeadBucket: returns the bucket's region, empty if the endpoint does not state it. Raises `MissingBucket`."""

    def is_of(self, account: str) -> bool:
        """HeadBucket with ExpectedBucketOwner: True if a bucket that `find` finds belongs to that account."""

    def server_time(self) -> float:
        """Returns S3's time now (epoch seconds, whole), from whatever it answers. Raises Failed if it does not state it."""

    def versioning(self) -> str:
        """GetBucketVersioning: returns `Enabled`, `Suspended`, or an empty text if it was never set."""

    def encryption(self) -> str | None:
        """GetBucketEncryption: returns the default encryption of objects (`AES256`, `aws:kms`)."""

    def public_access_block(self) -> Described:
        """GetPublicAccessBlock's configuration."""

    def policy(self) -> Described:
        """GetBucketPolicy's document. Raises Damaged if it is not JSON."""

    def object_lock(self) -> Described:
        """GetObjectLockConfiguration's configuration."""

    def lifecycle(self) -> Sequence[Described]:
        """GetBucketLifecycleConfiguration's rules."""


class TriedLock(msgspec.Struct, frozen=True):
    """The outcome of trying a bucket's Object Lock. `until`: how long the object that was tried is locked (epoch seconds).

    `weak`: what went through and must have been refused; `bypass`: True if these credentials may remove a version that governance
    mode locks.
    """

    until: float | None
    weak: Sequence[str] = ()
    bypass: bool = False


class LockTrial(Protocol):
    """Tries whether a bucket's Object Lock holds. It raises the errors of `ObjectStore`."""

    def is_on(self) -> bool:
        """True if the bucket has Object Lock."""

    def attempt(self) -> TriedLock:
        """Tries to remove a version of an object of its own, and to shorten its lock. Writes that object if it is not locked."""


class Account(Protocol):
    """Describes the caller, and the deployment: functions, their sources, and alarms.

    Raises `AccessDenied`, `Unavailable`, `Failed`.
    """

    def identity(self) -> Described:
        """GetCallerIdentity: `Account`, `Arn`."""

    def function(self, name: str) -> Described:
        """GetFunctionConfiguration. Raises `NotFound`."""

    def reserved_concurrency(self, name: str) -> int | None:
        """GetFunctionConcurrency: the number of invocations that may run at once, None if none are reserved."""

    def mappings(self, *, stream: str = "", function: str = "") -> Sequence[Described]:
        """ListEventSourceMappings, every page: the mappings of a stream, of a function, or of both."""

    def alarms(self) -> Sequence[Described]:
        """DescribeAlarms, every page: the metric alarms of the region."""
