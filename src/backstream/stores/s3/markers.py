"""Removes S3's delete markers: `ports.Markers`. It needs s3:DeleteObjectVersion, which no other part of this tool does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backstream.boto_errors import boto_errors
from backstream.ports import ObjectStore
from backstream.stores.markers import not_a_marker
from backstream.stores.s3.api import Terms
from backstream.stores.s3.boto import of_bucket
from backstream.stores.s3.failures import named, subject

if TYPE_CHECKING:  # stubs: not there at run time
    from mypy_boto3_s3 import S3Client


class S3Markers:
    """See `ports.Markers`. `store`: the same bucket and prefix, to look up what a version is.

    `terms`: see `api.Terms`.
    """

    def __init__(self, client: S3Client, bucket: str, prefix: str, store: ObjectStore, terms: Terms | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._root = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._store = store
        self._terms = terms or Terms()

    def remove(self, name: str, version: str) -> bool:
        # A version's id belongs to a marker or to a body for good, so nobody can turn one into the other after this look.
        found = next((row for row in self._store.versions_of(name) if row.version == version), None)
        if found is None:
            return False
        if not found.marker:
            raise not_a_marker(f"{self._store.url}/{name}", version)
        key = self._root + name
        try:
            self._client.delete_object(**self._asked(), Key=key, VersionId=version)
        except boto_errors() as error:
            raise named(error, "DeleteObjectVersion", subject(self._bucket, key, version)) from error
        return True

    def _asked(self) -> dict[str, Any]:
        return of_bucket(self._bucket, self._terms.owner(), self._terms.settings(self._root))
