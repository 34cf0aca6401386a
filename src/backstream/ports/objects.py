"""Named, versioned bytes: what a vault, a snapshot and the on-failure destination lie in."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import msgspec

from backstream.errors import BackstreamError


class ObjectInfo(msgspec.Struct, frozen=True):
    """What a store knows of one version besides its bytes. `modified`: epoch seconds at which the *store* received it.

    `tag` names the version's content for `ObjectStore.put(if_match=)` (S3's ETag, with its quotes); empty where there is none.
    """

    name: str
    version: str
    size: int
    modified: float
    metadata: Mapping[str, str]
    tag: str = ""


class StoredObject(msgspec.Struct, frozen=True):
    """One version, whole."""

    info: ObjectInfo
    body: bytes


Tag = TypeVar("Tag")
Wanted = tuple[Tag, str, str | None]  # an object's name and version (None: the current one), and what the caller knows it by
Found = Generator[tuple[Tag, StoredObject | BackstreamError], None, None]


class ObjectVersion(msgspec.Struct, frozen=True):
    """One row of a version listing. Listings never carry metadata (neither does S3's)."""

    name: str
    version: str
    size: int
    modified: float
    latest: bool
    marker: bool  # a delete marker: no body, no metadata


class ListedObject(msgspec.Struct, frozen=True):
    """One row of a listing of current objects."""

    name: str
    size: int
    modified: float


class ObjectStore(Protocol):
    """Named, versioned bytes. Knows nothing of DynamoDB.

    Names are any 1-1,024 bytes of UTF-8, relative to the store's root (bucket and prefix, or folder). Reads see every write that
    has returned (as S3 since 2020). A write is whole or absent, never partial; when it has returned, it survives a crash.
    Nothing here ever removes a version. Safe to call from many threads.

    Errors: `MissingBucket`, `AccessDenied`, `Unavailable` (the same call may go through later), `Failed` for the rest.
    """

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`, `file:///folder` or `memory:`, for people and messages; no trailing slash."""

    def check(self) -> None:
        """Return if the root exists and keeps versions; raise `MissingBucket`, `UnversionedBucket` or `AccessDenied` otherwise."""

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Add a version on top of `name`; return its version id. Metadata: lower-case names, printable ASCII values, 2 KB in all.

        `if_absent`: only where no current object of that name exists (none ever, or a delete marker on top), atomically;
        `AlreadyExists` otherwise. If the answer to a first attempt was lost, its own write is recognised, not refused.

        `if_match`: only where the current object is still the one with this `ObjectInfo.tag`, atomically. `ConditionNotMet`
        where it is another one, `MissingObject` where there is none. A lost first attempt is recognised here too. `Failed`, and
        nothing written, where the server does not know such a condition: an unconditional write could undo somebody else's.
        One of the two conditions at most.
        """

    def get(self, name: str, version: str | None = None) -> StoredObject:
        """The named version, or the current one. `MissingObject` (with `marker`) if there is none."""

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """Many objects, each as by `get`, with its tag: as they come, in no order. One thread at a time may ask for the next.

        An object that cannot be had comes as the error that `get` would raise, and the others go on; what `wanted` raises ends it.
        `wanted` is taken in the caller's thread as there is room: no more than 64 objects are under way or wait to be given out,
        and no more than 300 where some are to be tried again. Closed early it breaks off what is under way and leaves nothing
        running.
        """

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """At most `length` bytes (1 or more) of the current object, from its byte `start` on; a negative one counts from its end.

        Fewer where the object ends before; one that is shorter than its wanted end is given whole. Asking for what lies behind its
        end is `Failed`, as it is of S3. `MissingObject` as for `get`.
        """

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        """As `get`, without the body."""

    def delete(self, name: str) -> str:
        """Put a delete marker on top; return the marker's version id. Also where nothing of that name exists (as S3 does)."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Current objects whose names start with `prefix` (plain text, no folder) and come after `after`, in UTF-8 byte order."""

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        """All versions and delete markers of names that start with `prefix` and come after `after`: names in UTF-8 byte order,
        newest first in each.
        """

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """The versions and delete markers of this one name, newest first; none where nothing of that name was ever put."""


class Markers(Protocol):
    """The right to take delete markers away. No writer of changes is given it: an `ObjectStore` never removes anything."""

    def remove(self, name: str, version: str) -> bool:
        """Remove one delete marker, so that what it hid is current again. False where no version with that id exists any more.

        `Refused` where that version is not a delete marker: a version with a body is never removed.
        """


class Files(Protocol):
    """Named bytes, written once and read whole: where a snapshot goes, and where AWS's exports lie. Every `ObjectStore` is one.

    Names, durability and errors are those of `ObjectStore`; versions are not needed.
    """

    @property
    def url(self) -> str:
        """As of `ObjectStore`."""

    def put(self, name: str, body: bytes) -> str:
        """Make the file durable, whole or not at all, and return its version, `null` where there are none."""

    def get(self, name: str) -> StoredObject:
        """The file. `MissingObject` if there is none."""


class ListedFiles(Protocol):
    """Files that somebody else wrote, to be found and read: CloudTrail's. Every `ObjectStore` is one.

    Names and errors are those of `ObjectStore`.
    """

    @property
    def url(self) -> str:
        """As of `ObjectStore`."""

    def get(self, name: str) -> StoredObject:
        """The file. `MissingObject` if there is none."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """As of `ObjectStore`."""
