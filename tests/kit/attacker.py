"""A script with an admin's key that wants a locked vault gone. It shares no code with the tool: plain requests to S3."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from backstream.stores.s3.boto import client_config
from kit.scene import Scene

Version = tuple[str, str]  # the key and the version id
SOON = timedelta(hours=1)


class Attacker:
    """`bypass`: the key may bypass governance mode, as an admin's usually may. Each method returns what it brought about."""

    def __init__(self, scene: Scene, *, bypass: bool = False) -> None:
        self.s3: Any = scene.aws.client("s3", config=client_config())
        self.bucket = scene.bucket
        self._more: dict[str, Any] = {"BypassGovernanceRetention": True} if bypass else {}

    def bodies(self) -> dict[Version, tuple[bytes, dict[str, str]]]:
        """Every version that has a body: its bytes and its metadata."""
        found = {}
        for key, version in self._listed("Versions"):
            got = self.s3.get_object(Bucket=self.bucket, Key=key, VersionId=version)
            found[key, version] = got["Body"].read(), got["Metadata"]
        return found

    def hide_all(self) -> int:
        """Puts a delete marker on each object: `aws s3 rm --recursive`. The number of markers."""
        for key in {key for key, _ in self._listed("Versions")}:
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        return len(self._listed("DeleteMarkers"))

    def remove_each(self) -> list[Version]:
        """DeleteObject of each version: those that it removed."""
        return [each for each in self._listed("Versions") if self._goes_through(partial(self._remove, *each))]

    def remove_together(self) -> list[Version]:
        """DeleteObjects of all versions: those that are gone."""
        there = self._listed("Versions")
        for start in range(0, len(there), 1_000):
            objects = [{"Key": key, "VersionId": version} for key, version in there[start : start + 1_000]]
            self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": objects}, **self._more)
        return sorted({*there} - {*self._listed("Versions")})

    def shorten_each(self, mode: str) -> list[Version]:
        """PutObjectRetention of each version, an hour from now: those that it shortened."""
        wanted = {"Mode": mode.upper(), "RetainUntilDate": datetime.now(UTC) + SOON}
        return [each for each in self._listed("Versions") if self._goes_through(partial(self._retain, *each, wanted))]

    def overwrite_each(self) -> int:
        """PutObject of nothing on top of each object. The number of objects."""
        keys = {key for key, _ in self._listed("Versions")}
        for key in keys:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"")
        return len(keys)

    def expire_all(self) -> None:
        """A lifecycle rule that removes everything after a day."""
        rule = {
            "ID": "gone",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "Expiration": {"Days": 1},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        }
        self.s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": [rule]})

    def suspend_versioning(self) -> bool:
        """True if the bucket keeps no new versions from now on."""
        suspended = {"Status": "Suspended"}
        return self._goes_through(lambda: self.s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration=suspended))

    def delete_bucket(self) -> bool:
        """True if the bucket is gone."""
        return self._goes_through(lambda: self.s3.delete_bucket(Bucket=self.bucket))

    def _remove(self, key: str, version: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key, VersionId=version, **self._more)

    def _retain(self, key: str, version: str, wanted: dict[str, Any]) -> None:
        self.s3.put_object_retention(Bucket=self.bucket, Key=key, VersionId=version, Retention=wanted, **self._more)

    def _listed(self, what: str) -> list[Version]:
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket)
        return [(each["Key"], each["VersionId"]) for page in pages for each in page.get(what, ())]

    @staticmethod
    def _goes_through(ask: Callable[[], object]) -> bool:
        try:
            ask()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
                raise
            return False
        return True
