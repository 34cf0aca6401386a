"""Named, versioned bytes: the storage of a vault, a snapshot and the on-failure destination."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar, runtime_checkable

import msgspec

from backstream.errors import BackstreamError


class ObjectInfo(msgspec.Struct, frozen=True):
    """A store's metadata of one version, without its bytes. `modified`: epoch seconds at which the *store* received it.

    `tag` names the version's content for `ObjectStore.put(if_match=)` (S3's ETag, with its quotes); empty if there is none.
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


class NewObject(msgspec.Struct, frozen=True):
    """A version that is to be written, as by `ObjectStore.put`."""

    name: str
    body: bytes
    metadata: Mapping[str, str]
    if_absent: bool = False


Written = Generator[tuple[Tag, str | BackstreamError], None, None]  # the new version's id, or why there is none


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
        """Returns if the root exists and keeps versions.

        Raises `MissingBucket`, `UnversionedBucket` or `AccessDenied` otherwise.
        """

    def put(
        self,
        name: str,
        body: bytes,
        metadata: Mapping[str, str] | None = None,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> str:
        """Adds a version on top of `name` and returns its version id. Metadata: lower-case names, printable ASCII values, 2 KB in
        all.

        `if_absent`: writes only if no current object of that name exists (none ever, or a delete marker on top), atomically; raises
        `AlreadyExists` otherwise. If the answer to a first attempt was lost, its own write is recognised, not refused.

        `if_match`: writes only if the current object is still the one with this `ObjectInfo.tag`, atomically. Raises
        `ConditionNotMet` if it is another one, and `MissingObject` if there is none. A lost first attempt is recognised here too.
        Raises `Failed`, and writes nothing, if the server does not know such a condition: an unconditional write could undo
        somebody else's. At most one of the two conditions may be given.
        """

    def get(self, name: str, version: str | None = None) -> StoredObject:
        """Returns the named version, or the current one. Raises `MissingObject` (with `marker`) if there is none."""

    def get_each(self, wanted: Iterable[Wanted[Tag]]) -> Found[Tag]:
        """Yields many objects as `get` returns them, each with its tag, in no order. One thread at a time may ask for the next.

        An object that cannot be read comes as the error that `get` would raise, and the others continue; an error from `wanted`
        ends it. `wanted` is read in the caller's thread as there is room. No more than 64 objects are under way or wait to be
        yielded, and no more than 300 if some are to be tried again. Closing it early stops the requests under way and leaves
        nothing running.
        """

    def get_range(self, name: str, start: int, length: int) -> bytes:
        """Returns at most `length` bytes (1 or more) of the current object, from byte `start` on; a negative one counts from its
        end.

        Returns fewer if the object ends before; one that is shorter than its wanted end is returned whole. Raises `Failed` for a
        range behind its end, as S3 does, and `MissingObject` like `get`.
        """

    def head(self, name: str, version: str | None = None) -> ObjectInfo:
        """Returns the same as `get`, without the body."""

    def delete(self, name: str) -> str:
        """Puts a delete marker on top and returns the marker's version id, even if nothing of that name exists (as S3 does)."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """Yields current objects whose names start with `prefix` (plain text, no folder) and come after `after`, in UTF-8 byte
        order.
        """

    def versions(self, prefix: str, *, after: str = "") -> Iterator[ObjectVersion]:
        """Yields all versions and delete markers of names that start with `prefix` and come after `after`.

        Names are in UTF-8 byte order, and each name's versions newest first.
        """

    def versions_of(self, name: str) -> Iterator[ObjectVersion]:
        """Yields the versions and delete markers of this one name, newest first; none if nothing of that name was ever put."""


@runtime_checkable
class ManyWrites(Protocol):
    """Writes of many objects by one thread, for a store where that costs less than as many threads."""

    @property
    def writes_many(self) -> bool:
        """True if this store gains by it. A store that passes requests on to another has that one's answer."""

    def put_each(self, wanted: Iterable[tuple[Tag, NewObject]]) -> Written[Tag]:
        """Write each as by `ObjectStore.put`, with its tag: as they come, in no order; so no two of one name at a time.

        An object that cannot be written comes as the error that `put` would raise, and the others go on. An `Unavailable` one is
        not waited for here, and may have been written. So may be what `AlreadyExists`: its metadata tells. `wanted` is taken as
        there is room. Closed early it breaks off what is under way.
        """


class Markers(Protocol):
    """The right to remove delete markers. No writer of changes has it: an `ObjectStore` never removes anything."""

    def remove(self, name: str, version: str) -> bool:
        """Removes one delete marker, so that the object below it is current again. Returns False if no version with that id exists
        any more.

        Raises `Refused` if that version is not a delete marker: a version with a body is never removed.
        """


class VersionLock(msgspec.Struct, frozen=True):
    """The lock that keeps a version from being removed. `until`: epoch seconds at which the lock ends; None for a legal hold."""

    until: float | None = None


class Removal(msgspec.Struct, frozen=True):
    """The outcome of one removal: `lock` is None if the version does not exist any more, no matter who removed it."""

    version: ObjectVersion
    lock: VersionLock | None = None


class VersionRemover(Protocol):
    """The right to remove versions for good. Only retention and erasure have it; capture, restore and check never do."""

    def remove_each(self, wanted: Iterable[ObjectVersion]) -> Iterator[Removal]:
        """Removes versions, with a body or delete markers, and yields the outcome of each, in no order.

        Many are removed by one request, and a request removes its versions in no order: a caller that needs an order calls this
        again. A locked version stays, and comes with its lock. Raises `AccessDenied` if versions may not be removed at all, and
        `Unavailable` like `ObjectStore`; versions that were removed before stay removed, and the same call may be made again.
        """

    def lock_of(self, version: ObjectVersion) -> VersionLock | None:
        """Returns the lock of a version; None if it has none, if it has ended, or if the store has no locks."""


@runtime_checkable
class NameKeeper(Protocol):
    """A store in which something of a name stays when all of its versions are removed: a folder on disk."""

    def forget(self, name: str) -> None:
        """Removes what is left of a name without versions; nothing if it still has one. A next version is counted anew."""


class Files(Protocol):
    """Named bytes, written once and read whole: the storage of snapshots and of AWS's exports. Every `ObjectStore` is one.

    Names, durability and errors are as in `ObjectStore`; versions are not needed.
    """

    @property
    def url(self) -> str:
        """See `ObjectStore.url`."""

    def put(self, name: str, body: bytes) -> str:
        """Makes the file durable, whole or not at all, and returns its version, `null` if there are none."""

    def get(self, name: str) -> StoredObject:
        """Returns the file. Raises `MissingObject` if there is none."""


class ListedFiles(Protocol):
    """Files of another writer (CloudTrail), to be listed and read. Every `ObjectStore` is one.

    Names and errors are as in `ObjectStore`.
    """

    @property
    def url(self) -> str:
        """See `ObjectStore.url`."""

    def get(self, name: str) -> StoredObject:
        """Returns the file. Raises `MissingObject` if there is none."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[ListedObject]:
        """See `ObjectStore.list`."""
