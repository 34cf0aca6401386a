"""The requests that `s3.S3Store` needs: single requests to one bucket, over any client. Names are whole keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar, runtime_checkable

import msgspec

from backstream.model import request_settings
from backstream.model.request_settings import RequestSettings
from backstream.ports import Found, ListedObject, NewObject, ObjectInfo, ObjectVersion, StoredObject, Tag, Wanted, Written

Whose = Callable[[], str | None]  # the account that a bucket is expected to be of; None where nobody knows
Row = TypeVar("Row", ListedObject, ObjectVersion)


Settings = Callable[[str], RequestSettings]  # the settings of requests about an object, by its key


def nobody() -> str | None:
    """Returns None: the owner of a bucket that nothing is known about."""
    return None


def usual(_key: str) -> RequestSettings:
    """Returns the settings of a bucket that demands none."""
    return request_settings.USUAL


class Terms(msgspec.Struct, frozen=True):
    """The terms on which one bucket is spoken to: its expected owner, and what its policy demands."""

    owner: Whose = nobody
    settings: Settings = usual


class ListingPage(msgspec.Struct, Generic[Row], frozen=True):
    """One page of a listing. `following`: the parameters that ask for the next one, as S3 names them; None if there is none."""

    rows: Sequence[Row]
    following: Mapping[str, str] | None


class S3Api(Protocol):
    """One bucket's requests. Safe to call from many threads.

    Raises the errors of `failures`, naming operation and object, after the client's own retries.
    """

    @property
    def bucket(self) -> str:
        """Its name."""

    def owner(self) -> str | None:
        """The account that each request expects to own the bucket, as `x-amz-expected-bucket-owner`; None: any."""

    def settings(self, key: str) -> RequestSettings:
        """Returns the settings of requests about this object; an empty key is for the bucket."""

    def limit(self, key: str) -> int:
        """Returns the bytes that an object may have.

        `get` and `get_range` raise Damaged for a larger answer, and keep nothing of it.
        """

    def versioning(self) -> str:
        """GetBucketVersioning: returns `Enabled`, `Suspended`, or an empty text if it was never set."""

    def find(self) -> None:
        """HeadBucket: returns if it exists."""

    def put(
        self, key: str, body: bytes, metadata: Mapping[str, str], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """PutObject: returns the new version's id; `null` if the bucket keeps none.

        `if_absent`: with `If-None-Match: *`; `if_match`: with `If-Match` and this ETag. Raises `AlreadyExists` if either one is not
        met.
        """

    def get(self, key: str, version: str | None) -> StoredObject:
        """GetObject."""

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """GetObject of each, as `ports.ObjectStore.get_each` defines it."""

    def get_range(self, key: str, which: str) -> bytes:
        """GetObject with this `Range` header: returns some bytes of the current object."""

    def head(self, key: str, version: str | None) -> ObjectInfo:
        """HeadObject. `MissingObject` may also mean that the bucket is missing: the answer has no body to say so."""

    def delete(self, key: str) -> str:
        """DeleteObject without a version: returns the id of the delete marker."""

    def list_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ListedObject]:
        """ListObjectsV2. `place`: `StartAfter`, or a page's `following`. Raises `Damaged` if the answer is not a listing."""

    def versions_page(self, prefix: str, place: Mapping[str, str]) -> ListingPage[ObjectVersion]:
        """ListObjectVersions. `place`: `KeyMarker`, or a page's `following`. Raises `Damaged` if the answer is not a listing."""


@runtime_checkable
class ManyPuts(Protocol):
    """One that has many requests in flight from one thread."""

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        """PutObject of each, as `ports.ManyWrites.put_each` has it; names are whole keys."""


NULL_VERSION = "null"  # what S3 calls the only version of an object in a bucket that keeps none
