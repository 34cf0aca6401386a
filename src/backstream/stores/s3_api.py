"""What `s3.S3Store` needs of S3: single requests about one bucket, by whichever client. Names are whole keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from backstream.ports import Found, ListedObject, ObjectInfo, ObjectVersion, StoredObject, Tag, Wanted

Whose = Callable[[], str | None]  # the account that a bucket is expected to be of; None where nobody knows
Row = TypeVar("Row", ListedObject, ObjectVersion)


def nobody() -> str | None:
    """The account of a bucket of which nothing is known."""
    return None


class ListingPage(msgspec.Struct, Generic[Row], frozen=True):
    """One page of a listing. `following`: the parameters that ask for the next one, as S3 names them; None: there is none."""

    rows: Sequence[Row]
    following: Mapping[str, str] | None


class S3Api(Protocol):
    """One bucket's requests. Safe to call from many threads.

    Errors: those of `failures`, naming operation and object. Each is raised after the client's own retries.
    """

    @property
    def bucket(self) -> str:
        """Its name."""

    def owner(self) -> str | None:
        """The account that each request expects the bucket to be of, as `x-amz-expected-bucket-owner`; None: any."""

    def limit(self, key: str) -> int:
        """The bytes that an object may have: `get` and `get_range` are Damaged for a larger answer, of which nothing is kept."""

    def versioning(self) -> str:
        """GetBucketVersioning: `Enabled`, `Suspended`, or nothing where it never was."""

    def find(self) -> None:
        """HeadBucket: return if it is there."""

    def put(
        self, key: str, body: bytes, metadata: Mapping[str, str], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """PutObject: the new version's id; `null` where the bucket keeps none.

        `if_absent`: with `If-None-Match: *`; `if_match`: with `If-Match` and this ETag. Either one not met is `AlreadyExists`.
        """

    def get(self, key: str, version: str | None) -> StoredObject:
        """GetObject."""

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """GetObject of each, as `ports.ObjectStore.get_each` has it."""

    def get_range(self, key: str, which: str) -> bytes:
        """GetObject with this `Range` header: some bytes of the current object."""

    def head(self, key: str, version: str | None) -> ObjectInfo:
        """HeadObject. `MissingObject` may also mean that the bucket is missing: the answer has no body to say so."""

    def delete(self, key: str) -> str:
        """DeleteObject without a version: the id of the delete marker."""

    def list_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ListedObject]:
        """ListObjectsV2. `place`: `StartAfter`, or a page's `following`. `Damaged` where the answer is no listing."""

    def versions_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ObjectVersion]:
        """ListObjectVersions. `place`: `KeyMarker`, or a page's `following`. `Damaged` where the answer is no listing."""


NULL_VERSION = "null"  # what S3 calls the only version of an object in a bucket that keeps none
