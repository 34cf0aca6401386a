"""Object Lock of a bucket, made and tried: operations that must be refused are attempted, on an object of its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backstream.boto_errors import boto_errors
from backstream.errors import AccessDenied, Failed, Refused
from backstream.model import moment
from backstream.model.object_lock import LockMode, ObjectLock, is_on, of_bucket
from backstream.ports import TriedLock
from backstream.stores.s3 import boto
from backstream.stores.s3.api import Terms
from backstream.stores.s3.failures import named, subject
from backstream.stores.s3.settings import S3Settings

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client

NAME = "_backstream/~lock/tried"  # no table can have that name
SHORTER = 60  # seconds from now: a retention that nobody may shorten to


def set_lock(client: S3Client, bucket: str, lock: ObjectLock, owner: str | None = None) -> None:
    """Gives a bucket that keeps versions this default retention. Raises Refused if it has a stronger one."""
    known = of_bucket(S3Settings(client, bucket, owner).object_lock())
    if known == lock:
        return
    if known is not None and lock.is_weaker_than(known):
        raise Refused(f"the bucket {bucket} locks new versions more strongly: {known}, not {lock}", hint="Nothing was changed.")
    rule: Any = {"DefaultRetention": {"Mode": lock.mode.value.upper(), "Days": lock.days}}
    try:
        client.put_object_lock_configuration(
            **boto.of_bucket(bucket, owner), ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
    except boto_errors() as error:
        raise named(error, "PutObjectLockConfiguration", subject(bucket)) from error


class S3Lock:
    """See `ports.LockTrial`. `now`: the clock; `terms`: see `api.Terms`."""

    def __init__(self, client: S3Client, bucket: str, prefix: str, now: Callable[[], float], terms: Terms | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._key = f"{prefix.strip('/')}/{NAME}".lstrip("/")
        self._now = now
        self._terms = terms or Terms()

    def is_on(self) -> bool:
        return is_on(S3Settings(self._client, self._bucket, self._terms.owner()).object_lock())

    def attempt(self) -> TriedLock:
        version, until = self._locked_version()
        if until is None:
            return TriedLock(None, ["a new object of the vault is not locked: nothing keeps its versions from being removed"])
        weak = []
        if self._goes_through(lambda: self._client.put_object_retention(**self._where(version), Retention=self._shorter())):
            weak.append(f"the retention of a version that was locked until {moment.iso(until)} could be shortened")
        if self._goes_through(lambda: self._client.delete_object(**self._where(version))):
            weak.append(f"a version that was locked until {moment.iso(until)} could be removed")
            return TriedLock(until, weak)
        bypass = self._goes_through(lambda: self._client.delete_object(**self._where(version), BypassGovernanceRetention=True))
        return TriedLock(until, weak, bypass=bypass)

    def _locked_version(self) -> tuple[str, float | None]:
        """Returns a version of its own that is locked, or a new one, and until when it is."""
        with_until = ((each, self._until(each)) for each in self._versions())
        found = next(((each, until) for each, until in with_until if until is not None and until > self._now() + 2 * SHORTER), None)
        if found is not None:
            return found
        demanded = boto.parameters_of(self._terms.settings(self._key).of_put(self._key))
        try:
            answer = self._client.put_object(**self._object(), **demanded, Body=secrets.token_hex(16).encode())
        except boto_errors() as error:
            raise named(error, "PutObject", subject(self._bucket, self._key)) from error
        return answer["VersionId"], self._until(answer["VersionId"])

    def _versions(self) -> list[str]:
        try:
            answer = self._client.list_object_versions(**self._asked(), Prefix=self._key)
        except boto_errors() as error:
            raise named(error, "ListObjectVersions", subject(self._bucket, self._key)) from error
        return [each["VersionId"] for each in answer.get("Versions", ()) if each["Key"] == self._key]

    def _until(self, version: str) -> float | None:
        """Returns until when a version is locked; None if it is not."""
        try:
            until = self._client.head_object(**self._where(version)).get("ObjectLockRetainUntilDate")
        except boto_errors() as error:
            raise named(error, "HeadObject", subject(self._bucket, self._key)) from error
        return None if until is None else until.timestamp()

    def _shorter(self) -> Any:
        return {"Mode": LockMode.GOVERNANCE.upper(), "RetainUntilDate": datetime.fromtimestamp(int(self._now()) + SHORTER, UTC)}

    def _goes_through(self, request: Callable[[], object]) -> bool:
        try:
            request()
        except boto_errors() as error:
            found = named(error, "a request that must be refused", subject(self._bucket, self._key))
            if not isinstance(found, AccessDenied) and type(found) is not Failed:
                raise found from error
            return False
        return True

    def _where(self, version: str) -> dict[str, Any]:
        return {**self._object(), "VersionId": version}

    def _object(self) -> dict[str, Any]:
        return {**self._asked(), "Key": self._key}

    def _asked(self) -> dict[str, Any]:
        return boto.of_bucket(self._bucket, self._terms.owner(), self._terms.settings(self._key))
